//! Hashes bodies while they stream by and puts the SHA-256 into the trailer `x-body-sha256`, in both directions.
#![forbid(unsafe_code)]

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, BufferType, LogLevel, MapType};
use sha2::{Digest, Sha256};

const TRAILER: &str = "x-body-sha256";

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_http_context(|_, _| Box::new(BodyHash { request: Sha256::new(), response: Sha256::new() }));
}}

struct BodyHash {
    request: Sha256,
    response: Sha256,
}

impl HttpContext for BodyHash {
    fn on_http_request_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        announce(MapType::HttpRequestHeaders, end_of_stream);
        Action::Continue
    }

    fn on_http_request_body(&mut self, body_size: usize, end_of_stream: bool) -> Action {
        update(&mut self.request, BufferType::HttpRequestBody, body_size);
        if end_of_stream {
            finish(&mut self.request, MapType::HttpRequestTrailers);
        }
        Action::Continue
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        finish(&mut self.request, MapType::HttpRequestTrailers);
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        announce(MapType::HttpResponseHeaders, end_of_stream);
        Action::Continue
    }

    fn on_http_response_body(&mut self, body_size: usize, end_of_stream: bool) -> Action {
        update(&mut self.response, BufferType::HttpResponseBody, body_size);
        if end_of_stream {
            finish(&mut self.response, MapType::HttpResponseTrailers);
        }
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        finish(&mut self.response, MapType::HttpResponseTrailers);
        Action::Continue
    }
}

impl Context for BodyHash {}

/// Says in the headers that the trailer will come (RFC 9110, 6.6.2). HTTP/1.1 carries trailers only with chunked
/// bodies, so the length, which would forbid chunks, goes.
fn announce(headers: MapType, end_of_stream: bool) {
    if end_of_stream {
        return;
    }
    // Neither fails: the SDK ends the guest on any status but Ok.
    let _ = hostcalls::remove_map_value(headers, "content-length");
    let _ = hostcalls::add_map_value(headers, "trailer", TRAILER);
}

/// Takes in the new piece. After `Continue` the host shows each piece once, so nothing piles up.
fn update(hash: &mut Sha256, buffer: BufferType, size: usize) {
    if let Ok(Some(piece)) = hostcalls::get_buffer(buffer, 0, size) {
        hash.update(&piece);
    }
}

/// Sets the trailer. The host makes trailers where the message had none.
fn finish(hash: &mut Sha256, trailers: MapType) {
    let digest = hash.finalize_reset();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let _ = hostcalls::set_map_value(trailers, TRAILER, Some(&hex));
}
