//! Results of calls to upstreams on their way into the guest.

use weir_abi::{CallFailure, Callback, Status};

use super::Vm;
use super::state::{CallOwner, CallbackData};
use super::stream::wire;
use crate::{ContextId, HttpCallFailure, HttpCallResponse, Pairs, VmError};

impl Vm {
    /// The end of an HTTP call. A proxy calls this once for each [`Services::http_call`](crate::Services::http_call) that it
    /// accepted. A result whose context has ended is dropped.
    ///
    /// # Errors
    ///
    /// The VM has died. So for every result.
    pub fn on_http_call_response(
        &mut self,
        token: u32,
        result: Result<HttpCallResponse, CallFailure>,
    ) -> Result<(), VmError> {
        let state = self.state().ok_or(VmError::Dead)?;
        let Some(owner) = state.http_calls.remove(&token) else {
            return Ok(());
        };
        let synthesize = state
            .plugins
            .get(&owner.plugin)
            .is_some_and(|plugin| plugin.spec.http_call_failure == HttpCallFailure::Synthesize);
        let response = match result {
            Ok(response) => {
                state.status = (Status::Ok.wire(), String::new());
                response
            }
            Err(CallFailure { status, reason }) => {
                let response = if synthesize {
                    synthetic_response(&reason)
                } else {
                    HttpCallResponse::default()
                };
                state.status = (status.wire(), reason);
                response
            }
        };
        let (headers, trailers) = (wire(response.headers.len()), wire(response.trailers.len()));
        let args = [
            owner.plugin.wire(),
            token,
            headers,
            wire(response.body.len()),
            trailers,
        ];
        self.deliver(
            Callback::HttpCallResponse,
            owner.plugin,
            &args,
            CallbackData::HttpCall(response),
        )
    }

    /// Returns the plugin of an HTTP call whose result no stream waits for. `None` where a stream that is held may wait for
    /// it, and where nobody awaits it any more.
    pub fn plugin_of_idle_call(&mut self, token: u32) -> Option<ContextId> {
        let state = self.state()?;
        let CallOwner { plugin, context } = *state.http_calls.get(&token)?;
        let awaited = match state.streams.get(&context) {
            Some(stream) => stream.stream.is_held(),
            // A call of the plugin's own may be for any of its streams.
            None => state.holds_stream_of(plugin),
        };
        (!awaited).then_some(plugin)
    }

    /// Returns true if the plugin holds a stream, which may wait for what the plugin waits for.
    pub fn holds_stream_of(&mut self, plugin: ContextId) -> bool {
        self.state().is_some_and(|state| state.holds_stream_of(plugin))
    }

    /// Counts an event of the plugin that was put off because the VM had used its share of the thread.
    pub fn count_put_off(&mut self, plugin: ContextId) {
        if let Some(meter) = self.state().and_then(|state| state.meter_of(plugin)) {
            meter.put_off();
        }
    }

    /// Initial metadata of a gRPC call or stream, once, before the first message.
    ///
    /// # Errors
    ///
    /// As [`Vm::on_http_call_response`].
    pub fn on_grpc_receive_initial_metadata(&mut self, token: u32, metadata: Pairs) -> Result<(), VmError> {
        let Some(owner) = self.grpc_owner(token)? else {
            return Ok(());
        };
        let args = [owner.plugin.wire(), token, wire(metadata.len())];
        let data = CallbackData::GrpcInitialMetadata(metadata);
        self.deliver(Callback::GrpcReceiveInitialMetadata, owner.plugin, &args, data)
    }

    /// A message of a gRPC call or stream.
    ///
    /// # Errors
    ///
    /// As [`Vm::on_http_call_response`].
    pub fn on_grpc_receive(&mut self, token: u32, message: Vec<u8>) -> Result<(), VmError> {
        let Some(owner) = self.grpc_owner(token)? else {
            return Ok(());
        };
        let args = [owner.plugin.wire(), token, wire(message.len())];
        self.deliver(
            Callback::GrpcReceive,
            owner.plugin,
            &args,
            CallbackData::GrpcMessage(message),
        )
    }

    /// Trailing metadata of a gRPC stream, after the last message.
    ///
    /// # Errors
    ///
    /// As [`Vm::on_http_call_response`].
    pub fn on_grpc_receive_trailing_metadata(&mut self, token: u32, metadata: Pairs) -> Result<(), VmError> {
        let Some(owner) = self.grpc_owner(token)? else {
            return Ok(());
        };
        let args = [owner.plugin.wire(), token, wire(metadata.len())];
        let data = CallbackData::GrpcTrailingMetadata(metadata);
        self.deliver(Callback::GrpcReceiveTrailingMetadata, owner.plugin, &args, data)
    }

    /// The end of a gRPC call or stream, once, with its gRPC status (0 to 16) and message.
    ///
    /// # Errors
    ///
    /// As [`Vm::on_http_call_response`].
    pub fn on_grpc_close(&mut self, token: u32, status: u32, message: String) -> Result<(), VmError> {
        let Some(owner) = self.grpc_owner(token)? else {
            return Ok(());
        };
        let state = self.state().ok_or(VmError::Dead)?;
        state.grpc_calls.remove(&token);
        state.status = (status, message);
        let args = [owner.plugin.wire(), token, status];
        self.deliver(Callback::GrpcClose, owner.plugin, &args, CallbackData::None)
    }

    fn grpc_owner(&mut self, token: u32) -> Result<Option<CallOwner>, VmError> {
        let state = self.state().ok_or(VmError::Dead)?;
        Ok(state.grpc_calls.get(&token).map(|call| call.owner))
    }
}

/// The response that Envoy's HTTP client makes of a call that failed.
fn synthetic_response(reason: &str) -> HttpCallResponse {
    let (status, body): (&[u8], &[u8]) = match reason {
        "timeout" => (b"504", b"upstream request timeout"),
        _ => (
            b"503",
            b"upstream connect error or disconnect/reset before headers",
        ),
    };
    let length = body.len().to_string().into_bytes();
    HttpCallResponse {
        headers: vec![
            (b":status".to_vec(), status.to_vec()),
            (b"content-length".to_vec(), length),
            (b"content-type".to_vec(), b"text/plain".to_vec()),
        ],
        body: body.to_vec(),
        trailers: Vec::new(),
    }
}
