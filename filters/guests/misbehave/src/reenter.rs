//! Everything that a careless host would carry out on the spot, by calling back into the guest that is calling it.

use crate::{guest, memory, raw};

/// Queue wake-up, tick, answers of calls that fail at once, resumed callbacks, completed contexts.
pub fn everything(callback: &str) {
    let before = guest::times_re_entered();
    let current = guest::current_context();
    // In queue_ready this would never end, which is another behaviour.
    if callback != "queue_ready" {
        guest::wake_itself();
    }
    raw::proxy_set_tick_period_milliseconds(1);
    guest::http_call("no-such-upstream");
    guest::http_call(&guest::upstream());
    raw::proxy_continue_stream(0);
    raw::proxy_continue_stream(1);
    raw::proxy_done();
    raw::proxy_set_effective_context(guest::root());
    raw::proxy_done();
    raw::proxy_set_effective_context(current);
    verdict("reenter", callback, before);
}

/// A local response makes the host run this filter's response callbacks, but not now.
pub fn reply(callback: &str) {
    let before = guest::times_re_entered();
    for body in [b"first".as_slice(), b"second"] {
        let (body, len) = memory::slice(body);
        raw::proxy_send_local_response(418, 0, 0, body, len, 0, 0, u32::MAX);
    }
    verdict("reenter_reply", callback, before);
}

/// A closed stream is done, logged and deleted, but not now.
pub fn close(callback: &str) {
    let before = guest::times_re_entered();
    raw::proxy_close_stream(0);
    raw::proxy_close_stream(1);
    verdict("reenter_close", callback, before);
}

fn verdict(what: &str, callback: &str, before: u32) {
    let outcome = if guest::times_re_entered() == before {
        "not re-entered"
    } else {
        "RE-ENTERED"
    };
    guest::report(&format!("{what}@{callback}: {outcome}"));
}
