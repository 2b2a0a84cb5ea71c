//! Every function of module `env` that a guest may import.

use crate::signature::signature;
use crate::{AbiVersion, Signature};

/// The import module of every hostcall outside of WASI.
pub const ENV: &str = "env";

/// A function that guests import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Import {
    /// Import module; [`ENV`] for all of them.
    pub module: &'static str,
    /// Import name, such as `proxy_log`.
    pub name: &'static str,
    /// Parameters and result.
    pub signature: Signature,
    /// First version of the ABI that specifies it. Hosts offer it to modules of every version all the same.
    pub since: AbiVersion,
    /// Last version of the ABI that specifies it.
    pub until: AbiVersion,
    /// Who asks for it.
    pub kind: ImportKind,
}

/// Where an import comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ImportKind {
    /// The Proxy-Wasm specification.
    Hostcall,
    /// Emscripten's C and C++ libraries.
    Emscripten,
    /// AssemblyScript's failed assertion.
    Abort,
}

impl Import {
    /// The import of this name in [`IMPORTS`].
    pub fn named(name: &str) -> Option<&'static Self> {
        IMPORTS.iter().find(|import| import.name == name)
    }

    const fn new(
        name: &'static str,
        signature: Signature,
        since: AbiVersion,
        until: AbiVersion,
        kind: ImportKind,
    ) -> Self {
        Self {
            module: ENV,
            name,
            signature,
            since,
            until,
            kind,
        }
    }

    const fn always(name: &'static str, signature: Signature) -> Self {
        Self::new(
            name,
            signature,
            AbiVersion::V0_1_0,
            AbiVersion::V0_2_1,
            ImportKind::Hostcall,
        )
    }

    const fn since(since: AbiVersion, name: &'static str, signature: Signature) -> Self {
        Self::new(name, signature, since, AbiVersion::V0_2_1, ImportKind::Hostcall)
    }

    const fn first_only(name: &'static str, signature: Signature) -> Self {
        Self::new(
            name,
            signature,
            AbiVersion::V0_1_0,
            AbiVersion::V0_1_0,
            ImportKind::Hostcall,
        )
    }

    const fn toolchain(kind: ImportKind, name: &'static str, signature: Signature) -> Self {
        Self::new(name, signature, AbiVersion::V0_1_0, AbiVersion::V0_2_1, kind)
    }
}

/// All 43 hostcalls in alphabetical order, then what toolchains import beside them. Names are unique.
pub const IMPORTS: &[Import] = &[
    Import::always(
        "proxy_add_header_map_value",
        signature!([I32, I32, I32, I32, I32] -> I32),
    ),
    Import::always(
        "proxy_call_foreign_function",
        signature!([I32, I32, I32, I32, I32, I32] -> I32),
    ),
    Import::first_only("proxy_clear_route_cache", signature!([] -> I32)),
    Import::since(AbiVersion::V0_2_0, "proxy_close_stream", signature!([I32] -> I32)),
    Import::first_only("proxy_continue_request", signature!([] -> I32)),
    Import::first_only("proxy_continue_response", signature!([] -> I32)),
    Import::since(
        AbiVersion::V0_2_0,
        "proxy_continue_stream",
        signature!([I32] -> I32),
    ),
    Import::always("proxy_define_metric", signature!([I32, I32, I32, I32] -> I32)),
    Import::always("proxy_dequeue_shared_queue", signature!([I32, I32, I32] -> I32)),
    Import::always("proxy_done", signature!([] -> I32)),
    Import::always("proxy_enqueue_shared_queue", signature!([I32, I32, I32] -> I32)),
    Import::always(
        "proxy_get_buffer_bytes",
        signature!([I32, I32, I32, I32, I32] -> I32),
    ),
    Import::always("proxy_get_buffer_status", signature!([I32, I32, I32] -> I32)),
    Import::first_only("proxy_get_configuration", signature!([I32, I32] -> I32)),
    Import::always("proxy_get_current_time_nanoseconds", signature!([I32] -> I32)),
    Import::always("proxy_get_header_map_pairs", signature!([I32, I32, I32] -> I32)),
    Import::always("proxy_get_header_map_size", signature!([I32, I32] -> I32)),
    Import::always(
        "proxy_get_header_map_value",
        signature!([I32, I32, I32, I32, I32] -> I32),
    ),
    Import::since(
        AbiVersion::V0_2_1,
        "proxy_get_log_level",
        signature!([I32] -> I32),
    ),
    Import::always("proxy_get_metric", signature!([I32, I32] -> I32)),
    Import::always("proxy_get_property", signature!([I32, I32, I32, I32] -> I32)),
    Import::always(
        "proxy_get_shared_data",
        signature!([I32, I32, I32, I32, I32] -> I32),
    ),
    Import::always("proxy_get_status", signature!([I32, I32, I32] -> I32)),
    Import::always(
        "proxy_grpc_call",
        signature!([I32, I32, I32, I32, I32, I32, I32, I32, I32, I32, I32, I32] -> I32),
    ),
    Import::always("proxy_grpc_cancel", signature!([I32] -> I32)),
    Import::always("proxy_grpc_close", signature!([I32] -> I32)),
    Import::always("proxy_grpc_send", signature!([I32, I32, I32, I32] -> I32)),
    Import::always(
        "proxy_grpc_stream",
        signature!([I32, I32, I32, I32, I32, I32, I32, I32, I32] -> I32),
    ),
    Import::always(
        "proxy_http_call",
        signature!([I32, I32, I32, I32, I32, I32, I32, I32, I32, I32] -> I32),
    ),
    Import::always("proxy_increment_metric", signature!([I32, I64] -> I32)),
    Import::always("proxy_log", signature!([I32, I32, I32] -> I32)),
    Import::always("proxy_record_metric", signature!([I32, I64] -> I32)),
    Import::always("proxy_register_shared_queue", signature!([I32, I32, I32] -> I32)),
    Import::always(
        "proxy_remove_header_map_value",
        signature!([I32, I32, I32] -> I32),
    ),
    Import::always(
        "proxy_replace_header_map_value",
        signature!([I32, I32, I32, I32, I32] -> I32),
    ),
    Import::always(
        "proxy_resolve_shared_queue",
        signature!([I32, I32, I32, I32, I32] -> I32),
    ),
    Import::always(
        "proxy_send_local_response",
        signature!([I32, I32, I32, I32, I32, I32, I32, I32] -> I32),
    ),
    Import::always(
        "proxy_set_buffer_bytes",
        signature!([I32, I32, I32, I32, I32] -> I32),
    ),
    Import::always("proxy_set_effective_context", signature!([I32] -> I32)),
    Import::always("proxy_set_header_map_pairs", signature!([I32, I32, I32] -> I32)),
    Import::always("proxy_set_property", signature!([I32, I32, I32, I32] -> I32)),
    Import::always(
        "proxy_set_shared_data",
        signature!([I32, I32, I32, I32, I32] -> I32),
    ),
    Import::always("proxy_set_tick_period_milliseconds", signature!([I32] -> I32)),
    Import::toolchain(
        ImportKind::Emscripten,
        "emscripten_notify_memory_growth",
        signature!([I32]),
    ),
    Import::toolchain(
        ImportKind::Emscripten,
        "pthread_equal",
        signature!([I32, I32] -> I32),
    ),
    Import::toolchain(ImportKind::Abort, "abort", signature!([I32, I32, I32, I32])),
];

/// Second types of functions in [`IMPORTS`]: ABI 0.1.0 specifies them without a result, while SDKs import them with one.
/// A module gets the one whose type it imports.
pub const ALTERNATES: &[Import] = &[
    Import::first_only("proxy_clear_route_cache", signature!([])),
    Import::first_only("proxy_continue_request", signature!([])),
    Import::first_only("proxy_continue_response", signature!([])),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::ValType;

    #[test]
    fn the_table_is_whole() {
        let of = |kind| IMPORTS.iter().filter(move |import| import.kind == kind).count();
        assert_eq!(of(ImportKind::Hostcall), 43);
        assert_eq!(of(ImportKind::Emscripten), 2);
        assert_eq!(of(ImportKind::Abort), 1);
        let names: HashSet<_> = IMPORTS.iter().map(|import| import.name).collect();
        assert_eq!(names.len(), IMPORTS.len(), "a name stands twice");
    }

    #[test]
    fn hostcalls_answer_with_a_status_and_take_64_bits_only_for_metric_values() {
        for import in IMPORTS
            .iter()
            .filter(|import| import.kind == ImportKind::Hostcall)
        {
            assert!(import.name.starts_with("proxy_"), "{}", import.name);
            assert_eq!(import.signature.result, Some(ValType::I32), "{}", import.name);
            assert!(import.since <= import.until, "{}", import.name);
            let wide = import.signature.params.contains(&ValType::I64);
            let metric = matches!(import.name, "proxy_increment_metric" | "proxy_record_metric");
            assert_eq!(wide, metric, "{}", import.name);
        }
        let parameters: usize = IMPORTS.iter().map(|import| import.signature.params.len()).sum();
        assert_eq!(parameters, 153, "a parameter was lost or added");
    }

    #[test]
    fn alternates_differ_only_in_the_result() {
        for alternate in ALTERNATES {
            let import = Import::named(alternate.name).expect("an alternate of something");
            assert_eq!(import.signature.params, alternate.signature.params);
            assert_ne!(import.signature.result, alternate.signature.result);
        }
    }
}
