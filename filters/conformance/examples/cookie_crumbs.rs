//! Several `cookie` fields of a request of HTTP/2 are one, for filters and for the origin.
//!
//! covers: proxy_get_header_map_value
//!
//! request: GET / h2
//! send-header: cookie: theme=dark
//! send-header: x-between: 1
//! send-header: cookie: session=good; a=b
//! status: 200
//! header: x-cookie: theme=dark; session=good; a=b
//! upstream-header: cookie: theme=dark; session=good; a=b
//!
//! request: GET /
//! send-header: cookie: theme=dark
//! status: 200
//! header: x-cookie: theme=dark
//! upstream-header: cookie: theme=dark

use conformance::*;

guest! {
    fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
        add_header(RESPONSE, "x-cookie", header(REQUEST, "cookie").into_bytes());
        CONTINUE
    }
}
