//! Properties of a response: in its headers callback, and all there is at the end.
//!
//! covers: proxy_get_property
//!
//! request: POST /?status=201&body=answer&header=x-token:9
//! send-body: question
//! status: 201
//! header: x-code: Ok 201
//! header: x-token: Ok "9"
//! log: info: get_property_response: code Ok 201, details via_upstream
//! log: info: get_property_response: response.size Ok 6, total more true
//! log: info: get_property_response: request.size Ok 8, total more true
//! log: info: get_property_response: request.duration more than 0: true
//! log: info: get_property_response: upstream.address is 127.0.0.1 and upstream.port: true
//! embedded/log: info: get_property_response: cluster origin
//! ats/log: info: get_property_response: cluster 127.0.0.1

use conformance::*;

fn number(path: &str) -> Answer {
    let bytes = property(path);
    let status = bytes.status;
    Answer::number(
        status,
        bytes.into_bytes().try_into().map_or(u64::MAX, u64::from_le_bytes),
    )
}

guest! {
    fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
        add_header(RESPONSE, "x-code", number("response.code").to_string());
        replace_header(RESPONSE, "x-token", property("response.headers.x-token").to_string());
        CONTINUE
    }

    fn proxy_on_log(_: u32) {
        let details = property("response.code_details").into_text();
        note!("get_property_response: code {}, details {details}", number("response.code"));
        for side in ["response", "request"] {
            let size = number(&format!("{side}.size"));
            let more = number(&format!("{side}.total_size")).into_number() > size.clone().into_number();
            note!("get_property_response: {side}.size {size}, total more {more}");
        }
        note!(
            "get_property_response: request.duration more than 0: {}",
            number("request.duration").into_number() as i64 > 0,
        );
        let (address, port) = (property("upstream.address").into_text(), number("upstream.port").into_number());
        note!(
            "get_property_response: upstream.address is 127.0.0.1 and upstream.port: {}",
            address == format!("127.0.0.1:{port}"),
        );
        note!("get_property_response: cluster {}", property("xds.cluster_name").into_text());
    }
}
