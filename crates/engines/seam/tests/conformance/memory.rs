//! The guest's memory as host functions see it, and its allocator.

use weir_engine::{Engine, Instance, TrapKind};

use crate::Case;
use crate::guest::{run, shape, start, told, value};

pub const CASES: &[Case] = &[
    Case::new("grown memory is seen", grown),
    Case::new("a module without memory", without),
    Case::new("a memory that is not exported stays private", private),
    Case::new("the allocator is called", allocate),
    Case::new("the allocator moves the memory", allocate_and_grow),
    Case::new("an allocator that is missing", no_allocator),
    Case::new("an allocator of another type is none", odd_allocator),
    Case::new("an allocator that allocates", recursive_allocator),
];

const PAGE: usize = 64 << 10;

/// Bump allocator from address 1024 on, and a function that has the host fill bytes.
const ALLOCATING: &str = r#"(module
    (import "env" "give" (func $give (param i32 i32) (result i32)))
    (memory (export "memory") 1)
    (global $top (mut i32) (i32.const 1024))
    (func (export "allocate") (param $size i32) (result i32)
        (global.get $top)
        (global.set $top (i32.add (global.get $top) (local.get $size))))
    (func (export "ask") (param $size i32) (param $byte i32) (result i32)
        (call $give (local.get $size) (local.get $byte)))
    (func (export "byte") (param $at i32) (result i32) (i32.load8_u (local.get $at))))"#;

fn set_allocator(guest: &mut dyn Instance) {
    let allocate = guest.func("allocate", shape(1, true)).unwrap();
    guest.set_allocator(allocate);
}

fn grown(engine: &dyn Engine) {
    let text = r#"(module
        (import "env" "size" (func $size (result i32)))
        (import "env" "read" (func $read (param i32)))
        (memory (export "memory") 1)
        (func (export "size") (result i32) (call $size))
        (func (export "grow") (result i32)
            (drop (memory.grow (i32.const 100)))
            (i32.store8 (i32.const 6000000) (i32.const 77))
            (call $read (i32.const 6000000))
            (call $size)))"#;
    let mut guest = start(engine, text);
    assert_eq!(guest.memory_size(), PAGE);
    assert_eq!(value(guest.as_mut(), "size", &[]), Ok(PAGE as u32));
    assert_eq!(value(guest.as_mut(), "grow", &[]), Ok(101 * PAGE as u32));
    assert_eq!(told(guest.as_mut()), [77]);
    assert_eq!(guest.memory_size(), 101 * PAGE);
}

fn without(engine: &dyn Engine) {
    let text = r#"(module
        (import "env" "size" (func $size (result i32)))
        (func (export "size") (result i32) (call $size)))"#;
    let mut guest = start(engine, text);
    assert_eq!(guest.memory_size(), 0);
    assert_eq!(value(guest.as_mut(), "size", &[]), Ok(0));
}

fn private(engine: &dyn Engine) {
    let text = r#"(module
        (import "env" "size" (func $size (result i32)))
        (memory (export "other") 1)
        (func (export "size") (result i32) (call $size)))"#;
    let mut guest = start(engine, text);
    assert_eq!(guest.memory_size(), 0);
    assert_eq!(value(guest.as_mut(), "size", &[]), Ok(0));
}

fn allocate(engine: &dyn Engine) {
    let mut guest = start(engine, ALLOCATING);
    set_allocator(guest.as_mut());
    assert_eq!(value(guest.as_mut(), "ask", &[10, 5]), Ok(1024));
    assert_eq!(value(guest.as_mut(), "ask", &[1, 6]), Ok(1034));
    assert_eq!(told(guest.as_mut()), [1024, 1034]);
    let bytes = [1023, 1024, 1033, 1034, 1035].map(|at| value(guest.as_mut(), "byte", &[at]).unwrap());
    assert_eq!(bytes, [0, 5, 5, 6, 0]);
}

fn allocate_and_grow(engine: &dyn Engine) {
    let text = r#"(module
        (import "env" "give" (func $give (param i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "allocate") (param $size i32) (result i32)
            (i32.mul (memory.grow (i32.const 64)) (i32.const 65536)))
        (func (export "ask") (result i32) (call $give (i32.const 100) (i32.const 9)))
        (func (export "byte") (param $at i32) (result i32) (i32.load8_u (local.get $at))))"#;
    let mut guest = start(engine, text);
    set_allocator(guest.as_mut());
    for round in 0..4 {
        let pointer = value(guest.as_mut(), "ask", &[]).unwrap();
        assert_eq!(pointer as usize, (1 + 64 * round) * PAGE);
        assert_eq!(value(guest.as_mut(), "byte", &[pointer + 99]), Ok(9));
    }
}

fn no_allocator(engine: &dyn Engine) {
    let mut guest = start(engine, ALLOCATING);
    let trap = value(guest.as_mut(), "ask", &[1, 1]).unwrap_err();
    assert_eq!(trap.kind, TrapKind::Host("the guest has no allocator yet".into()));
}

fn odd_allocator(engine: &dyn Engine) {
    let mut guest = start(engine, ALLOCATING);
    let ask = guest.func("ask", shape(2, true)).unwrap();
    guest.set_allocator(ask);
    let trap = value(guest.as_mut(), "ask", &[1, 1]).unwrap_err();
    assert_eq!(trap.kind, TrapKind::Host("the guest has no allocator yet".into()));
}

fn recursive_allocator(engine: &dyn Engine) {
    let text = r#"(module
        (import "env" "give" (func $give (param i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "allocate") (param $size i32) (result i32) (call $give (i32.const 1) (i32.const 1)))
        (func (export "run") (drop (call $give (i32.const 1) (i32.const 1)))))"#;
    let mut guest = start(engine, text);
    set_allocator(guest.as_mut());
    let trap = run(guest.as_mut(), "run").unwrap_err();
    assert_eq!(
        trap.kind,
        TrapKind::Host("the guest's allocator called a hostcall that allocates".into())
    );
}
