//! Calls to upstreams: begun by guests, ended by the proxy.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use support::{TestStream, guest, on_every_engine, running};
use weir_abi::Status;
use weir_host::{CallFailure, HttpCallResponse};

const HTTP_IMPORT: &str = r#"
    (import "env" "proxy_http_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_get_status" (func $status (param i32 i32 i32) (result i32)))
    (import "env" "proxy_get_header_map_value" (func $header (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_get_buffer_bytes" (func $bytes (param i32 i32 i32 i32 i32) (result i32)))"#;

/// Begins a call in the callback named; shows what comes back: arguments, status, `:status` and body.
fn caller(callback: &str) -> Vec<u8> {
    // Three pairs: :method GET, :path /, :authority a
    let pairs = concat!(
        r"\03\00\00\00",
        r"\07\00\00\00\03\00\00\00\05\00\00\00\01\00\00\00\0a\00\00\00\01\00\00\00",
        r":method\00GET\00:path\00/\00:authority\00a\00"
    );
    guest(
        HTTP_IMPORT,
        &format!(
            r#"
        (data (i32.const 100) "known")
        (data (i32.const 110) "other")
        (data (i32.const 200) "{pairs}")
        (data (i32.const 300) ":status")
        (func $begin (param $upstream i32) (param $timeout i32)
          (call $number (call $call (local.get $upstream) (i32.const 5) (i32.const 200) (i32.const 61) (i32.const 0) (i32.const 0)
            (i32.const 0) (i32.const 0) (local.get $timeout) (i32.const 8)))
          (call $number (i32.load (i32.const 8))))
        (func (export "{callback}") (param i32 i32 i32) (result i32)
          (call $begin (i32.const 100) (i32.const 1000))
          (i32.store (i32.const 8) (i32.const 0))
          (call $begin (i32.const 110) (i32.const 1000))
          (call $begin (i32.const 100) (i32.const -1))
          (i32.const 1))
        (func (export "proxy_on_http_call_response") (param $plugin i32) (param i32 i32 i32 i32)
          (call $number (local.get $plugin))
          (call $number (local.get 1)) (call $number (local.get 2)) (call $number (local.get 3)) (call $number (local.get 4))
          (drop (call $status (i32.const 0) (i32.const 4) (i32.const 12)))
          (call $number (i32.load (i32.const 0)))
          (call $say (i32.load (i32.const 4)) (i32.load (i32.const 12)))
          (call $number (call $header (i32.const 6) (i32.const 300) (i32.const 7) (i32.const 4) (i32.const 12)))
          ;; An empty body leaves the outputs as they are.
          (i64.store (i32.const 4) (i64.const 0))
          (i32.store (i32.const 12) (i32.const 0))
          (call $number (call $bytes (i32.const 4) (i32.const 0) (i32.const 100) (i32.const 4) (i32.const 12)))
          (call $say (i32.load (i32.const 4)) (i32.load (i32.const 12))))"#
        ),
    )
}

fn number(value: u32) -> String {
    String::from_utf8_lossy(&value.to_le_bytes()).into_owned()
}

on_every_engine! {
    fn a_call_comes_back_to_the_plugin_context(engine: &dyn Engine) {
        let (mut vm, plugin_id, recorder) = running(engine, &caller("proxy_on_request_headers"));
        let id = vm.create_stream(plugin_id, TestStream::recorded().0).unwrap();
        vm.on_request_headers(id, 1, true).unwrap();
        let (token, call) = recorder.with(|record| record.http_calls.remove(0));
        assert_eq!(recorder.numbers(), [0, token, 2, 0, 2, 0], "ok, then BadArgument for an unknown upstream and a negative timeout");
        assert_eq!(call.headers.len(), 3);
        assert_eq!(call.timeout, Some(std::time::Duration::from_secs(1)));
        let response = HttpCallResponse {
            headers: vec![(b":status".to_vec(), b"204".to_vec())],
            body: b"the body".to_vec(),
            trailers: Vec::new(),
        };
        vm.on_http_call_response(token, Ok(response.clone())).unwrap();
        let expected = [
            number(plugin_id.wire()), number(token), number(1), number(8), number(0),
            number(0), String::new(), number(0), number(0), "the body".into(),
        ];
        assert_eq!(recorder.lines(), expected);
        // A second result of the same call is nobody's.
        vm.on_http_call_response(token, Ok(response)).unwrap();
        assert_eq!(recorder.lines(), [""; 0]);
    }

    fn a_failure_is_zeros_and_a_reason(engine: &dyn Engine) {
        let (mut vm, plugin_id, recorder) = running(engine, &caller("proxy_on_request_headers"));
        let id = vm.create_stream(plugin_id, TestStream::recorded().0).unwrap();
        vm.on_request_headers(id, 1, true).unwrap();
        let (token, _) = recorder.with(|record| record.http_calls.remove(0));
        recorder.lines();
        let failure = Err(CallFailure { status: Status::BrokenConnection, reason: "timeout".into() });
        vm.on_http_call_response(token, failure).unwrap();
        let expected = [
            number(plugin_id.wire()), number(token), number(0), number(0), number(0),
            number(11), "timeout".into(), number(1), number(0), String::new(),
        ];
        assert_eq!(recorder.lines(), expected);
    }

    fn a_late_result_is_dropped(engine: &dyn Engine) {
        let (mut vm, plugin_id, recorder) = running(engine, &caller("proxy_on_request_headers"));
        let id = vm.create_stream(plugin_id, TestStream::recorded().0).unwrap();
        vm.on_request_headers(id, 1, true).unwrap();
        let (token, _) = recorder.with(|record| record.http_calls.remove(0));
        vm.finish_stream(id).unwrap();
        recorder.lines();
        vm.on_http_call_response(token, Ok(HttpCallResponse::default())).unwrap();
        assert_eq!(recorder.lines(), [""; 0]);
    }

    fn calls_end_with_their_context(engine: &dyn Engine) {
        let (mut vm, plugin_id, recorder) = running(engine, &caller("proxy_on_request_headers"));
        let begin = |vm: &mut weir_host::Vm| {
            let id = vm.create_stream(plugin_id, TestStream::recorded().0).unwrap();
            vm.on_request_headers(id, 1, true).unwrap();
            (id, recorder.with(|record| record.http_calls.remove(0)).0)
        };
        let (first, token) = begin(&mut vm);
        let (second, answered) = begin(&mut vm);
        vm.on_http_call_response(answered, Ok(HttpCallResponse::default())).unwrap();
        vm.finish_stream(second).unwrap();
        assert_eq!(recorder.with(|record| record.cancelled.clone()), [0; 0], "the call had ended");
        vm.finish_stream(first).unwrap();
        assert_eq!(recorder.with(|record| record.cancelled.clone()), [token]);
    }

    fn calls_count_until_they_have_ended(engine: &dyn Engine) {
        let mut spec = support::spec(engine, &caller("proxy_on_request_headers"));
        spec.limits.http_calls = 1;
        let (mut vm, recorder) = support::start(spec).unwrap();
        let plugin_id = vm.add_plugin(support::plugin("test")).unwrap();
        let mut status = || {
            let id = vm.create_stream(plugin_id, TestStream::recorded().0).unwrap();
            vm.on_request_headers(id, 1, true).unwrap();
            vm.finish_stream(id).unwrap();
            recorder.numbers()[0]
        };
        assert_eq!((status(), status(), status()), (0, 10, 10), "the stream has ended, the call has not");
        recorder.with(|record| record.tickets.clear());
        assert_eq!((status(), status()), (0, 10));
    }

    fn requests_of_calls_are_paid_for(engine: &dyn Engine) {
        let mut spec = support::spec(engine, &caller("proxy_on_request_headers"));
        spec.limits.host_memory = 800;
        let (mut vm, recorder) = support::start(spec).unwrap();
        let plugin_id = vm.add_plugin(support::plugin("test")).unwrap();
        let mut status = || {
            let id = vm.create_stream(plugin_id, TestStream::recorded().0).unwrap();
            vm.on_request_headers(id, 1, true).unwrap();
            recorder.numbers()[0]
        };
        // Three lines each.
        assert_eq!((status(), status(), status()), (0, 0, 10));
        recorder.with(|record| record.tickets.truncate(1));
        assert_eq!((status(), status()), (0, 10));
    }

    fn calls_in_flight_are_bounded(engine: &dyn Engine) {
        let mut spec = support::spec(engine, &caller("proxy_on_request_headers"));
        spec.limits.http_calls = 2;
        let (mut vm, recorder) = support::start(spec).unwrap();
        let plugin_id = vm.add_plugin(support::plugin("test")).unwrap();
        let mut statuses = Vec::new();
        for _ in 0..3 {
            let id = vm.create_stream(plugin_id, TestStream::recorded().0).unwrap();
            vm.on_request_headers(id, 1, true).unwrap();
            statuses.push(recorder.numbers()[0]);
        }
        assert_eq!(statuses, [0, 0, 10]);
    }

    fn grpc_goes_both_ways_until_it_ends(engine: &dyn Engine) {
        let imports = r#"
            (import "env" "proxy_grpc_stream" (func $stream (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
            (import "env" "proxy_grpc_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
            (import "env" "proxy_grpc_send" (func $send (param i32 i32 i32 i32) (result i32)))
            (import "env" "proxy_grpc_close" (func $close (param i32) (result i32)))
            (import "env" "proxy_grpc_cancel" (func $cancel (param i32) (result i32)))
            (import "env" "proxy_get_header_map_value" (func $header (param i32 i32 i32 i32 i32) (result i32)))
            (import "env" "proxy_get_buffer_bytes" (func $bytes (param i32 i32 i32 i32 i32) (result i32)))
            (import "env" "proxy_get_status" (func $status (param i32 i32 i32) (result i32)))"#;
        let body = r#"
            (data (i32.const 100) "upstreamServiceMethodmessagekey")
            (func (export "proxy_on_configure") (param i32 i32) (result i32)
              (call $number (call $stream (i32.const 100) (i32.const 8) (i32.const 108) (i32.const 7) (i32.const 115) (i32.const 6)
                (i32.const 0) (i32.const 0) (i32.const 8)))
              (call $number (call $send (i32.load (i32.const 8)) (i32.const 121) (i32.const 7) (i32.const 1)))
              (call $number (call $close (i32.load (i32.const 8))))
              (call $number (call $call (i32.const 100) (i32.const 8) (i32.const 108) (i32.const 7) (i32.const 115) (i32.const 6)
                (i32.const 0) (i32.const 0) (i32.const 121) (i32.const 7) (i32.const 1000) (i32.const 12)))
              (call $number (call $send (i32.load (i32.const 12)) (i32.const 121) (i32.const 7) (i32.const 1)))
              (call $number (call $cancel (i32.load (i32.const 12))))
              (call $number (call $cancel (i32.load (i32.const 12))))
              (call $number (call $send (i32.const 999) (i32.const 0) (i32.const 0) (i32.const 1)))
              (i32.const 1))
            (func $map (param $map i32)
              (drop (call $header (local.get $map) (i32.const 128) (i32.const 3) (i32.const 16) (i32.const 20)))
              (call $say (i32.load (i32.const 16)) (i32.load (i32.const 20))))
            (func (export "proxy_on_grpc_receive_initial_metadata") (param i32 i32 i32) (call $number (local.get 2)) (call $map (i32.const 4)))
            (func (export "proxy_on_grpc_receive_trailing_metadata") (param i32 i32 i32) (call $number (local.get 2)) (call $map (i32.const 5)))
            (func (export "proxy_on_grpc_receive") (param i32 i32 i32)
              (call $number (local.get 2))
              (drop (call $bytes (i32.const 5) (i32.const 0) (i32.const 100) (i32.const 16) (i32.const 20)))
              (call $say (i32.load (i32.const 16)) (i32.load (i32.const 20))))
            (func (export "proxy_on_grpc_close") (param i32 i32 i32)
              (call $number (local.get 2))
              (drop (call $status (i32.const 24) (i32.const 16) (i32.const 20)))
              (call $say (i32.load (i32.const 16)) (i32.load (i32.const 20))))"#;
        let (mut vm, _, recorder) = running(engine, &guest(imports, body));
        assert_eq!(recorder.numbers(), [0, 0, 0, 0, 2, 0, 1, 1]);
        let grpc = recorder.with(|record| std::mem::take(&mut record.grpc));
        assert_eq!(grpc, ["stream 1 Method", "send 1 message true", "close 1", "call 2 message", "cancel 2"]);
        let metadata = vec![(b"key".to_vec(), b"value".to_vec())];
        vm.on_grpc_receive_initial_metadata(1, metadata.clone()).unwrap();
        vm.on_grpc_receive(1, b"hello".to_vec()).unwrap();
        vm.on_grpc_receive_trailing_metadata(1, metadata).unwrap();
        vm.on_grpc_close(1, 5, "not found".into()).unwrap();
        vm.on_grpc_close(1, 5, "again".into()).unwrap();
        vm.on_grpc_receive(2, b"cancelled".to_vec()).unwrap();
        let expected = [
            number(1), "value".into(), number(5), "hello".into(), number(1), "value".into(), number(5), "not found".into(),
        ];
        assert_eq!(recorder.lines(), expected);
    }
}
