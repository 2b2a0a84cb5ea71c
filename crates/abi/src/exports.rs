//! Exports of a guest: the callbacks, its allocator and its start functions.

use crate::signature::signature;
use crate::{AbiVersion, Signature};

/// Name of the export that is the guest's linear memory. Required.
pub const MEMORY: &str = "memory";

/// Names of the guest's allocator, `(i32) -> i32`, in the order in which hosts look for it. One is required.
pub const ALLOCATORS: [(&str, Signature); 2] = [
    ("malloc", signature!([I32] -> I32)),
    ("proxy_on_memory_allocate", signature!([I32] -> I32)),
];

/// Start function of a reactor. Where it is exported, [`START`] is not called.
pub const INITIALIZE: (&str, Signature) = ("_initialize", signature!([]));

/// Called after [`INITIALIZE`], the first that is exported; the result is ignored. `main` gets (0, 0).
pub const MAINS: [(&str, Signature); 2] = [
    ("main", signature!([I32, I32] -> I32)),
    ("__main_void", signature!([] -> I32)),
];

/// Start function of a command. It may end with `proc_exit(0)`.
pub const START: (&str, Signature) = ("_start", signature!([]));

/// Declares the callbacks with their names, types and default results.
macro_rules! callbacks {
    ($($(#[$meta:meta])* $variant:ident $name:literal $signature:expr, $default:literal;)+) => {
        /// A function that the host calls in the guest. All are optional.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Callback {
            $($(#[$meta])* $variant,)+
        }

        impl Callback {
            /// Every callback. The place in this list is the callback's [`index`](Self::index).
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Name of the export, such as `proxy_on_tick`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// The result that the host assumes where the guest does not export the callback: 1 (true) or
            /// 0 (Continue, or no result).
            pub const fn default_result(self) -> u32 {
                match self {
                    $(Self::$variant => $default,)+
                }
            }

            const fn current_signature(self) -> Signature {
                match self {
                    $(Self::$variant => $signature,)+
                }
            }
        }
    };
}

callbacks! {
    /// A context begins: (context, parent context or 0).
    ContextCreate "proxy_on_context_create" signature!([I32, I32]), 0;
    /// The VM starts: (context, size of the VM configuration). False: the VM is of no use.
    VmStart "proxy_on_vm_start" signature!([I32, I32] -> I32), 1;
    /// A plugin is checked without being used: (plugin context, size of its configuration). Known to hosts, not to the
    /// specification.
    ValidateConfiguration "proxy_validate_configuration" signature!([I32, I32] -> I32), 1;
    /// A plugin starts: (plugin context, size of its configuration). False: the plugin is of no use.
    Configure "proxy_on_configure" signature!([I32, I32] -> I32), 1;
    /// The tick period is over: (plugin context).
    Tick "proxy_on_tick" signature!([I32]), 0;
    /// A TCP connection begins: (stream context).
    NewConnection "proxy_on_new_connection" signature!([I32] -> I32), 0;
    /// Bytes from the client: (stream context, size, end of stream).
    DownstreamData "proxy_on_downstream_data" signature!([I32, I32, I32] -> I32), 0;
    /// The client's side closed: (stream context, peer type).
    DownstreamConnectionClose "proxy_on_downstream_connection_close" signature!([I32, I32]), 0;
    /// Bytes from the upstream: (stream context, size, end of stream).
    UpstreamData "proxy_on_upstream_data" signature!([I32, I32, I32] -> I32), 0;
    /// The upstream's side closed: (stream context, peer type).
    UpstreamConnectionClose "proxy_on_upstream_connection_close" signature!([I32, I32]), 0;
    /// Request headers: (stream context, count, end of stream); without the last in ABI 0.1.0.
    RequestHeaders "proxy_on_request_headers" signature!([I32, I32, I32] -> I32), 0;
    /// A piece of request body: (stream context, size, end of stream).
    RequestBody "proxy_on_request_body" signature!([I32, I32, I32] -> I32), 0;
    /// Request trailers: (stream context, count).
    RequestTrailers "proxy_on_request_trailers" signature!([I32, I32] -> I32), 0;
    /// An HTTP/2 METADATA frame of the request: (stream context, count). Known to hosts, not to the specification.
    RequestMetadata "proxy_on_request_metadata" signature!([I32, I32] -> I32), 0;
    /// Response headers: (stream context, count, end of stream); without the last in ABI 0.1.0.
    ResponseHeaders "proxy_on_response_headers" signature!([I32, I32, I32] -> I32), 0;
    /// A piece of response body: (stream context, size, end of stream).
    ResponseBody "proxy_on_response_body" signature!([I32, I32, I32] -> I32), 0;
    /// Response trailers: (stream context, count).
    ResponseTrailers "proxy_on_response_trailers" signature!([I32, I32] -> I32), 0;
    /// An HTTP/2 METADATA frame of the response: (stream context, count). Known to hosts, not to the specification.
    ResponseMetadata "proxy_on_response_metadata" signature!([I32, I32] -> I32), 0;
    /// An HTTP call ended: (plugin context, token, headers, body size, trailers); all counts 0 where it failed.
    HttpCallResponse "proxy_on_http_call_response" signature!([I32, I32, I32, I32, I32]), 0;
    /// Initial metadata of a gRPC call: (plugin context, token, count).
    GrpcReceiveInitialMetadata "proxy_on_grpc_receive_initial_metadata" signature!([I32, I32, I32]), 0;
    /// A gRPC message: (plugin context, token, size).
    GrpcReceive "proxy_on_grpc_receive" signature!([I32, I32, I32]), 0;
    /// Trailing metadata of a gRPC call: (plugin context, token, count).
    GrpcReceiveTrailingMetadata "proxy_on_grpc_receive_trailing_metadata" signature!([I32, I32, I32]), 0;
    /// A gRPC call ended: (plugin context, token, gRPC status).
    GrpcClose "proxy_on_grpc_close" signature!([I32, I32, I32]), 0;
    /// Something lies in a shared queue: (plugin context, queue).
    QueueReady "proxy_on_queue_ready" signature!([I32, I32]), 0;
    /// The embedder calls the guest: (plugin context, function, size of the arguments). Since ABI 0.2.0.
    ForeignFunction "proxy_on_foreign_function" signature!([I32, I32, I32]), 0;
    /// A context has come to its end: (context). False: the host waits for `proxy_done`.
    Done "proxy_on_done" signature!([I32] -> I32), 1;
    /// The moment to log: (context). Maps and properties can still be read.
    Log "proxy_on_log" signature!([I32]), 0;
    /// A context is forgotten: (context).
    Delete "proxy_on_delete" signature!([I32]), 0;
}

impl Callback {
    /// The callback of this export name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|callback| callback.name() == name)
    }

    /// Place in [`Callback::ALL`], below 64: good as a bit of a set.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Parameters and result in this version of the ABI.
    pub const fn signature(self, version: AbiVersion) -> Signature {
        match self {
            Self::RequestHeaders | Self::ResponseHeaders if !version.headers_carry_end_of_stream() => {
                signature!([I32, I32] -> I32)
            }
            _ => self.current_signature(),
        }
    }

    /// Returns true if this version of the ABI has the callback.
    pub const fn is_in(self, version: AbiVersion) -> bool {
        !(matches!(self, Self::ForeignFunction) && matches!(version, AbiVersion::V0_1_0))
    }
}

impl std::fmt::Display for Callback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_table_is_whole() {
        let mut shapes = HashSet::new();
        for version in AbiVersion::ALL {
            shapes.extend(
                Callback::ALL
                    .iter()
                    .map(|callback| (callback.name(), callback.signature(*version))),
            );
        }
        let beyond = [
            Callback::ValidateConfiguration,
            Callback::RequestMetadata,
            Callback::ResponseMetadata,
        ];
        shapes.retain(|(name, _)| beyond.iter().all(|callback| callback.name() != *name));
        // The specification's table has 28 rows: these and `proxy_on_memory_allocate`.
        assert_eq!(shapes.len(), 27);
        let names: HashSet<_> = shapes.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), 25);
        assert_eq!(Callback::ALL.len(), 28);
    }

    #[test]
    fn indices_follow_the_list() {
        for (index, callback) in Callback::ALL.iter().enumerate() {
            assert_eq!(callback.index(), index);
            assert_eq!(Callback::named(callback.name()), Some(*callback));
        }
        assert!(Callback::ALL.len() <= 64, "sets of callbacks are 64 bits wide");
    }

    #[test]
    fn true_by_default_are_the_answers_to_questions() {
        let asks: Vec<_> = Callback::ALL
            .iter()
            .filter(|callback| callback.default_result() == 1)
            .collect();
        assert_eq!(
            asks,
            [
                &Callback::VmStart,
                &Callback::ValidateConfiguration,
                &Callback::Configure,
                &Callback::Done
            ]
        );
    }

    #[test]
    fn engines_call_with_up_to_five_numbers_of_32_bits() {
        for callback in Callback::ALL {
            for version in AbiVersion::ALL {
                let signature = callback.signature(*version);
                assert!(signature.params.len() <= 5, "{callback}");
                assert!(
                    signature.params.iter().all(|param| *param == crate::ValType::I32),
                    "{callback}"
                );
            }
        }
    }
}
