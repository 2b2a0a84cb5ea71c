//! What a proxy offers to a VM as a whole.

use std::time::Duration;

use weir_abi::{GrpcCall, HttpCall, LogLevel, Status};

/// Services of the proxy to one VM. Called from inside hostcalls, so quick, without blocking, and never back into a VM.
///
/// Work that takes time is only begun here; its result comes later, on the VM's thread, through the method of
/// [`Vm`](crate::Vm) named at each.
pub trait Services: Send {
    /// Begins an HTTP call. The result goes to [`Vm::on_http_call_response`](crate::Vm::on_http_call_response) with
    /// `token`, exactly once. `Err` is what the guest gets: `BadArgument` for an upstream that is not known,
    /// `InternalFailure` for a proxy that has no means to call.
    fn http_call(&mut self, token: u32, call: HttpCall) -> Result<(), Status>;

    /// Begins a unary gRPC call. Messages go to [`Vm::on_grpc_receive`](crate::Vm::on_grpc_receive) and the end to
    /// [`Vm::on_grpc_close`](crate::Vm::on_grpc_close).
    fn grpc_call(&mut self, token: u32, call: GrpcCall) -> Result<(), Status> {
        let _ = (token, call);
        Err(Status::InternalFailure)
    }

    /// Begins a gRPC stream; as [`Services::grpc_call`], but messages go both ways for as long as it lasts.
    fn grpc_stream(&mut self, token: u32, call: GrpcCall) -> Result<(), Status> {
        let _ = (token, call);
        Err(Status::InternalFailure)
    }

    /// Sends a message on a gRPC stream that is open.
    fn grpc_send(&mut self, token: u32, message: &[u8], end_of_stream: bool) -> Result<(), Status> {
        let _ = (token, message, end_of_stream);
        Err(Status::NotFound)
    }

    /// Ends a gRPC call or stream at once; nothing is delivered for it afterwards.
    fn grpc_cancel(&mut self, token: u32) -> Result<(), Status> {
        let _ = token;
        Err(Status::NotFound)
    }

    /// Ends our side of a gRPC stream.
    fn grpc_close(&mut self, token: u32) -> Result<(), Status> {
        let _ = token;
        Err(Status::NotFound)
    }

    /// A way to answer a foreign function of this plugin context later, with a token that no other answer under way has.
    /// What is delivered goes to [`Vm::on_foreign_function`](crate::Vm::on_foreign_function). `None` for a proxy that has
    /// no such way.
    fn deferred_answer(&mut self, plugin: crate::ContextId) -> Option<crate::Later> {
        let _ = plugin;
        None
    }

    /// Sets the period in which [`Vm::on_tick`](crate::Vm::on_tick) is called for a plugin context; `None` ends it.
    fn set_tick_period(&mut self, plugin: crate::ContextId, period: Option<Duration>);

    /// The lowest level that the log keeps; lower ones do not reach [`Services::log`].
    fn log_level(&self) -> LogLevel;

    /// Writes a line to the log. `plugin` is the name of the plugin whose context is effective, where there is one.
    fn log(&self, level: LogLevel, plugin: Option<&str>, message: &[u8]);
}
