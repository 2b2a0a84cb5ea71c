//! Whatever a guest sets, messages are framed one way.

use serde_json::json;
use weir_testkit::client::{Http1, Request};
use weir_testkit::config::{filter, set};
use weir_testkit::{Ats, AtsConfig, Guests, Origin};

use crate::edits;

#[test]
fn random_edits_leave_messages_framed_one_way() {
    let (origin, ats) = editor();
    edits::hold(ats.address(), &origin, 300);
}

/// The server has framed the response by its status. It would send the body all the same, which the client would read as the
/// next response, or announce no length, so that the client would wait.
#[test]
fn a_response_keeps_a_status_that_frames_it_alike() {
    let (_origin, ats) = editor();
    let mut client = Http1::connect(ats.address()).unwrap();
    for status in ["204", "205", "304"] {
        let edits = json!([["response", { "replace": [":status", status] }]]).to_string();
        for query in ["body=answer", "chunk=an&chunk=swer"] {
            let request = Request::get(&format!("/edit?{query}")).header("x-edits", &edits);
            let response = client.request(&request).unwrap().response().unwrap();
            assert_eq!(
                (response.status, response.text().as_str()),
                (200, "answer"),
                "{status}, {query}"
            );
        }
    }
}

/// An origin, and a server whose filter makes the edits that a request asks for.
fn editor() -> (Origin, Ats) {
    let origin = Origin::start().unwrap();
    let module = Guests::build().unwrap().filter("editor").unwrap();
    let mut editor = filter("editor", &module, "wasmtime");
    set(&mut editor, "upstreams", json!({ "origin": origin.url() }));
    let ats = Ats::start(&AtsConfig::new(origin.address()).filter(editor)).unwrap();
    (origin, ats)
}
