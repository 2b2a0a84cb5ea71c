//! As for requests: while the body callback returns Pause the response body accumulates, and nothing is sent of it.
//!
//! covers: proxy_on_response_body
//!
//! request: GET /?chunk=one,&chunk=two,&chunk=three&delay=10
//! status: 200
//! body: [one,two,three]
//!
//! request: GET /?chunk=one,&chunk=two,&chunk=three&delay=10 h2
//! status: 200
//! body: [one,two,three]

use conformance::*;

guest! {
    fn proxy_on_response_body(_: u32, size: u32, end: u32) -> u32 {
        assert_eq!(u64::from(size), u64::from(buffer_status(RESPONSE_BODY).into_number() as u32));
        if end == 0 {
            return PAUSE;
        }
        set_buffer(RESPONSE_BODY, 0, 0, "[");
        set_buffer(RESPONSE_BODY, u32::MAX, 0, "]");
        CONTINUE
    }
}
