//! The supervisor with real VMs.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod events;
mod mailbox;
mod slots;

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::{AbortHandle, LocalSet};
use weir_abi::{LogLevel, Status};
use weir_config::{Environment, FilterConfig, Ticks};
use weir_engine_wasmi::WasmiEngine;
use weir_host::{ForeignFunctions, Later, LiveVm, Shared, VmSlot};
use weir_meters::Meters;
use weir_plan::{Planner, Runtimes, VmPlan};

use crate::{Fleet, Mail, OnFailure, Slot, Supervisor, VmThread, VmThreads};

/// The imports of guests.
const IMPORTS: &str = r#"
    (import "env" "proxy_call_foreign_function" (func $call (param i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_set_tick_period_milliseconds" (func $period (param i32) (result i32)))
    (import "env" "proxy_register_shared_queue" (func $register (param i32 i32 i32) (result i32)))
    (import "env" "proxy_enqueue_shared_queue" (func $enqueue (param i32 i32 i32) (result i32)))
    (import "env" "proxy_dequeue_shared_queue" (func $dequeue (param i32 i32 i32) (result i32)))
    (import "env" "proxy_get_shared_data" (func $get (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_set_shared_data" (func $set (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_done" (func $done (result i32)))
"#;

/// The parts of every guest; `$note` tells the test four bytes.
const COMMON: &str = r#"
    (memory (export "memory") 2)
    (data (i32.const 100) "notelate")
    (data (i32.const 200) "conftickqueulatedonelog.dele")
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (param i32) (result i32) (i32.const 65536))
    (func $note (param i32)
        (drop (call $call (i32.const 100) (i32.const 4) (local.get 0) (i32.const 4) (i32.const 0) (i32.const 4))))
"#;

/// Ticks every 10 ms.
const TICKS: &str = r#"
    (func (export "proxy_on_configure") (param i32 i32) (result i32)
        (call $note (i32.const 200))
        (drop (call $period (i32.const 10)))
        (i32.const 1))
    (func (export "proxy_on_tick") (param i32) (call $note (i32.const 204)))
"#;

/// Dies of an answer that nobody asked for.
const MORTAL: &str = r#"
    (func (export "proxy_on_configure") (param i32 i32) (result i32) (call $note (i32.const 200)) (i32.const 1))
    (func (export "proxy_on_foreign_function") (param i32 i32 i32) unreachable)
"#;

/// A configuration's guests, planned, on threads that are all the test's.
struct Proxy {
    folder: tempfile::TempDir,
    meters: Meters,
    planner: RefCell<Planner>,
    threads: Vec<VmThread>,
    notes: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<Vec<Later>>>,
    threads_seen: Rc<ThreadsSeen>,
    task: AbortHandle,
}

/// Threads by their indices.
#[derive(Default)]
struct ThreadsSeen {
    /// The threads that got mail, once for each.
    posted: RefCell<Vec<usize>>,
    /// The threads whose streams wait for filters.
    waiting: RefCell<Vec<usize>>,
}

impl VmThreads for Rc<ThreadsSeen> {
    fn post(&self, thread: usize, mail: Mail) {
        self.posted.borrow_mut().push(thread);
        mail.deliver();
    }

    fn has_waiting(&self, thread: usize) -> bool {
        self.waiting.borrow().contains(&thread)
    }
}

impl Proxy {
    fn new(threads: usize) -> Self {
        let (notes, answers) = (
            Arc::<Mutex<Vec<String>>>::default(),
            Arc::<Mutex<Vec<Later>>>::default(),
        );
        let mut functions = ForeignFunctions::default();
        let (noted, asked) = (Arc::clone(&notes), Arc::clone(&answers));
        functions.add("note", move |_, text| {
            noted
                .lock()
                .unwrap()
                .push(String::from_utf8_lossy(text).into_owned());
            Ok(Vec::new())
        });
        functions.add("late", move |call, _| {
            let later = call.later().ok_or(Status::InternalFailure)?;
            asked.lock().unwrap().push(later);
            Ok(Vec::new())
        });
        let shared = Shared::new(functions);
        let (supervisor, task) = Supervisor::new(shared.clone(), || LogLevel::Trace);
        let threads_seen = Rc::<ThreadsSeen>::default();
        let task = tokio::task::spawn_local(task.run(Rc::clone(&threads_seen))).abort_handle();
        let thread = |index| VmThread {
            supervisor: supervisor.clone(),
            index,
        };
        let runtimes = Runtimes::new([Arc::new(WasmiEngine::new()) as _]);
        Self {
            folder: tempfile::tempdir().unwrap(),
            meters: shared.meters().clone(),
            planner: RefCell::new(Planner::new(runtimes, shared)),
            threads: (0..threads).map(thread).collect(),
            notes,
            answers,
            threads_seen,
            task,
        }
    }

    /// Plans a guest's VM.
    fn plan(&self, guest: &str, keys: &str) -> Vec<Arc<VmPlan>> {
        let module = wat::parse_str(format!("(module {IMPORTS} {COMMON} {guest})")).unwrap();
        let path = |name| self.folder.path().join(name);
        std::fs::write(path("guest.wasm"), module).unwrap();
        let text = format!(
            "config:\n  name: guest\n{keys}  vm_config:\n    runtime: wasmi\n    code:\n      local:\n        filename: {}\n",
            path("guest.wasm").display()
        );
        std::fs::write(path("guest.yaml"), text).unwrap();
        let filter = FilterConfig::load(&path("guest.yaml"), &Environment::process()).unwrap();
        let planned = self
            .planner
            .borrow_mut()
            .plan(&[Arc::new(filter)], &[], LogLevel::Info)
            .unwrap();
        assert!(planned.refused.is_empty(), "{:?}", planned.refused);
        self.notes();
        planned.vms
    }

    /// The fleet of these plans, in the place of none.
    fn fleet(&self, plans: &[Arc<VmPlan>], ticks: Ticks) -> Fleet {
        Fleet::default()
            .next(plans, &self.threads, ticks, OnFailure::Keep)
            .unwrap()
    }

    /// The notes of guests since the last call.
    fn notes(&self) -> Vec<String> {
        std::mem::take(&mut self.notes.lock().unwrap())
    }

    /// Lets time pass.
    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// The threads on which ticks run, seen until each has had time for some.
    async fn threads_that_tick(&self) -> Vec<usize> {
        self.threads_seen.posted.borrow_mut().clear();
        while self.threads_seen.posted.borrow().len() < 10 {
            self.pass(milliseconds(10)).await;
        }
        let mut threads = self.threads_seen.posted.borrow().clone();
        threads.sort_unstable();
        threads.dedup();
        threads
    }

    /// Waits until guests have told so much.
    async fn wait_for(&self, notes: &[&str]) {
        let mut told = Vec::new();
        for _ in 0..10_000 {
            told.extend(self.notes());
            if told.len() >= notes.len() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(told, notes);
    }
}

/// Runs a test where the supervisor runs.
fn run<F: Future>(test: impl FnOnce() -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async {
        test().await;
    });
}

/// A VM that lives, and that no slot has any more.
pub(crate) fn live_vm() -> Arc<LiveVm> {
    let mut live = None;
    run(|| async {
        let proxy = Proxy::new(1);
        let fleet = proxy.fleet(&proxy.plan(MORTAL, ""), Ticks::EveryVm);
        live = fleet.slot(0, 0).unwrap().live();
    });
    live.unwrap()
}

fn kill(slot: &VmSlot) {
    let vm = slot.live().unwrap();
    let plugin = vm.context(0).unwrap();
    vm.enter(|vm| vm.on_foreign_function(plugin, 1, Vec::new()))
        .unwrap_err();
}

const fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Waits until the plan of a slot has a spare.
async fn spare_of(slot: &Slot) {
    while !slot.has_spare() {
        tokio::time::sleep(milliseconds(10)).await;
    }
}
