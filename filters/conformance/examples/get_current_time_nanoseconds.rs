//! The wall clock, in nanoseconds.
//!
//! covers: proxy_get_current_time_nanoseconds
//!
//! request: GET /
//! status: 200
//! body: status: Ok
//! body: after 2020 and before 2100: true
//! body: agrees with WASI to the second: true
//! body: misaligned: Ok, agrees: true

use conformance::*;
use std::time::SystemTime;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        let answer = current_time();
        let seconds = answer.clone().into_number() / 1_000_000_000;
        let wasi = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        say!("status: {}", status_name(answer.status));
        say!("after 2020 and before 2100: {}", (1_577_836_800..4_102_444_800).contains(&seconds));
        say!("agrees with WASI to the second: {}", wasi.abs_diff(seconds) <= 1);
        let mut out = [0u8; 16];
        let status = raw::proxy_get_current_time_nanoseconds(out.as_mut_ptr() as u32 + 3);
        let misaligned = u64::from_le_bytes(std::hint::black_box(out)[3..11].try_into().expect("eight bytes"));
        say!("misaligned: {}, agrees: {}", status_name(status), (misaligned / 1_000_000_000).abs_diff(seconds) <= 1);
        reply()
    }
}
