//! Every hostcall of Proxy-Wasm, as one table.
//!
//! One file a family; each function is documented where the specification is silent or where hosts differ.

mod answers;
mod buffers;
mod calls;
mod foreign;
mod headers;
mod log;
mod metrics;
mod properties;
mod queues;
mod shared_data;
mod streams;

use crate::proxy_wasm::ProxyWasmState;
use crate::sets::{GuestCall, Import, Phases, serve, signature_of};

/// A hostcall under way, with the state of the guest.
type Call<'a> = GuestCall<'a, ProxyWasmState>;

const ENV: &[&str] = &["env"];

/// A hostcall of Proxy-Wasm. It gets the VM's whole state; other sets get their own.
macro_rules! hostcall {
    ($name:literal, $function:expr) => {
        Import::new(
            ENV,
            $name,
            signature_of::<Call<'static>, _, _>(&$function),
            |caller, id, slots| serve::<Call<'_>, _, _>(caller, id, slots, $function),
        )
    };
}

/// All 43 hostcalls in alphabetical order. ABI 0.1.0 specifies three of them without a result, while SDKs import them with
/// one.
pub(super) const IMPORTS: &[Import] = &[
    hostcall!("proxy_add_header_map_value", headers::proxy_add_header_map_value),
    hostcall!(
        "proxy_call_foreign_function",
        foreign::proxy_call_foreign_function
    ),
    hostcall!("proxy_clear_route_cache", streams::proxy_clear_route_cache).also_without_result(),
    hostcall!("proxy_close_stream", streams::proxy_close_stream),
    hostcall!("proxy_continue_request", streams::proxy_continue_request).also_without_result(),
    hostcall!("proxy_continue_response", streams::proxy_continue_response).also_without_result(),
    hostcall!("proxy_continue_stream", streams::proxy_continue_stream),
    hostcall!("proxy_define_metric", metrics::proxy_define_metric),
    hostcall!("proxy_dequeue_shared_queue", queues::proxy_dequeue_shared_queue),
    hostcall!("proxy_done", streams::proxy_done),
    hostcall!("proxy_enqueue_shared_queue", queues::proxy_enqueue_shared_queue),
    hostcall!("proxy_get_buffer_bytes", buffers::proxy_get_buffer_bytes),
    hostcall!("proxy_get_buffer_status", buffers::proxy_get_buffer_status),
    hostcall!("proxy_get_configuration", buffers::proxy_get_configuration),
    hostcall!(
        "proxy_get_current_time_nanoseconds",
        log::proxy_get_current_time_nanoseconds
    )
    .also_in(Phases::ALLOCATION),
    hostcall!("proxy_get_header_map_pairs", headers::proxy_get_header_map_pairs),
    hostcall!("proxy_get_header_map_size", headers::proxy_get_header_map_size),
    hostcall!("proxy_get_header_map_value", headers::proxy_get_header_map_value),
    hostcall!("proxy_get_log_level", log::proxy_get_log_level).also_in(Phases::ALLOCATION),
    hostcall!("proxy_get_metric", metrics::proxy_get_metric),
    hostcall!("proxy_get_property", properties::proxy_get_property),
    hostcall!("proxy_get_shared_data", shared_data::proxy_get_shared_data),
    hostcall!("proxy_get_status", calls::proxy_get_status),
    hostcall!("proxy_grpc_call", calls::proxy_grpc_call),
    hostcall!("proxy_grpc_cancel", calls::proxy_grpc_cancel),
    hostcall!("proxy_grpc_close", calls::proxy_grpc_close),
    hostcall!("proxy_grpc_send", calls::proxy_grpc_send),
    hostcall!("proxy_grpc_stream", calls::proxy_grpc_stream),
    hostcall!("proxy_http_call", calls::proxy_http_call),
    hostcall!("proxy_increment_metric", metrics::proxy_increment_metric),
    hostcall!("proxy_log", log::proxy_log).also_in(Phases::START.and(Phases::ALLOCATION)),
    hostcall!("proxy_record_metric", metrics::proxy_record_metric),
    hostcall!("proxy_register_shared_queue", queues::proxy_register_shared_queue),
    hostcall!(
        "proxy_remove_header_map_value",
        headers::proxy_remove_header_map_value
    ),
    hostcall!(
        "proxy_replace_header_map_value",
        headers::proxy_replace_header_map_value
    ),
    hostcall!("proxy_resolve_shared_queue", queues::proxy_resolve_shared_queue),
    hostcall!("proxy_send_local_response", streams::proxy_send_local_response),
    hostcall!("proxy_set_buffer_bytes", buffers::proxy_set_buffer_bytes),
    hostcall!(
        "proxy_set_effective_context",
        streams::proxy_set_effective_context
    ),
    hostcall!("proxy_set_header_map_pairs", headers::proxy_set_header_map_pairs),
    hostcall!("proxy_set_property", properties::proxy_set_property),
    hostcall!("proxy_set_shared_data", shared_data::proxy_set_shared_data),
    hostcall!(
        "proxy_set_tick_period_milliseconds",
        streams::proxy_set_tick_period_milliseconds
    ),
];
