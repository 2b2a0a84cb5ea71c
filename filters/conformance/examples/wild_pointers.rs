//! Each address and length that lies outside of memory is refused with InvalidMemoryAccess, whichever argument it is,
//! and the guest lives on.
//!
//! covers: proxy_log proxy_get_log_level proxy_get_current_time_nanoseconds proxy_get_configuration
//! covers: proxy_get_buffer_bytes proxy_get_buffer_status proxy_set_buffer_bytes proxy_get_header_map_pairs
//! covers: proxy_set_header_map_pairs proxy_get_header_map_size proxy_get_header_map_value
//! covers: proxy_add_header_map_value proxy_replace_header_map_value proxy_remove_header_map_value
//! covers: proxy_get_property proxy_set_property proxy_send_local_response proxy_http_call proxy_grpc_call
//! covers: proxy_grpc_stream proxy_get_status proxy_get_shared_data proxy_set_shared_data
//! covers: proxy_register_shared_queue proxy_resolve_shared_queue proxy_enqueue_shared_queue
//! covers: proxy_dequeue_shared_queue proxy_define_metric proxy_get_metric proxy_call_foreign_function
//! configuration: abcde
//!
//! request: POST /
//! send-header: x-token: 7
//! send-body: hello
//! status: 200
//! body: 69 wild arguments, all refused
//! body: x-token is still Ok "7"
//! body: nothing was set: NotFound, NotFound
//! no-log: wild

use conformance::raw::*;
use conformance::*;
use std::cell::Cell;

thread_local! {
    static TRIED: Cell<u32> = const { Cell::new(0) };
}

/// Ways for 32 bytes to lie outside of memory: beyond it, across its end, across the end of the address space.
fn wild() -> [u32; 3] {
    let end = (core::arch::wasm32::memory_size(0) << 16) as u32;
    [end + 4096, end - 2, WILD]
}

/// Calls with each wild address in turn; says what was not refused.
fn wild_in(what: &str, call: impl Fn(u32) -> u32) {
    TRIED.set(TRIED.get() + 1);
    for (way, pointer) in ["beyond", "across the end", "across the address space"]
        .iter()
        .zip(wild())
    {
        let status = call(pointer);
        if status != 6 {
            say!("{what}, {way}: {}", status_name(status));
        }
    }
}

guest! {
    fn proxy_on_request_body(_: u32, _: u32, end: u32) -> u32 {
        if end == 0 {
            return PAUSE;
        }
        let mut out = [0_u32; 16];
        let o = out.as_mut_ptr() as u32;
        let data = b"x-token of wild length to be on the safe side";
        let (d, n) = (data.as_ptr() as u32, 32);
        let (key, key_size) = (d, 7);
        let pairs = encode_pairs(&[(":method", "GET"), (":path", "/call/wild"), (":authority", "a.test")]);
        let (p, ps) = (pairs.as_ptr() as u32, pairs.len() as u32);
        let queue = register_queue("wild").into_number() as u32;
        enqueue(queue, "x");
        let counter = define_metric(COUNTER, "wild").into_number() as u32;
        set_shared_data("x-token", "x", 0);
        let origin = b"origin";
        let (u, us) = (origin.as_ptr() as u32, 6);

        wild_in("log message", |w| proxy_log(ERROR, w, n));
        wild_in("get_log_level out", |w| proxy_get_log_level(w));
        wild_in("get_current_time out", |w| proxy_get_current_time_nanoseconds(w));
        wild_in("get_configuration out", |w| proxy_get_configuration(w, o));
        wild_in("get_configuration size", |w| proxy_get_configuration(o, w));
        wild_in("get_buffer_bytes out", |w| proxy_get_buffer_bytes(REQUEST_BODY, 0, 5, w, o));
        wild_in("get_buffer_bytes size", |w| proxy_get_buffer_bytes(REQUEST_BODY, 0, 5, o, w));
        wild_in("get_buffer_status size", |w| proxy_get_buffer_status(REQUEST_BODY, w, o));
        wild_in("get_buffer_status flags", |w| proxy_get_buffer_status(REQUEST_BODY, o, w));
        wild_in("set_buffer_bytes value", |w| proxy_set_buffer_bytes(REQUEST_BODY, 0, 5, w, n));
        wild_in("get_header_map_pairs out", |w| proxy_get_header_map_pairs(REQUEST, w, o));
        wild_in("get_header_map_pairs size", |w| proxy_get_header_map_pairs(REQUEST, o, w));
        wild_in("set_header_map_pairs", |w| proxy_set_header_map_pairs(REQUEST, w, n));
        wild_in("get_header_map_size out", |w| proxy_get_header_map_size(REQUEST, w));
        wild_in("get_header_map_value key", |w| proxy_get_header_map_value(REQUEST, w, n, o, o + 4));
        wild_in("get_header_map_value out", |w| proxy_get_header_map_value(REQUEST, key, key_size, w, o));
        wild_in("get_header_map_value size", |w| proxy_get_header_map_value(REQUEST, key, key_size, o, w));
        wild_in("add_header_map_value key", |w| proxy_add_header_map_value(REQUEST, w, n, d, n));
        wild_in("add_header_map_value value", |w| proxy_add_header_map_value(REQUEST, key, key_size, w, n));
        wild_in("replace_header_map_value key", |w| proxy_replace_header_map_value(REQUEST, w, n, d, n));
        wild_in("replace_header_map_value value", |w| proxy_replace_header_map_value(REQUEST, key, key_size, w, n));
        wild_in("remove_header_map_value key", |w| proxy_remove_header_map_value(REQUEST, w, n));
        wild_in("get_property path", |w| proxy_get_property(w, n, o, o + 4));
        wild_in("get_property out", |w| proxy_get_property(b"request\0method".as_ptr() as u32, 14, w, o));
        wild_in("get_property size", |w| proxy_get_property(b"request\0method".as_ptr() as u32, 14, o, w));
        wild_in("set_property path", |w| proxy_set_property(w, n, d, n));
        wild_in("set_property value", |w| proxy_set_property(key, key_size, w, n));
        wild_in("send_local_response details", |w| proxy_send_local_response(500, w, n, 0, 0, 0, 0, NO_GRPC_STATUS));
        wild_in("send_local_response body", |w| proxy_send_local_response(500, 0, 0, w, n, 0, 0, NO_GRPC_STATUS));
        wild_in("send_local_response headers", |w| proxy_send_local_response(500, 0, 0, 0, 0, w, n, NO_GRPC_STATUS));
        wild_in("http_call upstream", |w| proxy_http_call(w, n, p, ps, 0, 0, 0, 0, 100, o));
        wild_in("http_call headers", |w| proxy_http_call(u, us, w, n, 0, 0, 0, 0, 100, o));
        wild_in("http_call body", |w| proxy_http_call(u, us, p, ps, w, n, 0, 0, 100, o));
        wild_in("http_call trailers", |w| proxy_http_call(u, us, p, ps, 0, 0, w, n, 100, o));
        wild_in("http_call out", |w| proxy_http_call(u, us, p, ps, 0, 0, 0, 0, 100, w));
        wild_in("grpc_call upstream", |w| proxy_grpc_call(w, n, d, n, d, n, 0, 0, 0, 0, 100, o));
        wild_in("grpc_call service", |w| proxy_grpc_call(u, us, w, n, d, n, 0, 0, 0, 0, 100, o));
        wild_in("grpc_call method", |w| proxy_grpc_call(u, us, d, n, w, n, 0, 0, 0, 0, 100, o));
        wild_in("grpc_call metadata", |w| proxy_grpc_call(u, us, d, n, d, n, w, n, 0, 0, 100, o));
        wild_in("grpc_call message", |w| proxy_grpc_call(u, us, d, n, d, n, 0, 0, w, n, 100, o));
        wild_in("grpc_call out", |w| proxy_grpc_call(u, us, d, n, d, n, 0, 0, 0, 0, 100, w));
        wild_in("grpc_stream upstream", |w| proxy_grpc_stream(w, n, d, n, d, n, 0, 0, o));
        wild_in("grpc_stream service", |w| proxy_grpc_stream(u, us, w, n, d, n, 0, 0, o));
        wild_in("grpc_stream method", |w| proxy_grpc_stream(u, us, d, n, w, n, 0, 0, o));
        wild_in("grpc_stream metadata", |w| proxy_grpc_stream(u, us, d, n, d, n, w, n, o));
        wild_in("grpc_stream out", |w| proxy_grpc_stream(u, us, d, n, d, n, 0, 0, w));
        wild_in("get_status code", |w| proxy_get_status(w, o, o + 4));
        wild_in("get_status message", |w| proxy_get_status(o, w, o + 4));
        wild_in("get_status size", |w| proxy_get_status(o, o + 4, w));
        wild_in("get_shared_data key", |w| proxy_get_shared_data(w, n, o, o + 4, o + 8));
        wild_in("get_shared_data out", |w| proxy_get_shared_data(key, key_size, w, o + 4, o + 8));
        wild_in("get_shared_data size", |w| proxy_get_shared_data(key, key_size, o, w, o + 8));
        wild_in("get_shared_data cas", |w| proxy_get_shared_data(key, key_size, o, o + 4, w));
        wild_in("set_shared_data key", |w| proxy_set_shared_data(w, n, d, n, 0));
        wild_in("set_shared_data value", |w| proxy_set_shared_data(key, key_size, w, n, 0));
        wild_in("register_shared_queue name", |w| proxy_register_shared_queue(w, n, o));
        wild_in("register_shared_queue out", |w| proxy_register_shared_queue(d, n, w));
        wild_in("resolve_shared_queue vm_id", |w| proxy_resolve_shared_queue(w, n, d, n, o));
        wild_in("resolve_shared_queue name", |w| proxy_resolve_shared_queue(0, 0, w, n, o));
        wild_in("resolve_shared_queue out", |w| proxy_resolve_shared_queue(0, 0, c"wild".as_ptr() as u32, 4, w));
        wild_in("enqueue_shared_queue value", |w| proxy_enqueue_shared_queue(queue, w, n));
        wild_in("dequeue_shared_queue out", |w| proxy_dequeue_shared_queue(queue, w, o));
        wild_in("dequeue_shared_queue size", |w| proxy_dequeue_shared_queue(queue, o, w));
        wild_in("define_metric name", |w| proxy_define_metric(COUNTER, w, n, o));
        wild_in("define_metric out", |w| proxy_define_metric(COUNTER, d, n, w));
        wild_in("get_metric out", |w| proxy_get_metric(counter, w));
        wild_in("call_foreign_function name", |w| proxy_call_foreign_function(w, n, d, n, o, o + 4));
        wild_in("call_foreign_function arguments", |w| {
            proxy_call_foreign_function(c"compress".as_ptr() as u32, 8, w, n, o, o + 4)
        });
        wild_in("call_foreign_function out", |w| {
            proxy_call_foreign_function(c"compress".as_ptr() as u32, 8, d, n, w, o + 4)
        });
        std::hint::black_box(&out);
        let problems = take_report();
        if problems.is_empty() {
            say!("{} wild arguments, all refused", TRIED.get());
        } else {
            say!("{} wild arguments, not refused:\n{problems}", TRIED.get());
        }
        say!("x-token is still {}", header(REQUEST, "x-token"));
        let name = std::str::from_utf8(&data[..32]).expect("text");
        say!("nothing was set: {}, {}", shared_data(name).0, resolve_queue("", name));
        reply()
    }
}
