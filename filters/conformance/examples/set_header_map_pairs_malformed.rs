//! Bytes that are no pairs are refused, and the map stays as it is. A map that the phase does not have is refused too.
//!
//! covers: proxy_set_header_map_pairs
//!
//! request: GET /
//! send-header: x-old: 1
//! status: 200
//! header: x-report: short count: BadArgument
//! header: x-report: lengths missing: BadArgument
//! header: x-report: length beyond the end: BadArgument
//! header: x-report: count beyond reason: BadArgument
//! header: x-report: length beyond reason: BadArgument
//! header: x-report: x-old: Ok "1"
//! header: x-report: map 8: BadArgument
//! upstream: GET /c/set_header_map_pairs_malformed/
//! upstream-header: x-old: 1

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        let whole = encode_pairs(&[("x-new", "1")]);
        let mut long = whole.clone();
        long[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        say!("short count: {}", set_pairs_raw(REQUEST, &whole[..3]));
        say!("lengths missing: {}", set_pairs_raw(REQUEST, &whole[..9]));
        say!("length beyond the end: {}", set_pairs_raw(REQUEST, &whole[..whole.len() - 2]));
        say!("count beyond reason: {}", set_pairs_raw(REQUEST, u32::MAX.to_le_bytes()));
        say!("length beyond reason: {}", set_pairs_raw(REQUEST, long));
        say!("x-old: {}", header(REQUEST, "x-old"));
        say!("map 8: {}", set_pairs_raw(8, whole));
        CONTINUE
    }

    fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
        for line in take_report().lines() {
            add_header(RESPONSE, "x-report", line);
        }
        CONTINUE
    }
}
