//! Bodies and other byte buffers.

use std::ops::Range;

use weir_abi::{BufferType, Status};

use super::Call;
use crate::proxy_wasm::ProxyWasmState;
use crate::proxy_wasm::state::CallbackData;
use crate::sets::Fault;

/// Part of a buffer. A start beyond the end is Ok and empty; an absent body too. An empty part leaves the outputs as they
/// are, as in Envoy's host: the SDK of AssemblyScript reads them only where it expects bytes, and passes the expected size
/// as an output that it reads afterwards.
pub(super) fn proxy_get_buffer_bytes(
    call: &mut Call<'_>,
    buffer: u32,
    start: u32,
    max_size: u32,
    out: u32,
    out_len: u32,
) -> Result<(), Fault> {
    let buffer = BufferType::from_wire(buffer).ok_or(Status::BadArgument)?;
    start
        .checked_add(max_size)
        .ok_or(Status::BadArgument)
        .or_else(|status| {
            // SDKs pass the largest number for "all that there is".
            if max_size == u32::MAX || max_size == i32::MAX.cast_unsigned() {
                Ok(0)
            } else {
                Err(status)
            }
        })?;
    call.check_outputs(&[out, out_len])?;
    let len = match source(call.state(), buffer) {
        Source::Bytes(bytes) => bytes.len(),
        Source::Stream => call
            .state()
            .stream()
            .and_then(|stream| stream.buffer(buffer))
            .map_or(0, |status| status.len),
        Source::Absent => return Err(Status::NotFound.into()),
    };
    let range = clamp(start, max_size, len);
    if range.is_empty() {
        return Ok(());
    }
    call.give(out, out_len, range.len(), |state, memory| {
        match source(state, buffer) {
            Source::Bytes(bytes) => memory.copy_from_slice(&bytes[range]),
            Source::Stream => {
                if let Some(stream) = state.stream() {
                    stream.read_buffer(buffer, range.start, memory);
                }
            }
            Source::Absent => {}
        }
    })
}

/// Length of a buffer, and whether it is complete.
pub(super) fn proxy_get_buffer_status(
    call: &mut Call<'_>,
    buffer: u32,
    out_len: u32,
    out_flags: u32,
) -> Result<(), Fault> {
    let buffer = BufferType::from_wire(buffer).ok_or(Status::BadArgument)?;
    call.check_outputs(&[out_len, out_flags])?;
    let state = call.state();
    let (len, end) = match source(state, buffer) {
        Source::Bytes(bytes) => (bytes.len(), true),
        Source::Stream => match state.stream().and_then(|stream| stream.buffer(buffer)) {
            Some(status) => (status.len, status.end_of_stream),
            None => return Err(Status::NotFound.into()),
        },
        Source::Absent => return Err(Status::NotFound.into()),
    };
    call.write_u32(out_len, u32::try_from(len).unwrap_or(u32::MAX))?;
    Ok(call.write_u32(out_flags, u32::from(end))?)
}

/// Replaces `size` bytes from `start` on: prepends, appends, replaces all, the head or the middle. Only bodies of
/// streams can be written.
pub(super) fn proxy_set_buffer_bytes(
    call: &mut Call<'_>,
    buffer: u32,
    start: u32,
    size: u32,
    data: u32,
    data_len: u32,
) -> Result<(), Fault> {
    let buffer = BufferType::from_wire(buffer).ok_or(Status::BadArgument)?;
    let (data, state) = call.read(data, data_len)?;
    if !matches!(source(state, buffer), Source::Stream) {
        return Err(Status::BadArgument.into());
    }
    let edit = match state.stream() {
        Some(stream) => match stream.buffer(buffer) {
            Some(status) => {
                let range = clamp(start, size, status.len);
                stream.splice_buffer(buffer, range.start, range.len(), data)
            }
            None => crate::Edit::Absent,
        },
        None => crate::Edit::Absent,
    };
    super::headers::outcome(call, edit)
}

/// ABI 0.1.0: the configuration that the callback that runs is about.
pub(super) fn proxy_get_configuration(call: &mut Call<'_>, out: u32, out_len: u32) -> Result<(), Fault> {
    let buffer = if call.state().callback == "proxy_on_vm_start" {
        BufferType::VmConfiguration
    } else {
        BufferType::PluginConfiguration
    };
    proxy_get_buffer_bytes(call, buffer.wire(), 0, u32::MAX, out, out_len)
}

/// The place of the bytes of a buffer.
enum Source<'a> {
    Bytes(&'a [u8]),
    Stream,
    Absent,
}

fn source(state: &ProxyWasmState, buffer: BufferType) -> Source<'_> {
    let bytes: &[u8] = match (buffer, &state.callback_data) {
        (BufferType::VmConfiguration, _) => &state.spec.configuration,
        (BufferType::PluginConfiguration, _) => match state.plugin() {
            Some(plugin) => &plugin.spec.configuration,
            None => return Source::Absent,
        },
        (BufferType::HttpCallResponseBody, CallbackData::HttpCall(response)) => &response.body,
        (BufferType::GrpcReceiveBuffer, CallbackData::GrpcMessage(bytes))
        | (BufferType::CallData, CallbackData::ForeignArguments(bytes)) => bytes,
        (BufferType::HttpCallResponseBody | BufferType::GrpcReceiveBuffer | BufferType::CallData, _) => {
            return Source::Absent;
        }
        _ => return Source::Stream,
    };
    Source::Bytes(bytes)
}

/// The part of `len` bytes that (`start`, `size`) means.
fn clamp(start: u32, size: u32, len: usize) -> Range<usize> {
    let start = (start as usize).min(len);
    let end = start.saturating_add(size as usize).min(len);
    start..end
}
