//! Log lines of guests.

use serde_json::json;
use weir_testkit::config::{filter, set};
use weir_testkit::{Ats, AtsConfig, Guests, Origin};

/// Logs a line of each level when it is configured.
const TALKATIVE: &str = r#"(module
    (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "line of 0line of 1line of 2line of 3")
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) i32.const 1024)
    (func $say (param i32)
      (drop (call $log (local.get 0) (i32.add (i32.const 16) (i32.mul (local.get 0) (i32.const 9))) (i32.const 9))))
    (func (export "proxy_on_configure") (param i32 i32) (result i32)
      (call $say (i32.const 0)) (call $say (i32.const 1)) (call $say (i32.const 2)) (call $say (i32.const 3))
      i32.const 1))"#;

/// `log_level` makes a filter quieter.
#[test]
fn lines_of_every_level_show_with_the_debug_tag() {
    let origin = Origin::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let module = Guests::assemble(folder.path(), "talkative", TALKATIVE).unwrap();
    let talkative = filter("talkative", &module, "wasmtime");
    let mut quiet = talkative.clone();
    set(&mut quiet, "log_level", json!("info"));
    for (block, tag, shown) in [
        (&talkative, 1, [true, true, true, true]),
        (&quiet, 1, [false, false, true, true]),
        (&talkative, 0, [false, false, false, true]),
    ] {
        let config = AtsConfig::new(origin.address())
            .filter(block.clone())
            .record("proxy.config.diags.debug.enabled", tag);
        let ats = Ats::start(&config).unwrap();
        ats.logs().wait_for("line of 3").unwrap();
        let text = ats.logs().text();
        for (level, shown) in shown.into_iter().enumerate() {
            assert_eq!(
                text.contains(&format!("line of {level}")),
                shown,
                "level {level}, tag {tag}\n{text}"
            );
        }
    }
}
