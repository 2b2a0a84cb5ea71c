//! A proxy that has twenty headers and nothing else.

use std::time::Duration;

use weir_abi::{BufferType, LogLevel, MapType, Status, StreamType};
use weir_host::{
    BufferStatus, ContextId, Edit, Fact, FactValue, HeaderEdit, HttpCall, LocalResponse, Lookup, QueueWaker,
    Services, Stream,
};

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

/// The stream.
pub struct TwentyHeaders;

impl Stream for TwentyHeaders {
    fn header(&self, _map: MapType, name: &[u8], out: &mut Vec<u8>) -> Lookup {
        match HEADERS.iter().find(|(key, _)| *key == name) {
            Some((_, value)) => {
                out.extend_from_slice(value);
                Lookup::Found
            }
            None => Lookup::Missing,
        }
    }

    fn headers(&self, _map: MapType, visit: &mut dyn FnMut(&[u8], &[u8])) -> Lookup {
        for (name, value) in HEADERS {
            visit(name, value);
        }
        Lookup::Found
    }

    fn edit_headers(&mut self, _map: MapType, _edit: HeaderEdit<'_>) -> Edit {
        Edit::Absent
    }

    fn buffer(&self, _buffer: BufferType) -> Option<BufferStatus> {
        None
    }

    fn read_buffer(&self, _buffer: BufferType, _start: usize, _out: &mut [u8]) {}

    fn splice_buffer(&mut self, _buffer: BufferType, _start: usize, _len: usize, _data: &[u8]) -> Edit {
        Edit::Absent
    }

    fn fact(&self, _fact: Fact) -> Option<FactValue> {
        None
    }

    fn filter_state(&self, _path: &[u8], _out: &mut Vec<u8>) -> bool {
        false
    }

    fn set_filter_state(&mut self, _path: &[u8], _value: &[u8]) -> bool {
        false
    }

    fn resume(&mut self, _direction: StreamType) {}

    fn close(&mut self, _direction: StreamType) {}

    fn send_local_response(&mut self, _response: LocalResponse) -> bool {
        false
    }

    fn vm_died(&mut self) {}
}

/// A proxy without services.
pub struct NoServices;

impl Services for NoServices {
    fn http_call(&mut self, _token: u32, _call: HttpCall) -> Result<(), Status> {
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
