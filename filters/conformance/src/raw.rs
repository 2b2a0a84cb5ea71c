//! The imports, as they are linked. Every pointer and length is a plain number, so that it can be a wrong one.
//!
//! They are declared safe: whether the host checks what it is given is what the cases test, and a guest that passes
//! a wrong number is expected to be told so. A number that does name memory of ours comes from `calls.rs`.

#![allow(missing_docs)]

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    pub safe fn proxy_log(level: u32, message: u32, message_size: u32) -> u32;
    pub safe fn proxy_get_log_level(out: u32) -> u32;
    pub safe fn proxy_get_current_time_nanoseconds(out: u32) -> u32;
    pub safe fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    pub safe fn proxy_get_configuration(out: u32, out_size: u32) -> u32;
    pub safe fn proxy_get_buffer_bytes(buffer: u32, start: u32, max: u32, out: u32, out_size: u32) -> u32;
    pub safe fn proxy_get_buffer_status(buffer: u32, out_size: u32, out_flags: u32) -> u32;
    pub safe fn proxy_set_buffer_bytes(
        buffer: u32,
        start: u32,
        size: u32,
        value: u32,
        value_size: u32,
    ) -> u32;
    pub safe fn proxy_get_header_map_pairs(map: u32, out: u32, out_size: u32) -> u32;
    pub safe fn proxy_set_header_map_pairs(map: u32, pairs: u32, pairs_size: u32) -> u32;
    pub safe fn proxy_get_header_map_size(map: u32, out: u32) -> u32;
    pub safe fn proxy_get_header_map_value(map: u32, key: u32, key_size: u32, out: u32, out_size: u32)
    -> u32;
    pub safe fn proxy_add_header_map_value(
        map: u32,
        key: u32,
        key_size: u32,
        value: u32,
        value_size: u32,
    ) -> u32;
    pub safe fn proxy_replace_header_map_value(
        map: u32,
        key: u32,
        key_size: u32,
        value: u32,
        value_size: u32,
    ) -> u32;
    pub safe fn proxy_remove_header_map_value(map: u32, key: u32, key_size: u32) -> u32;
    pub safe fn proxy_get_property(path: u32, path_size: u32, out: u32, out_size: u32) -> u32;
    pub safe fn proxy_set_property(path: u32, path_size: u32, value: u32, value_size: u32) -> u32;
    pub safe fn proxy_continue_stream(stream: u32) -> u32;
    pub safe fn proxy_continue_request() -> u32;
    pub safe fn proxy_continue_response() -> u32;
    pub safe fn proxy_close_stream(stream: u32) -> u32;
    pub safe fn proxy_clear_route_cache() -> u32;
    pub safe fn proxy_send_local_response(
        status: u32,
        details: u32,
        details_size: u32,
        body: u32,
        body_size: u32,
        headers: u32,
        headers_size: u32,
        grpc_status: u32,
    ) -> u32;
    pub safe fn proxy_http_call(
        upstream: u32,
        upstream_size: u32,
        headers: u32,
        headers_size: u32,
        body: u32,
        body_size: u32,
        trailers: u32,
        trailers_size: u32,
        timeout: u32,
        out_token: u32,
    ) -> u32;
    pub safe fn proxy_grpc_call(
        upstream: u32,
        upstream_size: u32,
        service: u32,
        service_size: u32,
        method: u32,
        method_size: u32,
        metadata: u32,
        metadata_size: u32,
        message: u32,
        message_size: u32,
        timeout: u32,
        out_token: u32,
    ) -> u32;
    pub safe fn proxy_grpc_stream(
        upstream: u32,
        upstream_size: u32,
        service: u32,
        service_size: u32,
        method: u32,
        method_size: u32,
        metadata: u32,
        metadata_size: u32,
        out_token: u32,
    ) -> u32;
    pub safe fn proxy_grpc_send(token: u32, message: u32, message_size: u32, end: u32) -> u32;
    pub safe fn proxy_grpc_cancel(token: u32) -> u32;
    pub safe fn proxy_grpc_close(token: u32) -> u32;
    pub safe fn proxy_get_status(out_code: u32, out_message: u32, out_message_size: u32) -> u32;
    pub safe fn proxy_get_shared_data(key: u32, key_size: u32, out: u32, out_size: u32, out_cas: u32) -> u32;
    pub safe fn proxy_set_shared_data(key: u32, key_size: u32, value: u32, value_size: u32, cas: u32) -> u32;
    pub safe fn proxy_register_shared_queue(name: u32, name_size: u32, out_id: u32) -> u32;
    pub safe fn proxy_resolve_shared_queue(
        vm: u32,
        vm_size: u32,
        name: u32,
        name_size: u32,
        out_id: u32,
    ) -> u32;
    pub safe fn proxy_enqueue_shared_queue(queue: u32, value: u32, value_size: u32) -> u32;
    pub safe fn proxy_dequeue_shared_queue(queue: u32, out: u32, out_size: u32) -> u32;
    pub safe fn proxy_define_metric(kind: u32, name: u32, name_size: u32, out_id: u32) -> u32;
    pub safe fn proxy_increment_metric(metric: u32, delta: i64) -> u32;
    pub safe fn proxy_record_metric(metric: u32, value: u64) -> u32;
    pub safe fn proxy_get_metric(metric: u32, out: u32) -> u32;
    pub safe fn proxy_call_foreign_function(
        name: u32,
        name_size: u32,
        arguments: u32,
        arguments_size: u32,
        out: u32,
        out_size: u32,
    ) -> u32;
    pub safe fn proxy_set_effective_context(context: u32) -> u32;
    pub safe fn proxy_done() -> u32;

    pub safe fn emscripten_notify_memory_growth(index: u32);
    pub safe fn pthread_equal(a: u32, b: u32) -> u32;
    pub safe fn abort(message: u32, file: u32, line: u32, column: u32);
}
