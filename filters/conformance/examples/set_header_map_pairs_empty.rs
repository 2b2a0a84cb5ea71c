//! The ways to say "no pairs": nothing at all, a count of zero, a single zero byte.
//!
//! covers: proxy_set_header_map_pairs
//!
//! request: GET /
//! send-header: x-old: 1
//! status: 200
//! body: nothing: Ok, x-old NotFound, :path kept true
//! body: a count of zero: Ok, x-old NotFound, :path kept true
//! body: a zero byte: Ok, x-old NotFound, :path kept true

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        let forms: [(&str, &[u8]); 3] = [("nothing", b""), ("a count of zero", &[0; 4]), ("a zero byte", &[0])];
        for (name, bytes) in forms {
            replace_header(REQUEST, "x-old", "1");
            let set = set_pairs_raw(REQUEST, bytes);
            let kept = header(REQUEST, ":path").into_text() == "/c/set_header_map_pairs_empty/";
            say!("{name}: {set}, x-old {}, :path kept {kept}", header(REQUEST, "x-old"));
        }
        reply()
    }
}
