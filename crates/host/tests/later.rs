//! Foreign functions that answer after they have returned.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::sync::{Arc, Mutex};

use support::{Recorder, guest, on_every_engine, plugin, spec};
use weir_abi::Status;
use weir_host::{ForeignFunctions, Later, Shared, Vm};

/// Calls `slow` with "x" at a tick and shows the token; shows what comes.
fn caller() -> Vec<u8> {
    guest(
        r#"(import "env" "proxy_call_foreign_function" (func $call (param i32 i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_get_buffer_bytes" (func $get (param i32 i32 i32 i32 i32) (result i32)))"#,
        r#"(data (i32.const 100) "slow")
        (data (i32.const 110) "x")
        (func (export "proxy_on_tick") (param i32)
          (call $number (call $call (i32.const 100) (i32.const 4) (i32.const 110) (i32.const 1) (i32.const 0) (i32.const 4)))
          (call $say (i32.load (i32.const 0)) (i32.load (i32.const 4))))
        (func (export "proxy_on_foreign_function") (param i32 i32 i32)
          (call $number (local.get 1))
          (drop (call $get (i32.const 8) (i32.const 0) (local.get 2) (i32.const 0) (i32.const 4)))
          (call $say (i32.load (i32.const 0)) (i32.load (i32.const 4))))"#,
    )
}

on_every_engine! {
    fn an_answer_comes_to_the_plugin_context_that_called(engine: &dyn Engine) {
        let mut functions = ForeignFunctions::default();
        functions.add("slow", |call, arguments| {
            let later = call.later().ok_or(Status::InternalFailure)?;
            let token = later.token().to_le_bytes().to_vec();
            later.deliver([b"later: ", arguments].concat());
            Ok(token)
        });
        let recorder = Recorder::default();
        let mut vm = Vm::start(
            Arc::new(spec(engine, &caller())),
            &Shared::new(functions),
            Box::new(recorder.clone()),
            Arc::new(recorder.clone()),
        )
        .unwrap();
        let id = vm.add_plugin(plugin("test")).unwrap();
        vm.on_tick(id).unwrap();
        assert_eq!(recorder.lines(), ["\0\0\0\0", "M\0\0\0"]);

        let answers = recorder.with(|record| std::mem::take(&mut record.answers));
        assert_eq!(answers.len(), 1);
        for (plugin, token, answer) in answers {
            assert_eq!(plugin, id);
            vm.on_foreign_function(plugin, token, answer).unwrap();
        }
        assert_eq!(recorder.lines(), ["M\0\0\0", "later: x"]);
    }
}

#[test]
fn answers_are_paid_for_and_one_without_room_comes_empty() {
    let mut functions = ForeignFunctions::default();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    functions.add("slow", move |call, _| {
        noted.lock().unwrap().extend(call.later());
        Ok(vec![0; 4])
    });
    let recorder = Recorder::default();
    let mut spec = spec(&weir_engine_wasmi::WasmiEngine::new(), &caller());
    spec.limits.host_memory = 1000;
    let mut vm = Vm::start(
        Arc::new(spec),
        &Shared::new(functions),
        Box::new(recorder.clone()),
        Arc::new(recorder.clone()),
    )
    .unwrap();
    let id = vm.add_plugin(plugin("test")).unwrap();
    for _ in 0..3 {
        vm.on_tick(id).unwrap();
    }
    let mut laters = std::mem::take(&mut *asked.lock().unwrap()).into_iter();
    let mut first: Later = laters.next().unwrap();
    first.reserve(900).unwrap();
    assert!(laters.next().unwrap().reserve(200).is_err());
    laters.next().unwrap().deliver(vec![0; 200]);
    first.deliver(vec![0; 900]);
    let answers = recorder.with(|record| {
        record
            .answers
            .iter()
            .map(|(.., answer)| answer.len())
            .collect::<Vec<_>>()
    });
    assert_eq!(answers, [0, 900]);
}

#[test]
fn a_way_back_that_is_dropped_brings_nothing() {
    let recorder = Recorder::default();
    let answers = recorder.clone();
    let later = Later::new(1, move |_, _| answers.with(|record| record.panic_on_log = true));
    assert_eq!(later.token(), 1);
    drop(later);
    assert!(!recorder.with(|record| record.panic_on_log));
}
