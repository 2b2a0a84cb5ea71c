//! Calls into the guest.

use weir_engine::{Engine, FuncId, Signature, TrapKind, ValType};

use crate::Case;
use crate::guest::{PLENTY, run, shape, start, told, value};

pub const CASES: &[Case] = &[
    Case::new("every shape", every_shape),
    Case::new("all bits of an argument arrive", all_bits),
    Case::new("a function that is not there or has another type", not_there),
    Case::new("a wrong call is the host's fault", wrong_call),
    Case::new("globals live from call to call", globals),
];

/// For each number of parameters a function that returns nothing and one that returns a decimal made of its arguments.
fn shapes() -> String {
    let mut text = r#"(module (import "env" "tell" (func $tell (param i32)))"#.to_owned();
    for count in 0..=5 {
        let params = " i32".repeat(count);
        let digits: String = (0..count)
            .map(|i| format!("(i32.add (i32.mul (i32.const 10)) (local.get {i}))"))
            .collect();
        text += &format!(
            r#"(func (export "value{count}") (param{params}) (result i32) (i32.const 9) {digits})
               (func (export "nothing{count}") (param{params}) (i32.const 9) {digits} (call $tell))"#
        );
    }
    text + ")"
}

fn every_shape(engine: &dyn Engine) {
    let mut guest = start(engine, &shapes());
    for count in 0..=5_usize {
        let args: Vec<u32> = (1..=count as u32).collect();
        let decimal = args.iter().fold(9, |decimal, arg| decimal * 10 + arg);
        assert_eq!(
            value(guest.as_mut(), &format!("value{count}"), &args),
            Ok(decimal)
        );
        let nothing = guest
            .func(&format!("nothing{count}"), shape(count, false))
            .unwrap();
        assert_eq!(guest.call(nothing, &args, PLENTY), Ok(0));
        assert_eq!(told(guest.as_mut()), [u64::from(decimal)]);
    }
}

fn all_bits(engine: &dyn Engine) {
    let text = r#"(module (func (export "same") (param i32) (result i32) (local.get 0)))"#;
    let mut guest = start(engine, text);
    for bits in [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        assert_eq!(value(guest.as_mut(), "same", &[bits]), Ok(bits));
    }
}

fn not_there(engine: &dyn Engine) {
    let text = r#"(module
        (memory (export "memory") 1)
        (func (export "wide") (param i64))
        (func (export "two") (result i32 i32) (i32.const 1) (i32.const 2))
        (func (export "six") (param i32 i32 i32 i32 i32 i32))
        (func (export "one") (param i32) (result i32) (local.get 0)))"#;
    let mut guest = start(engine, text);
    assert_eq!(guest.func("none", shape(0, false)), None);
    assert_eq!(guest.func("memory", shape(0, false)), None);
    assert_eq!(guest.func("wide", shape(1, false)), None);
    assert_eq!(
        guest.func(
            "wide",
            Signature {
                params: &[ValType::I64],
                result: None
            }
        ),
        None
    );
    assert_eq!(guest.func("two", shape(0, true)), None);
    assert_eq!(
        guest.func(
            "six",
            Signature {
                params: &[ValType::I32; 6],
                result: None
            }
        ),
        None
    );
    assert_eq!(guest.func("one", shape(1, false)), None);
    assert_eq!(guest.func("one", shape(0, true)), None);
    assert_eq!(value(guest.as_mut(), "one", &[7]), Ok(7));
}

fn wrong_call(engine: &dyn Engine) {
    let mut guest = start(
        engine,
        r#"(module (func (export "one") (param i32) (result i32) (local.get 0)))"#,
    );
    let one = guest.func("one", shape(1, true)).unwrap();
    for (func, args) in [
        (one, &[][..]),
        (one, &[1, 2]),
        (FuncId(1), &[1]),
        (FuncId(u32::MAX), &[]),
    ] {
        let trap = guest.call(func, args, PLENTY).unwrap_err();
        assert!(matches!(trap.kind, TrapKind::Host(_)), "{trap:?}");
    }
    assert_eq!(guest.call(one, &[3], PLENTY), Ok(3));
}

fn globals(engine: &dyn Engine) {
    let text = r#"(module
        (global $count (mut i32) (i32.const 0))
        (func (export "step") (global.set $count (i32.add (global.get $count) (i32.const 1))))
        (func (export "count") (result i32) (global.get $count)))"#;
    let mut guest = start(engine, text);
    for _ in 0..1_000 {
        run(guest.as_mut(), "step").unwrap();
    }
    assert_eq!(value(guest.as_mut(), "count", &[]), Ok(1_000));
}
