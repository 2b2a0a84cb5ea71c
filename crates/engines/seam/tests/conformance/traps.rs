//! The end of a guest.

use std::panic::{AssertUnwindSafe, catch_unwind};

use weir_engine::{Ability, Engine, TrapKind};
use weir_engine_support::GuestFault;

use crate::Case;
use crate::guest::{compile, instantiate, run, shape, start, told};

pub const CASES: &[Case] = &[
    Case::new("every fault has its words", faults),
    Case::new("a host function's trap passes through", host),
    Case::new("an exit passes through", exit),
    Case::new("a trap in the allocator passes through", allocator),
    Case::new("a panic of the host can be caught", panic),
    Case::new("a panic of the host in the start section", start_panic),
    Case::new("a panic of the host below the allocator", allocator_panic),
    Case::needing("the backtrace has names", Ability::Backtrace, backtrace),
    Case::needing(
        "the backtrace of a host function's trap",
        Ability::Backtrace,
        host_backtrace,
    ),
    Case::needing(
        "the backtrace of a trap in the allocator",
        Ability::Backtrace,
        allocator_backtrace,
    ),
    Case::needing("without names there are indices", Ability::Backtrace, nameless),
];

fn faults(engine: &dyn Engine) {
    let text = r#"(module
        (memory 1)
        (table 2 funcref)
        (type $nothing (func))
        (elem (i32.const 1) $number)
        (func $number (result i32) (i32.const 1))
        (func (export "unreachable") (unreachable))
        (func (export "load") (drop (i32.load (i32.const 65533))))
        (func (export "wild") (i32.store (i32.const -4) (i32.const 1)))
        (func (export "table") (call_indirect (type $nothing) (i32.const 2)))
        (func (export "null") (call_indirect (type $nothing) (i32.const 0)))
        (func (export "type") (call_indirect (type $nothing) (i32.const 1)))
        (func (export "zero") (drop (i32.div_u (i32.const 1) (i32.const 0))))
        (func (export "overflow") (drop (i32.div_s (i32.const 0x80000000) (i32.const -1))))
        (func (export "float") (drop (i32.trunc_f32_s (f32.const nan)))))"#;
    let module = compile(engine, text);
    for (name, fault) in [
        ("unreachable", GuestFault::Unreachable),
        ("load", GuestFault::MemoryOutOfBounds),
        ("wild", GuestFault::MemoryOutOfBounds),
        ("table", GuestFault::TableOutOfBounds),
        ("null", GuestFault::NullFunction),
        ("type", GuestFault::BadSignature),
        ("zero", GuestFault::DivisionByZero),
        ("overflow", GuestFault::IntegerOverflow),
        ("float", GuestFault::BadConversion),
    ] {
        let fault = match fault {
            // V8 has one message for both.
            GuestFault::NullFunction | GuestFault::BadSignature if engine.name() == "v8" => {
                GuestFault::NullFunctionOrBadSignature
            }
            fault => fault,
        };
        let trap = run(instantiate(module.as_ref()).as_mut(), name).unwrap_err();
        assert_eq!(trap.kind, TrapKind::Guest(fault.words().into()), "{name}");
    }
}

const HOST: &str = r#"(module
    (import "env" "tell" (func $tell (param i32)))
    (import "env" "fail" (func $fail))
    (import "env" "exit" (func $exit (param i32)))
    (import "env" "panic" (func $panic))
    (func $inner (call $fail) (call $tell (i32.const 1)))
    (func (export "fail") (call $inner))
    (func (export "exit") (call $exit (i32.const 300)) (call $tell (i32.const 2)))
    (func (export "panic") (call $panic) (call $tell (i32.const 3)))
    (func (export "fine") (call $tell (i32.const 4))))"#;

fn host(engine: &dyn Engine) {
    let mut guest = start(engine, HOST);
    let trap = run(guest.as_mut(), "fail").unwrap_err();
    assert_eq!(trap.kind, TrapKind::Host("the host has had enough".into()));
    assert!(told(guest.as_mut()).is_empty());
}

fn exit(engine: &dyn Engine) {
    let mut guest = start(engine, HOST);
    assert_eq!(run(guest.as_mut(), "exit").unwrap_err().kind, TrapKind::Exit(300));
    assert!(told(guest.as_mut()).is_empty());
    // A main function that exits has started the guest.
    run(guest.as_mut(), "fine").unwrap();
    assert_eq!(told(guest.as_mut()), [4]);
}

const BAD_ALLOCATOR: &str = r#"(module
    (import "env" "give" (func $give (param i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func $exhausted (unreachable))
    (func $allocate (export "allocate") (param i32) (result i32) (call $exhausted) (i32.const 0))
    (func $asks (export "run") (drop (call $give (i32.const 1) (i32.const 1)))))"#;

fn allocator(engine: &dyn Engine) {
    let mut guest = start(engine, BAD_ALLOCATOR);
    let allocate = guest.func("allocate", shape(1, true)).unwrap();
    guest.set_allocator(allocate);
    let trap = run(guest.as_mut(), "run").unwrap_err();
    assert_eq!(trap.kind, TrapKind::Guest(GuestFault::Unreachable.words().into()));
}

fn panic(engine: &dyn Engine) {
    let module = compile(engine, HOST);
    for _ in 0..3 {
        let mut guest = instantiate(module.as_ref());
        let panic = catch_unwind(AssertUnwindSafe(|| run(guest.as_mut(), "panic"))).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"a bug of the host"));
        drop(guest);
        let mut next = instantiate(module.as_ref());
        run(next.as_mut(), "fine").unwrap();
        assert_eq!(told(next.as_mut()), [4]);
    }
}

fn start_panic(engine: &dyn Engine) {
    let text = r#"(module
        (import "env" "panic" (func $panic))
        (func $start (call $panic))
        (start $start))"#;
    let module = compile(engine, text);
    let panic = catch_unwind(AssertUnwindSafe(|| instantiate(module.as_ref())))
        .err()
        .unwrap();
    assert_eq!(panic.downcast_ref(), Some(&"a bug of the host"));
    run(start(engine, HOST).as_mut(), "fine").unwrap();
}

fn allocator_panic(engine: &dyn Engine) {
    let text = r#"(module
        (import "env" "give" (func $give (param i32 i32) (result i32)))
        (import "env" "panic" (func $panic))
        (memory (export "memory") 1)
        (func (export "allocate") (param i32) (result i32) (call $panic) (i32.const 0))
        (func (export "run") (drop (call $give (i32.const 1) (i32.const 1)))))"#;
    let mut guest = start(engine, text);
    let allocate = guest.func("allocate", shape(1, true)).unwrap();
    guest.set_allocator(allocate);
    let panic = catch_unwind(AssertUnwindSafe(|| run(guest.as_mut(), "run"))).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"a bug of the host"));
    drop(guest);
    run(start(engine, HOST).as_mut(), "fine").unwrap();
}

fn names(engine: &dyn Engine, text: &str, export: &str) -> Vec<String> {
    let mut guest = start(engine, text);
    if let Some(allocate) = guest.func("allocate", shape(1, true)) {
        guest.set_allocator(allocate);
    }
    let trap = run(guest.as_mut(), export).unwrap_err();
    assert!(
        trap.backtrace.iter().all(|frame| frame.offset.is_some()),
        "{trap:?}"
    );
    trap.backtrace
        .into_iter()
        .filter_map(|frame| frame.function)
        .collect()
}

fn backtrace(engine: &dyn Engine) {
    // Names as rustc mangles them, the old way and the new, and as C++ toolchains write them.
    let text = r#"(module
        (func $_ZN6filter5prime5check17h0123456789abcdefE (unreachable))
        (func $_RNvCs1234_7mycrate3foo (call $_ZN6filter5prime5check17h0123456789abcdefE))
        (func $"Context::onRequest(int)" (export "run") (call $_RNvCs1234_7mycrate3foo)))"#;
    assert_eq!(
        names(engine, text, "run"),
        ["filter::prime::check", "mycrate::foo", "Context::onRequest(int)"]
    );
}

fn host_backtrace(engine: &dyn Engine) {
    let text = HOST.replace("(func (export \"fail\")", "(func $outer (export \"fail\")");
    assert_eq!(names(engine, &text, "fail"), ["inner", "outer"]);
}

fn allocator_backtrace(engine: &dyn Engine) {
    assert_eq!(
        names(engine, BAD_ALLOCATOR, "run"),
        ["exhausted", "allocate", "asks"]
    );
}

fn nameless(engine: &dyn Engine) {
    let text = r#"(module
        (import "env" "tell" (func (param i32)))
        (func (unreachable))
        (func (export "run") (call 1)))"#;
    let trap = run(start(engine, text).as_mut(), "run").unwrap_err();
    let indices: Vec<_> = trap
        .backtrace
        .iter()
        .map(|frame| (frame.function.as_deref(), frame.index))
        .collect();
    assert_eq!(indices, [(None, 1), (None, 2)]);
}
