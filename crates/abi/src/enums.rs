//! The enumerations that cross the boundary as `i32` (specification, section "Types").

/// Declares a C-like enumeration with its wire values, its names and a checked conversion.
macro_rules! wire_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $value:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum $name {
            $($(#[$vmeta])* $variant = $value,)+
        }

        impl $name {
            /// Every value, in wire order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The value for a number that came over the wire; `None` where the number names nothing.
            pub const fn from_wire(value: u32) -> Option<Self> {
                match value {
                    $($value => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// The number that goes over the wire.
            pub const fn wire(self) -> u32 {
                self as u32
            }

            /// The name that the specification gives it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($variant),)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

wire_enum! {
    /// The answer of a hostcall (`proxy_status_t`).
    Status {
        /// Done.
        Ok = 0,
        /// The thing asked for does not exist.
        NotFound = 1,
        /// An argument is out of range or malformed.
        BadArgument = 2,
        /// A value exists but cannot be turned into bytes.
        SerializationFailure = 3,
        /// Bytes given by the guest cannot be parsed.
        ParseFailure = 4,
        /// An expression cannot be evaluated.
        BadExpression = 5,
        /// A pointer and length lie outside the guest's memory.
        InvalidMemoryAccess = 6,
        /// A queue is empty.
        Empty = 7,
        /// The compare-and-swap number given is not the current one.
        CasMismatch = 8,
        /// A result is not the expected one.
        ResultMismatch = 9,
        /// The host failed, or refuses.
        InternalFailure = 10,
        /// A connection was lost.
        BrokenConnection = 11,
        /// The host does not know the function.
        Unimplemented = 12,
    }
}

wire_enum! {
    /// Severity of a log line (`proxy_log_level_t`).
    LogLevel {
        /// Finest.
        Trace = 0,
        /// For debugging.
        Debug = 1,
        /// Ordinary events.
        Info = 2,
        /// Something odd.
        Warn = 3,
        /// Something failed.
        Error = 4,
        /// The worst.
        Critical = 5,
    }
}

wire_enum! {
    /// The buffer that a buffer hostcall means (`proxy_buffer_type_t`).
    BufferType {
        /// Body of the HTTP request.
        HttpRequestBody = 0,
        /// Body of the HTTP response.
        HttpResponseBody = 1,
        /// Bytes from the client of a TCP stream.
        DownstreamData = 2,
        /// Bytes from the upstream of a TCP stream.
        UpstreamData = 3,
        /// Body of the answer to an HTTP call.
        HttpCallResponseBody = 4,
        /// Message received on a gRPC call or stream.
        GrpcReceiveBuffer = 5,
        /// Configuration of the VM.
        VmConfiguration = 6,
        /// Configuration of the plugin.
        PluginConfiguration = 7,
        /// Arguments of `proxy_on_foreign_function`.
        CallData = 8,
    }
}

wire_enum! {
    /// The header map that a map hostcall means (`proxy_map_type_t`).
    MapType {
        /// Headers of the request, pseudo-headers included.
        HttpRequestHeaders = 0,
        /// Trailers of the request.
        HttpRequestTrailers = 1,
        /// Headers of the response, `:status` included.
        HttpResponseHeaders = 2,
        /// Trailers of the response.
        HttpResponseTrailers = 3,
        /// Initial metadata of a gRPC call.
        GrpcReceiveInitialMetadata = 4,
        /// Trailing metadata of a gRPC call.
        GrpcReceiveTrailingMetadata = 5,
        /// Headers of the answer to an HTTP call.
        HttpCallResponseHeaders = 6,
        /// Trailers of the answer to an HTTP call.
        HttpCallResponseTrailers = 7,
    }
}

wire_enum! {
    /// A direction of a stream (`proxy_stream_type_t`).
    StreamType {
        /// The HTTP request.
        HttpRequest = 0,
        /// The HTTP response.
        HttpResponse = 1,
        /// Bytes from the client.
        Downstream = 2,
        /// Bytes from the upstream.
        Upstream = 3,
    }
}

wire_enum! {
    /// The side that closed a connection (`proxy_peer_type_t`).
    PeerType {
        /// Not known.
        Unknown = 0,
        /// The proxy itself.
        Local = 1,
        /// The other side.
        Remote = 2,
    }
}

wire_enum! {
    /// Kind of a metric (`proxy_metric_type_t`).
    MetricType {
        /// Only grows.
        Counter = 0,
        /// Goes up and down.
        Gauge = 1,
        /// Distribution of samples.
        Histogram = 2,
    }
}
