//! Computes for some 100 microseconds on each request, and answers for it in a header. The script that does the same in
//! Lua is in `xtask/src/bench_ats/`.

use bench_guests::{CONTINUE, REQUEST, add_header};

/// Rounds of the loop.
const ROUNDS: u32 = 45_000;

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(context: u32, _: u32, _: u32) -> u32 {
    let value = burn(context);
    add_header(
        REQUEST,
        "x-bench-burn",
        if value & 1 == 0 { "even" } else { "odd" },
    );
    CONTINUE
}

/// A chain of operations, each of which needs the one before (xorshift), so that no compiler can shorten it.
fn burn(seed: u32) -> u32 {
    let mut value = seed | 1;
    for _ in 0..ROUNDS {
        value ^= value << 13;
        value ^= value >> 17;
        value ^= value << 5;
    }
    value
}
