//! A local response without a body has none, wherever the filter is loaded.
//!
//! covers: proxy_send_local_response
//! load: remap
//!
//! request: GET /
//! status: 403
//! header: x-why: none of yours
//! header: content-length: 0
//! no-header: content-type
//! upstream: none
//!
//! request: POST / h2
//! send-body: question
//! status: 403
//! header: x-why: none of yours
//! header: content-length: 0
//! upstream: none

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        local_response(403, "", "", &[("x-why", "none of yours")], NO_GRPC_STATUS);
        PAUSE
    }
}
