//! The wasm start section.

use weir_engine::{Ability, DEFAULT_MEMORY_LIMIT, Engine, InstantiateError, Limits, TrapKind};

use crate::Case;
use crate::guest::{FUNCS, Heard, LITTLE, compile, hides_refusals, instantiate, limits, start, told};

pub const CASES: &[Case] = &[
    Case::new("calls the host, which sees memory and state", calls_host),
    Case::new("a trap", trap),
    Case::new("an exit", exit),
    Case::new("a data segment that does not fit", data),
    Case::new("it cannot be given memory yet", allocate),
    Case::needing("an endless loop ends", Ability::Interrupt, endless),
    Case::needing("growth counts", Ability::MemoryLimit, grow),
];

fn calls_host(engine: &dyn Engine) {
    let text = r#"(module
        (import "env" "read" (func $read (param i32)))
        (import "env" "tell" (func $tell (param i32)))
        (memory (export "memory") 1)
        (data (i32.const 10) "\2a")
        (func $start (call $tell (i32.const 1)) (call $read (i32.const 10)))
        (start $start))"#;
    let module = compile(engine, text);
    for _ in 0..2 {
        assert_eq!(told(instantiate(module.as_ref()).as_mut()), [1, 42]);
    }
}

fn failure(engine: &dyn Engine, text: &str, limits: &Limits) -> TrapKind {
    let module = engine
        .compile(&(&wat::parse_str(text).unwrap()).into(), FUNCS)
        .unwrap();
    match module
        .instantiate(Box::new(Heard::default()), limits)
        .err()
        .unwrap()
    {
        InstantiateError::Start(trap) => trap.kind,
        other => panic!("{other}"),
    }
}

fn trap(engine: &dyn Engine) {
    let text = r#"(module
        (import "env" "fail" (func $fail))
        (func $start (call $fail))
        (start $start))"#;
    let kind = failure(engine, text, &limits(DEFAULT_MEMORY_LIMIT));
    assert_eq!(kind, TrapKind::Host("the host has had enough".into()));
}

fn exit(engine: &dyn Engine) {
    let text = r#"(module
        (import "env" "exit" (func $exit (param i32)))
        (func $start (call $exit (i32.const 0)))
        (start $start))"#;
    assert_eq!(
        failure(engine, text, &limits(DEFAULT_MEMORY_LIMIT)),
        TrapKind::Exit(0)
    );
}

fn data(engine: &dyn Engine) {
    let text = r#"(module (memory 1) (data (i32.const 65535) "too long"))"#;
    let module = compile(engine, text);
    assert!(
        module
            .instantiate(Box::new(Heard::default()), &limits(DEFAULT_MEMORY_LIMIT))
            .is_err()
    );
}

fn allocate(engine: &dyn Engine) {
    let text = r#"(module
        (import "env" "give" (func $give (param i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "allocate") (param i32) (result i32) (i32.const 8))
        (func $start (drop (call $give (i32.const 1) (i32.const 1))))
        (start $start))"#;
    let kind = failure(engine, text, &limits(DEFAULT_MEMORY_LIMIT));
    assert_eq!(kind, TrapKind::Host("the guest has no allocator yet".into()));
}

fn endless(engine: &dyn Engine) {
    let text = "(module (func $start (loop $again (br $again))) (start $start))";
    let limits = Limits {
        memory: DEFAULT_MEMORY_LIMIT,
        start_budget: LITTLE,
    };
    assert_eq!(failure(engine, text, &limits), TrapKind::Deadline);
}

fn grow(engine: &dyn Engine) {
    let text = r#"(module
        (memory (export "memory") 1)
        (func $start (if (i32.eq (memory.grow (i32.const 2)) (i32.const -1)) (then (unreachable))))
        (start $start))"#;
    let TrapKind::Guest(reason) = failure(engine, text, &limits(128 << 10)) else {
        panic!()
    };
    // Some tell nobody that they did not let a memory grow.
    let explained = reason.ends_with("(memory limit of 128 KiB reached)");
    assert_eq!(explained, !hides_refusals(engine), "{reason}");
    assert_eq!(start(engine, text).memory_size(), 192 << 10);
}
