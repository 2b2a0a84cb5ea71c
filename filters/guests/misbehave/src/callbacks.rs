//! The exports. Each does what it must to keep things going, then what it is told.
//!
//! Names in rules: `start`; of the plugin `root_create`, `vm_start`, `configure`, `tick`, `queue_ready`,
//! `foreign_function`, `root_done`, `root_log`, `root_delete`; of a stream `context_create`, `request_headers`,
//! `request_body`, `request_trailers`, `response_headers`, `response_body`, `response_trailers`, `http_call_response`,
//! `new_connection`, `downstream_data`, `upstream_data`, `downstream_close`, `upstream_close`, `done`, `log`, `delete`.

use crate::{guest, memory, raw};

const REQUEST_HEADERS: u32 = 0;
const VM_CONFIGURATION: u32 = 6;
const PLUGIN_CONFIGURATION: u32 = 7;
const PAUSE: u32 = 1;

unsafe extern "C" {
    /// Constructors of C libraries. Naming it keeps the linker from calling it around every export.
    fn __wasm_call_ctors();
}

#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    // SAFETY: called once, before anything else.
    unsafe { __wasm_call_ctors() };
    // The rules are dropped again: this is the only callback that they can be meant for.
    if let Ok(text) = std::env::var("MISBEHAVE") {
        for rule in crate::rules::Rules::parse(text.as_bytes()).list {
            if rule.callback == "start" {
                rule.behaviour.act("start");
            }
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(context: u32, parent: u32) {
    if parent == 0 {
        guest::enter("root_create", context, || {
            guest::set_root(context);
            guest::define_gauge();
            guest::add_rules(&buffer(VM_CONFIGURATION));
        });
    } else {
        guest::enter("context_create", context, || guest::count_streams(1));
    }
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_vm_start(context: u32, _: u32) -> u32 {
    guest::enter("vm_start", context, || {}).truth
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(context: u32, _: u32) -> u32 {
    let prepare = || {
        guest::add_rules(&buffer(PLUGIN_CONFIGURATION));
        if guest::expects("queue_ready", 0) {
            guest::register_queue();
        }
    };
    guest::enter("configure", context, prepare).truth
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(context: u32, _: u32, _: u32) -> u32 {
    let mut waits = false;
    let prepare = || {
        let (name, len) = memory::slice(b"x-misbehave");
        let read = |out, out_len| raw::proxy_get_header_map_value(REQUEST_HEADERS, name, len, out, out_len);
        if let Some(text) = guest::fetch(read) {
            guest::add_stream_rules(context, &text);
        }
        if guest::expects("queue_ready", context) {
            guest::wake_itself();
        }
        waits =
            guest::expects("http_call_response", context) && guest::http_call(&guest::upstream()).is_some();
    };
    let action = guest::enter("request_headers", context, prepare).action;
    if waits { PAUSE } else { action }
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_http_call_response(context: u32, token: u32, _: u32, _: u32, _: u32) {
    let caller = guest::caller_of(token);
    let prepare = || {
        if let Some(caller) = caller {
            raw::proxy_set_effective_context(caller);
        }
    };
    guest::enter("http_call_response", caller.unwrap_or(context), prepare);
    if caller.is_some() {
        guest::resume();
    }
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(context: u32, _: u32, _: u32) -> u32 {
    let action = guest::enter("response_headers", context, || {}).action;
    guest::show_reports();
    action
}

/// Callbacks of streams that return an action.
macro_rules! actions {
    ($($export:ident($($arg:ident),*) = $name:literal;)+) => {
        $(#[unsafe(no_mangle)]
        extern "C" fn $export(context: u32 $(, $arg: u32)*) -> u32 {
            $(let _ = $arg;)*
            guest::enter($name, context, || {}).action
        })+
    };
}

actions! {
    proxy_on_request_body(size, end) = "request_body";
    proxy_on_request_trailers(count) = "request_trailers";
    proxy_on_response_body(size, end) = "response_body";
    proxy_on_response_trailers(count) = "response_trailers";
    proxy_on_new_connection() = "new_connection";
    proxy_on_downstream_data(size, end) = "downstream_data";
    proxy_on_upstream_data(size, end) = "upstream_data";
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_downstream_connection_close(context: u32, _: u32) {
    guest::enter("downstream_close", context, || {});
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_upstream_connection_close(context: u32, _: u32) {
    guest::enter("upstream_close", context, || {});
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_tick(context: u32) {
    guest::enter("tick", context, guest::release_held);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_queue_ready(context: u32, queue: u32) {
    let drain =
        || while guest::fetch(|out, len| raw::proxy_dequeue_shared_queue(queue, out, len)).is_some() {};
    guest::enter("queue_ready", context, drain);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_foreign_function(context: u32, _: u32, _: u32) {
    guest::enter("foreign_function", context, || {});
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_done(context: u32) -> u32 {
    guest::enter(of(context, "root_done", "done"), context, || {}).truth
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_log(context: u32) {
    guest::enter(of(context, "root_log", "log"), context, || {});
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_delete(context: u32) {
    let count = || {
        if context != guest::root() {
            guest::count_streams(-1);
        }
    };
    guest::enter(of(context, "root_delete", "delete"), context, count);
    guest::forget_stream(context);
}

fn of(context: u32, plugin: &'static str, stream: &'static str) -> &'static str {
    if context == guest::root() { plugin } else { stream }
}

fn buffer(kind: u32) -> Vec<u8> {
    guest::fetch(|out, len| raw::proxy_get_buffer_bytes(kind, 0, u32::MAX, out, len)).unwrap_or_default()
}
