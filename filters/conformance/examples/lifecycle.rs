//! The order in which a plugin and a stream live and end.
//!
//! covers: proxy_on_context_create proxy_on_vm_start proxy_on_configure proxy_on_done proxy_on_log proxy_on_delete
//!
//! request: POST /?body=answer
//! send-chunk: question
//! send-trailer: x-sum: 1
//! status: 200
//! body: answer
//! log: info: lifecycle: create the plugin context
//! log: info: lifecycle: start
//! log: info: lifecycle: configure
//! log: info: lifecycle: create a stream context of the plugin true
//! log: info: lifecycle: request headers of it true
//! log: info: lifecycle: request body
//! embedded/log: info: lifecycle: request trailers
//! log: info: lifecycle: response headers
//! log: info: lifecycle: response body
//! log: info: lifecycle: done, :method Ok "POST", :status Ok "200"
//! log: info: lifecycle: log, :method Ok "POST", :status Ok "200"
//! log: info: lifecycle: delete it true

use conformance::*;
use std::cell::Cell;

thread_local! {
    static PLUGIN: Cell<u32> = const { Cell::new(0) };
    static STREAM: Cell<u32> = const { Cell::new(0) };
    static BODIES: Cell<[bool; 2]> = const { Cell::new([false; 2]) };
}

/// A body may come in several calls; one line is enough.
fn body(name: &str, which: u32) -> u32 {
    let mut seen = BODIES.get();
    if !seen[which as usize] {
        note!("lifecycle: {name} body");
    }
    seen[which as usize] = true;
    BODIES.set(seen);
    CONTINUE
}

fn maps() -> String {
    format!(
        ":method {}, :status {}",
        header(REQUEST, ":method"),
        header(RESPONSE, ":status")
    )
}

guest! {
    fn proxy_on_context_create(context: u32, parent: u32) {
        if parent == 0 {
            assert_ne!(context, 0, "0 is no context");
            PLUGIN.set(context);
            note!("lifecycle: create the plugin context");
        } else {
            STREAM.set(context);
            note!("lifecycle: create a stream context of the plugin {}", parent == PLUGIN.get());
        }
    }

    fn proxy_on_vm_start(_: u32, _: u32) -> u32 {
        note!("lifecycle: start");
        1
    }

    fn proxy_on_configure(context: u32, _: u32) -> u32 {
        assert_eq!(context, PLUGIN.get());
        note!("lifecycle: configure");
        1
    }

    fn proxy_on_request_headers(context: u32, _: u32, _: u32) -> u32 {
        note!("lifecycle: request headers of it {}", context == STREAM.get());
        CONTINUE
    }

    fn proxy_on_request_body(_: u32, _: u32, _: u32) -> u32 {
        body("request", REQUEST_BODY)
    }

    fn proxy_on_request_trailers(_: u32, _: u32) -> u32 {
        note!("lifecycle: request trailers");
        CONTINUE
    }

    fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
        note!("lifecycle: response headers");
        CONTINUE
    }

    fn proxy_on_response_body(_: u32, _: u32, _: u32) -> u32 {
        body("response", RESPONSE_BODY)
    }

    fn proxy_on_done(context: u32) -> u32 {
        if context == STREAM.get() {
            note!("lifecycle: done, {}", maps());
        }
        1
    }

    fn proxy_on_log(context: u32) {
        if context == STREAM.get() {
            note!("lifecycle: log, {}", maps());
        }
    }

    fn proxy_on_delete(context: u32) {
        if context != PLUGIN.get() {
            note!("lifecycle: delete it {}", context == STREAM.get());
        }
    }
}
