//! While the body callbacks return Continue each byte is seen exactly once, and the end is seen once.
//!
//! covers: proxy_on_request_body proxy_on_response_body
//!
//! request: POST /?chunk=four,&chunk=five,&chunk=six&delay=10
//! send-chunk: one,
//! send-chunk: two,
//! send-chunk: three
//! status: 200
//! body: four,five,six
//! upstream-body: one,two,three
//! log: info: body_streams request: one,two,three, ends 1
//! log: info: body_streams response: four,five,six, ends 1
//!
//! request: POST /?chunk=four,&chunk=five,&chunk=six&delay=10 h2
//! ats/skips: bodies of HTTP/2 without content-length
//! send-chunk: one,
//! send-chunk: two,
//! send-chunk: three
//! status: 200
//! body: four,five,six
//! upstream-body: one,two,three
//! embedded/log: info: body_streams request: one,two,three, ends 1
//! embedded/log: info: body_streams response: four,five,six, ends 1

use conformance::*;
use std::cell::{Cell, RefCell};

thread_local! {
    static SEEN: RefCell<[Vec<u8>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
    static ENDS: Cell<[u32; 2]> = const { Cell::new([0, 0]) };
}

fn see(body: u32, end: u32) -> u32 {
    let bytes = buffer(body, 0, u32::MAX).into_bytes();
    SEEN.with_borrow_mut(|seen| seen[body as usize].extend(bytes));
    let mut ends = ENDS.get();
    ends[body as usize] += end;
    ENDS.set(ends);
    CONTINUE
}

guest! {
    fn proxy_on_request_body(_: u32, _: u32, end: u32) -> u32 {
        see(REQUEST_BODY, end)
    }

    fn proxy_on_response_body(_: u32, _: u32, end: u32) -> u32 {
        see(RESPONSE_BODY, end)
    }

    fn proxy_on_log(_: u32) {
        let (seen, ends) = (SEEN.take(), ENDS.take());
        for (name, body) in [("request", REQUEST_BODY), ("response", RESPONSE_BODY)] {
            let at = body as usize;
            note!("body_streams {name}: {}, ends {}", seen[at].escape_ascii(), ends[at]);
        }
    }
}
