//! With `strict`, a change that comes too late is what it is in Envoy: BadArgument.
//!
//! covers: proxy_replace_header_map_value
//! filter: strict = true
//!
//! request: GET /
//! status: 200
//! header: x-write: BadArgument
//! upstream: GET /c/header_edit_too_late_strict/
//! upstream-no-header: x-late

use conformance::*;

guest! {
    fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
        let write = replace_header(REQUEST, "x-late", "1");
        add_header(RESPONSE, "x-write", write.to_string());
        CONTINUE
    }
}
