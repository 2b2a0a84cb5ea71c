//! Ranges of a body: a start beyond the end is Ok and empty, a length beyond it is cut, a sum that overflows is refused
//! unless the length is the largest there is, by which SDKs mean all. A body that is not there is empty.
//!
//! covers: proxy_get_buffer_bytes proxy_on_request_body
//!
//! request: POST /
//! send-body: 0123456789
//! status: 200
//! body: 0, 10 -> Ok "0123456789"
//! body: 2, 3 -> Ok "234"
//! body: 8, 100 -> Ok "89"
//! body: 0, max -> Ok "0123456789"
//! body: 5, 0 -> Ok ""
//! body: 10, 1 -> Ok ""
//! body: 11, 1 -> Ok ""
//! body: 1, max -> Ok "123456789"
//! body: 2, max - 1 -> BadArgument
//! body: max, 1 -> BadArgument
//! body: response body -> Ok ""
//! body: downstream data -> Ok ""
//! body: upstream data -> Ok ""
//! body: call body -> NotFound
//! body: gRPC message -> NotFound
//! body: call data -> NotFound
//! body: buffer 9 -> BadArgument

use conformance::*;

guest! {
    fn proxy_on_request_body(_: u32, _: u32, end: u32) -> u32 {
        if end == 0 {
            return PAUSE;
        }
        const MAX: u32 = u32::MAX;
        let ranges =
            [(0, 10), (2, 3), (8, 100), (0, MAX), (5, 0), (10, 1), (11, 1), (1, MAX), (2, MAX - 1), (MAX, 1)];
        for (start, max) in ranges {
            let show = |number| match number {
                MAX => "max".to_owned(),
                number if number == MAX - 1 => "max - 1".to_owned(),
                number => number.to_string(),
            };
            say!("{}, {} -> {}", show(start), show(max), buffer(REQUEST_BODY, start, max));
        }
        say!("response body -> {}", buffer(RESPONSE_BODY, 0, 10));
        say!("downstream data -> {}", buffer(DOWNSTREAM_DATA, 0, 10));
        say!("upstream data -> {}", buffer(UPSTREAM_DATA, 0, 10));
        say!("call body -> {}", buffer(CALL_BODY, 0, 10));
        say!("gRPC message -> {}", buffer(GRPC_MESSAGE, 0, 10));
        say!("call data -> {}", buffer(CALL_DATA, 0, 10));
        say!("buffer 9 -> {}", buffer(9, 0, 10));
        reply()
    }
}
