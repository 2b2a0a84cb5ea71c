//! Hooks: places in a transaction, a session or a connection where a plugin is called.

use crate::{
    Line, TS_EVENT_HTTP_READ_REQUEST_HDR, TS_EVENT_SSL_CERT, TS_EVENT_SSL_CLIENT_HELLO,
    TS_EVENT_SSL_SERVERNAME, TS_EVENT_SSL_VERIFY_CLIENT, TS_EVENT_SSL_VERIFY_SERVER, TS_EVENT_VCONN_CLOSE,
    TS_EVENT_VCONN_OUTBOUND_CLOSE, TS_EVENT_VCONN_OUTBOUND_START, TS_EVENT_VCONN_START, TSEvent, version,
};

c_enum! {
    /// The number of a hook in the running server. Those above 15 differ between the lines: they come from [`hook`].
    TSHttpHookID {
        TS_HTTP_READ_REQUEST_HDR_HOOK = 0,
        TS_HTTP_OS_DNS_HOOK = 1,
        TS_HTTP_SEND_REQUEST_HDR_HOOK = 2,
        TS_HTTP_READ_CACHE_HDR_HOOK = 3,
        TS_HTTP_READ_RESPONSE_HDR_HOOK = 4,
        TS_HTTP_SEND_RESPONSE_HDR_HOOK = 5,
        TS_HTTP_REQUEST_TRANSFORM_HOOK = 6,
        TS_HTTP_RESPONSE_TRANSFORM_HOOK = 7,
        TS_HTTP_SELECT_ALT_HOOK = 8,
        TS_HTTP_TXN_START_HOOK = 9,
        TS_HTTP_TXN_CLOSE_HOOK = 10,
        TS_HTTP_SSN_START_HOOK = 11,
        TS_HTTP_SSN_CLOSE_HOOK = 12,
        TS_HTTP_CACHE_LOOKUP_COMPLETE_HOOK = 13,
        TS_HTTP_PRE_REMAP_HOOK = 14,
        TS_HTTP_POST_REMAP_HOOK = 15,
    }
}

macro_rules! hooks {
    ($($(#[$doc:meta])* $hook:ident = $v9:expr, $v10:expr;)*) => {
        /// A hook, whatever its number is.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Hook {
            $($(#[$doc])* $hook,)*
        }

        impl Hook {
            /// Every hook.
            pub const ALL: &'static [Self] = &[$(Self::$hook,)*];

            /// Its number in a line of releases.
            pub const fn number(self, line: Line) -> TSHttpHookID {
                TSHttpHookID(match (self, line) {
                    $((Self::$hook, Line::V9) => $v9, (Self::$hook, Line::V10) => $v10,)*
                })
            }
        }
    };
}

hooks! {
    /// The client's request was read.
    ReadRequestHdr = 0, 0;
    /// The origin's name was resolved.
    OsDns = 1, 1;
    /// The request goes to the origin.
    SendRequestHdr = 2, 2;
    /// The header of a cached response was read.
    ReadCacheHdr = 3, 3;
    /// The origin's response header was read.
    ReadResponseHdr = 4, 4;
    /// The response goes to the client.
    SendResponseHdr = 5, 5;
    /// The request's body passes through a virtual connection of the plugin.
    RequestTransform = 6, 6;
    /// The response's body passes through a virtual connection of the plugin.
    ResponseTransform = 7, 7;
    /// One of several cached responses is chosen.
    SelectAlt = 8, 8;
    /// A transaction begins.
    TxnStart = 9, 9;
    /// A transaction ends.
    TxnClose = 10, 10;
    /// A session begins.
    SsnStart = 11, 11;
    /// A session ends.
    SsnClose = 12, 12;
    /// The cache has answered.
    CacheLookupComplete = 13, 13;
    /// Before `remap.config` is applied.
    PreRemap = 14, 14;
    /// After `remap.config` was applied.
    PostRemap = 15, 15;
    /// The response's body on the way to the client, to be read but not changed.
    ResponseClient = 16, 17;
    /// The request's body was read whole, with `proxy.config.http.request_buffer_enabled`.
    RequestBufferReadComplete = 27, 16;
    /// A client's connection was accepted.
    VconnStart = 17, 20;
    /// A client's connection ends.
    VconnClose = 18, 21;
    /// The first message of a TLS handshake was read.
    SslClientHello = 19, 22;
    /// A certificate is chosen.
    SslCert = 20, 23;
    /// The name that the client asks for is known.
    SslServername = 21, 24;
    /// The origin's certificate is verified.
    SslVerifyServer = 22, 25;
    /// The client's certificate is verified.
    SslVerifyClient = 23, 26;
    /// A TLS session is looked up, stored or dropped.
    SslSession = 24, 27;
    /// A connection to an origin begins.
    VconnOutboundStart = 25, 28;
    /// A connection to an origin ends.
    VconnOutboundClose = 26, 29;
}

impl Hook {
    /// The event a continuation gets at the hook, in a line of releases. `None` where one hook has several:
    /// [`SslSession`](Self::SslSession).
    ///
    /// For a hook of a transaction or session it is counted from the first one, and not always the constant that the
    /// headers name: on 9.2 a request's body that was read whole is announced by 60029, not by 60018.
    pub const fn event(self, line: Line) -> Option<TSEvent> {
        Some(match self {
            Self::VconnStart => TS_EVENT_VCONN_START,
            Self::VconnClose => TS_EVENT_VCONN_CLOSE,
            Self::SslClientHello => TS_EVENT_SSL_CLIENT_HELLO,
            Self::SslCert => TS_EVENT_SSL_CERT,
            Self::SslServername => TS_EVENT_SSL_SERVERNAME,
            Self::SslVerifyServer => TS_EVENT_SSL_VERIFY_SERVER,
            Self::SslVerifyClient => TS_EVENT_SSL_VERIFY_CLIENT,
            Self::VconnOutboundStart => TS_EVENT_VCONN_OUTBOUND_START,
            Self::VconnOutboundClose => TS_EVENT_VCONN_OUTBOUND_CLOSE,
            Self::SslSession => return None,
            _ => TSEvent(TS_EVENT_HTTP_READ_REQUEST_HDR.0 + self.number(line).0),
        })
    }
}

/// The number of a hook in the running server. Ends the process if `load` has not succeeded.
#[inline]
pub fn hook(hook: Hook) -> TSHttpHookID {
    hook.number(version().line)
}

/// The event a continuation gets at a hook of the running server. Ends the process if `load` has not succeeded.
#[inline]
pub fn hook_event(hook: Hook) -> Option<TSEvent> {
    hook.event(version().line)
}
