//! Whatever a guest does ends its VM at most, and everybody who waits for it is told.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::sync::Arc;

use support::{TestStream, guest, on_every_engine, plugin, running, spec, start};
use weir_engine::{Abilities, Ability, Trap, TrapKind};
use weir_host::{StartError, VmError};

fn request_headers(body: &str) -> String {
    format!(r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) {body})"#)
}

/// A guest that writes to its standard streams at each request and then does what `end` says.
fn printing(writes: &[(u32, &str)], end: &str) -> Vec<u8> {
    let (mut data, mut calls, mut at) = (String::new(), String::new(), 0);
    for (fd, text) in writes {
        let len = text.replace("\\0a", "\n").len();
        data += &format!(r#"(data (i32.const {at}) "{text}")"#);
        calls += &format!(
            "(i32.store (i32.const 4096) (i32.const {at})) (i32.store (i32.const 4100) (i32.const {len})) \
             (drop (call $write (i32.const {fd}) (i32.const 4096) (i32.const 1) (i32.const 4104)))"
        );
        at += len;
    }
    let import =
        r#"(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))"#;
    guest(import, &(data + &request_headers(&(calls + end))))
}

on_every_engine! {
    fn a_trap_ends_the_vm_and_tells_its_streams(engine: &dyn Engine) {
        let body = request_headers("unreachable").replace("(func (export", "(func $the_culprit (export");
        let (mut vm, plugin_id, recorder) = running(engine, &guest("", &body));
        let (first, first_record) = TestStream::recorded();
        let (second, second_record) = TestStream::recorded();
        let first = vm.create_stream(plugin_id, first).unwrap();
        let second = vm.create_stream(plugin_id, second).unwrap();
        let error = vm.on_request_headers(first, 1, true).unwrap_err();
        assert!(matches!(&error, VmError::Trapped { callback: "proxy_on_request_headers", trap: Trap { kind: TrapKind::Guest(_), .. }, .. }), "{error}");
        assert!(vm.is_dead());
        for record in [first_record, second_record] {
            assert!(record.lock().unwrap().died);
            assert!(record.lock().unwrap().dropped);
        }
        assert!(matches!(vm.on_request_headers(second, 1, true), Err(VmError::Dead)));
        assert!(matches!(vm.on_tick(plugin_id), Err(VmError::Dead)));
        assert!(matches!(vm.add_plugin(plugin("late")), Err(StartError::Dead { .. })));
        let log = recorder.lines().join("\n");
        assert!(log.contains("module test.wasm: the VM has died: proxy_on_request_headers trapped:"), "{log}");
        if Abilities::of(engine).has(Ability::Backtrace) {
            assert!(log.contains("the_culprit"), "{log}");
        }
    }

    fn what_a_guest_prints_is_logged_by_lines(engine: &dyn Engine) {
        let (mut vm, plugin_id, recorder) = running(engine, &printing(
            &[(1, "one\\0atw"), (2, "a "), (1, "o\\0arest"), (2, "word\\0aof warning")],
            "(i32.const 0)",
        ));
        let id = vm.create_stream(plugin_id, TestStream::recorded().0).unwrap();
        vm.on_request_headers(id, 1, true).unwrap();
        assert_eq!(recorder.lines(), ["one", "two", "rest", "a word", "of warning"]);
    }

    fn what_a_guest_prints_comes_before_what_it_logs_then(engine: &dyn Engine) {
        let (mut vm, plugin_id, recorder) = running(engine, &printing(
            &[(1, "printed"), (2, "warned")],
            "(call $say (i32.const 0) (i32.const 2)) (i32.const 0)",
        ));
        let id = vm.create_stream(plugin_id, TestStream::recorded().0).unwrap();
        vm.on_request_headers(id, 1, true).unwrap();
        assert_eq!(recorder.lines(), ["printed", "warned", "pr"]);
    }

    fn what_a_guest_prints_before_it_dies_is_one_record(engine: &dyn Engine) {
        let (mut vm, plugin_id, recorder) = running(engine, &printing(
            &[(2, "panic: "), (2, "nil map\\0a"), (1, "out"), (2, "\\0agoroutine "), (2, "1\\0a")],
            "unreachable",
        ));
        let id = vm.create_stream(plugin_id, TestStream::recorded().0).unwrap();
        vm.on_request_headers(id, 1, true).unwrap_err();
        let lines = recorder.lines();
        assert_eq!(lines[..2], ["out", "panic: nil map\n\ngoroutine 1"]);
        assert!(lines.len() == 3 && lines[2].contains("the VM has died"), "{lines:?}");
    }

    fn a_guest_logs_no_more_than_it_may(engine: &dyn Engine) {
        let shared = support::shared();
        let log = |times: u32, then: &str| request_headers(&format!(
            "(local $i i32) (loop $again (call $say (i32.const 0) (i32.const 100)) \
             (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const {times})))) \
             (call $say (i32.const 200) (i32.const 5)) {then}"
        ));
        let text = r#"(data (i32.const 200) "panic")"#;
        // A second VM has nothing of its own to log, neither as a spare nor as the next after a death.
        for (ends, kept) in [(false, 288), (true, 0)] {
            let then = if ends { "unreachable" } else { "(i32.const 0)" };
            let mut spec = spec(engine, &guest("", &(log(1000, then) + text)));
            // Nothing flows back while the test runs: what may be saved up is the longest line, 288 of these.
            spec.limits.log = 1;
            let recorder = support::Recorder::default();
            let (services, waker) = (Box::new(recorder.clone()), Arc::new(recorder.clone()));
            let mut vm = weir_host::Vm::start(Arc::new(spec), &shared, services, waker).unwrap();
            let plugin_id = vm.add_plugin(plugin("test")).unwrap();
            let id = vm.create_stream(plugin_id, TestStream::recorded().0).unwrap();
            assert_eq!(vm.on_request_headers(id, 1, true).is_err(), ends);
            let lines = recorder.lines();
            assert_eq!(lines.iter().filter(|line| line.len() == 100).count(), kept);
            let warnings = lines.iter().filter(|line| line.contains("filter test logs more than limits.log (1 bytes a second)"));
            assert_eq!(warnings.count(), usize::from(!ends), "{lines:?}");
            // What it said last is only told of a guest that has died, and so is its death.
            let last_words = lines.iter().any(|line| line.ends_with("panic"));
            let death = lines.iter().any(|line| line.contains("the VM has died"));
            assert_eq!((last_words, death), (ends, ends), "{lines:?}");
        }
        let lost: Vec<_> = shared.lost_log_lines().into_iter().filter(|lost| lost.plugin == "test").collect();
        assert!(lost.len() == 1 && lost[0].lines == 713 + 1001, "{lost:?}");
    }

    fn a_guest_that_has_logged_all_it_may_still_tells_why_it_dies(engine: &dyn Engine) {
        let mut spec = spec(engine, &printing(&[(2, "panic: nil map\\0a"), (1, "x\\0a")], "unreachable"));
        spec.limits.log = 0;
        let (mut vm, recorder) = start(spec).unwrap();
        let plugin_id = vm.add_plugin(plugin("test")).unwrap();
        let id = vm.create_stream(plugin_id, TestStream::recorded().0).unwrap();
        vm.on_request_headers(id, 1, true).unwrap_err();
        let lines = recorder.lines();
        let lines: Vec<_> = lines.iter().map(|line| line.split(" (0 bytes").next().unwrap()).collect();
        assert_eq!(lines[..3], ["filter test logs more than limits.log", "x", "panic: nil map"], "{lines:?}");
        assert!(lines.len() == 4 && lines[3].contains("the VM has died"), "{lines:?}");
    }

    fn an_endless_loop_is_stopped(engine: &dyn Engine) {
        let (mut vm, plugin_id, recorder) = running(engine, &guest("", &request_headers("(loop (br 0)) unreachable")));
        let id = vm.create_stream(plugin_id, TestStream::recorded().0).unwrap();
        let error = vm.on_request_headers(id, 1, true).unwrap_err();
        assert!(matches!(error, VmError::Trapped { trap: Trap { kind: TrapKind::Deadline, .. }, .. }), "{error}");
        let log = recorder.lines().join("\n");
        let says = "filter test: module test.wasm: the VM has died: proxy_on_request_headers trapped: CPU time exceeded (";
        assert!(log.contains(says), "{log}");
        assert!(log.contains("limits.callback_deadline is "), "{log}");
    }

    fn an_endless_loop_in_a_start_function_is_stopped(engine: &dyn Engine) {
        let error = start(spec(engine, &guest("", r#"(func (export "_initialize") (loop (br 0)))"#))).err().unwrap();
        assert!(matches!(error, StartError::Trapped { callback: "_initialize", trap: Trap { kind: TrapKind::Deadline, .. }, .. }), "{error}");
        let text = error.to_string();
        assert!(text.starts_with("module test.wasm: _initialize failed: CPU time exceeded (at least "), "{text}");
        assert!(text.contains(" ms used, limits.start_deadline is 200 ms)"), "{text}");
    }

    fn memory_ends_at_the_limit(engine: &dyn Engine) {
        let bomb = request_headers(
            "(block $full (loop $more (br_if $full (i32.eq (memory.grow (i32.const 1)) (i32.const -1))) (br $more))) \
             (call $number (memory.size)) (i32.const 0)",
        );
        let (mut vm, plugin_id, recorder) = running(engine, &guest("", &bomb));
        let id = vm.create_stream(plugin_id, TestStream::recorded().0).unwrap();
        vm.on_request_headers(id, 1, true).unwrap();
        assert_eq!(recorder.numbers(), [(16 << 20) / 65536]);
    }

    fn an_endless_recursion_is_stopped(engine: &dyn Engine) {
        let body = format!("(func $deep (result i32) (i32.add (call $deep) (i32.const 1))) {}", request_headers("(call $deep)"));
        let (mut vm, plugin_id, _) = running(engine, &guest("", &body));
        let id = vm.create_stream(plugin_id, TestStream::recorded().0).unwrap();
        let error = vm.on_request_headers(id, 1, true).unwrap_err();
        assert!(matches!(error, VmError::Trapped { trap: Trap { kind: TrapKind::StackOverflow, .. }, .. }), "{error}");
    }

    fn a_panic_of_our_own_ends_the_vm_only(engine: &dyn Engine) {
        let (mut vm, plugin_id, recorder) = running(engine, &guest("", &request_headers("(call $number (i32.const 1)) (i32.const 0)")));
        let (stream, record) = TestStream::recorded();
        let id = vm.create_stream(plugin_id, stream).unwrap();
        recorder.with(|record| record.panic_on_log = true);
        let error = vm.on_request_headers(id, 1, true).unwrap_err();
        assert!(matches!(&error, VmError::Panicked { callback: "proxy_on_request_headers", message } if message.contains("on fire")), "{error}");
        assert!(vm.is_dead());
        drop(record);
    }

    fn wild_pointers_are_a_status(engine: &dyn Engine) {
        let body = request_headers(
            "(call $number (call $proxy_log (i32.const 2) (i32.const -4) (i32.const 8)))
             (call $number (call $proxy_log (i32.const 2) (i32.const -1) (i32.const -1)))
             (call $number (call $proxy_log (i32.const 2) (i32.const 131072) (i32.const 1)))
             (call $number (call $proxy_log (i32.const 2) (i32.const 131072) (i32.const 0)))
             (i32.const 0)",
        );
        let (mut vm, plugin_id, recorder) = running(engine, &guest("", &body));
        let id = vm.create_stream(plugin_id, TestStream::recorded().0).unwrap();
        vm.on_request_headers(id, 1, true).unwrap();
        assert_eq!(recorder.numbers(), [6, 6, 6, 0]);
    }

    /// One call keeps the thread for as long as its argument is large.
    fn compressing_is_bounded(engine: &dyn Engine) {
        let imports = r#"(import "env" "proxy_call_foreign_function"
            (func $foreign (param i32 i32 i32 i32 i32 i32) (result i32)))"#;
        let body = r#"
            (data (i32.const 16) "compress") (data (i32.const 32) "uncompress")
            (func (export "proxy_on_tick") (param i32)
              (drop (memory.grow (i32.const 32)))
              (call $number (call $foreign (i32.const 16) (i32.const 8) (i32.const 0) (i32.const 1048576) (i32.const 0) (i32.const 0)))
              (call $number (call $foreign (i32.const 16) (i32.const 8) (i32.const 0) (i32.const 1048577) (i32.const 0) (i32.const 0)))
              (call $number (call $foreign (i32.const 32) (i32.const 10) (i32.const 0) (i32.const 2000000) (i32.const 0) (i32.const 0))))"#;
        let mut spec = spec(engine, &guest(imports, body));
        // The test's build compresses slowly.
        spec.limits.callback_deadline = std::time::Duration::from_secs(60);
        let (mut vm, recorder) = start(spec).unwrap();
        let plugin_id = vm.add_plugin(plugin("test")).unwrap();
        vm.on_tick(plugin_id).unwrap();
        assert_eq!(recorder.numbers(), [0, 2, 2]);
    }

    fn a_broken_allocator_ends_the_vm(engine: &dyn Engine) {
        for answer in ["0", "-4", "131072"] {
            let module = format!(
                r#"(module
                (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
                (memory (export "memory") 2)
                (data (i32.const 16) "plugin_name")
                (func (export "proxy_abi_version_0_2_1"))
                (func (export "malloc") (param i32) (result i32) (i32.const {answer}))
                (func (export "proxy_on_tick") (param i32)
                  (drop (call $property (i32.const 16) (i32.const 11) (i32.const 0) (i32.const 4)))))"#
            );
            let (mut vm, plugin_id, _) = running(engine, &wat::parse_str(module).unwrap());
            let error = vm.on_tick(plugin_id).unwrap_err();
            assert!(matches!(&error, VmError::Trapped { trap: Trap { kind: TrapKind::Host(_), .. }, .. }), "{error}");
            assert!(error.to_string().contains("allocator"), "{error}");
        }
    }

    fn an_allocator_may_not_call_back(engine: &dyn Engine) {
        let module = r#"(module
            (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 2)
            (data (i32.const 16) "plugin_name")
            (func (export "proxy_abi_version_0_2_1"))
            (func $get (drop (call $property (i32.const 16) (i32.const 11) (i32.const 0) (i32.const 4))))
            (func (export "malloc") (param i32) (result i32) (call $get) (i32.const 1024))
            (func (export "proxy_on_tick") (param i32) (call $get)))"#;
        let (mut vm, plugin_id, _) = running(engine, &wat::parse_str(module).unwrap());
        let error = vm.on_tick(plugin_id).unwrap_err().to_string();
        assert!(error.contains("proxy_get_property may not be called in this phase"), "{error}");
    }

    fn a_start_function_has_no_context_to_ask_about(engine: &dyn Engine) {
        let imports = r#"(import "env" "proxy_done" (func $done (result i32)))"#;
        let error = start(spec(engine, &guest(imports, r#"(func (export "_initialize") (drop (call $done)))"#))).err().unwrap();
        assert!(error.to_string().contains("proxy_done may not be called in this phase (_initialize)"), "{error}");
    }

    fn forbidden_functions_answer_a_status_and_are_not_called(engine: &dyn Engine) {
        let imports = r#"(import "env" "proxy_done" (func $done (result i32)))
            (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))"#;
        let body = r#"(func (export "proxy_on_tick") (param i32) (call $number (call $done)) (call $number (call $yield)))
            (func (export "proxy_on_configure") (param i32 i32) (result i32) unreachable)"#;
        let mut spec = spec(engine, &guest(imports, body));
        spec.capabilities = weir_host::Capabilities::allow(weir_host::ImportSets::standard(), ["proxy_log", "proxy_on_tick"]).unwrap();
        let (mut vm, recorder) = start(spec).unwrap();
        let plugin_id = vm.add_plugin(plugin("test")).unwrap();
        vm.on_tick(plugin_id).unwrap();
        assert_eq!(recorder.numbers(), [10, 76]);
    }

    fn a_vm_moves_between_threads(engine: &dyn Engine) {
        let (mut vm, plugin_id, recorder) = running(engine, &guest("", r#"(func (export "proxy_on_tick") (param i32) (call $number (i32.const 9)))"#));
        std::thread::spawn(move || vm.on_tick(plugin_id).unwrap()).join().unwrap();
        assert_eq!(recorder.numbers(), [9]);
    }
}

#[test]
fn a_new_vm_of_the_same_parts_serves_after_a_death() {
    let engine = support::wasmtime();
    let wasm = guest("", r#"(func (export "proxy_on_tick") (param i32) unreachable)"#);
    let spec = Arc::new(spec(&engine, &wasm));
    let shared = support::shared();
    for _ in 0..50 {
        let recorder = support::Recorder::default();
        let mut vm = weir_host::Vm::start(
            Arc::clone(&spec),
            &shared,
            Box::new(recorder.clone()),
            Arc::new(recorder),
        )
        .unwrap();
        let plugin_id = vm.add_plugin(plugin("test")).unwrap();
        assert!(vm.on_tick(plugin_id).is_err());
    }
}
