//! The request of every bench, and a proxy without services.

use std::time::Duration;

use weir_abi::{LogLevel, Status};
use weir_host::{CallTicket, ContextId, HttpCall, QueueWaker, Services, TrialServices};

/// The request of every bench.
pub const HEADERS: [(&[u8], &[u8]); 20] = [
    (b":authority", b"www.example.com"),
    (b":path", b"/index.html?page=7"),
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (
        b"user-agent",
        b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    ),
    (
        b"accept",
        b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    ),
    (b"accept-encoding", b"gzip, deflate, br"),
    (b"accept-language", b"en-US,en;q=0.5"),
    (b"x-header-8", b"a value"),
    (b"x-header-9", b"a value"),
    (b"x-header-10", b"the value that is asked for"),
    (b"x-header-11", b"a value"),
    (b"x-header-12", b"a value"),
    (b"x-header-13", b"a value"),
    (b"x-header-14", b"a value"),
    (b"x-header-15", b"a value"),
    (b"x-header-16", b"a value"),
    (b"x-header-17", b"a value"),
    (b"x-forwarded-for", b"192.0.2.7"),
    (b"cookie", b"session=0123456789abcdef0123456789abcdef; theme=dark"),
];

/// A proxy without services.
pub struct NoServices;

impl TrialServices for NoServices {
    fn knows(&self, _upstream: &[u8]) -> bool {
        false
    }

    fn log_level(&self) -> LogLevel {
        Services::log_level(self)
    }

    fn keeps(&self, level: LogLevel, plugin: Option<&str>) -> bool {
        Services::keeps(self, level, plugin)
    }

    fn log(&self, level: LogLevel, plugin: Option<&str>, message: &[u8]) {
        Services::log(self, level, plugin, message);
    }

    fn log_about(&self, level: LogLevel, plugin: Option<&str>, message: &str) {
        Services::log_about(self, level, plugin, message);
    }
}

impl Services for NoServices {
    fn http_call(&mut self, _token: u32, _call: HttpCall, _ticket: CallTicket) -> Result<(), Status> {
        Err(Status::InternalFailure)
    }

    fn set_tick_period(&mut self, _plugin: ContextId, _period: Option<Duration>) {}

    fn log_level(&self) -> LogLevel {
        LogLevel::Info
    }

    fn log(&self, _level: LogLevel, _plugin: Option<&str>, message: &[u8]) {
        eprintln!("guest: {}", String::from_utf8_lossy(message));
    }
}

impl QueueWaker for NoServices {
    fn wake(&self, _plugin: ContextId, _queue: u32) {}
}
