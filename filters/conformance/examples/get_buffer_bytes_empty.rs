//! Empty values cost no allocation. For a header the host writes address 0 and length 0; for a buffer it leaves the outputs as
//! they are, as Envoy does, because guests of the AssemblyScript SDK read theirs afterwards.
//!
//! covers: proxy_get_buffer_bytes proxy_on_memory_allocate
//!
//! request: POST /
//! send-body: x
//! status: 200
//! body: buffer -> Ok at 4294967295, 4294967295 bytes
//! body: absent -> Ok at 4294967295, 4294967295 bytes
//! body: configuration -> Ok at 4294967295, 4294967295 bytes
//! body: header -> Ok at 0, 0 bytes
//! body: allocations: 0

use conformance::*;
use std::cell::Cell;

thread_local! {
    static ALLOCATIONS: Cell<u32> = const { Cell::new(0) };
}

fn count(_: u32) -> Option<u32> {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
    None
}

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        add_header(REQUEST, "x-empty", "");
        CONTINUE
    }

    fn proxy_on_request_body(_: u32, _: u32, _: u32) -> u32 {
        on_allocate(Some(count));
        for (name, buffer, start) in [
            ("buffer", REQUEST_BODY, 5),
            ("absent", RESPONSE_BODY, 0),
            ("configuration", PLUGIN_CONFIGURATION, 0),
        ] {
            let mut out = [u32::MAX; 2];
            let at = out.as_mut_ptr() as u32;
            let status = raw::proxy_get_buffer_bytes(buffer, start, 5, at, at + 4);
            say!("{name} -> {} at {}, {} bytes", status_name(status), out[0], out[1]);
        }
        let mut out = [u32::MAX; 2];
        let at = out.as_mut_ptr() as u32;
        let status = raw::proxy_get_header_map_value(REQUEST, c"x-empty".as_ptr() as u32, 7, at, at + 4);
        say!("header -> {} at {}, {} bytes", status_name(status), out[0], out[1]);
        say!("allocations: {}", ALLOCATIONS.get());
        on_allocate(None);
        reply()
    }
}
