//! Compiled code counts what it executes.
//!
//! Nothing can stop WAMR's compiled code from outside, unless its memory is one that threads share. So the module is rewritten
//! before it is compiled: a global has what the call may still spend, each function and each round of a loop takes from it
//! as many units as it has instructions, and the guest traps when it is below zero. Operations on many bytes or elements pay
//! by how many there are.

use wasmparser::{BinaryReader, BinaryReaderError, CodeSectionReader, FunctionBody, Operator};
use weir_engine::{CpuBudget, ImportKind, ModuleParts, leb128, section, with_entry};

/// The export that has what may still be spent. No toolchain makes such a name.
pub(crate) const FUEL: &str = "weir:fuel";

/// Units that stand for a millisecond of CPU time: compiled code executes some two million instructions in one on the machines
/// that this was measured on.
const PER_MILLISECOND: u64 = 2_000_000;

/// What a call may spend.
pub(crate) fn units(budget: CpuBudget) -> i64 {
    let milliseconds = u64::try_from(budget.0.as_millis()).unwrap_or(u64::MAX);
    // A budget below a millisecond is one.
    i64::try_from(milliseconds.max(1).saturating_mul(PER_MILLISECOND)).unwrap_or(i64::MAX)
}

/// The sections that change, and the entry of the export section.
pub(crate) struct Metered {
    pub sections: [(u8, Vec<u8>); 2],
    /// Index of the global.
    pub global: u32,
}

/// Rewrites the functions of a module, which is valid.
pub(crate) fn meter(parts: &ModuleParts<'_>) -> Result<Metered, BinaryReaderError> {
    // An i64 that can change, 0 at start.
    let (own, globals) = with_entry(parts.section(section::GLOBAL), &[0x7e, 1, 0x42, 0, opcode::END]);
    let imported = parts.imports.iter();
    let imported = imported.filter(|(_, _, kind)| matches!(kind, ImportKind::Other("global")));
    let global = own + imported.count() as u32;

    let mut code = Vec::new();
    if let Some(section) = parts.section(section::CODE) {
        let bodies = CodeSectionReader::new(BinaryReader::new(section, 0))?;
        leb128(&mut code, bodies.count() as usize);
        for (function, body) in (parts.imported_functions()..).zip(bodies) {
            let body = metered(&body?, parts.parameters(function), global)?;
            leb128(&mut code, body.len());
            code.extend(body);
        }
    }
    Ok(Metered {
        sections: [(section::GLOBAL, globals), (section::CODE, code)],
        global,
    })
}

/// Opcodes, as the specification numbers them.
mod opcode {
    pub(super) const UNREACHABLE: u8 = 0x00;
    pub(super) const IF: u8 = 0x04;
    pub(super) const END: u8 = 0x0b;
    pub(super) const LOCAL_GET: u8 = 0x20;
    pub(super) const LOCAL_TEE: u8 = 0x22;
    pub(super) const GLOBAL_GET: u8 = 0x23;
    pub(super) const GLOBAL_SET: u8 = 0x24;
    pub(super) const I64_CONST: u8 = 0x42;
    pub(super) const I64_LT_S: u8 = 0x53;
    pub(super) const I64_SUB: u8 = 0x7d;
    pub(super) const I64_SHR_U: u8 = 0x88;
    pub(super) const I64_EXTEND_I32_U: u8 = 0xad;
    /// The type of a block without results.
    pub(super) const EMPTY: u8 = 0x40;
    /// The type of 32-bit integers.
    pub(super) const I32: u8 = 0x7f;
}

/// Bytes, as a power of two, that an operation on memory does in the time of an instruction.
const BYTES: u8 = 4;

/// A place where something is taken from what is left.
struct Toll {
    /// Where it stands in the body.
    at: usize,
    price: Price,
}

enum Price {
    /// At the start of a function, or of a loop's round: the instructions inside, without those of loops inside.
    Instructions(usize),
    /// Before an operation on many: the number that lies on the stack, divided by two to this power.
    Many(u8),
}

/// The body of a function with so many parameters.
fn metered(body: &FunctionBody<'_>, parameters: u32, global: u32) -> Result<Vec<u8>, BinaryReaderError> {
    let start = body.range().start as usize;
    let bytes = body.as_bytes();
    let tolls = tolls(body, start)?;
    let mut out = Vec::with_capacity(bytes.len() + tolls.len() * 24);
    let first = tolls.first().map_or(0, |toll| toll.at);
    let scratch = parameters + with_another_local(&mut out, body)?;
    let mut done = first;
    for toll in tolls {
        out.extend(bytes.get(done..toll.at).unwrap_or_default());
        done = toll.at;
        toll.price.take(&mut out, global, scratch);
    }
    out.extend(bytes.get(done..).unwrap_or_default());
    Ok(out)
}

/// Writes the locals of a function and one more, an i32. Gives how many there were.
fn with_another_local(out: &mut Vec<u8>, body: &FunctionBody<'_>) -> Result<u32, BinaryReaderError> {
    let mut reader = body.get_binary_reader();
    let groups = reader.read_var_u32()?;
    leb128(out, groups as usize + 1);
    let mut count = 0;
    for _ in 0..groups {
        let locals = reader.read_var_u32()?;
        count += locals;
        leb128(out, locals as usize);
        // The types that there are here have one byte.
        out.push(reader.read_u8()?);
    }
    out.extend([1, opcode::I32]);
    Ok(count)
}

/// In the order in which they stand.
fn tolls(body: &FunctionBody<'_>, start: usize) -> Result<Vec<Toll>, BinaryReaderError> {
    let mut operators = body.get_operators_reader()?;
    let position = |at: u64| at as usize - start;
    let mut tolls = vec![Toll {
        at: position(operators.original_position()),
        price: Price::Instructions(0),
    }];
    // For each block that is open, the toll that its instructions count for.
    let mut open = vec![0];
    while !operators.eof() {
        let before = position(operators.original_position());
        let operator = operators.read()?;
        let current = open.last().copied().unwrap_or(0);
        if let Some(Toll {
            price: Price::Instructions(count),
            ..
        }) = tolls.get_mut(current)
        {
            *count += 1;
        }
        match operator {
            Operator::Loop { .. } => {
                open.push(tolls.len());
                tolls.push(Toll {
                    at: position(operators.original_position()),
                    price: Price::Instructions(0),
                });
            }
            Operator::Block { .. } | Operator::If { .. } => open.push(current),
            Operator::End => {
                open.pop();
            }
            Operator::MemoryFill { .. } | Operator::MemoryCopy { .. } | Operator::MemoryInit { .. } => {
                tolls.push(Toll {
                    at: before,
                    price: Price::Many(BYTES),
                });
            }
            Operator::TableFill { .. }
            | Operator::TableCopy { .. }
            | Operator::TableInit { .. }
            | Operator::TableGrow { .. } => tolls.push(Toll {
                at: before,
                price: Price::Many(0),
            }),
            _ => {}
        }
    }
    Ok(tolls)
}

impl Price {
    /// Takes it from the global, and traps where nothing is left.
    fn take(&self, out: &mut Vec<u8>, global: u32, scratch: u32) {
        let on = |out: &mut Vec<u8>, what: u8, index: u32| {
            out.push(what);
            leb128(out, index as usize);
        };
        if matches!(self, Self::Many(_)) {
            on(out, opcode::LOCAL_TEE, scratch);
        }
        on(out, opcode::GLOBAL_GET, global);
        match self {
            Self::Instructions(count) => {
                out.push(opcode::I64_CONST);
                signed_leb128(out, (*count).max(1));
            }
            Self::Many(power) => {
                on(out, opcode::LOCAL_GET, scratch);
                out.extend([
                    opcode::I64_EXTEND_I32_U,
                    opcode::I64_CONST,
                    *power,
                    opcode::I64_SHR_U,
                ]);
            }
        }
        out.push(opcode::I64_SUB);
        on(out, opcode::GLOBAL_SET, global);
        on(out, opcode::GLOBAL_GET, global);
        out.extend([opcode::I64_CONST, 0, opcode::I64_LT_S]);
        out.extend([opcode::IF, opcode::EMPTY, opcode::UNREACHABLE, opcode::END]);
    }
}

/// A number as an operand that has a sign: one group of bits more where the highest is set.
fn signed_leb128(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x40 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::prepare::FEATURES;

    fn costs(text: &str) -> Vec<usize> {
        let wasm = wat::parse_str(text).unwrap();
        let parts = ModuleParts::read(&wasm, FEATURES).unwrap();
        let code = parts.section(section::CODE).unwrap();
        let mut costs = Vec::new();
        for body in CodeSectionReader::new(BinaryReader::new(code, 0)).unwrap() {
            let body = body.unwrap();
            let tolls = tolls(&body, body.range().start as usize).unwrap();
            costs.extend(tolls.iter().map(|toll| match toll.price {
                Price::Instructions(count) => count,
                Price::Many(power) => 1000 + usize::from(power),
            }));
        }
        costs
    }

    #[test]
    fn functions_and_loops_pay_for_what_is_in_them() {
        assert_eq!(costs("(module (func nop nop))"), [3]);
        // The loop's own instruction is the function's; what ends it is the loop's.
        let nested = "(module (func (param i32) nop (loop nop nop (block nop) (loop nop (br 0)) (br_if 0 (local.get 0)))))";
        assert_eq!(costs(nested), [3, 9, 3]);
        let many = "(module (memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 9))))";
        assert_eq!(costs(many), [5, 1004]);
    }

    #[test]
    fn what_comes_out_is_valid() {
        let text = r#"(module (global (mut i32) (i32.const 1)) (memory (export "memory") 1) (table 1 funcref)
            (elem (i32.const 0) $f)
            (func $f (export "f") (param i32 i64) (result i32) (local f64 i32)
                (loop $again (result i32)
                    (if (local.get 0) (then (br $again (i32.const 1) (drop)))) (i32.const 5))
                (block $out (br_table $out $out (i32.const 1)))
                (memory.fill (i32.const 0) (i32.const 1) (local.get 0))
                (memory.copy (i32.const 0) (i32.const 1) (local.get 3))
                (drop (table.grow (ref.null func) (i32.const 3)))
                (drop (global.get 0)) (return)))"#;
        let text = text.replace("(br $again (i32.const 1) (drop))", "(br $again)");
        let wasm = wat::parse_str(text).unwrap();
        let parts = ModuleParts::read(&wasm, FEATURES).unwrap();
        let metered = meter(&parts).unwrap();
        assert_eq!(metered.global, 1);
        let rewritten = parts.write(&metered.sections);
        ModuleParts::read(&rewritten, FEATURES).unwrap();
    }

    #[test]
    fn large_costs_are_written_with_their_sign() {
        for cost in [1, 63, 64, 127, 128, 8191, 8192, 1 << 20] {
            let mut out = Vec::new();
            signed_leb128(&mut out, cost);
            let mut reader = BinaryReader::new(&out, 0);
            assert_eq!(reader.read_var_i64().unwrap(), cost as i64);
        }
    }

    #[test]
    fn units_have_bounds() {
        assert_eq!(units(CpuBudget(Duration::from_micros(3))), 2_000_000);
        assert_eq!(units(CpuBudget(Duration::MAX)), i64::MAX);
    }
}
