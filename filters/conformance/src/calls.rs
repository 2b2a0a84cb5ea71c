//! The hostcalls with Rust arguments; nothing else is between the guest and the host.

use crate::answer::Answer;
use crate::memory::adopt;
use crate::pairs::encode_pairs;
use crate::raw;

/// Address and length of bytes, as the host wants them.
fn at(bytes: &[u8]) -> (u32, u32) {
    (bytes.as_ptr() as u32, bytes.len() as u32)
}

/// Runs a call that writes an address and a length, and takes what it wrote.
fn output(call: impl FnOnce(u32, u32) -> u32) -> Answer {
    output_over([u32::MAX; 2], call)
}

/// Runs a call that may write an address and a length over the values that stand there.
fn output_over(mut out: [u32; 2], call: impl FnOnce(u32, u32) -> u32) -> Answer {
    let pointer = out.as_mut_ptr();
    let status = call(pointer as u32, pointer as u32 + 4);
    // SAFETY: the pointer is that of `out`; the host writes through it behind the compiler's back.
    let [data, size] = unsafe { std::ptr::read_volatile(pointer.cast::<[u32; 2]>()) };
    Answer::bytes(status, || adopt(data, size))
}

/// Runs a call that writes one number of 32 bits.
fn output_u32(call: impl FnOnce(u32) -> u32) -> Answer {
    let mut out = u32::MAX;
    let pointer = &raw mut out;
    let status = call(pointer as u32);
    // SAFETY: the pointer is that of `out`; the host writes through it behind the compiler's back.
    Answer::number(status, u64::from(unsafe { pointer.read_volatile() }))
}

/// Runs a call that writes one number of 64 bits.
fn output_u64(call: impl FnOnce(u32) -> u32) -> Answer {
    let mut out = u64::MAX;
    let pointer = &raw mut out;
    let status = call(pointer as u32);
    // SAFETY: the pointer is that of `out`; the host writes through it behind the compiler's back.
    Answer::number(status, unsafe { pointer.read_volatile() })
}

/// Declares calls that take and give numbers only.
macro_rules! calls {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $ty:ty),*) -> Answer = $wrap:ident $body:expr;)+) => {
        $($(#[$doc])* pub fn $name($($arg: $ty),*) -> Answer {
            $wrap($body)
        })+
    };
}

fn status(status: u32) -> Answer {
    Answer::status(status)
}

calls! {
    /// `proxy_set_tick_period_milliseconds`
    fn set_tick_period(period: u32) -> Answer = status raw::proxy_set_tick_period_milliseconds(period);
    /// `proxy_continue_stream`
    fn continue_stream(stream: u32) -> Answer = status raw::proxy_continue_stream(stream);
    /// `proxy_continue_request`
    fn continue_request() -> Answer = status raw::proxy_continue_request();
    /// `proxy_continue_response`
    fn continue_response() -> Answer = status raw::proxy_continue_response();
    /// `proxy_close_stream`
    fn close_stream(stream: u32) -> Answer = status raw::proxy_close_stream(stream);
    /// `proxy_clear_route_cache`
    fn clear_route_cache() -> Answer = status raw::proxy_clear_route_cache();
    /// `proxy_grpc_cancel`
    fn grpc_cancel(token: u32) -> Answer = status raw::proxy_grpc_cancel(token);
    /// `proxy_grpc_close`
    fn grpc_close(token: u32) -> Answer = status raw::proxy_grpc_close(token);
    /// `proxy_increment_metric`
    fn increment_metric(metric: u32, delta: i64) -> Answer = status raw::proxy_increment_metric(metric, delta);
    /// `proxy_record_metric`
    fn record_metric(metric: u32, value: u64) -> Answer = status raw::proxy_record_metric(metric, value);
    /// `proxy_set_effective_context`
    fn set_effective_context(context: u32) -> Answer = status raw::proxy_set_effective_context(context);
    /// `proxy_done`
    fn done() -> Answer = status raw::proxy_done();
}

/// `proxy_log`
pub fn log(level: u32, message: impl AsRef<[u8]>) -> Answer {
    let (message, size) = at(message.as_ref());
    Answer::status(raw::proxy_log(level, message, size))
}

/// `proxy_get_log_level`
pub fn log_level() -> Answer {
    output_u32(|out| raw::proxy_get_log_level(out))
}

/// `proxy_get_current_time_nanoseconds`
pub fn current_time() -> Answer {
    output_u64(|out| raw::proxy_get_current_time_nanoseconds(out))
}

/// `proxy_get_configuration`
pub fn configuration() -> Answer {
    output(|out, out_size| raw::proxy_get_configuration(out, out_size))
}

/// `proxy_get_buffer_bytes`
pub fn buffer(buffer: u32, start: u32, max: u32) -> Answer {
    // An empty part leaves the outputs as they are, so SDKs begin with nothing.
    output_over([0; 2], |out, out_size| {
        raw::proxy_get_buffer_bytes(buffer, start, max, out, out_size)
    })
}

/// `proxy_get_buffer_status`: length and, in bit 32, whether the end of the stream is in it.
pub fn buffer_status(buffer: u32) -> Answer {
    let mut flags = u32::MAX;
    let pointer = &raw mut flags;
    let size = output_u32(|out| raw::proxy_get_buffer_status(buffer, out, pointer as u32));
    if !size.is_ok() {
        return size;
    }
    // SAFETY: the pointer is that of `flags`.
    let flags = unsafe { pointer.read_volatile() };
    Answer::number(0, size.into_number() | u64::from(flags) << 32)
}

/// `proxy_set_buffer_bytes`
pub fn set_buffer(buffer: u32, start: u32, size: u32, value: impl AsRef<[u8]>) -> Answer {
    let (value, value_size) = at(value.as_ref());
    Answer::status(raw::proxy_set_buffer_bytes(
        buffer, start, size, value, value_size,
    ))
}

/// `proxy_get_header_map_pairs`
pub fn pairs(map: u32) -> Answer {
    output(|out, out_size| raw::proxy_get_header_map_pairs(map, out, out_size))
}

/// `proxy_set_header_map_pairs`, with bytes that need not be pairs.
pub fn set_pairs_raw(map: u32, bytes: impl AsRef<[u8]>) -> Answer {
    let (bytes, size) = at(bytes.as_ref());
    Answer::status(raw::proxy_set_header_map_pairs(map, bytes, size))
}

/// `proxy_set_header_map_pairs`
pub fn set_pairs(map: u32, pairs: &[(&str, &str)]) -> Answer {
    set_pairs_raw(map, encode_pairs(pairs))
}

/// `proxy_get_header_map_size`
pub fn map_size(map: u32) -> Answer {
    output_u32(|out| raw::proxy_get_header_map_size(map, out))
}

/// `proxy_get_header_map_value`
pub fn header(map: u32, key: impl AsRef<[u8]>) -> Answer {
    let (key, key_size) = at(key.as_ref());
    output(|out, out_size| raw::proxy_get_header_map_value(map, key, key_size, out, out_size))
}

/// `proxy_add_header_map_value`
pub fn add_header(map: u32, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Answer {
    let ((key, key_size), (value, value_size)) = (at(key.as_ref()), at(value.as_ref()));
    Answer::status(raw::proxy_add_header_map_value(
        map, key, key_size, value, value_size,
    ))
}

/// `proxy_replace_header_map_value`
pub fn replace_header(map: u32, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Answer {
    let ((key, key_size), (value, value_size)) = (at(key.as_ref()), at(value.as_ref()));
    Answer::status(raw::proxy_replace_header_map_value(
        map, key, key_size, value, value_size,
    ))
}

/// `proxy_remove_header_map_value`
pub fn remove_header(map: u32, key: impl AsRef<[u8]>) -> Answer {
    let (key, key_size) = at(key.as_ref());
    Answer::status(raw::proxy_remove_header_map_value(map, key, key_size))
}

/// `proxy_get_property`, with the dots of `path` turned into NUL. A header name with dots needs [`property_raw`].
pub fn property(path: &str) -> Answer {
    property_raw(path.replace('.', "\0"))
}

/// `proxy_get_property`
pub fn property_raw(path: impl AsRef<[u8]>) -> Answer {
    let (path, path_size) = at(path.as_ref());
    output(|out, out_size| raw::proxy_get_property(path, path_size, out, out_size))
}

/// `proxy_set_property`, with the dots of `path` turned into NUL.
pub fn set_property(path: &str, value: impl AsRef<[u8]>) -> Answer {
    let path = path.replace('.', "\0");
    let ((path, path_size), (value, value_size)) = (at(path.as_bytes()), at(value.as_ref()));
    Answer::status(raw::proxy_set_property(path, path_size, value, value_size))
}

/// `proxy_send_local_response`
pub fn local_response(
    status: u32,
    details: &str,
    body: impl AsRef<[u8]>,
    headers: &[(&str, &str)],
    grpc_status: u32,
) -> Answer {
    let headers = if headers.is_empty() {
        Vec::new()
    } else {
        encode_pairs(headers)
    };
    local_response_raw(status, details, body.as_ref(), &headers, grpc_status)
}

/// `proxy_send_local_response`, with headers that need not be pairs.
pub fn local_response_raw(status: u32, details: &str, body: &[u8], headers: &[u8], grpc: u32) -> Answer {
    let ((details, details_size), (body, body_size), (headers, headers_size)) =
        (at(details.as_bytes()), at(body), at(headers));
    Answer::status(raw::proxy_send_local_response(
        status,
        details,
        details_size,
        body,
        body_size,
        headers,
        headers_size,
        grpc,
    ))
}

/// `proxy_http_call`; gives the token.
pub fn http_call(upstream: &str, headers: &[(&str, &str)], body: &str, timeout: u32) -> Answer {
    http_call_raw(upstream, &encode_pairs(headers), body, &[], timeout)
}

/// `proxy_http_call`, with headers and trailers that need not be pairs.
pub fn http_call_raw(upstream: &str, headers: &[u8], body: &str, trailers: &[u8], timeout: u32) -> Answer {
    let ((upstream, upstream_size), (headers, headers_size)) = (at(upstream.as_bytes()), at(headers));
    let ((body, body_size), (trailers, trailers_size)) = (at(body.as_bytes()), at(trailers));
    output_u32(|out| {
        raw::proxy_http_call(
            upstream,
            upstream_size,
            headers,
            headers_size,
            body,
            body_size,
            trailers,
            trailers_size,
            timeout,
            out,
        )
    })
}

/// `proxy_grpc_call`; gives the token.
pub fn grpc_call(upstream: &str, service: &str, method: &str, message: &str, timeout: u32) -> Answer {
    let ((upstream, upstream_size), (service, service_size)) =
        (at(upstream.as_bytes()), at(service.as_bytes()));
    let ((method, method_size), (message, message_size)) = (at(method.as_bytes()), at(message.as_bytes()));
    output_u32(|out| {
        raw::proxy_grpc_call(
            upstream,
            upstream_size,
            service,
            service_size,
            method,
            method_size,
            0,
            0,
            message,
            message_size,
            timeout,
            out,
        )
    })
}

/// `proxy_grpc_stream`; gives the token.
pub fn grpc_stream(upstream: &str, service: &str, method: &str) -> Answer {
    let ((upstream, upstream_size), (service, service_size)) =
        (at(upstream.as_bytes()), at(service.as_bytes()));
    let (method, method_size) = at(method.as_bytes());
    output_u32(|out| {
        raw::proxy_grpc_stream(
            upstream,
            upstream_size,
            service,
            service_size,
            method,
            method_size,
            0,
            0,
            out,
        )
    })
}

/// `proxy_grpc_send`
pub fn grpc_send(token: u32, message: &str, end: bool) -> Answer {
    let (message, size) = at(message.as_bytes());
    Answer::status(raw::proxy_grpc_send(token, message, size, u32::from(end)))
}

/// `proxy_get_status`: code and message.
pub fn call_status() -> (Answer, Answer) {
    let mut code = u32::MAX;
    let pointer = &raw mut code;
    let message = output(|out, out_size| raw::proxy_get_status(pointer as u32, out, out_size));
    // SAFETY: the pointer is that of `code`.
    (
        Answer::number(message.status, u64::from(unsafe { pointer.read_volatile() })),
        message,
    )
}

/// `proxy_get_shared_data`: the value, and the number for compare-and-swap.
pub fn shared_data(key: &str) -> (Answer, u32) {
    let (key, key_size) = at(key.as_bytes());
    let mut cas = u32::MAX;
    let pointer = &raw mut cas;
    let value = output(|out, size| raw::proxy_get_shared_data(key, key_size, out, size, pointer as u32));
    // SAFETY: the pointer is that of `cas`.
    (value, unsafe { pointer.read_volatile() })
}

/// `proxy_set_shared_data`
pub fn set_shared_data(key: &str, value: impl AsRef<[u8]>, cas: u32) -> Answer {
    let ((key, key_size), (value, value_size)) = (at(key.as_bytes()), at(value.as_ref()));
    Answer::status(raw::proxy_set_shared_data(key, key_size, value, value_size, cas))
}

/// `proxy_register_shared_queue`; gives the id.
pub fn register_queue(name: &str) -> Answer {
    let (name, size) = at(name.as_bytes());
    output_u32(|out| raw::proxy_register_shared_queue(name, size, out))
}

/// `proxy_resolve_shared_queue`; gives the id.
pub fn resolve_queue(vm: &str, name: &str) -> Answer {
    let ((vm, vm_size), (name, name_size)) = (at(vm.as_bytes()), at(name.as_bytes()));
    output_u32(|out| raw::proxy_resolve_shared_queue(vm, vm_size, name, name_size, out))
}

/// `proxy_enqueue_shared_queue`
pub fn enqueue(queue: u32, value: impl AsRef<[u8]>) -> Answer {
    let (value, size) = at(value.as_ref());
    Answer::status(raw::proxy_enqueue_shared_queue(queue, value, size))
}

/// `proxy_dequeue_shared_queue`
pub fn dequeue(queue: u32) -> Answer {
    output(|out, out_size| raw::proxy_dequeue_shared_queue(queue, out, out_size))
}

/// `proxy_define_metric`; gives the id.
pub fn define_metric(kind: u32, name: &str) -> Answer {
    let (name, size) = at(name.as_bytes());
    output_u32(|out| raw::proxy_define_metric(kind, name, size, out))
}

/// `proxy_get_metric`
pub fn metric(metric: u32) -> Answer {
    output_u64(|out| raw::proxy_get_metric(metric, out))
}

/// `proxy_call_foreign_function`
pub fn foreign(name: &str, arguments: impl AsRef<[u8]>) -> Answer {
    let ((name, name_size), (arguments, arguments_size)) = (at(name.as_bytes()), at(arguments.as_ref()));
    output(|out, out_size| {
        raw::proxy_call_foreign_function(name, name_size, arguments, arguments_size, out, out_size)
    })
}
