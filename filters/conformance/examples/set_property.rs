//! What a filter notes is read back by it and by later filters of the stream; the next stream does not see it.
//!
//! covers: proxy_set_property proxy_get_property
//! configuration: first
//! then: the later filter
//! configuration: second
//!
//! request: GET /
//! status: 200
//! header: x-first: before NotFound, set Ok, after Ok "caf\\xe9"
//! header: x-second: before Ok "caf\\xe9", set Ok, after Ok "second"
//!
//! request: GET /
//! status: 200
//! header: x-first: before NotFound, set Ok, after Ok "caf\\xe9"
//! header: x-second: before Ok "caf\\xe9", set Ok, after Ok "second"

use conformance::*;

fn name() -> String {
    buffer(PLUGIN_CONFIGURATION, 0, u32::MAX).into_text()
}

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        let name = name();
        let before = property("my.note");
        let set = set_property("my.note", if name == "first" { &b"caf\xe9"[..] } else { b"second" });
        let line = format!("before {before}, set {set}, after {}", property("my.note"));
        add_header(REQUEST, format!("x-{name}"), line);
        CONTINUE
    }

    fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
        let name = format!("x-{}", name());
        add_header(RESPONSE, &name, header(REQUEST, &name).into_bytes());
        CONTINUE
    }
}
