//! The imports as they are linked: every pointer is a plain number, so that it can be a wrong one. They are declared
//! safe, since whether the host checks its arguments is the question that this guest asks.

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    pub safe fn proxy_add_header_map_value(
        map: u32,
        key: u32,
        key_len: u32,
        value: u32,
        value_len: u32,
    ) -> u32;
    pub safe fn proxy_call_foreign_function(
        name: u32,
        name_len: u32,
        args: u32,
        args_len: u32,
        out: u32,
        out_len: u32,
    ) -> u32;
    pub safe fn proxy_close_stream(direction: u32) -> u32;
    pub safe fn proxy_continue_stream(direction: u32) -> u32;
    pub safe fn proxy_define_metric(kind: u32, name: u32, name_len: u32, out: u32) -> u32;
    pub safe fn proxy_dequeue_shared_queue(queue: u32, out: u32, out_len: u32) -> u32;
    pub safe fn proxy_done() -> u32;
    pub safe fn proxy_enqueue_shared_queue(queue: u32, value: u32, value_len: u32) -> u32;
    pub safe fn proxy_get_buffer_bytes(buffer: u32, start: u32, max: u32, out: u32, out_len: u32) -> u32;
    pub safe fn proxy_get_buffer_status(buffer: u32, out_len: u32, out_flags: u32) -> u32;
    pub safe fn proxy_get_configuration(out: u32, out_len: u32) -> u32;
    pub safe fn proxy_get_current_time_nanoseconds(out: u32) -> u32;
    pub safe fn proxy_get_header_map_pairs(map: u32, out: u32, out_len: u32) -> u32;
    pub safe fn proxy_get_header_map_size(map: u32, out: u32) -> u32;
    pub safe fn proxy_get_header_map_value(map: u32, key: u32, key_len: u32, out: u32, out_len: u32) -> u32;
    pub safe fn proxy_get_log_level(out: u32) -> u32;
    pub safe fn proxy_get_metric(metric: u32, out: u32) -> u32;
    pub safe fn proxy_get_property(path: u32, path_len: u32, out: u32, out_len: u32) -> u32;
    pub safe fn proxy_get_shared_data(key: u32, key_len: u32, out: u32, out_len: u32, out_cas: u32) -> u32;
    pub safe fn proxy_get_status(out_code: u32, out: u32, out_len: u32) -> u32;
    pub safe fn proxy_grpc_call(
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
        out: u32,
    ) -> u32;
    pub safe fn proxy_grpc_send(token: u32, message: u32, message_len: u32, end: u32) -> u32;
    pub safe fn proxy_grpc_stream(
        upstream: u32,
        upstream_len: u32,
        service: u32,
        service_len: u32,
        method: u32,
        method_len: u32,
        metadata: u32,
        metadata_len: u32,
        out: u32,
    ) -> u32;
    pub safe fn proxy_http_call(
        upstream: u32,
        upstream_len: u32,
        headers: u32,
        headers_len: u32,
        body: u32,
        body_len: u32,
        trailers: u32,
        trailers_len: u32,
        timeout: u32,
        out: u32,
    ) -> u32;
    pub safe fn proxy_increment_metric(metric: u32, offset: i64) -> u32;
    pub safe fn proxy_log(level: u32, message: u32, message_len: u32) -> u32;
    pub safe fn proxy_register_shared_queue(name: u32, name_len: u32, out: u32) -> u32;
    pub safe fn proxy_remove_header_map_value(map: u32, key: u32, key_len: u32) -> u32;
    pub safe fn proxy_replace_header_map_value(
        map: u32,
        key: u32,
        key_len: u32,
        value: u32,
        value_len: u32,
    ) -> u32;
    pub safe fn proxy_resolve_shared_queue(vm: u32, vm_len: u32, name: u32, name_len: u32, out: u32) -> u32;
    pub safe fn proxy_send_local_response(
        status: u32,
        details: u32,
        details_len: u32,
        body: u32,
        body_len: u32,
        headers: u32,
        headers_len: u32,
        grpc_status: u32,
    ) -> u32;
    pub safe fn proxy_set_buffer_bytes(buffer: u32, start: u32, size: u32, data: u32, data_len: u32) -> u32;
    pub safe fn proxy_set_effective_context(context: u32) -> u32;
    pub safe fn proxy_set_header_map_pairs(map: u32, pairs: u32, pairs_len: u32) -> u32;
    pub safe fn proxy_set_property(path: u32, path_len: u32, value: u32, value_len: u32) -> u32;
    pub safe fn proxy_set_shared_data(key: u32, key_len: u32, value: u32, value_len: u32, cas: u32) -> u32;
    pub safe fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    pub safe fn args_sizes_get(count: u32, size: u32) -> u32;
    pub safe fn clock_time_get(clock: u32, precision: u64, out: u32) -> u32;
    pub safe fn environ_sizes_get(count: u32, size: u32) -> u32;
    pub safe fn fd_write(fd: u32, vectors: u32, count: u32, out: u32) -> u32;
    pub safe fn poll_oneoff(subscriptions: u32, events: u32, count: u32, out: u32) -> u32;
    pub safe fn proc_exit(code: u32);
    pub safe fn random_get(out: u32, len: u32) -> u32;
}
