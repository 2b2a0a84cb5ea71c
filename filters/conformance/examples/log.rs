//! Lines of each level reach the log with the plugin's name, as far as its level lets them; a level beyond is refused.
//!
//! covers: proxy_log
//!
//! request: GET /
//! status: 200
//! body: trace: Ok
//! body: debug: Ok
//! body: info: Ok
//! body: warn: Ok
//! body: error: Ok
//! body: critical: Ok
//! body: level 6: BadArgument
//! body: empty: Ok
//! body: bytes: Ok
//! ats/log: trace: log at trace
//! ats/log: debug: log at debug
//! log: info: log at info
//! log: warn: log at warn
//! log: error: log at error
//! log: error: log at critical
//! embedded/no-log: log at trace

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        for (level, name) in ["trace", "debug", "info", "warn", "error", "critical"].iter().enumerate() {
            say!("{name}: {}", log(level as u32, format!("log at {name}")));
        }
        say!("level 6: {}", log(6, "log at six"));
        say!("empty: {}", log(INFO, ""));
        say!("bytes: {}", log(INFO, b"caf\xe9\0"));
        reply()
    }
}
