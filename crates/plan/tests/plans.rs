//! Plans of many filters: each VM is tried once, and who is refused.
#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use weir_abi::LogLevel;
use weir_config::{CodeSource, Environment, FilterConfig};
use weir_engine_wasmi::WasmiEngine;
use weir_host::{ForeignFunctions, Shared};
use weir_plan::{Planned, Planner, Runtimes};

/// Its configuration says what it does: `n` refuses, `t` traps, `2` traps if it is not alone. Each `proxy_on_configure` calls the
/// foreign function `count`.
const GUEST: &str = r#"(module
    (import "env" "proxy_get_buffer_bytes" (func $bytes (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_call_foreign_function" (func $call (param i32 i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "count")
    (global $contexts (mut i32) (i32.const 0))
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (param i32) (result i32) i32.const 1024)
    (func (export "proxy_on_context_create") (param i32 i32)
      (global.set $contexts (i32.add (global.get $contexts) (i32.const 1))))
    (func (export "proxy_on_configure") (param i32 i32) (result i32)
      (local $says i32)
      (drop (call $call (i32.const 16) (i32.const 5) (i32.const 0) (i32.const 0) (i32.const 32) (i32.const 36)))
      (drop (call $bytes (i32.const 7) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 4)))
      (local.set $says (i32.load8_u (i32.load (i32.const 0))))
      (if (i32.eq (local.get $says) (i32.const 0x74)) (then unreachable))
      (if (i32.and (i32.eq (local.get $says) (i32.const 0x32)) (i32.gt_u (global.get $contexts) (i32.const 1)))
        (then unreachable))
      (i32.ne (local.get $says) (i32.const 0x6e))))"#;

struct Plans {
    planner: Planner,
    configured: Arc<AtomicUsize>,
    module: PathBuf,
    _folder: tempfile::TempDir,
}

impl Plans {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let module = folder.path().join("guest.wasm");
        std::fs::write(&module, wat::parse_str(GUEST).unwrap()).unwrap();
        let configured = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&configured);
        let mut functions = ForeignFunctions::none();
        functions.add("count", move |_, _| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(Vec::new())
        });
        let runtimes = Runtimes::new([Arc::new(WasmiEngine::new()) as _]);
        Self {
            planner: Planner::new(runtimes, Shared::new(functions)),
            configured,
            module,
            _folder: folder,
        }
    }

    fn filter(&self, name: &str, configuration: &str) -> Arc<FilterConfig> {
        let path = PathBuf::from(format!("/{name}.yaml"));
        let mut filter = FilterConfig::stand_in(Path::new(&path), &Environment::empty());
        filter.configuration = configuration.into();
        filter.vm.code = Some(CodeSource::Local(self.module.clone()));
        filter.vm.runtime.name = "wasmi".to_owned();
        Arc::new(filter)
    }

    fn plan(&mut self, filters: &[Arc<FilterConfig>]) -> Planned {
        self.planner.plan(filters, &[], LogLevel::Info).unwrap()
    }

    /// How often `proxy_on_configure` has been called.
    fn configured(&self) -> usize {
        self.configured.load(Ordering::Relaxed)
    }
}

fn refused(planned: &Planned) -> Vec<&str> {
    planned
        .refused
        .iter()
        .map(|refusal| refusal.filter.as_str())
        .collect()
}

#[test]
fn a_plan_whose_vms_exist_is_not_tried_again() {
    let mut plans = Plans::new();
    let filters = [plans.filter("a", "1"), plans.filter("b", "1")];
    let first = plans.plan(&filters);
    assert_eq!(plans.configured(), 2);
    assert_eq!(first.position(&filters[1]), Some((0, 1)));
    // Equal, and read anew.
    let again = [plans.filter("a", "1"), plans.filter("b", "1")];
    let second = plans.plan(&again);
    assert!(Arc::ptr_eq(&first.vms[0], &second.vms[0]));
    assert_eq!(plans.configured(), 2);
    assert_eq!(second.position(&filters[1]), Some((0, 1)));
    // Another one is tried, whatever the old one does.
    let changed = [plans.filter("a", "1"), plans.filter("b", "other")];
    let other = plans.plan(&changed);
    assert_eq!((plans.configured(), other.vms.len()), (4, 1));
    drop((first, second));
    plans.plan(&again);
    assert_eq!(plans.configured(), 6, "nothing holds the plan any more");
}

#[test]
fn refused_configurations_cost_one_more_trial_however_many_there_are() {
    let mut plans = Plans::new();
    let mut filters = vec![plans.filter("first", "1")];
    filters.extend((0..20).map(|number| plans.filter(&format!("no{number}"), "n")));
    filters.push(plans.filter("last", "1"));
    let planned = plans.plan(&filters);
    assert_eq!(planned.refused.len(), 20);
    assert!(
        planned
            .refused
            .iter()
            .all(|refusal| refusal.filter.starts_with("no"))
    );
    assert_eq!(plans.configured(), 22 + 2);
    assert_eq!(planned.position(&filters[21]), Some((0, 1)));
    assert_eq!(planned.position(&filters[1]), None);
}

#[test]
fn a_filter_that_ends_the_vm_is_refused_and_the_others_are_not() {
    let mut plans = Plans::new();
    let filters = [
        plans.filter("a", "1"),
        plans.filter("trap", "t"),
        plans.filter("no", "n"),
        plans.filter("b", "1"),
    ];
    let planned = plans.plan(&filters);
    let mut names = refused(&planned);
    names.sort_unstable();
    assert_eq!(names, ["no", "trap"]);
    assert_eq!(planned.position(&filters[3]), Some((0, 1)));
}

#[test]
fn filters_that_start_alone_and_not_together_are_refused() {
    let mut plans = Plans::new();
    let filters = [plans.filter("a", "2"), plans.filter("b", "2")];
    let planned = plans.plan(&filters);
    assert_eq!(refused(&planned), ["a", "b"]);
    assert!(planned.vms.is_empty());
}
