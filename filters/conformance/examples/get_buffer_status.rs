//! Length of a body, and whether its end is in it.
//!
//! covers: proxy_get_buffer_status
//!
//! request: POST /
//! send-body: 0123456789
//! status: 200
//! body: request body -> Ok, 10 bytes, flags 1
//! body: response body -> NotFound
//! body: configuration -> Ok, 5 bytes
//! body: buffer 9 -> BadArgument
//! configuration: abcde

use conformance::*;

guest! {
    fn proxy_on_request_body(_: u32, _: u32, end: u32) -> u32 {
        if end == 0 {
            return PAUSE;
        }
        let body = buffer_status(REQUEST_BODY);
        let (name, number) = (status_name(body.status), body.into_number());
        say!("request body -> {name}, {} bytes, flags {}", number as u32, number >> 32);
        say!("response body -> {}", buffer_status(RESPONSE_BODY));
        let configuration = buffer_status(PLUGIN_CONFIGURATION);
        say!("configuration -> {}, {} bytes", status_name(configuration.status), configuration.into_number() as u32);
        say!("buffer 9 -> {}", buffer_status(9));
        reply()
    }
}
