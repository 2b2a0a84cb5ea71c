//! Host functions and their types.

use weir_engine::{CompileError, Engine};

use crate::Case;
use crate::guest::{FUNCS, run, start, told, value};

pub const CASES: &[Case] = &[
    Case::new("all bits of an argument arrive", all_bits),
    Case::new("many arguments", many),
    Case::new("the row with the module's type", either),
    Case::new("a host function is told its number", number),
    Case::new("the same import twice", same_twice),
    Case::new("one name with two types", two_types),
    Case::new("unknown imports are named", unknown),
    Case::new("only what is imported matters", unused),
];

fn all_bits(engine: &dyn Engine) {
    let text = r#"(module
        (import "env" "tell_mixed" (func $tell (param i32 i64 i32 i64) (result i64)))
        (func (export "run") (result i32)
            (i64.eq
                (call $tell (i32.const -1) (i64.const -2) (i32.const 0x80000000) (i64.const 0x123456789abcdef0))
                (i64.const SUM))))"#
        .replace("SUM", &format!("0x{:x}", 0xffff_ffff_u64.wrapping_add(u64::MAX - 1).wrapping_add(0x8000_0000).wrapping_add(0x1234_5678_9abc_def0)));
    let mut guest = start(engine, &text);
    assert_eq!(value(guest.as_mut(), "run", &[]), Ok(1));
    assert_eq!(
        told(guest.as_mut()),
        [0xffff_ffff, u64::MAX - 1, 0x8000_0000, 0x1234_5678_9abc_def0]
    );
}

fn many(engine: &dyn Engine) {
    let text = r#"(module
        (import "env" "tell_all"
            (func $tell (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
        (func (export "run") (result i32)
            (call $tell
                (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 4) (i32.const 5) (i32.const 6)
                (i32.const 7) (i32.const 8) (i32.const 9) (i32.const 10) (i32.const 11) (i32.const 12))))"#;
    let mut guest = start(engine, text);
    assert_eq!(value(guest.as_mut(), "run", &[]), Ok(78));
    assert_eq!(told(guest.as_mut()), (1..=12).collect::<Vec<_>>());
}

fn either(engine: &dyn Engine) {
    let narrow = r#"(module
        (import "env" "either" (func $either (param i32) (result i32)))
        (func (export "run") (result i32) (call $either (i32.const 40))))"#;
    assert_eq!(value(start(engine, narrow).as_mut(), "run", &[]), Ok(41));
    let wide = r#"(module
        (import "env" "either" (func $either (param i64) (result i64)))
        (func (export "run") (result i32)
            (i64.eq (call $either (i64.const 0x4000000000)) (i64.const 0x4000000002))))"#;
    assert_eq!(value(start(engine, wide).as_mut(), "run", &[]), Ok(1));
}

fn number(engine: &dyn Engine) {
    let text = r#"(module
        (import "env" "number" (func $seven (result i32)))
        (import "env" "other_number" (func $last (param i32) (result i32)))
        (func (export "run") (result i32)
            (i32.sub (call $seven) (call $last (i32.const 1)))))"#;
    assert_eq!(value(start(engine, text).as_mut(), "run", &[]), Ok(8));
}

fn same_twice(engine: &dyn Engine) {
    let text = r#"(module
        (import "env" "tell" (func $one (param i32)))
        (import "env" "tell" (func $two (param i32)))
        (func (export "run") (call $one (i32.const 1)) (call $two (i32.const 2))))"#;
    let mut guest = start(engine, text);
    run(guest.as_mut(), "run").unwrap();
    assert_eq!(told(guest.as_mut()), [1, 2]);
}

fn two_types(engine: &dyn Engine) {
    let text = r#"(module
        (import "env" "either" (func (param i32) (result i32)))
        (import "env" "either" (func (param i64) (result i64))))"#;
    let error = engine
        .compile(&(&wat::parse_str(text).unwrap()).into(), FUNCS)
        .err()
        .unwrap();
    let CompileError::Imports(imports) = error else {
        panic!("{error}")
    };
    assert_eq!(imports, ["env.either: imported twice with different types"]);
}

fn unknown(engine: &dyn Engine) {
    let text = r#"(module
        (import "env" "tell" (func (param i32)))
        (import "env" "tell" (func (param f32) (result i32)))
        (import "env" "shout" (func))
        (import "wasi" "tell" (func (param i32)))
        (import "env" "memory" (memory 1))
        (import "env" "table" (table 1 funcref))
        (import "env" "base" (global i32)))"#;
    let error = engine
        .compile(&(&wat::parse_str(text).unwrap()).into(), FUNCS)
        .err()
        .unwrap();
    let CompileError::Imports(mut imports) = error else {
        panic!("{error}")
    };
    // The order is the runtime's affair.
    imports.sort_unstable();
    assert_eq!(
        imports,
        [
            "env.base: a global, the host offers functions only",
            "env.memory: a memory, the host offers functions only",
            "env.shout: unknown function",
            "env.table: a table, the host offers functions only",
            "env.tell: imported as (f32) -> i32, the host has (i32) -> ()",
            "wasi.tell: unknown function",
        ]
    );
}

fn unused(engine: &dyn Engine) {
    // Nothing of the host's table is imported, and an empty table is enough.
    let wasm = wat::parse_str(r#"(module (func (export "run")))"#).unwrap();
    assert!(engine.compile(&(&wasm).into(), &[]).is_ok());
}
