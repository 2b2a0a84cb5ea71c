//! Things that several unit tests need.

use std::sync::Arc;

use bytes::Bytes;
use http::uri::Scheme;
use http::{HeaderMap, Method, Version};
use weir_chain::RequestHead;
use weir_http_rules::request_path::RequestPath;

use crate::stream::facts::{ConnectionFacts, StreamFacts};
use crate::stream::{ProxyMessages, SharedState, StreamState};

/// The state of a stream that has just begun, with so many filters.
pub(crate) fn state(filters: usize) -> SharedState {
    let request = RequestHead {
        method: Method::POST,
        scheme: Scheme::HTTP,
        authority: Bytes::from_static(b"a.example"),
        path: RequestPath::root(),
        version: Version::HTTP_11,
        fields: HeaderMap::new(),
    };
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    let connection = ConnectionFacts {
        id: 1,
        peer: address,
        local: address,
        tls: None,
        activity: crate::watched_io::Activity::new(),
    };
    let facts = StreamFacts::new(Arc::new(connection), "route".into(), "cluster".into(), 1);
    StreamState::new(ProxyMessages::new(request, facts), filters).share()
}
