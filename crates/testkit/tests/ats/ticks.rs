//! The VMs in which ticks run.

use std::time::Duration;

use serde_json::json;
use weir_testkit::config::{filter, set};
use weir_testkit::{Ats, AtsConfig, Guests, Origin, PATIENCE};

const TICKING: &str = include_str!("../guests/ticking.wat");

/// Starts a server with three net threads, and returns how many VMs tick. No thread sees a request.
fn vms_that_tick(ticks: Option<&str>, expected: usize) -> usize {
    let (origin, folder) = (Origin::start().unwrap(), tempfile::tempdir().unwrap());
    let module = Guests::assemble(folder.path(), "ticking", TICKING).unwrap();
    let mut block = filter("ticking", &module, "wasmi");
    if let Some(ticks) = ticks {
        set(&mut block, "ticks", json!(ticks));
    }
    let mut config = AtsConfig::new(origin.address()).filter(block);
    config.threads = 3;
    let ats = Ats::start(&config).unwrap();
    let ticking = |lines: &[weir_testkit::LogLine]| {
        let says = |line: &&weir_testkit::LogLine| line.message().contains("ticking");
        lines.iter().filter(says).count()
    };
    let enough = ats
        .logs()
        .wait(PATIENCE, |lines| (ticking(lines) >= expected).then_some(()));
    assert!(enough.is_some(), "{}", ats.logs().text());
    // Nothing tells that no more VMs tick, but time.
    let more = |lines: &[weir_testkit::LogLine]| (ticking(lines) > expected).then_some(());
    ats.logs().wait(Duration::from_millis(300), more);
    ticking(&ats.logs().lines())
}

#[test]
fn ticks_run_in_one_vm_unless_the_filter_wants_all() {
    for (ticks, expected) in [(None, 1), (Some("one_vm"), 1), (Some("every_vm"), 3)] {
        assert_eq!(vms_that_tick(ticks, expected), expected, "{ticks:?}");
    }
}
