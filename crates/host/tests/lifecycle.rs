//! Order of callbacks from start to end.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::time::Duration;

use support::{TestStream, guest, on_every_engine, plugin, running, spec, start};
use weir_host::{Finish, StartError, Vm};

/// Logs the number of each callback: 1 context_create, 2 vm_start, 3 configure, 4 request_headers, 5 done, 6 log,
/// 7 delete, 9 tick.
const EVERY_STEP: &str = r#"
    (func (export "_initialize") (call $number (i32.const 100)))
    (func (export "main") (param i32 i32) (result i32) (call $number (i32.const 101)) (i32.const 7))
    (func (export "_start") unreachable)
    (func (export "proxy_on_context_create") (param i32 i32) (call $number (i32.const 1)))
    (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (call $number (i32.const 2)) (i32.const 1))
    (func (export "proxy_on_configure") (param i32 i32) (result i32) (call $number (i32.const 3)) (i32.const 1))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (call $number (i32.const 4)) (i32.const 0))
    (func (export "proxy_on_done") (param i32) (result i32) (call $number (i32.const 5)) (i32.const 1))
    (func (export "proxy_on_log") (param i32) (call $number (i32.const 6)))
    (func (export "proxy_on_delete") (param i32) (call $number (i32.const 7)))
    (func (export "proxy_on_tick") (param i32) (call $number (i32.const 9)))"#;

on_every_engine! {
    fn callbacks_come_in_the_order_of_the_specification(engine: &dyn Engine) {
        let (mut vm, plugin_id, recorder) = running(engine, &guest("", EVERY_STEP));
        assert_eq!(recorder.numbers(), [100, 101, 1, 2, 3]);
        let (stream, record) = TestStream::recorded();
        let id = vm.create_stream(plugin_id, stream).unwrap();
        vm.on_request_headers(id, 3, true).unwrap();
        vm.on_tick(plugin_id).unwrap();
        assert!(!record.lock().unwrap().dropped);
        assert_eq!(vm.finish_stream(id).unwrap(), Finish::Complete);
        assert!(record.lock().unwrap().dropped);
        assert_eq!(recorder.numbers(), [1, 4, 9, 5, 6, 7]);
        vm.shutdown().unwrap();
        assert_eq!(recorder.numbers(), [5, 6, 7]);
    }

    /// Silence would let a message go on without what a filter has put into it, or past a check that saw nothing.
    fn a_stream_that_somebody_else_is_at_work_on_is_an_error(engine: &dyn Engine) {
        let imports = r#"
            (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
            (import "env" "proxy_get_header_map_pairs" (func $pairs (param i32 i32 i32) (result i32)))
            (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
            (import "env" "proxy_remove_header_map_value" (func $remove (param i32 i32 i32) (result i32)))"#;
        let body = r#"
            (data (i32.const 100) "key")
            (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
              (call $number (call $get (i32.const 0) (i32.const 100) (i32.const 3) (i32.const 16) (i32.const 20)))
              (call $number (call $pairs (i32.const 0) (i32.const 16) (i32.const 20)))
              (call $number (call $add (i32.const 0) (i32.const 100) (i32.const 3) (i32.const 100) (i32.const 3)))
              (call $number (call $remove (i32.const 0) (i32.const 100) (i32.const 3)))
              (i32.const 0))"#;
        let (mut vm, plugin_id, recorder) = running(engine, &guest(imports, body));
        let (stream, record) = TestStream::recorded();
        record.lock().unwrap().busy = true;
        let id = vm.create_stream(plugin_id, stream).unwrap();
        vm.on_request_headers(id, 1, true).unwrap();
        assert_eq!(recorder.numbers(), [10, 10, 10, 10]);
    }

    fn vm_start_comes_once_for_several_plugins(engine: &dyn Engine) {
        let (mut vm, _, recorder) = running(engine, &guest("", EVERY_STEP));
        recorder.numbers();
        let second = vm.add_plugin(plugin("second")).unwrap();
        assert_eq!(recorder.numbers(), [1, 3]);
        assert_eq!(vm.plugin(second).unwrap().name, "second");
    }

    fn a_start_that_exits_with_0_is_fine_and_with_another_code_is_not(engine: &dyn Engine) {
        let import = r#"(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))"#;
        let tiny_go = |code: u32| guest(import, &format!(r#"(func (export "_start") (call $exit (i32.const {code})) unreachable)"#));
        let (mut vm, _) = start(spec(engine, &tiny_go(0))).unwrap();
        vm.add_plugin(plugin("test")).unwrap();
        let error = start(spec(engine, &tiny_go(3))).err().unwrap();
        assert_eq!(error.to_string().lines().next().unwrap(), "module test.wasm: _start failed: proc_exit(3)");
    }

    fn false_from_vm_start_or_configure_is_refused_by_name(engine: &dyn Engine) {
        let refuse = |callback: &str| {
            guest("", &format!(r#"(func (export "{callback}") (param i32 i32) (result i32) (i32.const 0))"#))
        };
        let (mut vm, _) = start(spec(engine, &refuse("proxy_on_vm_start"))).unwrap();
        assert!(matches!(vm.add_plugin(plugin("a")), Err(StartError::Refused { callback: "proxy_on_vm_start", plugin: None, .. })));
        let (mut vm, _) = start(spec(engine, &refuse("proxy_on_configure"))).unwrap();
        let error = vm.add_plugin(plugin("a")).unwrap_err().to_string();
        assert_eq!(error, "module test.wasm: proxy_on_configure returned false: the configuration of plugin \"a\" is refused");
    }

    fn false_from_done_waits_for_proxy_done(engine: &dyn Engine) {
        // The tick makes the stream (context 2) effective and completes it.
        let body = r#"
            (func (export "proxy_on_done") (param i32) (result i32) (call $number (i32.const 5)) (i32.const 0))
            (func (export "proxy_on_log") (param i32) (call $number (i32.const 6)))
            (func (export "proxy_on_delete") (param i32) (call $number (i32.const 7)))
            (func (export "proxy_on_tick") (param i32)
              (call $number (call $effective (i32.const 2)))
              (call $number (call $done)))"#;
        let imports = r#"(import "env" "proxy_done" (func $done (result i32)))
            (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))"#;
        let (mut vm, plugin_id, recorder) = running(engine, &guest(imports, body));
        let (stream, record) = TestStream::recorded();
        let id = vm.create_stream(plugin_id, stream).unwrap();
        assert_eq!(id.wire(), 2);
        assert_eq!(vm.finish_stream(id).unwrap(), Finish::Deferred);
        assert_eq!(vm.open_streams(), 1);
        vm.housekeep().unwrap();
        assert!(!record.lock().unwrap().dropped, "30 seconds have not passed");
        vm.on_tick(plugin_id).unwrap();
        assert_eq!(recorder.numbers(), [5, 0, 0, 6, 7]);
        assert!(record.lock().unwrap().dropped);
        assert_eq!(vm.open_streams(), 0);
    }

    fn proxy_done_counts_once_for_a_context(engine: &dyn Engine) {
        let body = r#"
            (func (export "proxy_on_done") (param i32) (result i32) (i32.const 0))
            (func (export "proxy_on_log") (param i32) (call $number (i32.const 6)))
            (func (export "proxy_on_delete") (param i32) (call $number (i32.const 7)))
            (func (export "proxy_on_tick") (param i32)
              (drop (call $effective (i32.const 2)))
              (call $number (call $done)) (call $number (call $done)) (call $number (call $done)))"#;
        let imports = r#"(import "env" "proxy_done" (func $done (result i32)))
            (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))"#;
        let (mut vm, plugin_id, recorder) = running(engine, &guest(imports, body));
        let id = vm.create_stream(plugin_id, TestStream::recorded().0).unwrap();
        assert_eq!(vm.finish_stream(id).unwrap(), Finish::Deferred);
        vm.on_tick(plugin_id).unwrap();
        assert_eq!(recorder.numbers(), [0, 0, 0, 6, 7]);
        assert!(!vm.has_pending_done());
    }

    /// One callback completes three contexts, each of which takes the time of a callback to end.
    fn contexts_that_take_long_to_end_do_so_one_after_the_other(engine: &dyn Engine) {
        let complete = |id: u32| format!("(drop (call $effective (i32.const {id}))) (drop (call $done))");
        let body = format!(
            r#"(func (export "proxy_on_done") (param i32) (result i32) (i32.const 0))
            (func (export "proxy_on_log") (param i32) (call $number (i32.const 6)))
            (func (export "proxy_on_tick") (param i32) {} {} {})"#,
            complete(2), complete(3), complete(4)
        );
        let imports = r#"(import "env" "proxy_done" (func $done (result i32)))
            (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))"#;
        let (mut vm, plugin_id, recorder) = running(engine, &guest(imports, &body));
        for _ in 0..3 {
            let id = vm.create_stream(plugin_id, TestStream::recorded().0).unwrap();
            assert_eq!(vm.finish_stream(id).unwrap(), Finish::Deferred);
        }
        recorder.with(|record| record.log_takes = vm.spec().limits.callback_deadline + Duration::from_millis(1));
        vm.on_tick(plugin_id).unwrap();
        for left in [2, 1, 0] {
            assert_eq!((recorder.numbers(), vm.open_streams()), (vec![6], left));
            assert_eq!(vm.has_pending_done(), left > 0);
            if left > 0 {
                vm.housekeep().unwrap();
            }
        }
    }

    fn done_inside_of_done_completes_at_once(engine: &dyn Engine) {
        let body = r#"
            (func (export "proxy_on_done") (param i32) (result i32) (drop (call $done)) (i32.const 0))
            (func (export "proxy_on_delete") (param i32) (call $number (i32.const 7)))"#;
        let imports = r#"(import "env" "proxy_done" (func $done (result i32)))"#;
        let (mut vm, plugin_id, recorder) = running(engine, &guest(imports, body));
        let id = vm.create_stream(plugin_id, TestStream::recorded().0).unwrap();
        assert_eq!(vm.finish_stream(id).unwrap(), Finish::Complete);
        assert_eq!(recorder.numbers(), [7]);
    }

    fn a_trial_has_no_side_effects_and_shows_what_is_refused(engine: &dyn Engine) {
        let body = r#"
            (data (i32.const 16) "key")
            (func (export "proxy_on_configure") (param i32 i32) (result i32)
              (call $number (call $set (i32.const 16) (i32.const 3) (i32.const 16) (i32.const 3) (i32.const 0)))
              (i32.const 1))"#;
        let imports = r#"(import "env" "proxy_set_shared_data" (func $set (param i32 i32 i32 i32 i32) (result i32)))"#;
        let spec = std::sync::Arc::new(spec(engine, &guest(imports, body)));
        let (shared, recorder) = (support::shared(), support::Recorder::default());
        Vm::try_out(&spec, &[plugin("a")], &shared, std::sync::Arc::new(recorder.clone())).unwrap();
        assert_eq!(recorder.numbers(), [0]);
        assert!(shared.stores().find("vm").is_none(), "not even a store was made");
    }

    fn only_a_trial_asks_to_validate(engine: &dyn Engine) {
        let body = r#"(func (export "proxy_validate_configuration") (param i32 i32) (result i32)
            (call $number (local.get 1)) (i32.const 0))"#;
        let spec = std::sync::Arc::new(spec(engine, &guest("", body)));
        let (shared, recorder) = (support::shared(), support::Recorder::default());
        let refused = Vm::try_out(&spec, &[plugin("a")], &shared, std::sync::Arc::new(recorder.clone()));
        let error = refused.unwrap_err().into_first();
        assert!(matches!(error, Some(StartError::Refused { callback: "proxy_on_configure", plugin: Some(_), .. })));
        assert_eq!(recorder.numbers(), ["plugin configuration".len() as u32]);
        let (mut vm, _) = start(support::spec(engine, &guest("", body))).unwrap();
        vm.add_plugin(plugin("a")).unwrap();
    }

    fn both_configurations_are_readable_in_every_callback(engine: &dyn Engine) {
        let body = r#"
            (func $show (param $buffer i32)
              (call $number (call $get (local.get $buffer) (i32.const 0) (i32.const 1000) (i32.const 0) (i32.const 4)))
              (call $say (i32.load (i32.const 0)) (i32.load (i32.const 4))))
            (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (call $show (i32.const 6)) (i32.const 1))
            (func (export "proxy_on_tick") (param i32) (call $show (i32.const 6)) (call $show (i32.const 7)))"#;
        let imports = r#"(import "env" "proxy_get_buffer_bytes" (func $get (param i32 i32 i32 i32 i32) (result i32)))"#;
        let (mut vm, plugin_id, recorder) = running(engine, &guest(imports, body));
        vm.on_tick(plugin_id).unwrap();
        let ok = "\0\0\0\0";
        assert_eq!(
            recorder.lines(),
            [ok, "vm configuration", ok, "vm configuration", ok, "plugin configuration"]
        );
    }
}
