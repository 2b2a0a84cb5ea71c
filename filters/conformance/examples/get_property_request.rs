//! Properties of a request, with Envoy's names and encodings.
//!
//! covers: proxy_get_property
//!
//! request: GET /a/b?c=d
//! send-header: x-token: 7
//! send-header: x.dotted: 8
//! send-header: referer: http://r.test/
//! send-header: user-agent: tester
//! send-header: x-request-id: id-1
//! status: 200
//! body: request.path Ok "/c/get_property_request/a/b?c=d"
//! body: request.url_path Ok "/c/get_property_request/a/b"
//! body: request.query Ok "c=d"
//! body: request.host Ok "weir.test"
//! body: request.scheme Ok "http"
//! body: request.method Ok "GET"
//! body: request.protocol Ok "HTTP/1.1"
//! body: request.referer Ok "http://r.test/"
//! body: request.useragent Ok "tester"
//! body: request.id Ok "id-1"
//! body: request.headers.x-token Ok "7"
//! body: request.headers.x-gone NotFound
//! body: request.headers.x.dotted Ok "8"
//! body: trailing NUL Ok "GET"
//! body: request.headers holds x-token: true
//! body: request.time is now: true
//! body: response.code NotFound
//! body: request NotFound
//! body: nothing NotFound
//! body: no.such.thing NotFound
//! body: wild NotFound

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        for name in ["path", "url_path", "query", "host", "scheme", "method", "protocol", "referer", "useragent", "id"] {
            say!("request.{name} {}", property(&format!("request.{name}")));
        }
        say!("request.headers.x-token {}", property("request.headers.x-token"));
        say!("request.headers.x-gone {}", property("request.headers.x-gone"));
        say!("request.headers.x.dotted {}", property_raw("request\0headers\0x.dotted"));
        say!("trailing NUL {}", property_raw("request\0method\0"));
        let headers = show_pairs(&property("request.headers").into_bytes());
        say!("request.headers holds x-token: {}", headers.iter().any(|line| line == "x-token: 7"));
        let time = property("request.time").into_bytes().try_into().map_or(0, i64::from_le_bytes);
        let now = current_time().into_number() as i64;
        say!("request.time is now: {}", (now - time).abs() < 60_000_000_000);
        say!("response.code {}", property("response.code"));
        let whole = property("request").into_bytes();
        say!("request {}", if whole.is_empty() { "NotFound" } else { "a value" });
        say!("nothing {}", property(""));
        say!("no.such.thing {}", property("no.such.thing"));
        say!("wild {}", property_raw("\0\0\0"));
        reply()
    }
}
