//! What cannot stand in a message never reaches the wire: a line break in a value would be a second header.
//!
//! covers: proxy_add_header_map_value proxy_replace_header_map_value
//!
//! request: GET /
//! send-header: x-keep: 1
//! status: 200
//! upstream: GET /c/header_names_and_values_that_cannot_stand/
//! upstream-header: x-keep: 1
//! upstream-header: x-fine: 1
//! upstream-no-header: x-injected
//! upstream-no-header: x-value
//! header: x-fine: 1
//! no-header: x-injected
//! no-header: x-value

use conformance::*;

fn spoil(map: u32) {
    // A name that could stand once does not make every value of it fine.
    add_header(map, "x-fine", "1");
    add_header(map, "x-fine", "2\r\nx-injected: 1");
    replace_header(map, "x-fine", "2\nx-injected: 1");
    add_header(map, "x-value", "1\r\nx-injected: 1");
    replace_header(map, "x-value", "1\nx-injected: 1");
    add_header(map, "x-injected: 1\r\nx-value", "1");
    add_header(map, "", "1");
    add_header(map, "x value", "1");
}

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        spoil(REQUEST);
        CONTINUE
    }

    fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
        spoil(RESPONSE);
        CONTINUE
    }
}
