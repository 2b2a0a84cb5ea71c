//! The response callbacks of the filter run for its own reply.
//!
//! covers: proxy_send_local_response proxy_on_response_headers
//!
//! request: GET /
//! status: 403
//! header: x-seen: 403
//! body: no
//! log: info: send_local_response_is_seen: logged 403, send_local_response_is_seen_details

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        local_response(403, "send_local_response_is_seen details", "no", &[], NO_GRPC_STATUS);
        PAUSE
    }

    fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
        add_header(RESPONSE, "x-seen", header(RESPONSE, ":status").into_bytes());
        CONTINUE
    }

    fn proxy_on_log(_: u32) {
        let details = property("response.code_details").into_text();
        note!("send_local_response_is_seen: logged {}, {details}", header(RESPONSE, ":status").into_text());
    }
}
