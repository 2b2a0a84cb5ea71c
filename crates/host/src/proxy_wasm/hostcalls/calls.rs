//! Calls to upstreams: HTTP and gRPC. They are only begun here; results come through their own callbacks.

use std::time::Duration;

use weir_abi::{LogLevel, Status, limits, pairs};
use weir_account::{Full, line_cost};

use super::Call;
use crate::proxy_wasm::state::{GrpcInFlight, GrpcToken};
use crate::proxy_wasm::{ProxyWasmState, names};
use crate::sets::{Fault, slice};
use crate::{GrpcCall, HttpCall};

/// Pseudo-headers that a call must have, each with the field that may stand for it.
const REQUIRED: [[&[u8]; 2]; 3] = [
    [b":method", b":method"],
    [b":path", b":path"],
    [b":authority", b"host"],
];

/// Names and values as they lie in the guest's memory.
type BorrowedPairs<'a> = Vec<(&'a [u8], &'a [u8])>;

/// Begins an HTTP call.
#[allow(clippy::too_many_arguments)] // the specification's signature
pub(super) fn proxy_http_call(
    call: &mut Call<'_>,
    upstream: u32,
    upstream_len: u32,
    headers: u32,
    headers_len: u32,
    body: u32,
    body_len: u32,
    trailers: u32,
    trailers_len: u32,
    timeout: u32,
    out_token: u32,
) -> Result<(), Fault> {
    call.check_outputs(&[out_token])?;
    let (memory, state) = call.parts();
    let upstream = slice(memory, upstream, upstream_len)?;
    let headers = borrowed_pairs(memory, headers, headers_len)?;
    let body = slice(memory, body, body_len)?;
    let trailers = borrowed_pairs(memory, trailers, trailers_len)?;
    let timeout = timeout_of(timeout)?;
    let has = |name: &&[u8]| headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name));
    if let Some([missing, _]) = REQUIRED.iter().find(|names| !names.iter().any(has)) {
        let missing = missing.escape_ascii();
        let text = format!("proxy_http_call: the call has no {missing}, so it was refused");
        state.log(LogLevel::Debug, text.as_bytes());
        return Err(Status::BadArgument.into());
    }
    let owner = state.call_owner().ok_or(Status::InternalFailure)?;
    let limit = state.spec.limits.http_calls;
    if state.calls.in_flight() >= limit {
        call.warn_once(|| {
            format!(
                "proxy_http_call: {limit} calls are in flight (limits.http_calls), so the call was refused"
            )
        });
        return Err(Status::InternalFailure.into());
    }
    let cost = upstream.len() + body.len() + cost_of(&headers) + cost_of(&trailers);
    let charge = match state.account.charge(cost) {
        Ok(charge) => charge,
        Err(full) => return Err(call.no_room(full)),
    };
    let request = HttpCall {
        upstream: upstream.to_vec(),
        headers: names::owned(&headers),
        body: body.to_vec(),
        trailers: names::owned(&trailers),
        timeout,
    };
    let ticket = state.calls.begin(&state.account, charge);
    let token = state.next_token();
    state.services.http_call(token, request, ticket)?;
    state.http_calls.insert(token, owner);
    Ok(call.write_u32(out_token, token)?)
}

/// Begins a unary gRPC call.
#[allow(clippy::too_many_arguments)] // the specification's signature
pub(super) fn proxy_grpc_call(
    call: &mut Call<'_>,
    upstream: u32,
    upstream_len: u32,
    service: u32,
    service_len: u32,
    method: u32,
    method_len: u32,
    metadata: u32,
    metadata_len: u32,
    message: u32,
    message_len: u32,
    timeout: u32,
    out_token: u32,
) -> Result<(), Fault> {
    call.check_outputs(&[out_token])?;
    let (memory, state) = call.parts();
    let request = GrpcRequest {
        upstream: slice(memory, upstream, upstream_len)?,
        service: slice(memory, service, service_len)?,
        method: slice(memory, method, method_len)?,
        metadata: grpc_pairs(slice(memory, metadata, metadata_len)?)?,
        message: slice(memory, message, message_len)?,
        // SDKs take no BadArgument from this hostcall.
        timeout: timeout_of(timeout).map_err(|_| Status::InternalFailure)?,
    };
    let begun = begin_grpc(state, &request, GrpcToken::Call)?;
    finish_grpc(call, begun, out_token)
}

/// Opens a gRPC stream.
#[allow(clippy::too_many_arguments)] // the specification's signature
pub(super) fn proxy_grpc_stream(
    call: &mut Call<'_>,
    upstream: u32,
    upstream_len: u32,
    service: u32,
    service_len: u32,
    method: u32,
    method_len: u32,
    metadata: u32,
    metadata_len: u32,
    out_token: u32,
) -> Result<(), Fault> {
    call.check_outputs(&[out_token])?;
    let (memory, state) = call.parts();
    let request = GrpcRequest {
        upstream: slice(memory, upstream, upstream_len)?,
        service: slice(memory, service, service_len)?,
        method: slice(memory, method, method_len)?,
        metadata: grpc_pairs(slice(memory, metadata, metadata_len)?)?,
        message: &[],
        timeout: None,
    };
    let begun = begin_grpc(state, &request, GrpcToken::Stream)?;
    finish_grpc(call, begun, out_token)
}

/// Sends a message on a stream. A call has had its only message: `BadArgument`.
pub(super) fn proxy_grpc_send(
    call: &mut Call<'_>,
    token: u32,
    message: u32,
    message_len: u32,
    end_stream: u32,
) -> Result<(), Fault> {
    let (message, state) = call.read(message, message_len)?;
    match state.grpc_calls.get(&token) {
        Some(sending) if sending.kind == GrpcToken::Stream => {
            Ok(state.services.grpc_send(token, message, end_stream != 0)?)
        }
        Some(_) => Err(Status::BadArgument.into()),
        None => Err(Status::NotFound.into()),
    }
}

/// Ends a call or stream at once; no callback follows.
pub(super) fn proxy_grpc_cancel(call: &mut Call<'_>, token: u32) -> Result<(), Fault> {
    let state = call.state();
    state.grpc_calls.remove(&token).ok_or(Status::NotFound)?;
    Ok(state.services.grpc_cancel(token)?)
}

/// Ends our side of a stream; what the upstream still sends is delivered.
pub(super) fn proxy_grpc_close(call: &mut Call<'_>, token: u32) -> Result<(), Fault> {
    let state = call.state();
    match state.grpc_calls.get(&token) {
        Some(_) => Ok(state.services.grpc_close(token)?),
        None => Err(Status::NotFound.into()),
    }
}

/// Tells the status of the call whose callback runs, or of the last one that was delivered.
pub(super) fn proxy_get_status(
    call: &mut Call<'_>,
    out_code: u32,
    out: u32,
    out_len: u32,
) -> Result<(), Fault> {
    call.check_outputs(&[out_code, out, out_len])?;
    let state = call.state();
    let code = state.status.0;
    state.scratch.clear();
    state.scratch.extend_from_slice(state.status.1.as_bytes());
    call.write_u32(out_code, code)?;
    call.give_scratch(out, out_len)
}

/// A gRPC request as it lies in the guest's memory.
struct GrpcRequest<'a> {
    upstream: &'a [u8],
    service: &'a [u8],
    method: &'a [u8],
    metadata: BorrowedPairs<'a>,
    message: &'a [u8],
    timeout: Option<Duration>,
}

/// Begins a call or a stream; the inner error says that the host has no room for it. The VM's account pays for the request until
/// the call has ended.
fn begin_grpc(
    state: &mut ProxyWasmState,
    request: &GrpcRequest<'_>,
    kind: GrpcToken,
) -> Result<Result<u32, Full>, Status> {
    let owner = state.call_owner().ok_or(Status::InternalFailure)?;
    if state.grpc_calls.len() >= limits::MAX_GRPC_CALLS_IN_FLIGHT {
        return Err(Status::InternalFailure);
    }
    let names = request.upstream.len() + request.service.len() + request.method.len();
    let cost = names + request.message.len() + cost_of(&request.metadata);
    let charge = match state.account.charge(cost) {
        Ok(charge) => charge,
        Err(full) => return Ok(Err(full)),
    };
    let call = GrpcCall {
        upstream: request.upstream.to_vec(),
        service: request.service.to_vec(),
        method: request.method.to_vec(),
        metadata: names::owned(&request.metadata),
        message: request.message.to_vec(),
        timeout: request.timeout,
    };
    let token = state.next_token();
    match kind {
        GrpcToken::Call => state.services.grpc_call(token, call)?,
        GrpcToken::Stream => state.services.grpc_stream(token, call)?,
    }
    let begun = GrpcInFlight {
        owner,
        kind,
        _charge: charge,
    };
    state.grpc_calls.insert(token, begun);
    Ok(Ok(token))
}

fn finish_grpc(call: &mut Call<'_>, begun: Result<u32, Full>, out_token: u32) -> Result<(), Fault> {
    match begun {
        Ok(token) => Ok(call.write_u32(out_token, token)?),
        Err(full) => Err(call.no_room(full)),
    }
}

/// The metadata of a gRPC call. SDKs take no BadArgument for a map that is only too large.
fn grpc_pairs(bytes: &[u8]) -> Result<BorrowedPairs<'_>, Status> {
    pairs::decode(bytes).map_err(|error| match error.is_limit(bytes) {
        true => Status::InternalFailure,
        false => Status::BadArgument,
    })
}

/// Milliseconds as the guest gave them: 0 is no bound, negative numbers have no meaning.
fn timeout_of(milliseconds: u32) -> Result<Option<Duration>, Status> {
    match milliseconds.cast_signed() {
        0 => Ok(None),
        1.. => Ok(Some(Duration::from_millis(milliseconds.into()))),
        _ => Err(Status::BadArgument),
    }
}

fn borrowed_pairs(memory: &[u8], data: u32, len: u32) -> Result<BorrowedPairs<'_>, Status> {
    pairs::decode(slice(memory, data, len)?).map_err(|_| Status::BadArgument)
}

/// The bytes that the host holds for these lines.
pub(super) fn cost_of(lines: &[(&[u8], &[u8])]) -> usize {
    lines
        .iter()
        .map(|(name, value)| line_cost(name.len(), value.len()))
        .sum()
}
