//! A call that cannot be made is refused at once, with a status that no SDK panics on, and nothing comes later.
//!
//! covers: proxy_http_call
//!
//! request: GET /
//! status: 200
//! body: unknown upstream: BadArgument
//! body: no upstream: BadArgument
//! body: no :method: BadArgument
//! body: no :path: BadArgument
//! body: no :authority: BadArgument
//! body: negative timeout: BadArgument
//! body: malformed headers: BadArgument
//! body: malformed trailers: BadArgument
//! no-log: http_call_refused: called back

use conformance::*;

const WHOLE: [(&str, &str); 3] = [
    (":method", "GET"),
    (":path", "/call/http_call_refused"),
    (":authority", "call.test"),
];

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        say!("unknown upstream: {}", http_call("nobody", &WHOLE, "", 1000));
        say!("no upstream: {}", http_call("", &WHOLE, "", 1000));
        for (without, name) in [":method", ":path", ":authority"].into_iter().enumerate() {
            let mut headers = WHOLE.to_vec();
            headers.remove(without);
            say!("no {name}: {}", http_call("origin", &headers, "", 1000));
        }
        say!("negative timeout: {}", http_call("origin", &WHOLE, "", -1_i32 as u32));
        say!("malformed headers: {}", http_call_raw("origin", &[9, 0, 0, 0], "", &[], 1000));
        say!("malformed trailers: {}", http_call_raw("origin", &encode_pairs(&WHOLE), "", &[9, 0, 0, 0], 1000));
        reply()
    }

    fn proxy_on_http_call_response(_: u32, _: u32, _: u32, _: u32, _: u32) {
        note!("http_call_refused: called back");
    }
}
