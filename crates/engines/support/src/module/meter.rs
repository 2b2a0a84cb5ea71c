//! Modules that count what they execute, for runtimes that nothing can stop from outside.
//!
//! A global has what a call may still spend; each function and each round of a loop takes from it as many units as it has
//! instructions, operations on many bytes or elements pay by how many there are, and the guest traps when it is below zero.
//! For runtimes without a bound of the stack, another global counts what is on it, and the guest traps above a bound.

use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{CodeSection, ConstExpr, ExportKind, ValType};
use weir_engine::{CompileError, CpuBudget};

use super::body::{Counted, metered};
use super::{ModuleWriter, invalid};

/// The export that has what may still be spent, an `i64`. No toolchain makes such names.
pub const FUEL: &str = "weir:fuel";

/// The export that has what is on the stack, an `i32`.
pub const DEPTH: &str = "weir:depth";

/// The most that may be on the stack: values, roughly.
pub const MAX_DEPTH: u32 = 1 << 20;

/// The speed of a runtime, for deadlines that are counted in instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As machine code: some two million instructions in a millisecond on the machines that this was measured on.
    Compiled,
    /// As an interpreter: some hundred thousand.
    Interpreted,
}

impl Pace {
    /// The budget of a call.
    pub fn units(self, budget: CpuBudget) -> i64 {
        let per_millisecond: u64 = match self {
            Self::Compiled => 2_000_000,
            Self::Interpreted => 100_000,
        };
        let milliseconds = u64::try_from(budget.0.as_millis()).unwrap_or(u64::MAX);
        // A budget below a millisecond is one.
        i64::try_from(milliseconds.max(1).saturating_mul(per_millisecond)).unwrap_or(i64::MAX)
    }
}

/// The side that bounds the guest's stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// The runtime.
    Bounded,
    /// The module, which counts what is on the stack.
    Counted,
}

impl ModuleWriter<'_, '_> {
    /// Has each function count what it executes, and what is on its stack where nothing else bounds that. Exports the
    /// counters: [`FUEL`], [`DEPTH`].
    ///
    /// # Errors
    ///
    /// None for a valid module of WebAssembly 2.
    pub fn meter(&mut self, stack: Stack) -> Result<(), CompileError> {
        let fuel = self.add_global(ValType::I64, &ConstExpr::i64_const(0))?;
        self.export(FUEL, ExportKind::Global, fuel);
        let mut depth = None;
        if stack == Stack::Counted {
            let global = self.add_global(ValType::I32, &ConstExpr::i32_const(0))?;
            self.export(DEPTH, ExportKind::Global, global);
            depth = Some(global);
        }
        let parts = self.parts;
        if parts.bodies.is_empty() {
            return Ok(());
        }
        let mut code = CodeSection::new();
        for (function, body) in (parts.imported_functions()..).zip(&parts.bodies) {
            let ty = parts.function_type(function);
            let parameters = ty.map_or(0, |ty| ty.params().len() as u32);
            let counted = match depth {
                Some(global) => {
                    let results = ty.map_or(&[][..], |ty| ty.results()).iter();
                    let results = results.map(|ty| RoundtripReencoder.val_type(*ty));
                    let results = results.collect::<Result<Vec<_>, _>>().map_err(invalid)?;
                    let ty = self.block_type(&results)?;
                    Some(Counted { global, ty })
                }
                None => None,
            };
            code.function(&metered(body, parameters, fuel, counted)?);
        }
        self.set(&code);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use weir_engine::WasmFeatures;

    use super::*;
    use crate::ModuleParts;

    const FEATURES: WasmFeatures = WasmFeatures::WASM2.union(WasmFeatures::TAIL_CALL);

    #[test]
    fn metered_modules_are_valid() {
        let text = r#"(module (global (mut i32) (i32.const 1)) (memory (export "memory") 1) (table 1 funcref)
            (elem (i32.const 0) $f)
            (func $f (export "f") (param i32 i64) (result i32) (local f64 i32)
                (loop $again (result i32)
                    (if (local.get 0) (then (br $again (i32.const 1) (drop)))) (i32.const 5))
                (block $out (br_table $out $out (i32.const 1)))
                (memory.fill (i32.const 0) (i32.const 1) (local.get 0))
                (memory.copy (i32.const 0) (i32.const 1) (local.get 3))
                (drop (table.grow (ref.null func) (i32.const 3)))
                (i32.const 7) (drop (global.get 0)) (return))
            (func $many (result i32 i64 externref) (i32.const 1) (i64.const 2) (ref.null extern)
                (br_if 0 (i32.const 3)))
            (func $tail (result i32 i64 externref) (return_call $many)))"#;
        let text = text.replace("(br $again (i32.const 1) (drop))", "(br $again)");
        let wasm = wat::parse_str(text).unwrap();
        let parts = ModuleParts::read(&wasm, FEATURES).unwrap();
        for (stack, added) in [
            (Stack::Bounded, vec![(FUEL, 1)]),
            (Stack::Counted, vec![(FUEL, 1), (DEPTH, 2)]),
        ] {
            let mut writer = ModuleWriter::new(&parts);
            writer.meter(stack).unwrap();
            let metered = writer.finish();
            let metered = ModuleParts::read(&metered, FEATURES).unwrap();
            let exports = metered.exports.iter().map(|export| (export.name, export.index));
            assert_eq!(exports.skip(parts.exports.len()).collect::<Vec<_>>(), added);
        }
    }

    #[test]
    fn units_have_bounds() {
        let (least, most) = (CpuBudget(Duration::from_micros(3)), CpuBudget(Duration::MAX));
        assert_eq!(Pace::Compiled.units(least), 2_000_000);
        assert_eq!(Pace::Interpreted.units(least), 100_000);
        assert_eq!(Pace::Compiled.units(most), i64::MAX);
    }
}
