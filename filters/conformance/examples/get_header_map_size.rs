//! The size of a header map is the bytes of its names and values.
//!
//! covers: proxy_get_header_map_size
//!
//! request: GET /
//! send-header: x-token: 7
//! status: 200
//! body: request headers -> Ok, the bytes of names and values: true
//! body: map 8 -> BadArgument

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        let bytes: usize =
            decode_pairs(&pairs(REQUEST).into_bytes()).iter().map(|(key, value)| key.len() + value.len()).sum();
        let size = map_size(REQUEST);
        say!(
            "request headers -> {}, the bytes of names and values: {}",
            status_name(size.status),
            size.into_number() == bytes as u64,
        );
        say!("map 8 -> {}", map_size(8));
        reply()
    }
}
