//! Every function that the host offers to guests, as one table.
//!
//! One file a family; each function is documented where the specification is silent or where hosts differ.

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
mod toolchain;
mod wasi;

use weir_abi::{Signature, ValType};
use weir_engine::HostFunc;

/// A value that arrives in a raw slot.
trait FromSlot {
    fn from_slot(slot: u64) -> Self;
}

impl FromSlot for u32 {
    #[inline]
    fn from_slot(slot: u64) -> Self {
        // An i32 lies in the low half of its slot.
        slot as u32
    }
}

impl FromSlot for u64 {
    #[inline]
    fn from_slot(slot: u64) -> Self {
        slot
    }
}

/// A row: `row!(module, gate, bit, "name", function, [I32, I64, ...])`.
macro_rules! row {
    ($module:literal, $gate:ident, $bit:ident, $name:literal, $function:path, [$($type:ident),*]) => {
        HostFunc {
            module: $module,
            name: $name,
            signature: Signature { params: &[$(ValType::$type),*], result: Some(ValType::I32) },
            id: 0,
            call: |caller, _, slots| {
                const BIT: u32 = crate::gate::$bit($name);
                crate::gate::$gate(caller, BIT, |call| {
                    let mut slots = slots.iter().copied();
                    let _ = &mut slots;
                    $function(call, $(row!(@slot slots $type)),*)
                })
            },
        }
    };
    (@slot $slots:ident I32) => { <u32 as FromSlot>::from_slot($slots.next().unwrap_or_default()) };
    (@slot $slots:ident I64) => { <u64 as FromSlot>::from_slot($slots.next().unwrap_or_default()) };
}

/// A hostcall of module `env` that answers with a status.
macro_rules! env {
    ($name:literal, $function:path, [$($type:ident),*]) => {
        row!("env", status, env_bit, $name, $function, [$($type),*])
    };
}

/// A hostcall that ABI 0.1.0 specifies without a result while SDKs import it with one: both are offered.
macro_rules! env_without_result {
    ($name:literal, $function:path) => {{
        let mut row = env!($name, $function, []);
        row.signature.result = None;
        row
    }};
}

macro_rules! wasi {
    ($module:literal: $($name:literal $function:ident [$($type:ident),*],)+) => {
        [$(row!($module, errno, wasi_bit, $name, wasi::$function, [$($type),*]),)+]
    };
}

/// All 46 functions of WASI preview 1 under one module name.
macro_rules! wasi_table {
    ($module:literal) => {
        wasi! { $module:
            "args_get" args_get [I32, I32],
            "args_sizes_get" args_sizes_get [I32, I32],
            "environ_get" environ_get [I32, I32],
            "environ_sizes_get" environ_sizes_get [I32, I32],
            "clock_res_get" clock_res_get [I32, I32],
            "clock_time_get" clock_time_get [I32, I64, I32],
            "fd_advise" fd_advise [I32, I64, I64, I32],
            "fd_allocate" fd_allocate [I32, I64, I64],
            "fd_close" fd_close [I32],
            "fd_datasync" fd_sync [I32],
            "fd_fdstat_get" fd_fdstat_get [I32, I32],
            "fd_fdstat_set_flags" fd_fdstat_set_flags [I32, I32],
            "fd_fdstat_set_rights" fd_fdstat_set_rights [I32, I64, I64],
            "fd_filestat_get" fd_filestat_get [I32, I32],
            "fd_filestat_set_size" fd_filestat_set_size [I32, I64],
            "fd_filestat_set_times" fd_filestat_set_times [I32, I64, I64, I32],
            "fd_pread" fd_pread [I32, I32, I32, I64, I32],
            "fd_prestat_get" fd_prestat_get [I32, I32],
            "fd_prestat_dir_name" fd_prestat_dir_name [I32, I32, I32],
            "fd_pwrite" fd_pwrite [I32, I32, I32, I64, I32],
            "fd_read" fd_read [I32, I32, I32, I32],
            "fd_readdir" fd_readdir [I32, I32, I32, I64, I32],
            "fd_renumber" fd_renumber [I32, I32],
            "fd_seek" fd_seek [I32, I64, I32, I32],
            "fd_sync" fd_sync [I32],
            "fd_tell" fd_tell [I32, I32],
            "fd_write" fd_write [I32, I32, I32, I32],
            "path_create_directory" path_3 [I32, I32, I32],
            "path_filestat_get" path_5 [I32, I32, I32, I32, I32],
            "path_filestat_set_times" path_filestat_set_times [I32, I32, I32, I32, I64, I64, I32],
            "path_link" path_7 [I32, I32, I32, I32, I32, I32, I32],
            "path_open" path_open [I32, I32, I32, I32, I32, I64, I64, I32, I32],
            "path_readlink" path_6 [I32, I32, I32, I32, I32, I32],
            "path_remove_directory" path_3 [I32, I32, I32],
            "path_rename" path_6 [I32, I32, I32, I32, I32, I32],
            "path_symlink" path_5 [I32, I32, I32, I32, I32],
            "path_unlink_file" path_3 [I32, I32, I32],
            "poll_oneoff" poll_oneoff [I32, I32, I32, I32],
            "proc_raise" proc_raise [I32],
            "sched_yield" sched_yield [],
            "random_get" random_get [I32, I32],
            "sock_accept" sock_3 [I32, I32, I32],
            "sock_recv" sock_6 [I32, I32, I32, I32, I32, I32],
            "sock_send" sock_5 [I32, I32, I32, I32, I32],
            "sock_shutdown" sock_2 [I32, I32],
        }
    };
}

const ENV: &[HostFunc] = &[
    env!("proxy_log", log::proxy_log, [I32, I32, I32]),
    env!("proxy_get_log_level", log::proxy_get_log_level, [I32]),
    env!(
        "proxy_get_current_time_nanoseconds",
        log::proxy_get_current_time_nanoseconds,
        [I32]
    ),
    env!("proxy_get_status", calls::proxy_get_status, [I32, I32, I32]),
    env!(
        "proxy_set_tick_period_milliseconds",
        streams::proxy_set_tick_period_milliseconds,
        [I32]
    ),
    env!(
        "proxy_set_effective_context",
        streams::proxy_set_effective_context,
        [I32]
    ),
    env!("proxy_done", streams::proxy_done, []),
    env!("proxy_continue_stream", streams::proxy_continue_stream, [I32]),
    env!("proxy_close_stream", streams::proxy_close_stream, [I32]),
    env!("proxy_continue_request", streams::proxy_continue_request, []),
    env!("proxy_continue_response", streams::proxy_continue_response, []),
    env!("proxy_clear_route_cache", streams::proxy_clear_route_cache, []),
    env_without_result!("proxy_continue_request", streams::proxy_continue_request),
    env_without_result!("proxy_continue_response", streams::proxy_continue_response),
    env_without_result!("proxy_clear_route_cache", streams::proxy_clear_route_cache),
    env!(
        "proxy_send_local_response",
        streams::proxy_send_local_response,
        [I32, I32, I32, I32, I32, I32, I32, I32]
    ),
    env!(
        "proxy_get_configuration",
        buffers::proxy_get_configuration,
        [I32, I32]
    ),
    env!(
        "proxy_get_buffer_bytes",
        buffers::proxy_get_buffer_bytes,
        [I32, I32, I32, I32, I32]
    ),
    env!(
        "proxy_get_buffer_status",
        buffers::proxy_get_buffer_status,
        [I32, I32, I32]
    ),
    env!(
        "proxy_set_buffer_bytes",
        buffers::proxy_set_buffer_bytes,
        [I32, I32, I32, I32, I32]
    ),
    env!(
        "proxy_get_header_map_pairs",
        headers::proxy_get_header_map_pairs,
        [I32, I32, I32]
    ),
    env!(
        "proxy_set_header_map_pairs",
        headers::proxy_set_header_map_pairs,
        [I32, I32, I32]
    ),
    env!(
        "proxy_get_header_map_size",
        headers::proxy_get_header_map_size,
        [I32, I32]
    ),
    env!(
        "proxy_get_header_map_value",
        headers::proxy_get_header_map_value,
        [I32, I32, I32, I32, I32]
    ),
    env!(
        "proxy_add_header_map_value",
        headers::proxy_add_header_map_value,
        [I32, I32, I32, I32, I32]
    ),
    env!(
        "proxy_replace_header_map_value",
        headers::proxy_replace_header_map_value,
        [I32, I32, I32, I32, I32]
    ),
    env!(
        "proxy_remove_header_map_value",
        headers::proxy_remove_header_map_value,
        [I32, I32, I32]
    ),
    env!(
        "proxy_get_property",
        properties::proxy_get_property,
        [I32, I32, I32, I32]
    ),
    env!(
        "proxy_set_property",
        properties::proxy_set_property,
        [I32, I32, I32, I32]
    ),
    env!(
        "proxy_get_shared_data",
        shared_data::proxy_get_shared_data,
        [I32, I32, I32, I32, I32]
    ),
    env!(
        "proxy_set_shared_data",
        shared_data::proxy_set_shared_data,
        [I32, I32, I32, I32, I32]
    ),
    env!(
        "proxy_register_shared_queue",
        queues::proxy_register_shared_queue,
        [I32, I32, I32]
    ),
    env!(
        "proxy_resolve_shared_queue",
        queues::proxy_resolve_shared_queue,
        [I32, I32, I32, I32, I32]
    ),
    env!(
        "proxy_enqueue_shared_queue",
        queues::proxy_enqueue_shared_queue,
        [I32, I32, I32]
    ),
    env!(
        "proxy_dequeue_shared_queue",
        queues::proxy_dequeue_shared_queue,
        [I32, I32, I32]
    ),
    env!(
        "proxy_define_metric",
        metrics::proxy_define_metric,
        [I32, I32, I32, I32]
    ),
    env!(
        "proxy_increment_metric",
        metrics::proxy_increment_metric,
        [I32, I64]
    ),
    env!("proxy_record_metric", metrics::proxy_record_metric, [I32, I64]),
    env!("proxy_get_metric", metrics::proxy_get_metric, [I32, I32]),
    env!(
        "proxy_http_call",
        calls::proxy_http_call,
        [I32, I32, I32, I32, I32, I32, I32, I32, I32, I32]
    ),
    env!(
        "proxy_grpc_call",
        calls::proxy_grpc_call,
        [I32, I32, I32, I32, I32, I32, I32, I32, I32, I32, I32, I32]
    ),
    env!(
        "proxy_grpc_stream",
        calls::proxy_grpc_stream,
        [I32, I32, I32, I32, I32, I32, I32, I32, I32]
    ),
    env!("proxy_grpc_send", calls::proxy_grpc_send, [I32, I32, I32, I32]),
    env!("proxy_grpc_cancel", calls::proxy_grpc_cancel, [I32]),
    env!("proxy_grpc_close", calls::proxy_grpc_close, [I32]),
    env!(
        "proxy_call_foreign_function",
        foreign::proxy_call_foreign_function,
        [I32, I32, I32, I32, I32, I32]
    ),
    toolchain::EMSCRIPTEN_NOTIFY_MEMORY_GROWTH,
    toolchain::PTHREAD_EQUAL,
    toolchain::ABORT,
    wasi::proc_exit("wasi_snapshot_preview1"),
    wasi::proc_exit("wasi_unstable"),
];

const PREVIEW_1: &[HostFunc] = &wasi_table!("wasi_snapshot_preview1");
const UNSTABLE: &[HostFunc] = &wasi_table!("wasi_unstable");

const COUNT: usize = ENV.len() + PREVIEW_1.len() + UNSTABLE.len();

/// The whole table, as engines bind it.
pub(crate) static HOST_FUNCS: [HostFunc; COUNT] = {
    let mut table = [ENV[0]; COUNT];
    let parts = [ENV, PREVIEW_1, UNSTABLE];
    let (mut part, mut at) = (0, 0);
    while part < parts.len() {
        let mut i = 0;
        while i < parts[part].len() {
            table[at] = parts[part][i];
            at += 1;
            i += 1;
        }
        part += 1;
    }
    table
};
