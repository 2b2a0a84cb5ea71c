//! Replacing leaves one field line, at the place of the first; a name that was absent is added.
//!
//! covers: proxy_replace_header_map_value
//!
//! request: GET /
//! send-header: x-list: one
//! send-header: x-list: two
//! send-header: x-after: 1
//! status: 201
//! header: x-report: several: Ok
//! header: x-report: absent: Ok
//! header: x-report: :method: Ok
//! header: x-report: :authority: Ok
//! header: x-report: map 8: BadArgument
//! header: x-report: order: x-list x-after x-new
//! header: x-origin: 2
//! upstream: PUT /c/replace_header_map_value/
//! upstream-header: host: other.test
//! upstream-header: x-list: three
//! upstream-header: x-new: 1

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        say!("several: {}", replace_header(REQUEST, "X-LIST", "three"));
        say!("absent: {}", replace_header(REQUEST, "x-new", "1"));
        say!(":method: {}", replace_header(REQUEST, ":method", "PUT"));
        say!(":authority: {}", replace_header(REQUEST, ":authority", "other.test"));
        say!("map 8: {}", replace_header(8, "x-new", "1"));
        let names: Vec<String> = decode_pairs(&pairs(REQUEST).into_bytes())
            .iter()
            .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
            .filter(|name| name.starts_with("x-"))
            .collect();
        say!("order: {}", names.join(" "));
        CONTINUE
    }

    fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
        for line in take_report().lines() {
            add_header(RESPONSE, "x-report", line);
        }
        replace_header(RESPONSE, "x-origin", "2");
        replace_header(RESPONSE, ":status", "201");
        CONTINUE
    }
}
