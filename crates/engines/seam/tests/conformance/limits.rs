//! The limits of a guest: CPU time, memory, tables, stack.

use weir_engine::{Ability, Engine, InstantiateError, TrapKind};
use weir_engine_support::{GuestFault, TABLE_LIMIT};

use crate::Case;
use crate::guest::{
    FUNCS, Heard, LITTLE, compile, hides_refusals, limits, run, run_within, shape, start, told, value,
};

pub const CASES: &[Case] = &[
    Case::needing(
        "hostcalls that take long count",
        Ability::Interrupt,
        slow_hostcalls,
    ),
    Case::needing(
        "one hostcall that takes too long counts",
        Ability::Interrupt,
        one_slow_hostcall,
    ),
    Case::needing("an endless loop ends", Ability::Interrupt, endless),
    Case::needing(
        "an endless loop of tail calls ends",
        Ability::Interrupt,
        endless_tail_calls,
    ),
    Case::needing(
        "an endless loop of hostcalls ends",
        Ability::Interrupt,
        endless_hostcalls,
    ),
    Case::needing(
        "an endless loop in the allocator ends",
        Ability::Interrupt,
        endless_allocator,
    ),
    Case::needing("a loop of bulk operations ends", Ability::Interrupt, endless_bulk),
    Case::needing(
        "a call with budget left goes on after a tick",
        Ability::Interrupt,
        long_enough,
    ),
    Case::needing("memory stops growing at the limit", Ability::MemoryLimit, grow),
    Case::needing("a trap after the limit says so", Ability::MemoryLimit, bomb),
    Case::needing("too much memory at start", Ability::MemoryLimit, initial),
    Case::needing("a limit above the default", Ability::MemoryLimit, large),
    Case::new("tables do not grow without end", tables),
    Case::new("tables share their limit", many_tables),
    Case::new("the stack ends", stack),
    Case::new("deep recursion within the stack", deep),
    Case::new("an interpreter's frames of many locals", wide),
];

const PAGE: usize = 64 << 10;

fn endless(engine: &dyn Engine) {
    let text = r#"(module (func (export "spin") (loop $again (br $again))) (func (export "run")))"#;
    let mut guest = start(engine, text);
    run(guest.as_mut(), "run").unwrap();
    assert_eq!(
        run_within(guest.as_mut(), "spin", LITTLE).unwrap_err().kind,
        TrapKind::Deadline
    );
    let mut next = start(engine, text);
    run(next.as_mut(), "run").unwrap();
}

fn endless_tail_calls(engine: &dyn Engine) {
    let text = r#"(module (func $spin (export "spin") (return_call $spin)))"#;
    let mut guest = start(engine, text);
    let trap = run_within(guest.as_mut(), "spin", LITTLE).unwrap_err();
    assert_eq!(trap.kind, TrapKind::Deadline);
}

fn endless_hostcalls(engine: &dyn Engine) {
    let text = r#"(module
        (import "env" "size" (func $size (result i32)))
        (func (export "spin") (loop $again (drop (call $size)) (br $again))))"#;
    let mut guest = start(engine, text);
    assert_eq!(
        run_within(guest.as_mut(), "spin", LITTLE).unwrap_err().kind,
        TrapKind::Deadline
    );
}

fn slow_hostcalls(engine: &dyn Engine) {
    let text = r#"(module
        (import "env" "burn" (func $burn))
        (func (export "spin") (loop $again (call $burn) (br $again))))"#;
    let mut guest = start(engine, text);
    assert_eq!(
        run_within(guest.as_mut(), "spin", LITTLE).unwrap_err().kind,
        TrapKind::Deadline
    );
    // Some 14 calls use up the budget and the ticks around it; fewer where the machine is so busy that a call takes longer.
    // The bound leaves room for a ticker that is kept waiting, and is far below what fuel alone would let through.
    let calls = told(guest.as_mut()).len();
    assert!((2..1_000).contains(&calls), "{calls} calls");
}

/// The guest does nothing before the hostcall and next to nothing after it.
fn one_slow_hostcall(engine: &dyn Engine) {
    let text = r#"(module
        (import "env" "burn_long" (func $burn))
        (import "env" "tell" (func $tell (param i32)))
        (func (export "run") (call $burn) (call $tell (i32.const 1))))"#;
    let mut guest = start(engine, text);
    assert_eq!(
        run_within(guest.as_mut(), "run", LITTLE).unwrap_err().kind,
        TrapKind::Deadline
    );
    assert_eq!(told(guest.as_mut()), [0], "the guest ran on");
}

fn endless_allocator(engine: &dyn Engine) {
    let text = r#"(module
        (import "env" "give" (func $give (param i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "allocate") (param i32) (result i32) (loop $again (br $again)) (unreachable))
        (func (export "run") (drop (call $give (i32.const 1) (i32.const 1)))))"#;
    let mut guest = start(engine, text);
    let allocate = guest.func("allocate", shape(1, true)).unwrap();
    guest.set_allocator(allocate);
    assert_eq!(
        run_within(guest.as_mut(), "run", LITTLE).unwrap_err().kind,
        TrapKind::Deadline
    );
}

fn endless_bulk(engine: &dyn Engine) {
    // Few instructions, each with a lot of work, some with more than wasmi's slice of fuel.
    let text = r#"(module
        (memory (export "memory") 1024)
        (func (export "spin")
            (loop $again
                (memory.fill (i32.const 0) (i32.const 7) (i32.const 0x4000000))
                (br $again))))"#;
    let mut guest = start(engine, text);
    assert_eq!(
        run_within(guest.as_mut(), "spin", LITTLE).unwrap_err().kind,
        TrapKind::Deadline
    );
}

fn long_enough(engine: &dyn Engine) {
    // Long enough for several ticks, or slices of fuel, on any machine.
    let text = r#"(module
        (func (export "sum") (param $left i32) (result i32)
            (local $sum i32)
            (loop $again
                (local.set $sum (i32.add (local.get $sum) (local.get $left)))
                (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                (br_if $again (local.get $left)))
            (local.get $sum)))"#;
    let mut guest = start(engine, text);
    let rounds = 3_000_000_u32;
    let sum = (1..=u64::from(rounds)).sum::<u64>() as u32;
    for _ in 0..3 {
        assert_eq!(value(guest.as_mut(), "sum", &[rounds]), Ok(sum));
    }
}

/// A guest that grows its memory page by page.
const GROWING: &str = r#"(module
    (memory (export "memory") 1)
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "bomb") (loop $again
        (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then (unreachable)))
        (br $again)))
    (func (export "fail") (unreachable)))"#;

fn grow(engine: &dyn Engine) {
    let module = compile(engine, GROWING);
    let mut guest = module
        .instantiate(Box::new(Heard::default()), &limits(4 * PAGE))
        .unwrap();
    assert_eq!(value(guest.as_mut(), "grow", &[2]), Ok(1));
    assert_eq!(value(guest.as_mut(), "grow", &[2]), Ok(u32::MAX));
    assert_eq!(value(guest.as_mut(), "grow", &[0xffff]), Ok(u32::MAX));
    assert_eq!(value(guest.as_mut(), "grow", &[1]), Ok(3));
    assert_eq!(value(guest.as_mut(), "grow", &[1]), Ok(u32::MAX));
    assert_eq!(guest.memory_size(), 4 * PAGE);
}

fn bomb(engine: &dyn Engine) {
    let module = compile(engine, GROWING);
    let mut guest = module
        .instantiate(Box::new(Heard::default()), &limits(64 << 20))
        .unwrap();
    let words = GuestFault::Unreachable.words();
    // Some tell nobody that they did not let a memory grow.
    let limit = if hides_refusals(engine) {
        ""
    } else {
        " (memory limit of 64 MiB reached)"
    };
    assert_eq!(
        run(guest.as_mut(), "bomb").unwrap_err().kind,
        TrapKind::Guest(format!("{words}{limit}"))
    );
    let mut innocent = module
        .instantiate(Box::new(Heard::default()), &limits(64 << 20))
        .unwrap();
    assert_eq!(
        run(innocent.as_mut(), "fail").unwrap_err().kind,
        TrapKind::Guest(words.into())
    );
}

fn initial(engine: &dyn Engine) {
    let module = compile(engine, r#"(module (memory (export "memory") 5))"#);
    let error = module
        .instantiate(Box::new(Heard::default()), &limits(4 * PAGE))
        .err()
        .unwrap();
    let InstantiateError::Memory { needed, limit } = error else {
        panic!("{error}")
    };
    assert_eq!((needed, limit), (5 * PAGE, 4 * PAGE));
    assert!(
        module
            .instantiate(Box::new(Heard::default()), &limits(5 * PAGE))
            .is_ok()
    );
}

fn large(engine: &dyn Engine) {
    let module = compile(engine, GROWING);
    let mut guest = module
        .instantiate(Box::new(Heard::default()), &limits(256 << 20))
        .unwrap();
    let pages = (200 << 20) / PAGE as u32;
    assert_eq!(value(guest.as_mut(), "grow", &[pages]), Ok(1));
    assert_eq!(value(guest.as_mut(), "grow", &[pages]), Ok(u32::MAX));
    let module = compile(engine, r#"(module (memory (export "memory") 3200))"#);
    let guest = module
        .instantiate(Box::new(Heard::default()), &limits(256 << 20))
        .unwrap();
    assert_eq!(guest.memory_size(), 200 << 20);
}

fn tables(engine: &dyn Engine) {
    let text = r#"(module
        (table 1 funcref)
        (func (export "grow") (param i32) (result i32) (table.grow (ref.null func) (local.get 0))))"#;
    let mut guest = start(engine, text);
    assert_eq!(value(guest.as_mut(), "grow", &[8_000_000]), Ok(u32::MAX));
    assert_eq!(value(guest.as_mut(), "grow", &[u32::MAX]), Ok(u32::MAX));
}

fn many_tables(engine: &dyn Engine) {
    let tables = "(table 1 funcref) (table 1 funcref)";
    let text = format!(
        r#"(module {tables}
        (func (export "grow") (param i32) (result i32)
            (drop (table.grow 0 (ref.null func) (local.get 0)))
            (drop (table.grow 1 (ref.null func) (local.get 0)))
            (i32.add (table.size 0) (table.size 1))))"#
    );
    let mut guest = start(engine, &text);
    let size = value(guest.as_mut(), "grow", &[TABLE_LIMIT as u32 - 2]).unwrap();
    assert!(size as usize <= TABLE_LIMIT, "{size}");

    // Found when the module is compiled or when an instance is made.
    let large = format!("(table {TABLE_LIMIT} funcref)").repeat(2);
    let wasm = wat::parse_str(format!("(module {large})")).unwrap();
    let refused = match engine.compile(&(&wasm).into(), FUNCS) {
        Err(_) => true,
        Ok(module) => module
            .instantiate(Box::new(Heard::default()), &limits(64 << 20))
            .is_err(),
    };
    assert!(refused);
}

fn stack(engine: &dyn Engine) {
    let text = r#"(module
        (func $deeper (export "run") (param) (call $deeper) (call $deeper)))"#;
    let mut guest = start(engine, text);
    assert_eq!(
        run(guest.as_mut(), "run").unwrap_err().kind,
        TrapKind::StackOverflow
    );
}

fn deep(engine: &dyn Engine) {
    let text = r#"(module
        (func $deep (export "deep") (param i32) (result i32)
            (if (result i32) (local.get 0)
                (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))
                (else (i32.const 0)))))"#;
    let mut guest = start(engine, text);
    assert_eq!(value(guest.as_mut(), "deep", &[5_000]), Ok(5_000));
}

/// Compiled code keeps in registers what an interpreter keeps in frames: what fits there must fit here.
fn wide(engine: &dyn Engine) {
    let depth = if matches!(engine.name(), "wamr" | "wasmi") {
        2_000
    } else {
        200
    };
    let locals = "i64 ".repeat(60);
    let text = format!(
        r#"(module
        (func $wide (export "wide") (param i32) (result i32) (local {locals})
            (if (result i32) (local.get 0)
                (then (i32.add (i32.const 1) (call $wide (i32.sub (local.get 0) (i32.const 1)))))
                (else (i32.const 0)))))"#
    );
    let mut guest = start(engine, &text);
    assert_eq!(value(guest.as_mut(), "wide", &[depth]), Ok(depth));
}
