//! Guests that know nothing of Proxy-Wasm, with an entry point and an import set of their own: the code that starts,
//! bounds, charges, freezes and drops Proxy-Wasm's guests does the same for them, on every engine.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::{on_every_engine, shared};
use weir_abi::{LogLevel, Signature, Status, ValType};
use weir_engine::{Engine, FuncId, TrapKind};
use weir_host::life::{Guest, GuestInstance, Life, Origin};
use weir_host::sets::{Composer, Fault, GuestKind, Import, ImportSet, SetCall};
use weir_host::{
    Account, Charge, GuestSnapshot, HostModule, ImportSets, Shared, StartError, Vm, VmError, VmSpec, import,
};
use weir_meters::Death;

/// Keeps what guests give it.
struct Store;

impl ImportSet for Store {
    type Vm = Vec<(Charge, Vec<u8>)>;
    type Stream = ();

    const NAME: &'static str = "store";
    const GROUP: &'static str = "store";
    const IMPORTS: &'static [Import] = &[
        import!(Self, &["store"], "keep", keep),
        import!(Self, &["store"], "count", count),
    ];

    fn vm(&self, _: &Arc<VmSpec>) -> Self::Vm {
        Vec::new()
    }

    fn stream(&self, _: &mut Self::Vm) {}

    fn vm_from_snapshot(&self, frozen: &Self::Vm) -> Option<Self::Vm> {
        Some(
            frozen
                .iter()
                .map(|(_, bytes)| (Charge::none(), bytes.clone()))
                .collect(),
        )
    }
}

fn keep(call: &mut SetCall<'_, Store>, from: u32, len: u32) -> Result<(), Fault> {
    let size = call.read(from, len)?.len();
    let charge = call.account().charge(size).map_err(|_| Status::InternalFailure)?;
    let bytes = call.read(from, len)?.to_vec();
    call.vm().push((charge, bytes));
    Ok(())
}

fn count(call: &mut SetCall<'_, Store>, out: u32) -> Result<(), Fault> {
    let count = call.vm().len() as u32;
    Ok(call.write(out, &count.to_le_bytes())?)
}

/// The host's state of a worker: its account, and its log.
#[derive(Clone)]
struct Worker(Arc<Account>, Arc<Mutex<Vec<String>>>);

impl Worker {
    fn note(&self, line: impl Into<String>) {
        self.1.lock().unwrap().push(line.into());
    }

    fn held(&self) -> usize {
        self.0.held()
    }

    fn notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.1.lock().unwrap())
    }
}

impl GuestKind for Worker {
    fn running(&self) -> &'static str {
        "a job"
    }

    fn log(&mut self, level: LogLevel, line: &[u8]) {
        self.note(format!("{level:?}: {}", String::from_utf8_lossy(line)));
    }

    fn log_about(&self, level: LogLevel, text: &str) {
        self.note(format!("{level:?} about it: {text}"));
    }

    fn hostcall_failed(&mut self, import: &'static str, status: Status) {
        self.note(format!("{import} failed: {status:?}"));
    }
}

/// A worker that runs jobs.
struct Running {
    instance: GuestInstance<Worker>,
    job: FuncId,
}

impl Guest for Running {
    type Call = &'static str;

    const START: &'static str = "boot";

    const LAST_STEPS: &'static [fn(&mut Self, &VmError)] = &[|guest, _| guest.instance.log_last_words()];

    fn tell_of_death(&mut self, error: &VmError) {
        self.instance.kind().log_about(LogLevel::Critical, error.cause());
    }

    fn name(job: &'static str) -> &'static str {
        job
    }

    fn charge(&mut self, job: &'static str, nanoseconds: u64) {
        assert!(nanoseconds > 0);
        self.instance.kind().note(format!("time of {job}"));
    }

    fn called_plugin(&mut self) -> Option<&str> {
        Some("worker")
    }
}

const JOBS: &str = r#"(module
    (import "store" "keep" (func $keep (param i32 i32) (result i32)))
    (import "store" "count" (func $count (param i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 2)
    (data (i32.const 16) "\20\00\00\00\07\00\00\00")
    (data (i32.const 32) "so long")
    (global $boots (mut i32) (i32.const 0))
    (func (export "boot") (global.set $boots (i32.add (global.get $boots) (i32.const 1))))
    (func (export "job") (param $job i32) (param $argument i32) (result i32)
      (if (i32.eq (local.get $job) (i32.const 0)) (then (return (global.get $boots))))
      (if (i32.eq (local.get $job) (i32.const 1))
        (then (return (call $keep (i32.const 1024) (local.get $argument)))))
      (if (i32.eq (local.get $job) (i32.const 2))
        (then (drop (call $count (i32.const 8))) (return (i32.load (i32.const 8)))))
      (if (i32.eq (local.get $job) (i32.const 3))
        (then (return (memory.grow (local.get $argument)))))
      (if (i32.eq (local.get $job) (i32.const 4))
        (then (drop (call $write (i32.const 2) (i32.const 16) (i32.const 1) (i32.const 24))) unreachable))
      (loop $forever (br $forever)) (unreachable)))"#;

const BOOTS: (&str, u32) = ("boots", 0);
const KEEP: (&str, u32) = ("keep", 1);
const COUNT: (&str, u32) = ("count", 2);
const GROW: (&str, u32) = ("grow", 3);
const TRAP: (&str, u32) = ("trap", 4);
const SPIN: (&str, u32) = ("spin", 5);

fn spec(engine: &dyn Engine, sets: &'static ImportSets, text: &str) -> Arc<VmSpec> {
    let wasm = wat::parse_str(text).unwrap();
    let module = HostModule::compile_other(engine, sets, "worker.wasm", &(&wasm).into()).unwrap();
    let mut spec = support::spec(engine, &support::guest("", ""));
    spec.limits.host_memory = 10_000;
    Arc::new(VmSpec { module, ..spec })
}

fn sets() -> &'static ImportSets {
    Composer::empty().with_runtimes().with(Store).compose().unwrap()
}

/// Starts a worker; `boots` unless it continues from a snapshot.
fn start(
    spec: &Arc<VmSpec>,
    origin: Origin<'_>,
    shared: &Shared,
    boots: bool,
) -> Result<(Life<Running>, Worker), StartError> {
    let mut worker = None;
    let life = Life::start(
        spec,
        origin,
        shared,
        |account| worker.insert(Worker(Arc::clone(account), Arc::default())).clone(),
        |mut instance, budgets| {
            const JOB: Signature = Signature {
                params: &[ValType::I32; 2],
                result: Some(ValType::I32),
            };
            let boot = instance
                .func(
                    "boot",
                    Signature {
                        params: &[],
                        result: None,
                    },
                )
                .unwrap();
            let job = instance.func("job", JOB).unwrap();
            if boots {
                let booted = instance.call(boot, &[], budgets.start.budget);
                booted.map_err(|trap| StartError::Trapped {
                    module: "worker.wasm".into(),
                    callback: "boot",
                    limit: budgets.start.exceeded(&trap),
                    trap,
                })?;
            }
            instance.open_imports();
            Ok(Running { instance, job })
        },
    )?;
    Ok((life, worker.unwrap()))
}

fn enter(life: &mut Life<Running>, job: (&'static str, u32), argument: u32) -> Result<u32, VmError> {
    life.call(job.0, |guest, budget| {
        guest.instance.call(guest.job, &[job.1, argument], budget)
    })
}

on_every_engine! {
    fn a_worker_is_started_charged_bounded_and_dropped(engine: &dyn Engine) {
        let shared = shared();
        shared.meters().time_callbacks();
        let (mut life, worker) = start(&spec(engine, sets(), JOBS), Origin::Module, &shared, true).unwrap();
        life.meter().started(["worker"]);
        assert_eq!(enter(&mut life, BOOTS, 0).unwrap(), 1);
        assert_eq!(worker.notes(), ["time of boots"]);

        // What the host holds is charged, and refused beyond the limit of the account.
        assert_eq!(enter(&mut life, KEEP, 6_000).unwrap(), Status::Ok.wire());
        assert_eq!(worker.held(), 6_000);
        assert_eq!(enter(&mut life, KEEP, 6_000).unwrap(), Status::InternalFailure.wire());
        assert_eq!(enter(&mut life, COUNT, 0).unwrap(), 1);
        assert_eq!(worker.notes(), ["time of keep", "keep failed: InternalFailure", "time of keep", "time of count"]);

        // 16 MiB are 256 pages.
        assert_eq!(enter(&mut life, GROW, 300).unwrap(), u32::MAX);
        assert_eq!(enter(&mut life, GROW, 1).unwrap(), 2);

        let error = enter(&mut life, TRAP, 0).unwrap_err();
        assert!(matches!(&error, VmError::Trapped { callback: "trap", trap, .. } if matches!(trap.kind, TrapKind::Guest(_))), "{error}");
        assert!(life.is_dead());
        assert!(matches!(enter(&mut life, BOOTS, 0), Err(VmError::Dead)));
        assert_eq!(worker.notes(), ["time of grow", "time of grow", "time of trap", "Error: so long", "Critical about it: trap"]);
        assert_eq!(worker.held(), 0, "nothing is held for the dead");
        assert_eq!(shared.meters().deaths(), [Death { plugin: "worker".into(), cause: "trap", count: 1 }]);
    }

    fn a_worker_that_does_not_end_is_stopped(engine: &dyn Engine) {
        let shared = shared();
        let mut spec = spec(engine, sets(), JOBS);
        Arc::get_mut(&mut spec).unwrap().limits.callback_deadline = Duration::from_millis(50);
        let (mut life, worker) = start(&spec, Origin::Module, &shared, true).unwrap();
        life.meter().started(["worker"]);
        let error = enter(&mut life, SPIN, 0).unwrap_err();
        assert!(matches!(&error, VmError::Trapped { trap, .. } if trap.kind == TrapKind::Deadline), "{error}");
        assert_eq!(worker.notes(), ["Critical about it: deadline"]);
        assert_eq!(shared.meters().deaths()[0].cause, "deadline");
    }

    fn a_worker_that_traps_in_its_entry_point_does_not_start(engine: &dyn Engine) {
        let text = JOBS.replace("(func (export \"boot\")", "(func (export \"boot\") unreachable");
        let started = start(&spec(engine, sets(), &text), Origin::Module, &shared(), true);
        let error = started.err().unwrap().to_string();
        assert!(error.starts_with("module worker.wasm: boot failed: "), "{error}");
    }

    fn workers_continue_from_a_snapshot(engine: &dyn Engine) {
        let (spec, shared) = (spec(engine, sets(), JOBS), shared());
        let snapshots = match spec.module.snapshots() {
            Ok(snapshots) => snapshots,
            Err(reason) => {
                assert!(engine.snapshots().is_none(), "{reason}");
                return;
            }
        };
        let (mut life, _) = start(&spec, Origin::Freezable(snapshots), &shared, true).unwrap();
        enter(&mut life, KEEP, 100).unwrap();
        let frozen = GuestSnapshot::freeze(&spec, life.take().unwrap().instance, "told").unwrap();
        for _ in 0..2 {
            let (mut life, _) = start(&spec, frozen.origin().unwrap(), &shared, false).unwrap();
            assert_eq!(enter(&mut life, BOOTS, 0).unwrap(), 1);
            assert_eq!(enter(&mut life, COUNT, 0).unwrap(), 1);
            assert_eq!(enter(&mut life, KEEP, 100).unwrap(), Status::Ok.wire());
            assert_eq!(enter(&mut life, COUNT, 0).unwrap(), 2);
        }
        assert_eq!(*frozen.told(), "told");
    }

    fn an_import_of_proxy_wasm_stops_a_guest_of_another_kind(engine: &dyn Engine) {
        let sets = ImportSets::composer().with(Store).compose().unwrap();
        let text = JOBS
            .replace("(module", "(module (import \"env\" \"proxy_log\" (func $log (param i32 i32 i32) (result i32)))")
            .replacen("unreachable))", "(drop (call $log (i32.const 2) (i32.const 32) (i32.const 7)))))", 1);
        let (mut life, _) = start(&spec(engine, sets, &text), Origin::Module, &shared(), true).unwrap();
        let error = enter(&mut life, TRAP, 0).unwrap_err().to_string();
        assert!(error.contains("the guest is of another kind than the import serves"), "{error}");
    }

    fn a_module_of_another_kind_does_not_start_as_a_filter(engine: &dyn Engine) {
        let spec = spec(engine, sets(), JOBS);
        let recorder = support::Recorder::default();
        let started = Vm::start(spec, &shared(), Box::new(recorder.clone()), Arc::new(recorder));
        assert!(matches!(started.err(), Some(StartError::NoAbi { .. })));
    }
}
