//! Whatever a guest sets, messages are framed one way.

use serde_json::json;
use weir_testkit::client::{Http1, Request};
use weir_testkit::config::{Config, filter};
use weir_testkit::{Guests, Origin, Weir};

use crate::edits;

#[test]
fn random_edits_leave_messages_framed_one_way() {
    let origin = Origin::start().unwrap();
    let module = Guests::build().unwrap().filter("editor").unwrap();
    let config = Config::new(&origin.url())
        .with_trailers()
        .filter("editor", filter("editor", &module, "wasmtime"))
        .route("/", &["editor"]);
    let weir = Weir::start(config.value()).unwrap();
    edits::hold(weir.address(), &origin, 300);
}

/// A filter that answers the request sees its own answer as a response, and answers again: that is refused, and what the filter
/// does then holds nothing up.
#[test]
fn a_refused_answer_holds_nothing_up() {
    let origin = Origin::start().unwrap();
    let module = Guests::build().unwrap().filter("editor").unwrap();
    let config = Config::new(&origin.url())
        .with_trailers()
        .filter("editor", filter("editor", &module, "wasmtime"))
        .route("/", &["editor"]);
    let weir = Weir::start(config.value()).unwrap();
    let twice = json!([
        ["request", { "reply_and_pause": [403, "first", [["x-first", "1"]]] }],
        ["response", { "reply_and_pause": [451, "second", []] }],
    ]);
    let request = Request::get("/").header("x-edits", twice.to_string());
    let outcome = Http1::connect(weir.address()).unwrap().request(&request).unwrap();
    let response = outcome.response().unwrap();
    assert_eq!(
        (response.status, response.text().as_str()),
        (403, "first"),
        "{response:?}"
    );
}
