//! The supervisor with real VMs.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::{AbortHandle, LocalSet};
use weir_abi::limits::RESTARTS;
use weir_abi::{LogLevel, Status};
use weir_config::{Environment, FilterConfig, Ticks};
use weir_engine_wasmi::WasmiEngine;
use weir_host::{ForeignFunctions, Later, Shared, VmSlot};
use weir_meters::{Meters, VmState};
use weir_plan::{Planner, Runtimes, VmPlan};

use crate::{Fleet, Mail, OnFailure, Phase, Slot, Supervisor, VmThread, VmThreads};

/// What guests import.
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

/// What every guest has; `$note` tells the test four bytes.
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
    /// Those that got mail, once for each.
    posted: RefCell<Vec<usize>>,
    /// Those whose streams wait for filters.
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

    /// What guests have told since this was last asked.
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

#[test]
fn the_first_death_brings_a_restart_and_a_spare_and_further_ones_the_spare_until_the_budget_is_used() {
    run(|| async {
        let proxy = Proxy::new(1);
        let fleet = proxy.fleet(&proxy.plan(MORTAL, ""), Ticks::EveryVm);
        proxy.wait_for(&["conf"]).await;
        let slot = fleet.slots().next().unwrap();
        assert!(!slot.has_spare(), "a filter that has never died needs none");
        kill(slot.vm());
        assert_eq!(proxy.meters.slots_restarting(), 1);
        assert!(slot.vm().live().is_none());
        proxy.wait_for(&["conf", "conf"]).await;
        for death in 2..=RESTARTS {
            spare_of(slot).await;
            kill(slot.vm());
            assert!(slot.vm().live().is_some(), "after death {death}");
            assert_eq!(proxy.meters.slots_restarting(), 0);
            proxy.wait_for(&["conf"]).await;
        }
        spare_of(slot).await;
        kill(slot.vm());
        assert_eq!(proxy.meters.slots_restarting(), 1);
        proxy.pass(milliseconds(500)).await;
        assert_eq!((slot.phase(), proxy.notes()), (Phase::BackOff, Vec::new()));
        // The spare that is ready, and one more.
        proxy.wait_for(&["conf"]).await;
        assert!(slot.vm().live().is_some());
        let restarts = u64::try_from(RESTARTS).unwrap() + 1;
        assert_eq!(
            (proxy.meters.slots_restarting(), proxy.meters.vm_restarts.value()),
            (0, restarts)
        );
        assert_eq!(
            proxy.meters.vm_started.value(),
            restarts + 1,
            "spares are not counted"
        );
    });
}

#[test]
fn one_spare_and_one_budget_serve_all_threads() {
    run(|| async {
        let proxy = Proxy::new(3);
        let fleet = proxy.fleet(&proxy.plan(MORTAL, ""), Ticks::EveryVm);
        let slots: Vec<_> = fleet.slots().collect();
        kill(slots[0].vm());
        spare_of(slots[0]).await;
        let spares = || {
            let readings = proxy.meters.vm_readings();
            readings.iter().filter(|vm| vm.state == VmState::Spare).count()
        };
        assert_eq!(spares(), 1);
        for death in 1..RESTARTS {
            spare_of(slots[0]).await;
            let slot = slots[death % 3];
            kill(slot.vm());
            assert!(slot.vm().live().is_some(), "after death {death}");
        }
        spare_of(slots[0]).await;
        kill(slots[1].vm());
        assert_eq!(slots[1].phase(), Phase::BackOff);
    });
}

#[test]
fn a_spare_takes_no_part_until_it_takes_over() {
    /// Ticks, consumes a queue, and dies or fills the queue when told.
    const BUSY: &str = r#"
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
            (drop (call $period (i32.const 20)))
            (drop (call $register (i32.const 100) (i32.const 4) (i32.const 300)))
            (i32.const 1))
        (func (export "proxy_on_tick") (param i32) (call $note (i32.const 204)))
        (func (export "proxy_on_queue_ready") (param i32 i32) (call $note (i32.const 208)))
        (func (export "proxy_on_foreign_function") (param i32 i32 i32)
            (local $i i32)
            (if (i32.eq (local.get 1) (i32.const 1)) (then unreachable))
            (loop $again
                (drop (call $enqueue (i32.load (i32.const 300)) (i32.const 100) (i32.const 4)))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $i) (i32.const 4)))))
    "#;
    run(|| async {
        let proxy = Proxy::new(1);
        let fleet = proxy.fleet(&proxy.plan(BUSY, ""), Ticks::EveryVm);
        let slot = fleet.slots().next().unwrap();
        kill(slot.vm());
        spare_of(slot).await;
        let told = |what: &str| {
            let notes = proxy.notes();
            notes.iter().filter(|note| *note == what).count()
        };
        let fill = || {
            let vm = slot.vm().live().unwrap();
            let plugin = vm.context(0).unwrap();
            vm.enter(|vm| vm.on_foreign_function(plugin, 2, Vec::new()))
                .unwrap();
        };
        // The second time the spare is the one that lives.
        for _ in 0..2 {
            told("queu");
            fill();
            let mut entries = 0;
            while entries < 4 {
                proxy.pass(milliseconds(10)).await;
                entries += told("queu");
            }
            while told("tick") == 0 {
                proxy.pass(milliseconds(10)).await;
            }
            kill(slot.vm());
            assert!(slot.vm().live().is_some());
            spare_of(slot).await;
        }
    });
}

#[test]
fn a_spare_ends_with_its_fleet() {
    /// Dies when told, and never says that its plugin context has ended.
    const SAYS: &str = r#"
        (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1))
        (func (export "proxy_on_done") (param i32) (result i32) (i32.const 0))
        (func (export "proxy_on_foreign_function") (param i32 i32 i32) unreachable)
    "#;
    run(|| async {
        let proxy = Proxy::new(1);
        let mut fleet = proxy.fleet(&proxy.plan(SAYS, ""), Ticks::EveryVm);
        let slot = Arc::clone(fleet.slots().next().unwrap());
        kill(slot.vm());
        spare_of(&slot).await;
        drop(slot);
        fleet.replace(Fleet::default());
        let is_spare = |vm: &weir_meters::VmReading| vm.state == VmState::Spare;
        while proxy.meters.vm_readings().iter().any(is_spare) {
            proxy.pass(milliseconds(10)).await;
        }
    });
}

#[test]
fn a_retired_slot_keeps_its_vm_for_its_streams_and_gets_no_other() {
    run(|| async {
        let proxy = Proxy::new(1);
        let mut fleet = proxy.fleet(&proxy.plan(MORTAL, ""), Ticks::EveryVm);
        let stream = Arc::clone(fleet.slot(0, 0).unwrap());
        fleet.replace(Fleet::default());
        assert!(stream.live().is_some());
        let states = || {
            proxy
                .meters
                .vm_readings()
                .iter()
                .map(|vm| vm.state)
                .collect::<Vec<_>>()
        };
        assert_eq!(states(), [VmState::Retired]);
        kill(&stream);
        assert_eq!(states(), [VmState::Dead]);
        proxy.notes();
        proxy.pass(milliseconds(1500)).await;
        assert_eq!(proxy.notes(), Vec::<String>::new());
    });
}

#[test]
fn a_reload_keeps_the_slots_of_equal_plans() {
    run(|| async {
        let proxy = Proxy::new(2);
        let first = proxy.fleet(&proxy.plan(TICKS, ""), Ticks::EveryVm);
        let next = |keys| {
            let plans = proxy.plan(TICKS, keys);
            first
                .next(&plans, &proxy.threads, Ticks::EveryVm, OnFailure::Keep)
                .unwrap()
        };
        let kept = |fleet: &Fleet| {
            let slot = |fleet: &Fleet| Arc::as_ptr(fleet.slot(0, 1).unwrap());
            slot(fleet) == slot(&first)
        };
        assert!(kept(&next("")));
        assert!(!kept(&next("  ticks: one_vm\n")));
    });
}

#[test]
fn ticks_run_in_every_vm_or_in_the_first() {
    run(|| async {
        for (keys, default, vms) in [
            ("", Ticks::EveryVm, vec![0, 1]),
            ("", Ticks::OneVm, vec![0]),
            ("  ticks: one_vm\n", Ticks::EveryVm, vec![0]),
            ("  ticks: every_vm\n", Ticks::OneVm, vec![0, 1]),
        ] {
            let proxy = Proxy::new(2);
            let _fleet = proxy.fleet(&proxy.plan(TICKS, keys), default);
            assert_eq!(proxy.threads_that_tick().await, vms, "{keys} {default:?}");
        }
    });
}

#[test]
fn ticks_of_one_vm_run_where_streams_wait() {
    run(|| async {
        let proxy = Proxy::new(3);
        let _fleet = proxy.fleet(&proxy.plan(TICKS, ""), Ticks::OneVm);
        proxy.threads_seen.waiting.borrow_mut().push(2);
        assert_eq!(proxy.threads_that_tick().await, [0, 2]);
    });
}

#[test]
fn the_last_period_of_many_counts() {
    const SETS_OFTEN: &str = r#"
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
            (local $i i32)
            (loop $again
                (drop (call $period (i32.const 5)))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $i) (i32.const 10000))))
            (drop (call $period (i32.const 500)))
            (i32.const 1))
        (func (export "proxy_on_tick") (param i32) (call $note (i32.const 204)))
    "#;
    run(|| async {
        let proxy = Proxy::new(1);
        let _fleet = proxy.fleet(&proxy.plan(SETS_OFTEN, ""), Ticks::EveryVm);
        proxy.pass(milliseconds(200)).await;
        assert_eq!(proxy.notes(), Vec::<String>::new());
        proxy.wait_for(&["tick"]).await;
    });
}

#[test]
fn queues_wake_their_consumer_for_each_entry() {
    const QUEUE: &str = r#"
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
            (drop (call $register (i32.const 100) (i32.const 4) (i32.const 300)))
            (drop (call $enqueue (i32.load (i32.const 300)) (i32.const 104) (i32.const 4)))
            (drop (call $enqueue (i32.load (i32.const 300)) (i32.const 216) (i32.const 4)))
            (i32.const 1))
        (func (export "proxy_on_queue_ready") (param i32) (param $queue i32)
            (if (call $dequeue (local.get $queue) (i32.const 304) (i32.const 308))
                (then (call $note (i32.const 208)))
                (else (call $note (i32.load (i32.const 304))))))
    "#;
    run(|| async {
        let proxy = Proxy::new(1);
        let _fleet = proxy.fleet(&proxy.plan(QUEUE, ""), Ticks::EveryVm);
        proxy.wait_for(&["late", "done"]).await;
        proxy.pass(milliseconds(100)).await;
        assert_eq!(proxy.notes(), Vec::<String>::new(), "a wake-up for each entry");
    });
}

#[test]
fn foreign_functions_answer_later() {
    const ASKS: &str = r#"
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
            (drop (call $call (i32.const 104) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 4)))
            (i32.const 1))
        (func (export "proxy_on_foreign_function") (param i32 i32 i32) (call $note (i32.const 212)))
    "#;
    run(|| async {
        let proxy = Proxy::new(1);
        let plans = proxy.plan(ASKS, "");
        proxy.answers.lock().unwrap().clear();
        let _fleet = proxy.fleet(&plans, Ticks::EveryVm);
        let later = proxy.answers.lock().unwrap().pop().unwrap();
        std::thread::spawn(|| later.deliver(b"answer".to_vec()))
            .join()
            .unwrap();
        proxy.wait_for(&["late"]).await;
    });
}

#[test]
fn answers_that_a_guest_may_await_are_bounded() {
    const ASKS_OFTEN: &str = r#"
        (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1))
        (func (export "proxy_on_foreign_function") (param i32 i32 i32)
            (local $i i32)
            (loop $again
                (drop (call $call (i32.const 104) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 4)))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $i) (i32.const 2000)))))
    "#;
    run(|| async {
        let proxy = Proxy::new(1);
        let fleet = proxy.fleet(&proxy.plan(ASKS_OFTEN, ""), Ticks::EveryVm);
        let vm = fleet.slot(0, 0).unwrap().live().unwrap();
        let plugin = vm.context(0).unwrap();
        let ask = || {
            vm.enter(|vm| vm.on_foreign_function(plugin, 1, Vec::new()))
                .unwrap()
        };
        let outstanding = || proxy.answers.lock().unwrap().len();
        ask();
        assert_eq!(outstanding(), 1024);
        // Answers that never come make room as well.
        proxy.answers.lock().unwrap().truncate(1000);
        ask();
        assert_eq!(outstanding(), 1024);
    });
}

/// Ends at a tick after it has been told to.
const WAITS: &str = r#"
    (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1))
    (func (export "proxy_on_done") (param i32) (result i32)
        (drop (call $period (i32.const 50)))
        (i32.const 0))
    (func (export "proxy_on_tick") (param i32) (call $note (i32.const 216)) (drop (call $done)))
    (func (export "proxy_on_delete") (param i32) (call $note (i32.const 224)))
"#;

#[test]
fn a_supervisor_that_ends_keeps_no_vm() {
    run(|| async {
        let proxy = Proxy::new(1);
        let mut fleet = proxy.fleet(&proxy.plan(WAITS, ""), Ticks::EveryVm);
        let ended = proxy.meters.vm_ended.value();
        fleet.replace(Fleet::default());
        proxy.task.abort();
        proxy.pass(milliseconds(10)).await;
        assert_eq!(proxy.meters.vm_ended.value(), ended + 1);
    });
}

#[test]
fn a_vm_that_ends_waits_for_proxy_done() {
    run(|| async {
        let proxy = Proxy::new(1);
        let mut fleet = proxy.fleet(&proxy.plan(WAITS, ""), Ticks::EveryVm);
        proxy.pass(milliseconds(100)).await;
        fleet.replace(Fleet::default());
        proxy.wait_for(&["done", "dele"]).await;
        proxy.pass(milliseconds(1000)).await;
        assert_eq!(proxy.notes(), Vec::<String>::new(), "the VM has gone");
    });
}

#[test]
fn a_reload_whose_vm_does_not_start_changes_nothing() {
    /// Starts in its trial, and once more.
    const TWICE: &str = r#"
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
            (if (i32.eqz (call $get (i32.const 100) (i32.const 4) (i32.const 300) (i32.const 304) (i32.const 308)))
                (then (return (i32.const 0))))
            (drop (call $set (i32.const 100) (i32.const 4) (i32.const 104) (i32.const 4) (i32.const 0)))
            (i32.const 1))
    "#;
    run(|| async {
        let proxy = Proxy::new(2);
        let served = proxy.fleet(&proxy.plan(TICKS, ""), Ticks::EveryVm);
        let plans = proxy.plan(TWICE, "");
        let next = |on_failure| served.next(&plans, &proxy.threads, Ticks::EveryVm, on_failure);
        let (started, ended) = (proxy.meters.vm_started.value(), proxy.meters.vm_ended.value());
        let errors = next(OnFailure::Keep).err().unwrap();
        assert_eq!(errors.len(), 1, "one of two starts");
        assert_eq!(proxy.meters.vm_started.value(), started + 1);
        for _ in 0..1000 {
            if proxy.meters.vm_ended.value() > ended {
                break;
            }
            proxy.pass(milliseconds(10)).await;
        }
        assert_eq!(
            proxy.meters.vm_ended.value(),
            ended + 1,
            "the VM that started ends"
        );
        assert!(served.slots().all(|slot| matches!(slot.phase(), Phase::Live(_))));
        assert!(served.slots().all(|slot| slot.vm().live().is_some()));
        assert_eq!(proxy.threads_that_tick().await, [0, 1]);
        let retried = next(OnFailure::Retry).unwrap();
        let phases: Vec<_> = retried.slots().map(|slot| slot.phase()).collect();
        assert_eq!(phases, [Phase::BackOff; 2]);
    });
}
