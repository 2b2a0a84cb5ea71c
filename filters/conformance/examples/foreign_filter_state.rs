//! Envoy's functions that declare and set filter state: accepted, and readable as a property.
//!
//! covers: proxy_call_foreign_function
//!
//! request: GET /
//! status: 200
//! body: declare_property: Ok
//! body: set_envoy_filter_state: Ok
//! body: filter_state.my.state: Ok "value"

use conformance::*;

/// A field of a protobuf message: its number and bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
}

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        let declare = foreign("declare_property", field(1, b"my.note"));
        say!("declare_property: {}", status_name(declare.status));
        let set = foreign("set_envoy_filter_state", [field(1, b"my.state"), field(2, b"value")].concat());
        say!("set_envoy_filter_state: {}", status_name(set.status));
        say!("filter_state.my.state: {}", property_raw("filter_state\0my.state"));
        reply()
    }
}
