//! Whatever a guest sets, messages are framed one way.

use serde_json::json;
use weir_testkit::config::{filter, set};
use weir_testkit::{Ats, AtsConfig, Guests, Origin};

use crate::edits;

#[test]
fn random_edits_leave_messages_framed_one_way() {
    let origin = Origin::start().unwrap();
    let module = Guests::build().unwrap().filter("editor").unwrap();
    let mut editor = filter("editor", &module, "wasmtime");
    set(&mut editor, "upstreams", json!({ "origin": origin.url() }));
    let ats = Ats::start(&AtsConfig::new(origin.address()).filter(editor)).unwrap();
    edits::hold(ats.address(), &origin, 300);
}
