//! Services of a proxy to a VM as a whole.

use std::time::Duration;

use weir_abi::{GrpcCall, HttpCall, LogLevel, Status};
use weir_account::CallTicket;

/// Services of the proxy to one VM. The proxy makes one value for each VM and gives it to [`Vm::start`](crate::Vm::start);
/// the VM owns the value and calls it on the thread that has entered the VM.
///
/// Every method is called from inside a hostcall: it returns within microseconds, does not block, and **never calls into a
/// VM**. Work that takes time is begun here, under a token that the VM chose. The proxy delivers its result later, on the
/// VM's thread, through the method of [`Vm`](crate::Vm) that each description names.
pub trait Services: Send {
    /// Begins an HTTP call. The proxy calls [`Vm::on_http_call_response`](crate::Vm::on_http_call_response) with `token`
    /// exactly once, with the response or the reason why there is none.
    ///
    /// The call counts among those of the VM, and its request in the VM's account, until the last clone of `ticket` is
    /// dropped. The proxy keeps a clone with each part of the request for as long as that exists, and drops the last one
    /// before it delivers the result. The answer is charged to the ticket's account.
    ///
    /// # Errors
    ///
    /// The status that the guest gets at once, and then no result follows: `BadArgument` for an unknown upstream,
    /// `InternalFailure` for a proxy that cannot call.
    fn http_call(&mut self, token: u32, call: HttpCall, ticket: CallTicket) -> Result<(), Status>;

    /// Gives an HTTP call up, because the context that began it has ended. The proxy ends the exchange and delivers nothing
    /// for `token` afterwards; a call that has ended by itself meanwhile is none of its business. The default does nothing,
    /// for proxies that begin no calls.
    fn http_cancel(&mut self, token: u32) {
        let _ = token;
    }

    /// Begins a unary gRPC call. The proxy calls
    /// [`Vm::on_grpc_receive_initial_metadata`](crate::Vm::on_grpc_receive_initial_metadata) and
    /// [`Vm::on_grpc_receive`](crate::Vm::on_grpc_receive) as data arrives, and
    /// [`Vm::on_grpc_close`](crate::Vm::on_grpc_close) exactly once at the end. The default refuses.
    ///
    /// # Errors
    ///
    /// As [`Services::http_call`]; SDKs also take `ParseFailure` for an upstream that cannot be read.
    fn grpc_call(&mut self, token: u32, call: GrpcCall) -> Result<(), Status> {
        let _ = (token, call);
        Err(Status::InternalFailure)
    }

    /// Opens a gRPC stream: as [`Services::grpc_call`], but the guest sends messages with [`Services::grpc_send`] and any
    /// number of messages comes back. The default refuses.
    ///
    /// # Errors
    ///
    /// As [`Services::grpc_call`].
    fn grpc_stream(&mut self, token: u32, call: GrpcCall) -> Result<(), Status> {
        let _ = (token, call);
        Err(Status::InternalFailure)
    }

    /// Sends a message on the open gRPC stream `token`. With `end_of_stream` the guest sends no more.
    ///
    /// # Errors
    ///
    /// `NotFound`: the proxy has no such stream.
    fn grpc_send(&mut self, token: u32, message: &[u8], end_of_stream: bool) -> Result<(), Status> {
        let _ = (token, message, end_of_stream);
        Err(Status::NotFound)
    }

    /// Ends a gRPC call or stream at once. The proxy delivers nothing for `token` afterwards. Called for the guest, and by
    /// the host when the stream context that began the call has ended.
    ///
    /// # Errors
    ///
    /// `NotFound`: the proxy has no such call or stream.
    fn grpc_cancel(&mut self, token: u32) -> Result<(), Status> {
        let _ = token;
        Err(Status::NotFound)
    }

    /// Ends the guest's side of a gRPC stream. The proxy delivers messages of the upstream until
    /// [`Vm::on_grpc_close`](crate::Vm::on_grpc_close).
    ///
    /// # Errors
    ///
    /// `NotFound`: the proxy has no such stream.
    fn grpc_close(&mut self, token: u32) -> Result<(), Status> {
        let _ = token;
        Err(Status::NotFound)
    }

    /// Makes a way to answer a foreign function of this plugin context after the function has returned. The answer has a
    /// token that no other answer under way has, and the proxy passes it to
    /// [`Vm::on_foreign_function`](crate::Vm::on_foreign_function). `None` from a proxy that cannot deliver; the default.
    fn deferred_answer(&mut self, plugin: crate::ContextId) -> Option<crate::Later> {
        let _ = plugin;
        None
    }

    /// Sets the period in which the proxy calls [`Vm::on_tick`](crate::Vm::on_tick) for a plugin context; `None` stops the
    /// ticks. The latest period counts. The proxy raises a shorter one to
    /// [`MIN_TICK_PERIOD`](weir_abi::limits::MIN_TICK_PERIOD).
    fn set_tick_period(&mut self, plugin: crate::ContextId, period: Option<Duration>);

    /// The lowest level that the log keeps of any plugin of the VM. Guests read it.
    fn log_level(&self) -> LogLevel;

    /// Returns true if the log keeps lines of a plugin at this level. The host asks before each line and drops others, which
    /// cost the plugin nothing. `plugin` as for [`Services::log`]. The default goes by [`Services::log_level`].
    fn keeps(&self, level: LogLevel, plugin: Option<&str>) -> bool {
        let _ = plugin;
        level >= self.log_level()
    }

    /// Writes a line of a guest to the log. The host bounds how many bytes a plugin may write
    /// ([`VmLimits::log`](crate::VmLimits::log)). `plugin` is the name of the plugin whose context is effective; `None` while
    /// the VM starts. The bytes are as the guest gave them: at most
    /// [`MAX_LOG_MESSAGE`](weir_abi::limits::MAX_LOG_MESSAGE), twice as many of a guest that dies, in any encoding, with any
    /// control characters.
    fn log(&self, level: LogLevel, plugin: Option<&str>, message: &[u8]);

    /// Writes a line of the host about a guest to the log: a death, a refused hostcall, lost lines. `plugin` as for
    /// [`Services::log`]. The default writes it like a line of the guest.
    fn log_about(&self, level: LogLevel, plugin: Option<&str>, message: &str) {
        self.log(level, plugin, message.as_bytes());
    }
}
