//! TCP streams and the callbacks that no HTTP proxy drives.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use support::{TestStream, guest, on_every_engine, running};
use weir_abi::{BufferType, PeerType, StreamType};
use weir_host::{Finish, StreamAction};

on_every_engine! {
    fn a_tcp_stream_from_connection_to_close(engine: &dyn Engine) {
        let imports = r#"
            (import "env" "proxy_get_buffer_bytes" (func $get (param i32 i32 i32 i32 i32) (result i32)))
            (import "env" "proxy_set_buffer_bytes" (func $set (param i32 i32 i32 i32 i32) (result i32)))
            (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
            (import "env" "proxy_close_stream" (func $close (param i32) (result i32)))"#;
        let body = r#"
            (data (i32.const 100) "ZZ")
            (func (export "proxy_on_new_connection") (param i32) (result i32) (call $number (i32.const 1)) (i32.const 1))
            (func (export "proxy_on_downstream_data") (param i32 i32 i32) (result i32)
              (call $number (local.get 1)) (call $number (local.get 2))
              (drop (call $get (i32.const 2) (i32.const 1) (i32.const 3) (i32.const 0) (i32.const 4)))
              (call $say (i32.load (i32.const 0)) (i32.load (i32.const 4)))
              (call $number (call $set (i32.const 2) (i32.const 1) (i32.const 3) (i32.const 100) (i32.const 2)))
              (call $number (call $continue (i32.const 2)))
              (i32.const 0))
            (func (export "proxy_on_upstream_data") (param i32 i32 i32) (result i32)
              (call $number (call $set (i32.const 3) (i32.const 100) (i32.const 0) (i32.const 100) (i32.const 2)))
              (call $number (call $close (i32.const 3)))
              (i32.const 0))
            (func (export "proxy_on_downstream_connection_close") (param i32 i32) (call $number (local.get 1)))
            (func (export "proxy_on_upstream_connection_close") (param i32 i32) (call $number (local.get 1)))"#;
        let (mut vm, plugin_id, recorder) = running(engine, &guest(imports, body));
        let (stream, record) = TestStream::recorded();
        record.lock().unwrap().buffers.extend([
            (BufferType::DownstreamData, b"abcdef".to_vec()),
            (BufferType::UpstreamData, b"answer".to_vec()),
        ]);
        let id = vm.create_stream(plugin_id, stream).unwrap();
        assert_eq!(vm.on_new_connection(id).unwrap(), StreamAction::Stop);
        assert_eq!(recorder.numbers(), [1]);
        assert_eq!(vm.on_downstream_data(id, 6, false).unwrap(), StreamAction::Continue);
        let lines = recorder.lines();
        assert_eq!(lines, ["\u{6}\0\0\0", "\0\0\0\0", "bcd", "\0\0\0\0", "\0\0\0\0"]);
        assert_eq!(vm.on_upstream_data(id, 6, true).unwrap(), StreamAction::Stop, "a reset was asked for");
        vm.on_downstream_connection_close(id, PeerType::Remote).unwrap();
        vm.on_upstream_connection_close(id, PeerType::Local).unwrap();
        assert_eq!(recorder.numbers(), [0, 0, 2, 1]);
        assert_eq!(vm.finish_stream(id).unwrap(), Finish::Complete);
        let record = record.lock().unwrap();
        assert_eq!(record.buffers[&BufferType::DownstreamData], b"aZZef");
        assert_eq!(record.buffers[&BufferType::UpstreamData], b"answerZZ");
        assert_eq!(record.resumed, [StreamType::Downstream]);
        assert_eq!(record.closed, [StreamType::Upstream]);
    }

    fn an_embedder_calls_a_foreign_function_of_the_guest(engine: &dyn Engine) {
        let imports = r#"(import "env" "proxy_get_buffer_bytes" (func $get (param i32 i32 i32 i32 i32) (result i32)))"#;
        let body = r#"(func (export "proxy_on_foreign_function") (param i32 i32 i32)
            (call $number (local.get 1)) (call $number (local.get 2))
            (drop (call $get (i32.const 8) (i32.const 0) (i32.const 100) (i32.const 0) (i32.const 4)))
            (call $say (i32.load (i32.const 0)) (i32.load (i32.const 4))))
            (func (export "proxy_on_tick") (param i32)
              (call $number (call $get (i32.const 8) (i32.const 0) (i32.const 100) (i32.const 0) (i32.const 4))))"#;
        let (mut vm, plugin_id, recorder) = running(engine, &guest(imports, body));
        vm.on_foreign_function(plugin_id, 77, b"arguments".to_vec()).unwrap();
        assert_eq!(recorder.lines(), ["M\0\0\0", "\t\0\0\0", "arguments"]);
        vm.on_tick(plugin_id).unwrap();
        assert_eq!(recorder.numbers(), [1], "NotFound: the arguments are gone");
    }
}
