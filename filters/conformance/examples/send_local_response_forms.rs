//! The edges of a local response.
//!
//! covers: proxy_send_local_response
//!
//! request: GET /
//! send-header: x-form: empty
//! status: 204
//! no-header: content-type
//! body:
//!
//! request: GET /
//! send-header: x-form: own type
//! status: 200
//! header: content-type: application/json
//! body: {}
//!
//! request: GET /
//! send-header: x-form: twice
//! status: 401
//! body: first
//!
//! request: GET /
//! send-header: x-form: bad status
//! status: 500
//!
//! request: GET /
//! send-header: x-form: bad header names
//! status: 200
//! header: x-good: 1
//! no-header: x-injected
//! body: ok
//!
//! request: GET /
//! send-header: x-form: malformed headers
//! status: 200
//! body: malformed: BadArgument
//!
//! request: GET /
//! send-header: x-form: continue
//! status: 403
//! body: no
//! upstream: none

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        match header(REQUEST, "x-form").into_text().as_str() {
            "empty" => local_response(204, "", "", &[], NO_GRPC_STATUS),
            "own type" => {
                local_response(200, "", "{}", &[("content-type", "application/json")], NO_GRPC_STATUS)
            }
            "twice" => {
                local_response(401, "", "first", &[], NO_GRPC_STATUS);
                local_response(402, "", "second", &[], NO_GRPC_STATUS)
            }
            "bad status" => local_response(42, "", "", &[], NO_GRPC_STATUS),
            "bad header names" => local_response(
                200,
                "",
                "ok",
                &[("x bad", "1"), ("x-bad", "1\r\nx-injected: 1"), ("x-good", "1")],
                NO_GRPC_STATUS,
            ),
            "malformed headers" => {
                let status = local_response_raw(403, "", b"", &[1, 2, 3], NO_GRPC_STATUS);
                local_response(200, "", format!("malformed: {status}"), &[], NO_GRPC_STATUS)
            }
            // What the callback returns no longer matters after a local response.
            _ => {
                local_response(403, "", "no", &[], NO_GRPC_STATUS);
                return CONTINUE;
            }
        };
        PAUSE
    }
}
