//! Whatever a guest sets, messages are framed one way.

use weir_testkit::config::{Config, filter};
use weir_testkit::{Guests, Origin, Weir};

use crate::edits;

#[test]
fn random_edits_leave_messages_framed_one_way() {
    let origin = Origin::start().unwrap();
    let module = Guests::build().unwrap().filter("editor").unwrap();
    let config = Config::new(&origin.url())
        .filter("editor", filter("editor", &module, "wasmtime"))
        .route("/", &["editor"]);
    let weir = Weir::start(config.value()).unwrap();
    edits::hold(weir.address(), &origin, 300);
}
