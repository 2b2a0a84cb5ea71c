//! Before 0.2.0 a header that is missing was Ok and empty, and callbacks of headers had two parameters.
//!
//! covers: proxy_get_header_map_value proxy_on_request_headers/0.1.0 proxy_on_response_headers/0.1.0
//!
//! request: GET /
//! send-header: x-token: 7
//! status: 200
//! header: x-token: Ok "7"
//! header: x-missing: Ok ""
//! header: x-status: Ok "200"
//! header: x-response-missing: Ok ""

use conformance::*;

guest! {
    abi proxy_abi_version_0_1_0;

    fn proxy_on_request_headers(_: u32, _: u32) -> u32 {
        say!("{}", header(REQUEST, "x-token"));
        say!("{}", header(REQUEST, "x-missing"));
        CONTINUE
    }

    fn proxy_on_response_headers(_: u32, _: u32) -> u32 {
        let report = take_report();
        for (name, line) in ["x-token", "x-missing"].iter().zip(report.lines()) {
            add_header(RESPONSE, name, line);
        }
        add_header(RESPONSE, "x-status", header(RESPONSE, ":status").to_string());
        add_header(RESPONSE, "x-response-missing", header(RESPONSE, "x-gone").to_string());
        CONTINUE
    }
}
