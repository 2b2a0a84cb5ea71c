//! Addresses need not be aligned.
//!
//! covers: proxy_get_header_map_value proxy_get_buffer_status proxy_define_metric
//!
//! request: GET /
//! send-header: x-token: 7
//! status: 200
//! body: header Ok, 1 byte: true
//! body: buffer status Ok, 0 bytes: true

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        let mut out = [0_u8; 32];
        let base = out.as_mut_ptr() as u32;
        let key = b"_x-token";
        let status = raw::proxy_get_header_map_value(REQUEST, key.as_ptr() as u32 + 1, 7, base + 1, base + 7);
        let seen = std::hint::black_box(out);
        let size = u32::from_le_bytes([seen[7], seen[8], seen[9], seen[10]]);
        say!("header {}, 1 byte: {}", status_name(status), size == 1);

        let mut out = [0xff_u8; 32];
        let base = out.as_mut_ptr() as u32;
        let status = raw::proxy_get_buffer_status(PLUGIN_CONFIGURATION, base + 1, base + 7);
        let seen = std::hint::black_box(out);
        let size = u32::from_le_bytes([seen[1], seen[2], seen[3], seen[4]]);
        say!("buffer status {}, 0 bytes: {}", status_name(status), size == 0);
        reply()
    }
}
