//! Measures the cost of a VM: started and configured, and from a snapshot. `cargo xtask bench-snapshot` runs it.
//!
//! `snapshot-figures MODULE [crs]`: with `crs`, the module's configuration is the OWASP Core Rule Set. Prints
//! `name value` lines.
#![forbid(unsafe_code)]
#![allow(
    clippy::expect_used,
    reason = "a figure of something broken is worse than none"
)]

use std::path::PathBuf;

use weir_benches::{Filter, Serving, core_rule_set, engine, median, print, private, timed};

/// VMs of each kind.
const VMS: usize = 10;

/// Requests that a VM is shown before it is frozen.
const WARM_UP: usize = 2;

/// Requests after which memory is looked at again.
const REQUESTS: usize = 100;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let module = PathBuf::from(arguments.next().expect("a module"));
    let configuration = match arguments.next() {
        Some(_) => core_rule_set(),
        None => String::new(),
    };
    let engine = engine("wasmtime", &[]);
    let filter = Filter::load_for_snapshots(engine.as_ref(), &module, &configuration);

    print(
        "ready, started, ms",
        1e3 * median(VMS as u32, || timed(|| drop(filter.start()))),
    );
    series("started", || filter.start());

    let mut snapshot = None;
    print(
        "snapshot, ms",
        1e3 * timed(|| snapshot = Some(filter.snapshot(WARM_UP))),
    );
    let snapshot = snapshot.expect("it was taken");
    print("shared, MiB", snapshot.memory_size() as f64 / MIB);
    print(
        "ready, from the snapshot, ms",
        1e3 * median(VMS as u32, || timed(|| drop(filter.continue_from(&snapshot)))),
    );
    series("from the snapshot", || filter.continue_from(&snapshot));
}

const MIB: f64 = (1 << 20) as f64;

/// Private memory of a VM at rest and after requests, and how long its first one takes.
fn series(kind: &str, start: impl Fn() -> Serving) {
    let before = private();
    let mut vms: Vec<Serving> = (0..VMS).map(|_| start()).collect();
    let each = || (private() - before) / VMS as f64 / MIB;
    print(&format!("private at rest, {kind}, MiB"), each());
    let mut rest = vms.iter_mut();
    let first = median(VMS as u32, || {
        rest.next().map_or(0.0, |vm| timed(|| vm.request(&[], false)))
    });
    print(&format!("first request, {kind}, ms"), 1e3 * first);
    for vm in &mut vms {
        (1..REQUESTS).for_each(|_| vm.request(&[], false));
    }
    print(&format!("private after {REQUESTS} requests, {kind}, MiB"), each());
    let vm = &mut vms[0];
    print(
        &format!("later request, {kind}, ms"),
        1e3 * median(50, || timed(|| vm.request(&[], false))),
    );
}
