//! Trailers that come from a client or an origin.

/// The fate of the trailers that a sender has put behind a body. Trailers that filters add go out in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Trailers {
    /// Over HTTP/2 they are passed on, over HTTP/1.1 dropped, as in Envoy. The default.
    #[default]
    ByProtocol,
    /// They are passed on. A body with trailers then has no piece with `end_of_stream`: they end the message.
    Pass,
    /// They are dropped, and the body ends the message.
    Drop,
}

impl Trailers {
    /// Returns true if trailers that came over HTTP/2, or else HTTP/1.1, are passed on.
    pub fn passes(self, http2: bool) -> bool {
        match self {
            Self::ByProtocol => http2,
            Self::Pass => true,
            Self::Drop => false,
        }
    }
}
