//! The filter resets the stream: the client gets no response. A direction that does not exist is refused.
//!
//! covers: proxy_close_stream
//!
//! request: GET /
//! send-header: x-close: request
//! connection: reset
//! upstream: none
//!
//! request: GET / h2
//! send-header: x-close: request
//! embedded/connection: reset
//! ats/status: 500
//! upstream: none
//!
//! request: GET /
//! send-header: x-close: response
//! connection: reset
//!
//! request: GET / h2
//! send-header: x-close: response
//! embedded/connection: reset
//! ats/status: 500
//!
//! request: GET /
//! send-header: x-close: number
//! status: 200
//! body: stream 4: BadArgument

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        match header(REQUEST, "x-close").into_text().as_str() {
            "request" => {
                close_stream(REQUEST_STREAM);
                PAUSE
            }
            "number" => {
                say!("stream 4: {}", close_stream(4));
                reply()
            }
            _ => CONTINUE,
        }
    }

    fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
        if header(REQUEST, "x-close").into_text() == "response" {
            close_stream(RESPONSE_STREAM);
        }
        CONTINUE
    }
}
