//! Floats that are no numbers: the specification leaves some of their bits to the engine, and others not.

use weir_engine::Engine;

use crate::Case;
use crate::guest::{start, value};

pub const CASES: &[Case] = &[
    Case::new("NaN has the bits that the specification allows", allowed),
    Case::new("NaN keeps its bits where nothing is calculated", kept),
];

/// A NaN that says "this was no operation on numbers" and no more, without its sign.
const CANONICAL_32: u32 = 0x7fc0_0000;
const CANONICAL_64_HIGH: u32 = 0x7ff8_0000;
const WITHOUT_SIGN: u32 = 0x7fff_ffff;
/// A signalling NaN with something in it.
const SIGNALLING: u32 = 0x7fa1_2345;

/// True for the interpreters that round a signalling NaN to itself, which the specification does not allow
/// (docs/engines.md): WAMR's, and that of WasmEdge 0.16.4. The stand-in for WasmEdge executes with wasmi, which is correct.
fn rounds_signalling_nan_to_itself(engine: &dyn Engine) -> bool {
    let is_stand_in = engine
        .library()
        .is_some_and(|library| library.ends_with("libweir_wasmedge_stand_in.so"));
    engine.name() == "wamr" || (engine.name() == "wasmedge" && !is_stand_in)
}

fn allowed(engine: &dyn Engine) {
    let text = r#"(module
        (func (export "divide") (param i32) (result i32)
            (i32.reinterpret_f32 (f32.div (f32.convert_i32_s (local.get 0)) (f32.convert_i32_s (local.get 0)))))
        (func (export "root") (param i32) (result i32)
            (i32.reinterpret_f32 (f32.sqrt (f32.sub (f32.convert_i32_s (local.get 0)) (f32.const 1)))))
        (func $divide64 (param i32) (result i64)
            (i64.reinterpret_f64 (f64.div (f64.convert_i32_s (local.get 0)) (f64.convert_i32_s (local.get 0)))))
        (func (export "high") (param i32) (result i32)
            (i32.wrap_i64 (i64.shr_u (call $divide64 (local.get 0)) (i64.const 32))))
        (func (export "low") (param i32) (result i32) (i32.wrap_i64 (call $divide64 (local.get 0))))
        (func (export "add") (param i32) (result i32)
            (i32.reinterpret_f32 (f32.add (f32.reinterpret_i32 (local.get 0)) (f32.const 1))))
        (func (export "min") (param i32) (result i32)
            (i32.reinterpret_f32 (f32.min (f32.const 1) (f32.reinterpret_i32 (local.get 0)))))
        (func (export "max") (param i32) (result i32)
            (i32.reinterpret_f32 (f32.max (f32.reinterpret_i32 (local.get 0)) (f32.const 1))))
        (func (export "nearest") (param i32) (result i32)
            (i32.reinterpret_f32 (f32.nearest (f32.reinterpret_i32 (local.get 0)))))
        (func (export "ceil") (param i32) (result i32)
            (i32.reinterpret_f32 (f32.ceil (f32.reinterpret_i32 (local.get 0)))))
        (func (export "floor") (param i32) (result i32)
            (i32.reinterpret_f32 (f32.floor (f32.reinterpret_i32 (local.get 0)))))
        (func (export "trunc") (param i32) (result i32)
            (i32.reinterpret_f32 (f32.trunc (f32.reinterpret_i32 (local.get 0)))))
        (func (export "there and back") (param i32) (result i32)
            (i32.reinterpret_f32 (f32.demote_f64 (f64.promote_f32 (f32.reinterpret_i32 (local.get 0)))))))"#;
    let mut guest = start(engine, text);
    let mut of = |name: &str, bits: u32| value(guest.as_mut(), name, &[bits]).unwrap();
    for name in ["divide", "root"] {
        assert_eq!(of(name, 0) & WITHOUT_SIGN, CANONICAL_32, "{name}");
    }
    assert_eq!(of("high", 0) & WITHOUT_SIGN, CANONICAL_64_HIGH);
    assert_eq!(of("low", 0), 0);
    let rounding = ["nearest", "ceil", "floor", "trunc"];
    for name in ["add", "min", "max", "there and back"].iter().chain(&rounding) {
        assert_eq!(of(name, CANONICAL_32) & WITHOUT_SIGN, CANONICAL_32, "{name}");
        let bits = of(name, SIGNALLING);
        if rounds_signalling_nan_to_itself(engine) && rounding.contains(name) {
            assert_eq!(bits, SIGNALLING, "{name}");
            continue;
        }
        // The other bits are the engine's choice, but the NaN is quiet.
        assert_eq!(bits & CANONICAL_32, CANONICAL_32, "{name}");
    }
}

fn kept(engine: &dyn Engine) {
    let text = r#"(module
        (memory (export "memory") 1)
        (global $global (mut f32) (f32.const 0))
        (func (export "negate") (param i32) (result i32)
            (i32.reinterpret_f32 (f32.neg (f32.reinterpret_i32 (local.get 0)))))
        (func (export "absolute") (param i32) (result i32)
            (i32.reinterpret_f32 (f32.abs (f32.reinterpret_i32 (local.get 0)))))
        (func (export "sign of one") (param i32) (result i32)
            (i32.reinterpret_f32 (f32.copysign (f32.reinterpret_i32 (local.get 0)) (f32.const 1))))
        (func (export "memory's") (param i32) (result i32)
            (i32.store (i32.const 8) (local.get 0))
            (f32.store (i32.const 16) (f32.load (i32.const 8)))
            (i32.load (i32.const 16)))
        (func (export "half of 64 bits") (param i32) (result i32)
            (i32.store (i32.const 12) (local.get 0))
            (f64.store (i32.const 24) (f64.load (i32.const 8)))
            (i32.load (i32.const 28)))
        (func (export "global's") (param i32) (result i32)
            (global.set $global (f32.reinterpret_i32 (local.get 0)))
            (i32.reinterpret_f32 (global.get $global)))
        (func $same (param f32) (result f32) (local.get 0))
        (func (export "argument's") (param i32) (result i32)
            (i32.reinterpret_f32 (call $same (f32.reinterpret_i32 (local.get 0)))))
        (func (export "chosen") (param i32) (result i32)
            (i32.reinterpret_f32 (select (f32.reinterpret_i32 (local.get 0)) (f32.const 1) (local.get 0)))))"#;
    let mut guest = start(engine, text);
    let mut of = |name: &str, bits: u32| value(guest.as_mut(), name, &[bits]).unwrap();
    let sign = !WITHOUT_SIGN;
    for bits in [SIGNALLING, SIGNALLING | sign, CANONICAL_32, u32::MAX] {
        assert_eq!(of("negate", bits), bits ^ sign, "{bits:x}");
        assert_eq!(of("absolute", bits), bits & WITHOUT_SIGN, "{bits:x}");
        assert_eq!(of("sign of one", bits), bits & WITHOUT_SIGN, "{bits:x}");
        for name in ["memory's", "half of 64 bits", "global's", "argument's", "chosen"] {
            assert_eq!(of(name, bits), bits, "{name} {bits:x}");
        }
    }
}
