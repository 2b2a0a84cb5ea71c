//! Modules from a source that is no file, on their way to VMs that run.
#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use weir_abi::{Callback, LogLevel, Status};
use weir_config::{CodeSource, Environment, FilterConfig};
use weir_engine_wasmi::WasmiEngine;
use weir_host::{CallTicket, ContextId, ForeignFunctions, HttpCall, QueueWaker, Services, Shared};
use weir_loader::{FetchError, FileDigest, ModuleSource, Stamp};
use weir_plan::{Planned, Planner, Runtimes, Sources};

const GUEST: &str = r#"(module
    (memory (export "memory") 1)
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (param i32) (result i32) i32.const 1024)
    (func (export "proxy_on_tick") (param i32)))"#;

/// What the source has: a module, and the digest that is expected of it.
#[derive(Default)]
struct Shelf {
    module: Vec<u8>,
    expected: Option<FileDigest>,
}

/// A module in memory.
struct Memory(Arc<Mutex<Shelf>>);

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory:guest")
    }
}

impl ModuleSource for Memory {
    fn read(&self, max_bytes: u64) -> Result<Vec<u8>, FetchError> {
        let module = self.0.lock().unwrap().module.clone();
        if module.is_empty() {
            return Err(FetchError::Other("the shelf is empty".into()));
        }
        if module.len() as u64 > max_bytes {
            return Err(FetchError::TooLarge { max_bytes });
        }
        Ok(module)
    }

    fn expected_digest(&self) -> Option<FileDigest> {
        self.0.lock().unwrap().expected
    }

    fn stamp(&self) -> Option<Stamp> {
        let module = &self.0.lock().unwrap().module;
        Some(Stamp::Tag(FileDigest::of(module).to_string()))
    }
}

/// Has one shelf, whatever a configuration says.
struct Shelves(Arc<Mutex<Shelf>>);

impl Sources for Shelves {
    fn open(&self, _code: &CodeSource) -> Arc<dyn ModuleSource> {
        Arc::new(Memory(Arc::clone(&self.0)))
    }
}

/// The services of a guest that asks for nothing.
struct Nothing;

impl Services for Nothing {
    fn http_call(&mut self, _token: u32, _call: HttpCall, _ticket: CallTicket) -> Result<(), Status> {
        Err(Status::InternalFailure)
    }

    fn set_tick_period(&mut self, _plugin: ContextId, _period: Option<Duration>) {}

    fn log_level(&self) -> LogLevel {
        LogLevel::Warn
    }

    fn log(&self, _level: LogLevel, _plugin: Option<&str>, _message: &[u8]) {}
}

impl QueueWaker for Nothing {
    fn wake(&self, _plugin: ContextId, _queue: u32) {}
}

struct Plans {
    shelf: Arc<Mutex<Shelf>>,
    planner: Planner,
    shared: Shared,
    filter: Arc<FilterConfig>,
}

impl Plans {
    fn new() -> Self {
        let shelf: Arc<Mutex<Shelf>> = Arc::default();
        let shared = Shared::new(ForeignFunctions::default());
        let runtimes = Runtimes::new([Arc::new(WasmiEngine::new()) as _]);
        let mut filter = FilterConfig::stand_in(Path::new("guest.yaml"), &Environment::empty());
        filter.vm.code = Some(CodeSource::Local(PathBuf::from("on the shelf")));
        filter.vm.runtime.name = "wasmi".to_owned();
        let shelves = Shelves(Arc::clone(&shelf));
        Self {
            shelf,
            planner: Planner::with_sources(runtimes, shared.clone(), shelves),
            shared,
            filter: Arc::new(filter),
        }
    }

    fn put(&self, module: &str, expected: Option<FileDigest>) -> FileDigest {
        let module = wat::parse_str(module).unwrap();
        let digest = FileDigest::of(&module);
        *self.shelf.lock().unwrap() = Shelf { module, expected };
        digest
    }

    fn plan(&mut self) -> Planned {
        let serving = [Arc::clone(&self.filter)];
        self.planner.plan(&serving, &[], LogLevel::Info).unwrap()
    }

    /// The reason for which the only filter is refused.
    fn refusal(&mut self) -> String {
        let refused = self.plan().refused;
        assert_eq!(refused.len(), 1, "{refused:?}");
        refused[0].to_string()
    }
}

#[test]
fn a_module_from_memory_becomes_a_vm() {
    let mut plans = Plans::new();
    let digest = plans.put(GUEST, None);
    let planned = plans.plan();
    assert!(planned.refused.is_empty(), "{:?}", planned.refused);
    let plan = &planned.vms[0];
    assert_eq!(plan.spec.module.name(), "memory:guest");
    assert_eq!(plan.identity.digest.to_string(), digest.to_string());
    let (vm, contexts) = plan
        .start(&plans.shared, Box::new(Nothing), Arc::new(Nothing))
        .unwrap();
    assert_eq!(contexts.len(), 1);
    assert!(vm.has(Callback::Tick) && !vm.has(Callback::Log));
}

#[test]
fn a_module_is_compiled_again_only_when_its_bytes_change() {
    let mut plans = Plans::new();
    plans.put(GUEST, None);
    let (first, second) = (plans.plan(), plans.plan());
    assert!(Arc::ptr_eq(&first.vms[0].spec.module, &second.vms[0].spec.module));
    plans.put(&GUEST.replace("proxy_on_tick", "proxy_on_log"), None);
    let changed = plans.plan();
    assert!(changed.vms[0].identity != first.vms[0].identity);
}

#[test]
fn a_source_that_fails_refuses_the_filter() {
    let mut plans = Plans::new();
    let refusal = plans.refusal();
    assert!(
        refusal.ends_with("filter guest: cannot be read: the shelf is empty"),
        "{refusal}"
    );
}

#[test]
fn a_module_beyond_the_bound_names_the_key() {
    let mut plans = Plans::new();
    plans.put(GUEST, None);
    Arc::make_mut(&mut plans.filter).vm.module_file = 100;
    let refusal = plans.refusal();
    assert!(
        refusal.ends_with(
            "larger than 100 bytes, the most that a module's file may have; `limits.module_file` sets it"
        ),
        "{refusal}"
    );
}

#[test]
fn another_module_than_expected_is_not_run() {
    let mut plans = Plans::new();
    let expected = FileDigest::of(b"another");
    let found = plans.put(GUEST, Some(expected));
    let refusal = plans.refusal();
    assert!(
        refusal.ends_with(&format!("its SHA-256 is {found}, expected {expected}")),
        "{refusal}"
    );
    plans.put(GUEST, Some(found));
    assert!(plans.plan().refused.is_empty());
}
