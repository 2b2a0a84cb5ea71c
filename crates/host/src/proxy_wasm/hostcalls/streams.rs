//! Actions on a stream, and the context that hostcalls mean.

use std::fmt;
use std::time::Duration;

use weir_abi::{Status, StreamType, limits, pairs};

use super::Call;
use super::calls::cost_of;
use crate::proxy_wasm::names;
use crate::sets::{Fault, slice};
use crate::{ContextId, LocalResponse};

/// Period of `proxy_on_tick` for the plugin context; 0 ends it.
pub(super) fn proxy_set_tick_period_milliseconds(call: &mut Call<'_>, period: u32) -> Result<(), Fault> {
    let state = call.state();
    let Some(plugin) = state.plugin_id() else {
        return Ok(());
    };
    let period = (period != 0).then(|| Duration::from_millis(period.into()));
    if let Some(context) = state.plugins.get_mut(&plugin) {
        context.tick_period = period;
    }
    state.services.set_tick_period(plugin, period);
    Ok(())
}

/// Makes another context of this VM the one that hostcalls mean, until the callback returns.
pub(super) fn proxy_set_effective_context(call: &mut Call<'_>, id: u32) -> Result<(), Fault> {
    let state = call.state();
    let known = |id: &ContextId| state.streams.contains_key(id) || state.plugins.contains_key(id);
    let id = ContextId::new(id).filter(known).ok_or(Status::BadArgument)?;
    state.effective = Some(id);
    Ok(())
}

/// Completes a `proxy_on_done` that was answered with false. Where none is open: Ok all the same, since the Rust SDK
/// panics on anything else, but `NotFound` where the VM is strict.
pub(super) fn proxy_done(call: &mut Call<'_>) -> Result<(), Fault> {
    let state = call.state();
    match state.effective {
        Some(id) if state.done_waits.complete(id) => Ok(()),
        // A guest may complete inside of the very callback that it is about to answer with false.
        Some(id) if state.callback == "proxy_on_done" => {
            state.done_waits.complete_early(id);
            Ok(())
        }
        _ if state.spec.strict => Err(Status::NotFound.into()),
        _ => Ok(()),
    }
}

/// Lets a paused direction go on; carried out after the callback. Not paused: nothing.
pub(super) fn proxy_continue_stream(call: &mut Call<'_>, direction: u32) -> Result<(), Fault> {
    let direction = StreamType::from_wire(direction).ok_or(Status::BadArgument)?;
    if let Some(stream) = call.state().stream() {
        stream.resume(direction);
    }
    Ok(())
}

/// ABI 0.1.0.
pub(super) fn proxy_continue_request(call: &mut Call<'_>) -> Result<(), Fault> {
    proxy_continue_stream(call, StreamType::HttpRequest.wire())
}

/// ABI 0.1.0.
pub(super) fn proxy_continue_response(call: &mut Call<'_>) -> Result<(), Fault> {
    proxy_continue_stream(call, StreamType::HttpResponse.wire())
}

/// Resets a stream; carried out after the callback.
pub(super) fn proxy_close_stream(call: &mut Call<'_>, direction: u32) -> Result<(), Fault> {
    let direction = StreamType::from_wire(direction).ok_or(Status::BadArgument)?;
    let state = call.state();
    if let Some(stream) = state.stream() {
        stream.close(direction);
        state.stopped = state.effective;
    }
    Ok(())
}

/// ABI 0.1.0; later versions call the foreign function of this name.
pub(super) fn proxy_clear_route_cache(call: &mut Call<'_>) -> Result<(), Fault> {
    if let Some(stream) = call.state().stream() {
        stream.clear_route_cache();
    }
    Ok(())
}

/// Answers instead of the upstream; carried out after the callback.
#[allow(clippy::too_many_arguments)] // the specification's signature
pub(super) fn proxy_send_local_response(
    call: &mut Call<'_>,
    status: u32,
    details: u32,
    details_len: u32,
    body: u32,
    body_len: u32,
    headers: u32,
    headers_len: u32,
    grpc_status: u32,
) -> Result<(), Fault> {
    if !(100..=599).contains(&status) {
        call.warn_once(|| {
            format!("proxy_send_local_response: the status {status} is sent as 500 (further ones are not reported)")
        });
    }
    let (memory, state) = call.parts();
    let details = slice(memory, details, details_len)?;
    let body = slice(memory, body, body_len)?;
    let headers = slice(memory, headers, headers_len)?;
    let headers = match pairs::decode(headers) {
        Ok(headers) => headers,
        Err(error) if error.is_limit(headers) && !state.spec.strict => {
            return replace_reply(call, "too_many_headers", &error);
        }
        Err(_) => return Err(Status::BadArgument.into()),
    };
    let cost = body.len() + cost_of(&headers);
    // The stream charges the reply for as long as it exists; here is only decided whether there is room for a copy.
    if let Err(full) = state.account.charge(cost) {
        return replace_reply(call, "host_memory", &full);
    }
    let response = LocalResponse {
        status: u16::try_from(status)
            .ok()
            .filter(|status| (100..=599).contains(status))
            .unwrap_or(500),
        details: String::from_utf8_lossy(&details[..details.len().min(limits::MAX_STATUS_DETAILS)])
            .replace(|c: char| c.is_whitespace() || c.is_control(), "_"),
        headers: names::owned(&headers),
        body: body.to_vec(),
        grpc_status: (grpc_status <= 16).then_some(grpc_status),
    };
    if state.callback == "proxy_on_log" {
        return call.lenient("a response cannot be given any more in proxy_on_log");
    }
    let sent = state
        .stream()
        .is_some_and(|stream| stream.send_local_response(response));
    if sent {
        state.stopped = state.effective;
        return Ok(());
    }
    call.lenient("a response has been sent already, or there is no request")
}

/// Answers 500 in place of a response that is beyond a limit. Not in silence: what the filter objects to must not go on.
#[cold]
fn replace_reply(call: &mut Call<'_>, details: &str, reason: &dyn fmt::Display) -> Result<(), Fault> {
    let state = call.state();
    let response = LocalResponse {
        status: 500,
        details: details.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        grpc_status: None,
    };
    let sent = state.callback != "proxy_on_log"
        && state
            .stream()
            .is_some_and(|stream| stream.send_local_response(response));
    if sent {
        state.stopped = state.effective;
    }
    call.dropped(format_args!("{reason}, so the response was replaced by 500"))
}
