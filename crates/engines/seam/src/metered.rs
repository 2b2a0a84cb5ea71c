//! Modules that count what they execute, for runtimes that nothing can stop from outside.
//!
//! A global has what a call may still spend; each function and each round of a loop takes from it as many units as it has
//! instructions, operations on many bytes or elements pay by how many there are, and the guest traps when it is below zero.
//! Where a runtime has no bound for its stack, another global counts what is on it, and the guest traps above a bound.

use wasmparser::{BinaryReader, BinaryReaderError, CodeSectionReader, FunctionBody, Operator};

use crate::{CpuBudget, ModuleParts, leb128, section, signed_leb128, with_entry};

/// The export that has what may still be spent, an `i64`. No toolchain makes such names.
pub const FUEL: &str = "weir:fuel";

/// The export that has what is on the stack, an `i32`.
pub const DEPTH: &str = "weir:depth";

/// The most that may be on the stack: values, roughly.
pub const MAX_DEPTH: u32 = 1 << 20;

/// How fast a runtime executes, for deadlines that are counted in instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As machine code: some two million instructions in a millisecond on the machines that this was measured on.
    Compiled,
    /// As an interpreter: some hundred thousand.
    Interpreted,
}

impl Pace {
    /// What a call may spend.
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

/// A module whose functions have been rewritten.
pub struct Metered {
    /// The sections that change.
    pub sections: Vec<(u8, Vec<u8>)>,
    /// Entries for the export section: name, kind, index.
    pub exports: Vec<(&'static str, u8, u32)>,
}

/// Whether a module counts what is on its stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// The runtime bounds it.
    Bounded,
    /// The module has to.
    Counted,
}

/// Rewrites the functions of a module, which is valid.
///
/// # Errors
///
/// None for a module that [`ModuleParts::read`] has read.
pub fn meter(parts: &ModuleParts<'_>, stack: Stack) -> Result<Metered, BinaryReaderError> {
    let imported = parts.imported_globals();
    // An i64 that can change, 0 at start.
    let (own, mut globals) = with_entry(parts.section(section::GLOBAL), &[0x7e, 1, 0x42, 0, opcode::END]);
    let fuel = imported + own;
    let mut exports = vec![(FUEL, 3, fuel)];
    let mut depth = None;
    if stack == Stack::Counted {
        let (own, with_depth) = with_entry(Some(&globals), &[0x7f, 1, opcode::I32_CONST, 0, opcode::END]);
        globals = with_depth;
        depth = Some(imported + own);
        exports.push((DEPTH, 3, imported + own));
    }

    let mut types = parts.section(section::TYPE).map(<[u8]>::to_vec);
    let mut code = Vec::new();
    if let Some(section) = parts.section(section::CODE) {
        let bodies = CodeSectionReader::new(BinaryReader::new(section, 0))?;
        leb128(&mut code, bodies.count() as usize);
        for (function, body) in (parts.imported_functions()..).zip(bodies) {
            let counted = depth.map(|global| Counted {
                global,
                ty: block_type(&mut types, &parts.results(function)),
            });
            let body = metered(&body?, parts.parameters(function), fuel, counted)?;
            leb128(&mut code, body.len());
            code.extend(body);
        }
    }
    let mut sections = vec![(section::GLOBAL, globals), (section::CODE, code)];
    sections.extend(types.map(|types| (section::TYPE, types)));
    Ok(Metered { sections, exports })
}

/// The type of a block with these results, as it is written; a type of its own where there are several.
fn block_type(types: &mut Option<Vec<u8>>, results: &[u8]) -> Vec<u8> {
    match results {
        [] => vec![opcode::EMPTY],
        [one] => vec![*one],
        many => {
            let mut entry = vec![0x60, 0];
            leb128(&mut entry, many.len());
            entry.extend(many);
            let (index, with_type) = with_entry(types.as_deref(), &entry);
            *types = Some(with_type);
            let mut written = Vec::new();
            signed_leb128(&mut written, index.into());
            written
        }
    }
}

/// Opcodes, as the specification numbers them.
mod opcode {
    pub(super) const UNREACHABLE: u8 = 0x00;
    pub(super) const BLOCK: u8 = 0x02;
    pub(super) const IF: u8 = 0x04;
    pub(super) const END: u8 = 0x0b;
    pub(super) const LOCAL_GET: u8 = 0x20;
    pub(super) const LOCAL_TEE: u8 = 0x22;
    pub(super) const GLOBAL_GET: u8 = 0x23;
    pub(super) const GLOBAL_SET: u8 = 0x24;
    pub(super) const I32_CONST: u8 = 0x41;
    pub(super) const I64_CONST: u8 = 0x42;
    pub(super) const I32_GT_U: u8 = 0x4b;
    pub(super) const I64_LT_S: u8 = 0x53;
    pub(super) const I32_ADD: u8 = 0x6a;
    pub(super) const I32_SUB: u8 = 0x6b;
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

/// Values that every function is taken to put on the stack, beside its locals and those of its instructions.
const FRAME: usize = 8;

/// Instructions that are taken to leave one value on the stack among them.
const INSTRUCTIONS_PER_VALUE: usize = 4;

/// Something that is inserted into a body.
struct Insertion {
    /// Where it stands.
    at: usize,
    what: What,
}

enum What {
    /// At the start of a function, or of a loop's round, the price: the instructions inside, without those of loops inside.
    Instructions(usize),
    /// Before an operation on many, the price: the number that lies on the stack, divided by two to this power.
    Many(u8),
    /// What the function has on the stack is counted, and a block begins.
    Enter,
    /// It is not counted any more.
    Leave,
    /// The block ends, and it is not counted any more.
    EndAndLeave,
}

/// How a function counts what it has on the stack.
struct Counted {
    global: u32,
    /// Type of the block that the body becomes.
    ty: Vec<u8>,
}

/// The body of a function with so many parameters.
fn metered(
    body: &FunctionBody<'_>,
    parameters: u32,
    fuel: u32,
    counted: Option<Counted>,
) -> Result<Vec<u8>, BinaryReaderError> {
    let start = body.range().start as usize;
    let bytes = body.as_bytes();
    let (insertions, instructions) = insertions(body, start, counted.is_some())?;
    let mut out = Vec::with_capacity(bytes.len() + insertions.len() * 24);
    let mut done = insertions.first().map_or(0, |first| first.at);
    let locals = with_another_local(&mut out, body)?;
    let writer = Writer {
        fuel,
        scratch: parameters + locals,
        size: FRAME + locals as usize + instructions / INSTRUCTIONS_PER_VALUE,
        counted,
    };
    for insertion in insertions {
        out.extend(bytes.get(done..insertion.at).unwrap_or_default());
        done = insertion.at;
        writer.write(&mut out, &insertion.what);
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

/// In the order in which they stand, and how many instructions there are.
fn insertions(
    body: &FunctionBody<'_>,
    start: usize,
    counts: bool,
) -> Result<(Vec<Insertion>, usize), BinaryReaderError> {
    let mut operators = body.get_operators_reader()?;
    let position = |at: u64| at as usize - start;
    let first = position(operators.original_position());
    let insertion = |at, what| Insertion { at, what };
    let mut found = vec![insertion(first, What::Instructions(0))];
    if counts {
        found.push(insertion(first, What::Enter));
    }
    let mut instructions = 0;
    // For each block that is open, the price that its instructions count for.
    let mut open = vec![0];
    while !operators.eof() {
        let before = position(operators.original_position());
        let operator = operators.read()?;
        instructions += 1;
        let current = open.last().copied().unwrap_or(0);
        if let Some(Insertion {
            what: What::Instructions(count),
            ..
        }) = found.get_mut(current)
        {
            *count += 1;
        }
        match operator {
            Operator::Loop { .. } => {
                open.push(found.len());
                found.push(insertion(
                    position(operators.original_position()),
                    What::Instructions(0),
                ));
            }
            Operator::Block { .. } | Operator::If { .. } => open.push(current),
            Operator::End => {
                open.pop();
                if counts && open.is_empty() {
                    found.push(insertion(before, What::EndAndLeave));
                }
            }
            Operator::Return | Operator::ReturnCall { .. } | Operator::ReturnCallIndirect { .. }
                if counts =>
            {
                found.push(insertion(before, What::Leave));
            }
            Operator::MemoryFill { .. } | Operator::MemoryCopy { .. } | Operator::MemoryInit { .. } => {
                found.push(insertion(before, What::Many(BYTES)));
            }
            Operator::TableFill { .. }
            | Operator::TableCopy { .. }
            | Operator::TableInit { .. }
            | Operator::TableGrow { .. } => found.push(insertion(before, What::Many(0))),
            _ => {}
        }
    }
    Ok((found, instructions))
}

/// Writes insertions into the body of one function.
struct Writer {
    fuel: u32,
    /// A local that nothing else uses.
    scratch: u32,
    /// What the function has on the stack.
    size: usize,
    counted: Option<Counted>,
}

impl Writer {
    fn write(&self, out: &mut Vec<u8>, what: &What) {
        match what {
            What::Instructions(count) => self.pay(out, |out| {
                out.push(opcode::I64_CONST);
                signed_leb128(out, (*count).max(1) as i64);
            }),
            What::Many(power) => {
                on(out, opcode::LOCAL_TEE, self.scratch);
                self.pay(out, |out| {
                    on(out, opcode::LOCAL_GET, self.scratch);
                    out.extend([
                        opcode::I64_EXTEND_I32_U,
                        opcode::I64_CONST,
                        *power,
                        opcode::I64_SHR_U,
                    ]);
                });
            }
            What::Enter => self.enter(out),
            What::Leave => self.leave(out),
            What::EndAndLeave => {
                out.push(opcode::END);
                self.leave(out);
            }
        }
    }

    /// Takes a price from the fuel, and traps where nothing is left.
    fn pay(&self, out: &mut Vec<u8>, price: impl FnOnce(&mut Vec<u8>)) {
        on(out, opcode::GLOBAL_GET, self.fuel);
        price(out);
        out.push(opcode::I64_SUB);
        on(out, opcode::GLOBAL_SET, self.fuel);
        on(out, opcode::GLOBAL_GET, self.fuel);
        out.extend([opcode::I64_CONST, 0, opcode::I64_LT_S]);
        out.extend(TRAP_IF);
    }

    fn enter(&self, out: &mut Vec<u8>) {
        let Some(counted) = &self.counted else {
            return;
        };
        self.change_depth(out, counted.global, opcode::I32_ADD);
        on(out, opcode::GLOBAL_GET, counted.global);
        out.push(opcode::I32_CONST);
        signed_leb128(out, MAX_DEPTH.into());
        out.push(opcode::I32_GT_U);
        out.extend(TRAP_IF);
        out.push(opcode::BLOCK);
        out.extend(&counted.ty);
    }

    fn leave(&self, out: &mut Vec<u8>) {
        if let Some(counted) = &self.counted {
            self.change_depth(out, counted.global, opcode::I32_SUB);
        }
    }

    fn change_depth(&self, out: &mut Vec<u8>, global: u32, how: u8) {
        on(out, opcode::GLOBAL_GET, global);
        out.push(opcode::I32_CONST);
        signed_leb128(out, self.size as i64);
        out.push(how);
        on(out, opcode::GLOBAL_SET, global);
    }
}

/// Traps where the number on the stack is not 0.
const TRAP_IF: [u8; 4] = [opcode::IF, opcode::EMPTY, opcode::UNREACHABLE, opcode::END];

fn on(out: &mut Vec<u8>, what: u8, index: u32) {
    out.push(what);
    leb128(out, index as usize);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::WasmFeatures;

    const FEATURES: WasmFeatures = WasmFeatures::WASM2.union(WasmFeatures::TAIL_CALL);

    fn costs(text: &str) -> Vec<usize> {
        let wasm = wat::parse_str(text).unwrap();
        let parts = ModuleParts::read(&wasm, FEATURES).unwrap();
        let code = parts.section(section::CODE).unwrap();
        let mut costs = Vec::new();
        for body in CodeSectionReader::new(BinaryReader::new(code, 0)).unwrap() {
            let body = body.unwrap();
            let (found, _) = insertions(&body, body.range().start as usize, false).unwrap();
            costs.extend(found.iter().map(|insertion| match insertion.what {
                What::Instructions(count) => count,
                What::Many(power) => 1000 + usize::from(power),
                _ => panic!("nothing is counted here"),
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
        for (stack, exports) in [
            (Stack::Bounded, vec![(FUEL, 3, 1)]),
            (Stack::Counted, vec![(FUEL, 3, 1), (DEPTH, 3, 2)]),
        ] {
            let metered = meter(&parts, stack).unwrap();
            assert_eq!(metered.exports, exports);
            let rewritten = parts.write(&metered.sections);
            ModuleParts::read(&rewritten, FEATURES).unwrap();
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
