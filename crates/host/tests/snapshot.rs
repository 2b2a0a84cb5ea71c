//! One VM is configured and frozen, many continue from there.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::{Recorder, TestStream, guest, plugin, shared, wasmtime};
use weir_host::{ContextId, HostModule, NoSnapshot, Shared, Vm, VmSnapshot, VmSpec, WarmUp};

/// A specification of VMs that can be frozen.
fn spec(wasm: &[u8]) -> Arc<VmSpec> {
    let engine = wasmtime();
    let mut spec = support::spec(&engine, wasm);
    spec.module = HostModule::compile_for_snapshots(
        &engine,
        weir_host::ImportSets::standard(),
        "test.wasm",
        &wasm.into(),
    )
    .unwrap();
    Arc::new(spec)
}

/// A snapshot of a guest with one plugin, and what the frozen VM did.
fn snapshot(
    wasm: &[u8],
    requests: &[WarmUp],
    shared: &Shared,
) -> (Result<Arc<VmSnapshot>, NoSnapshot>, Recorder) {
    let recorder = Recorder::default();
    let services = Arc::new(recorder.clone());
    let snapshot = VmSnapshot::take(&spec(wasm), &[plugin("test")], requests, shared, services);
    (snapshot, recorder)
}

fn continued(snapshot: &Arc<VmSnapshot>, shared: &Shared) -> (Vm, ContextId, Recorder) {
    let recorder = Recorder::default();
    let started = snapshot.start(shared, Box::new(recorder.clone()), Arc::new(recorder.clone()));
    let (vm, contexts) = started.unwrap();
    (vm, contexts[0], recorder)
}

/// A request through a VM.
fn request(vm: &mut Vm, plugin: ContextId) -> ContextId {
    let id = vm.create_stream(plugin, TestStream::recorded().0).unwrap();
    vm.on_request_headers(id, 1, true).unwrap();
    vm.finish_stream(id).unwrap();
    id
}

fn get(path: &str) -> WarmUp {
    let line = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    WarmUp {
        headers: vec![line(":method", "GET"), line(":path", path)],
        body: Vec::new(),
    }
}

/// Counts in memory: 1 for each start, vm_start and configure, and logs the count at each request after adding 1.
const COUNTING: &str = r#"
    (func $add (param $by i32)
      (i32.store (i32.const 1024) (i32.add (i32.load (i32.const 1024)) (local.get $by))))
    (func (export "_initialize") (call $add (i32.const 1000)))
    (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (call $add (i32.const 100)) (i32.const 1))
    (func (export "proxy_on_configure") (param i32 i32) (result i32) (call $add (i32.const 10)) (i32.const 1))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
      (call $add (i32.const 1)) (call $number (i32.load (i32.const 1024))) (i32.const 0))"#;

#[test]
fn vms_continue_where_the_snapshot_was_taken() {
    let shared = shared();
    let (snapshot, frozen) = snapshot(&guest("", COUNTING), &[get("/")], &shared);
    let snapshot = snapshot.unwrap();
    assert_eq!(frozen.numbers(), [1111], "the made-up request");
    for _ in 0..3 {
        let (mut vm, plugin, recorder) = continued(&snapshot, &shared);
        assert_eq!(plugin.wire(), 1);
        assert_eq!(vm.plugin(plugin).unwrap().name, "test");
        // Numbers of contexts that the guest has seen do not come again.
        assert_eq!(request(&mut vm, plugin).wire(), 3);
        request(&mut vm, plugin);
        assert_eq!(recorder.numbers(), [1112, 1113]);
        assert_eq!(vm.memory_size(), snapshot.memory_size());
    }
}

#[test]
fn several_plugins_keep_their_places() {
    let shared = shared();
    let spec = spec(&guest("", COUNTING));
    let plugins = [plugin("one"), plugin("two"), plugin("three")];
    let snapshot = VmSnapshot::take(&spec, &plugins, &[], &shared, Arc::new(Recorder::default())).unwrap();
    let recorder = Recorder::default();
    let (mut vm, contexts) = snapshot
        .start(&shared, Box::new(recorder.clone()), Arc::new(recorder))
        .unwrap();
    let names: Vec<_> = contexts
        .iter()
        .map(|id| vm.plugin(*id).unwrap().name.clone())
        .collect();
    assert_eq!(names, ["one", "two", "three"]);
}

const EFFECTS: &str = r#"
    (import "env" "proxy_set_tick_period_milliseconds" (func $ticks (param i32) (result i32)))
    (import "env" "proxy_register_shared_queue" (func $register (param i32 i32 i32) (result i32)))
    (import "env" "proxy_dequeue_shared_queue" (func $dequeue (param i32 i32 i32) (result i32)))
    (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_increment_metric" (func $increment (param i32 i64) (result i32)))
    (import "env" "proxy_set_property" (func $set (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_get_property" (func $get (param i32 i32 i32 i32) (result i32)))"#;

#[test]
fn effects_of_configuration_on_the_host_hold_in_vms_from_a_snapshot() {
    // 16: name; 512: queue, 516: metric, 520 and 524: results.
    let body = r#"
        (data (i32.const 16) "name")
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
          (drop (call $ticks (i32.const 250)))
          (drop (call $register (i32.const 16) (i32.const 4) (i32.const 512)))
          (drop (call $define (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 516)))
          (drop (call $set (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 2)))
          (i32.const 1))
        (func (export "proxy_on_queue_ready") (param i32 i32)
          (call $number (call $dequeue (i32.load (i32.const 512)) (i32.const 520) (i32.const 524))))
        (func (export "proxy_on_tick") (param i32)
          (call $number (call $get (i32.const 16) (i32.const 4) (i32.const 520) (i32.const 524)))
          (call $say (i32.load (i32.const 520)) (i32.load (i32.const 524))))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (drop (call $increment (i32.load (i32.const 516)) (i64.const 1))) (i32.const 0))"#;
    let shared = shared();
    let (snapshot, frozen) = snapshot(&guest(EFFECTS, body), &[get("/1"), get("/2")], &shared);
    let snapshot = snapshot.unwrap();
    assert!(
        frozen.with(|record| record.ticks.is_empty()),
        "the frozen VM has no ticks"
    );
    let count = || shared.metrics().snapshot()[0].value.clone();
    let before = format!("{:?}", count());
    assert!(
        before.contains("(0)"),
        "made-up requests are not counted: {before}"
    );

    let queue = shared.stores().resolve_queue("vm", b"name").unwrap();
    shared
        .stores()
        .queue(queue)
        .unwrap()
        .enqueue(b"waits for a VM")
        .unwrap();
    let (mut one, plugin, recorder) = continued(&snapshot, &shared);
    assert_eq!(
        recorder.with(|record| record.ticks.clone()),
        [(plugin, Some(Duration::from_millis(250)))]
    );
    assert_eq!(recorder.with(|record| record.woken.clone()), [(plugin, queue)]);
    one.on_queue_ready(plugin, queue).unwrap();
    assert_eq!(recorder.numbers(), [0]);

    let (mut two, _, second) = continued(&snapshot, &shared);
    for _ in 0..2 {
        shared.stores().queue(queue).unwrap().enqueue(b"entry").unwrap();
    }
    assert_eq!(
        second.with(|record| record.woken.len()),
        1,
        "both consume, each in its turn"
    );

    one.on_tick(plugin).unwrap();
    assert_eq!(recorder.lines(), ["\0\0\0\0", "na"]);
    request(&mut one, plugin);
    request(&mut two, plugin);
    assert!(format!("{:?}", count()).contains("(2)"), "{:?}", count());
}

#[test]
fn a_pending_answer_prevents_a_snapshot() {
    let call = r#"(import "env" "proxy_http_call"
        (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_call_foreign_function" (func $foreign (param i32 i32 i32 i32 i32 i32) (result i32)))"#;
    let headers = "\\03\\00\\00\\00\\07\\00\\00\\00\\03\\00\\00\\00\\05\\00\\00\\00\\01\\00\\00\\00\\0a\\00\\00\\00\\01\\00\\00\\00:method\\00GET\\00:path\\00/\\00:authority\\00a\\00";
    let text = |callback: &str, what: &str| {
        guest(
            call,
            &format!(
                r#"(data (i32.const 16) "known") (data (i32.const 32) "later") (data (i32.const 64) "{headers}")
                (func {callback} {what})"#
            ),
        )
    };
    let begin = "(drop (call $call (i32.const 16) (i32.const 5) (i32.const 64) (i32.const 61) (i32.const 0) (i32.const 0)
        (i32.const 0) (i32.const 0) (i32.const 5000) (i32.const 512)))";
    let configure = r#"(export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1)"#;
    let (none, recorder) = snapshot(&text(configure, begin), &[], &shared());
    assert_eq!(recorder.with(|record| record.asked.len()), 1);
    let reason = none.err().unwrap().to_string();
    assert_eq!(reason, "while it was configured it began a call to an upstream");

    // A call of a made-up request ends with it.
    let on_request = r#"(export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 1)"#;
    let (some, recorder) = snapshot(&text(on_request, begin), &[get("/")], &shared());
    assert_eq!(recorder.with(|record| record.asked.len()), 1);
    some.unwrap();

    let mut functions = weir_host::ForeignFunctions::default();
    functions.add("later", |call, _| {
        call.later().map_or(Ok(vec![0]), |_| Ok(vec![1]))
    });
    let foreign = "(drop (call $foreign (i32.const 32) (i32.const 5) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))";
    let (none, _) = snapshot(&text(configure, foreign), &[], &Shared::new(functions));
    let reason = none.err().unwrap().to_string();
    assert_eq!(
        reason,
        "while it was configured it began a call whose answer comes later"
    );
}

#[test]
fn made_up_requests_are_requests() {
    let imports = r#"
        (import "env" "proxy_get_header_map_value" (func $header (param i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_get_buffer_bytes" (func $body (param i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_send_local_response"
          (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))"#;
    let body = r#"
        (data (i32.const 16) ":path") (data (i32.const 32) ":status")
        (func $show (param i32) (call $say (i32.load (i32.const 520)) (i32.load (i32.const 524))))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (call $show (call $header (i32.const 0) (i32.const 16) (i32.const 5) (i32.const 520) (i32.const 524)))
          (if (i32.eq (i32.load8_u (i32.add (i32.load (i32.const 520)) (i32.const 1))) (i32.const 97))
            (then (drop (call $answer (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
              (i32.const 0) (i32.const 0) (i32.const -1)))))
          (i32.const 1))
        (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
          (call $show (call $body (i32.const 0) (i32.const 0) (i32.const 100) (i32.const 520) (i32.const 524)))
          (i32.const 1))
        (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
          (call $show (call $header (i32.const 2) (i32.const 32) (i32.const 7) (i32.const 520) (i32.const 524)))
          (i32.const 0))"#;
    let post = WarmUp {
        body: b"a body".to_vec(),
        ..get("/b")
    };
    let (snapshot, recorder) = snapshot(&guest(imports, body), &[get("/a"), post], &shared());
    snapshot.unwrap();
    assert_eq!(recorder.lines(), ["/a", "/b", "a body", "200"], "/a was answered");
}

#[test]
fn a_made_up_request_that_kills_is_named() {
    let body = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (if (i32.eq (i32.load (i32.const 1024)) (i32.const 1)) (then unreachable))
        (i32.store (i32.const 1024) (i32.const 1)) (i32.const 0))"#;
    let (none, _) = snapshot(&guest("", body), &[get("/1"), get("/2"), get("/3")], &shared());
    let reason = none.err().unwrap().to_string();
    let expected = "it did not survive request 2 of warm_up: proxy_on_request_headers trapped: unreachable";
    assert!(reason.starts_with(expected), "{reason}");
}

/// Logs four random bytes drawn at start, and four drawn now.
const RANDOM: &str = r#"
    (func (export "_initialize") (drop (call $random (i32.const 1024) (i32.const 4))))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
      (call $say (i32.const 1024) (i32.const 4))
      (drop (call $random (i32.const 1028) (i32.const 4)))
      (call $say (i32.const 1028) (i32.const 4))
      (i32.const 0))"#;

#[test]
fn random_numbers_from_the_start_are_shared_and_later_ones_differ() {
    let imports =
        r#"(import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))"#;
    let shared = shared();
    let snapshot = snapshot(&guest(imports, RANDOM), &[], &shared).0.unwrap();
    let drawn: Vec<[u32; 2]> = (0..3)
        .map(|_| {
            let (mut vm, plugin, recorder) = continued(&snapshot, &shared);
            request(&mut vm, plugin);
            recorder.numbers().try_into().unwrap()
        })
        .collect();
    assert!(drawn.iter().all(|[old, _]| *old == drawn[0][0]), "{drawn:?}");
    assert!(drawn.iter().any(|[_, new]| *new != drawn[0][1]), "{drawn:?}");
}

#[test]
fn a_guest_can_ask_for_the_number_of_its_vm() {
    let imports = r#"(import "env" "proxy_call_foreign_function"
        (func $foreign (param i32 i32 i32 i32 i32 i32) (result i32)))"#;
    let body = r#"
        (data (i32.const 16) "vm_cloned")
        (func $ask
          (call $number (call $foreign (i32.const 16) (i32.const 9) (i32.const 0) (i32.const 0) (i32.const 520) (i32.const 524)))
          (call $number (i32.load (i32.load (i32.const 520)))))
        (func (export "proxy_on_configure") (param i32 i32) (result i32) (call $ask) (i32.const 1))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (call $ask) (i32.const 0))"#;
    let shared = shared();
    let (snapshot, frozen) = snapshot(&guest(imports, body), &[], &shared);
    let snapshot = snapshot.unwrap();
    assert_eq!(
        frozen.numbers(),
        [0, 0],
        "the VM to freeze is no VM from a snapshot"
    );
    let mut numbers = Vec::new();
    for _ in 0..3 {
        let (mut vm, plugin, recorder) = continued(&snapshot, &shared);
        request(&mut vm, plugin);
        request(&mut vm, plugin);
        let [0, first, 0, second] = recorder.numbers()[..] else {
            panic!("two answers");
        };
        assert_eq!(first, second);
        numbers.push(first);
    }
    numbers.dedup();
    assert!(numbers.len() == 3 && !numbers.contains(&0), "{numbers:?}");
}

#[test]
fn an_early_death_is_followed_by_an_ordinary_start() {
    let body = r#"
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0))
        (func (export "proxy_on_tick") (param i32) unreachable)"#;
    let shared = shared();
    let snapshot = snapshot(&guest("", body), &[], &shared).0.unwrap();
    assert!(!snapshot.is_distrusted());
    let (mut vm, plugin, _) = continued(&snapshot, &shared);
    vm.on_tick(plugin).unwrap_err();
    assert!(snapshot.is_distrusted());
    assert!(!snapshot.is_distrusted(), "once");

    let (mut vm, plugin, _) = continued(&snapshot, &shared);
    request(&mut vm, plugin);
    vm.on_tick(plugin).unwrap_err();
    assert!(!snapshot.is_distrusted(), "it had served");
}

#[test]
fn a_trap_ends_one_vm_of_a_snapshot() {
    let body = r#"
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (i32.store (i32.const 1024) (i32.add (i32.load (i32.const 1024)) (i32.const 1)))
          (call $number (i32.load (i32.const 1024)))
          (i32.const 0))
        (func (export "proxy_on_tick") (param i32) unreachable)"#;
    let shared = shared();
    let snapshot = snapshot(&guest("", body), &[], &shared).0.unwrap();
    let (mut good, plugin, recorder) = continued(&snapshot, &shared);
    request(&mut good, plugin);
    let (mut bad, plugin, _) = continued(&snapshot, &shared);
    bad.on_tick(plugin).unwrap_err();
    assert!(bad.is_dead());
    request(&mut good, plugin);
    let (mut new, plugin, third) = continued(&snapshot, &shared);
    request(&mut new, plugin);
    assert_eq!((recorder.numbers(), third.numbers()), (vec![1, 2], vec![1]));
}

#[test]
fn vms_from_a_snapshot_on_four_threads_answer_alike() {
    let shared = shared();
    let snapshot = snapshot(&guest("", COUNTING), &[], &shared).0.unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let (mut vm, plugin, recorder) = continued(&snapshot, &shared);
                    (0..20).for_each(|_| {
                        request(&mut vm, plugin);
                    });
                    assert_eq!(recorder.numbers(), (1111..1131).collect::<Vec<_>>());
                }
            });
        }
    });
}

#[test]
fn a_module_without_snapshots_says_why() {
    let refused = |wasm: &[u8]| snapshot(wasm, &[], &shared()).0.err().unwrap().to_string();
    let table = r#"(table 1 funcref) (func (table.set (i32.const 0) (ref.null func)))"#;
    assert_eq!(
        refused(&guest("", table)),
        "no snapshot can be taken: the module writes to its tables"
    );
    let refuses = r#"(func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 0))"#;
    assert!(refused(&guest("", refuses)).contains("proxy_on_configure returned false"));

    let wasm = guest("", COUNTING);
    let engine = support::wasmi();
    let mut spec = support::spec(&engine, &wasm);
    assert_eq!(
        spec.module.snapshots().err(),
        Some("it was not compiled for that")
    );
    spec.module = HostModule::compile_for_snapshots(
        &engine,
        weir_host::ImportSets::standard(),
        "test.wasm",
        &(&wasm).into(),
    )
    .unwrap();
    assert_eq!(
        spec.module.snapshots().err(),
        Some("the runtime wasmi takes no snapshots")
    );
    // It runs all the same.
    support::start(spec).unwrap();
}
