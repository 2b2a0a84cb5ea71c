//! What a configuration does not allow: hostcalls answer InternalFailure, WASI functions 76, callbacks are not called.
//!
//! covers: proxy_get_header_map_value proxy_on_response_headers
//! filter: capability_restriction_config.allowed_capabilities = {"proxy_on_memory_allocate": {}, "proxy_on_context_create": {}, "proxy_on_request_headers": {}, "proxy_log": {}, "proxy_send_local_response": {}, "proxy_add_header_map_value": {}, "fd_write": {}, "environ_get": {}, "environ_sizes_get": {}, "proc_exit": {}, "_initialize": {}}
//!
//! request: GET /
//! send-header: x-reply: 1
//! status: 200
//! body: get_header_map_value: InternalFailure
//! body: get_buffer_status: InternalFailure
//! body: log: Ok
//! body: clock_time_get: 76
//!
//! request: GET /
//! status: 200
//! no-header: x-forbidden
//! upstream-header: x-allowed: 1

use conformance::*;
use std::cell::Cell;

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    safe fn clock_time_get(id: u32, precision: u64, out: u32) -> u32;
}

thread_local! {
    static REQUESTS: Cell<u32> = const { Cell::new(0) };
}

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        REQUESTS.set(REQUESTS.get() + 1);
        if REQUESTS.get() == 2 {
            add_header(REQUEST, "x-allowed", "1");
            return CONTINUE;
        }
        let mut now = 0_u64;
        say!("get_header_map_value: {}", header(REQUEST, ":method"));
        say!("get_buffer_status: {}", buffer_status(PLUGIN_CONFIGURATION));
        say!("log: {}", log(INFO, "allowed"));
        say!("clock_time_get: {}", clock_time_get(0, 0, &raw mut now as u32));
        reply()
    }

    fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
        add_header(RESPONSE, "x-forbidden", "1");
        CONTINUE
    }
}
