//! An import set that nothing in the host knows of: its imports, capability, configuration and states, on every engine.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use support::{Recorder, TestStream, guest, on_every_engine, plugin, shared};
use weir_abi::{LogLevel, Status};
use weir_engine::{Engine, Trap};
use weir_host::sets::{Fault, Import, ImportSet, Phases, SetCall};
use weir_host::{
    Capabilities, HostModule, ImportSets, NoSnapshot, StartError, Vm, VmSnapshot, VmSpec, import,
};

/// Counts calls for each VM and for each stream, from a number that is configured once.
struct Counting {
    from: u32,
    /// States of VMs and streams that are alive.
    alive: Arc<AtomicUsize>,
    /// VMs can continue from snapshots.
    snapshots: bool,
}

/// A count, noted as alive.
struct Count {
    value: u64,
    alive: Arc<AtomicUsize>,
}

impl Drop for Count {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Counting {
    fn count(&self, value: u64) -> Count {
        self.alive.fetch_add(1, Ordering::Relaxed);
        Count {
            value,
            alive: Arc::clone(&self.alive),
        }
    }
}

impl ImportSet for Counting {
    type Vm = Count;
    type Stream = Count;

    const NAME: &'static str = "counting";
    const GROUP: &'static str = "Counting";
    const IMPORTS: &'static [Import] = &[
        import!(Self, &["counting"], "vm", vm).with_capability("count"),
        import!(Self, &["counting"], "stream", stream).with_capability("count"),
        import!(Self, &["counting"], "name", name),
        import!(Self, &["counting"], "shout", shout).also_in(Phases::START),
    ];

    fn vm(&self, _: &Arc<VmSpec>) -> Count {
        self.count(self.from.into())
    }

    fn stream(&self, vm: &mut Count) -> Count {
        self.count(vm.value * 100)
    }

    fn vm_from_snapshot(&self, frozen: &Count) -> Option<Count> {
        self.snapshots.then(|| self.count(frozen.value))
    }
}

/// Adds to the VM's count and writes it.
fn vm(call: &mut SetCall<'_, Counting>, add: u64, out: u32) -> Result<(), Fault> {
    call.vm().value += add;
    let value = call.vm().value;
    Ok(call.write(out, &(value as u32).to_le_bytes())?)
}

/// Adds to the stream's count and writes it; `NotFound` outside of streams.
fn stream(call: &mut SetCall<'_, Counting>, add: u64, out: u32) -> Result<(), Fault> {
    let count = call.stream().ok_or(Status::NotFound)?;
    count.value += add;
    let value = count.value;
    Ok(call.write(out, &(value as u32).to_le_bytes())?)
}

/// Gives the guest a text that tells the set's configuration.
fn name(call: &mut SetCall<'_, Counting>, out: u32, out_len: u32) -> Result<(), Fault> {
    let text = format!("from {}", call.set().from);
    call.give(out, out_len, text.as_bytes())
}

/// Logs what the guest says.
fn shout(call: &mut SetCall<'_, Counting>, text: u32, len: u32) -> Result<(), Trap> {
    let text = call.read(text, len).map(<[u8]>::to_ascii_uppercase);
    match text {
        Ok(text) => call.log(LogLevel::Info, &text),
        Err(_) => return Err(Trap::host("shouted from outside of memory")),
    }
    Ok(())
}

const IMPORTS: &str = r#"
    (import "counting" "vm" (func $vm (param i64 i32) (result i32)))
    (import "counting" "stream" (func $stream (param i64 i32) (result i32)))
    (import "counting" "name" (func $name (param i32 i32) (result i32)))
    (import "counting" "shout" (func $shout (param i32 i32)))"#;

/// Shows status and count of the VM and of the stream, at each tick and each request.
const COUNTS: &str = r#"
    (func $both
      (call $number (call $vm (i64.const 1) (i32.const 16)))
      (call $number (i32.load (i32.const 16)))
      (call $number (call $stream (i64.const 2) (i32.const 20)))
      (call $number (i32.load (i32.const 20))))
    (func (export "proxy_on_tick") (param i32) (call $both))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (call $both) (i32.const 0))"#;

fn counting(snapshots: bool) -> (&'static ImportSets, Arc<AtomicUsize>) {
    let alive = Arc::new(AtomicUsize::new(0));
    let set = Counting {
        from: 5,
        alive: Arc::clone(&alive),
        snapshots,
    };
    (ImportSets::composer().with(set).compose().unwrap(), alive)
}

fn spec(engine: &dyn Engine, sets: &'static ImportSets, body: &str) -> VmSpec {
    let wasm = guest(IMPORTS, body);
    VmSpec {
        module: HostModule::compile(engine, sets, "test.wasm", &(&wasm).into()).unwrap(),
        ..support::spec(engine, &guest("", ""))
    }
}

fn start(spec: VmSpec) -> Result<(Vm, Recorder), StartError> {
    support::start(spec)
}

on_every_engine! {
    fn a_set_has_state_for_each_vm_and_for_each_stream(engine: &dyn Engine) {
        let (sets, alive) = counting(false);
        let (mut vm, recorder) = start(spec(engine, sets, COUNTS)).unwrap();
        let plugin_id = vm.add_plugin(plugin("test")).unwrap();
        assert_eq!(alive.load(Ordering::Relaxed), 1);
        vm.on_tick(plugin_id).unwrap();
        assert_eq!(recorder.numbers(), [0, 6, Status::NotFound.wire(), 0]);
        let first = vm.create_stream(plugin_id, TestStream::recorded().0).unwrap();
        let second = vm.create_stream(plugin_id, TestStream::recorded().0).unwrap();
        assert_eq!(alive.load(Ordering::Relaxed), 1);
        vm.on_request_headers(first, 1, true).unwrap();
        assert_eq!(recorder.numbers(), [0, 7, 0, 702]);
        vm.on_request_headers(second, 1, true).unwrap();
        assert_eq!(recorder.numbers(), [0, 8, 0, 802]);
        vm.on_request_headers(first, 1, true).unwrap();
        assert_eq!(recorder.numbers(), [0, 9, 0, 704]);
        assert_eq!(alive.load(Ordering::Relaxed), 3);
        vm.finish_stream(first).unwrap();
        assert_eq!(alive.load(Ordering::Relaxed), 2);

        let (mut other, recorder) = start(spec(engine, sets, COUNTS)).unwrap();
        let plugin_id = other.add_plugin(plugin("test")).unwrap();
        other.on_tick(plugin_id).unwrap();
        assert_eq!(recorder.numbers(), [0, 6, Status::NotFound.wire(), 0]);
        drop((vm, other));
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    }

    fn a_set_reaches_its_configuration_the_allocator_and_the_log(engine: &dyn Engine) {
        let body = r#"(data (i32.const 100) "hello")
            (func (export "_initialize") (call $shout (i32.const 100) (i32.const 5)))
            (func (export "proxy_on_tick") (param i32)
              (call $number (call $name (i32.const 16) (i32.const 20)))
              (call $say (i32.load (i32.const 16)) (i32.load (i32.const 20)))
              (call $shout (i32.const -1) (i32.const 5)))"#;
        let (mut vm, recorder) = start(spec(engine, counting(false).0, body)).unwrap();
        assert_eq!(recorder.lines(), ["HELLO"]);
        let plugin_id = vm.add_plugin(plugin("test")).unwrap();
        let error = vm.on_tick(plugin_id).unwrap_err().to_string();
        assert!(error.contains("shouted from outside of memory"), "{error}");
        assert_eq!(recorder.lines()[..2], ["\0\0\0\0", "from 5"]);
        assert!(vm.is_dead());
    }

    fn a_vm_that_dies_drops_the_states(engine: &dyn Engine) {
        let body = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (drop (call $stream (i64.const 1) (i32.const 16))) unreachable)"#;
        let (sets, alive) = counting(false);
        let (mut vm, _) = start(spec(engine, sets, body)).unwrap();
        let plugin_id = vm.add_plugin(plugin("test")).unwrap();
        let id = vm.create_stream(plugin_id, TestStream::recorded().0).unwrap();
        assert!(vm.on_request_headers(id, 1, true).is_err());
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    }

    fn a_set_prepares_only_vms_that_import_from_it(engine: &dyn Engine) {
        let (sets, alive) = counting(false);
        let module = HostModule::compile(engine, sets, "test.wasm", &(&guest("", "")).into()).unwrap();
        let (vm, _) = start(VmSpec { module, ..support::spec(engine, &guest("", "")) }).unwrap();
        assert_eq!(alive.load(Ordering::Relaxed), 0);
        drop(vm);
    }

    fn capabilities_are_restricted_by_the_names_of_the_set(engine: &dyn Engine) {
        let (sets, _) = counting(false);
        let run = |names: &[&str]| {
            let mut spec = spec(engine, sets, COUNTS);
            spec.capabilities = Capabilities::allow(sets, names).unwrap();
            let (mut vm, recorder) = start(spec).unwrap();
            let plugin_id = vm.add_plugin(plugin("test")).unwrap();
            vm.on_tick(plugin_id).unwrap();
            vm.on_tick(plugin_id).unwrap();
            let logs = recorder.with(|record| std::mem::take(&mut record.logs));
            let (warnings, numbers): (Vec<_>, Vec<_>) = logs.into_iter().partition(|(level, ..)| *level == LogLevel::Warn);
            let numbers: Vec<_> = numbers.iter().map(|(.., line)| u32::from_le_bytes(line.as_slice().try_into().unwrap())).collect();
            let warnings: Vec<_> = warnings.into_iter().map(|(.., line)| String::from_utf8(line).unwrap()).collect();
            (numbers, warnings)
        };
        let refused = Status::InternalFailure.wire();
        let (numbers, warnings) = run(&["proxy_log", "proxy_on_tick", "name"]);
        assert_eq!(numbers, [refused, 0, refused, 0, refused, 0, refused, 0]);
        // Two imports, one capability, one warning.
        assert_eq!(warnings, ["vm is not among the allowed capabilities of this plugin"]);
        let (numbers, warnings) = run(&["proxy_log", "proxy_on_tick", "count"]);
        assert_eq!(numbers, [0, 6, Status::NotFound.wire(), 0, 0, 7, Status::NotFound.wire(), 0]);
        assert_eq!(warnings, [""; 0]);
    }

    fn an_import_answers_in_its_phases_only(engine: &dyn Engine) {
        let body = r#"(func (export "_initialize") (drop (call $vm (i64.const 1) (i32.const 16))))"#;
        let error = start(spec(engine, counting(false).0, body)).err().unwrap().to_string();
        assert!(error.contains("vm may not be called in this phase (_initialize)"), "{error}");
    }

    fn without_the_set_its_imports_and_capabilities_are_unknown(engine: &dyn Engine) {
        let wasm = guest(IMPORTS, COUNTS);
        let refused = HostModule::compile(engine, ImportSets::standard(), "test.wasm", &(&wasm).into());
        let error = refused.err().unwrap().to_string();
        assert!(error.contains("counting.vm (i64,i32) -> i32: no such function"), "{error}");
        let error = Capabilities::allow(ImportSets::standard(), ["count"]).unwrap_err();
        assert_eq!(error.to_string(), "unknown capabilities: count");
    }
}

/// A VM with its plugin, frozen after it has counted once.
fn frozen(snapshots: bool) -> (Result<Arc<VmSnapshot>, NoSnapshot>, Arc<AtomicUsize>) {
    let engine = support::wasmtime();
    let (sets, alive) = counting(snapshots);
    let body = format!(
        r#"{COUNTS} (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
            (drop (call $vm (i64.const 1) (i32.const 16))) (i32.const 1))"#
    );
    let mut spec = support::spec(&engine, &guest("", ""));
    let wasm = guest(IMPORTS, &body);
    spec.module = HostModule::compile_for_snapshots(&engine, sets, "test.wasm", &(&wasm).into()).unwrap();
    let services = Arc::new(Recorder::default());
    let snapshot = VmSnapshot::take(&Arc::new(spec), &[plugin("test")], &[], &shared(), services);
    (snapshot, alive)
}

#[test]
fn vms_from_a_snapshot_continue_with_the_state_of_the_set() {
    let (snapshot, alive) = frozen(true);
    let snapshot = snapshot.unwrap();
    for _ in 0..2 {
        let recorder = Recorder::default();
        let started = snapshot.start(&shared(), Box::new(recorder.clone()), Arc::new(recorder.clone()));
        let (mut vm, plugins) = started.unwrap();
        vm.on_tick(plugins[0]).unwrap();
        assert_eq!(recorder.numbers()[..2], [0, 7]);
    }
    drop(snapshot);
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

#[test]
fn a_set_without_state_for_another_vm_prevents_a_snapshot() {
    let (snapshot, alive) = frozen(false);
    let error = snapshot.err().unwrap().to_string();
    assert_eq!(error, "the import set counting takes no snapshots");
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}
