//! The body of a function that counts what it executes.

use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{BlockType, Function, InstructionSink, ValType};
use wasmparser::{FunctionBody, Operator};
use weir_engine::CompileError;

use super::{MAX_DEPTH, invalid};

/// Bytes, as a power of two, that an operation on memory does in the time of an instruction.
const BYTES: u8 = 4;

/// Values that every function is taken to put on the stack, beside its locals and those of its instructions.
const FRAME: usize = 8;

/// Instructions that are taken to leave one value on the stack among them.
const INSTRUCTIONS_PER_VALUE: usize = 4;

/// The means by which a function counts what it has on the stack.
pub(super) struct Counted {
    pub global: u32,
    /// Type of the block that the body becomes.
    pub ty: BlockType,
}

/// The body of a function with so many parameters; `fuel` is the global that it pays from.
pub(super) fn metered(
    body: &FunctionBody<'_>,
    parameters: u32,
    fuel: u32,
    counted: Option<Counted>,
) -> Result<Function, CompileError> {
    let start = body.range().start as usize;
    let bytes = body.as_bytes();
    let (insertions, instructions) = insertions(body, start, counted.is_some()).map_err(invalid)?;
    let mut locals = Vec::new();
    for group in body.get_locals_reader().map_err(invalid)? {
        let (count, ty) = group.map_err(invalid)?;
        locals.push((count, RoundtripReencoder.val_type(ty).map_err(invalid)?));
    }
    let own: u32 = locals.iter().map(|(count, _)| *count).sum();
    locals.push((1, ValType::I32));
    let writer = Writer {
        fuel,
        scratch: parameters + own,
        size: FRAME + own as usize + instructions / INSTRUCTIONS_PER_VALUE,
        counted,
    };
    let mut function = Function::new(locals);
    let mut done = insertions.first().map_or(0, |first| first.at);
    let mut copy = |function: &mut Function, to: usize| {
        let between = bytes.get(done..to).unwrap_or_default();
        function.raw(between.iter().copied());
        done = to;
    };
    for insertion in insertions {
        copy(&mut function, insertion.at);
        writer.write(&mut function.instructions(), &insertion.what);
    }
    copy(&mut function, bytes.len());
    Ok(function)
}

/// Something that is inserted into a body.
struct Insertion {
    /// The position.
    at: usize,
    what: What,
}

enum What {
    /// At the start of a function, or of a loop's round, the price: the instructions inside, without those of loops inside.
    Instructions(usize),
    /// Before an operation on many, the price: the number that lies on the stack, divided by two to this power.
    Many(u8),
    /// The function's part of the stack is counted, and a block begins.
    Enter,
    /// The function's part of the stack is not counted any more.
    Leave,
    /// The block ends, and it is not counted any more.
    EndAndLeave,
}

/// In the order in which they stand, and how many instructions there are.
fn insertions(
    body: &FunctionBody<'_>,
    start: usize,
    counts: bool,
) -> wasmparser::Result<(Vec<Insertion>, usize)> {
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
    /// The function's part of the stack.
    size: usize,
    counted: Option<Counted>,
}

impl Writer {
    fn write(&self, out: &mut InstructionSink<'_>, what: &What) {
        match what {
            What::Instructions(count) => self.pay(out, |out| {
                out.i64_const((*count).max(1) as i64);
            }),
            What::Many(power) => {
                out.local_tee(self.scratch);
                self.pay(out, |out| {
                    out.local_get(self.scratch)
                        .i64_extend_i32_u()
                        .i64_const(i64::from(*power))
                        .i64_shr_u();
                });
            }
            What::Enter => self.enter(out),
            What::Leave => self.leave(out),
            What::EndAndLeave => {
                out.end();
                self.leave(out);
            }
        }
    }

    /// Takes a price from the fuel, and traps where nothing is left.
    fn pay(&self, out: &mut InstructionSink<'_>, price: impl FnOnce(&mut InstructionSink<'_>)) {
        out.global_get(self.fuel);
        price(out);
        out.i64_sub()
            .global_set(self.fuel)
            .global_get(self.fuel)
            .i64_const(0)
            .i64_lt_s();
        trap_if(out);
    }

    fn enter(&self, out: &mut InstructionSink<'_>) {
        let Some(counted) = &self.counted else {
            return;
        };
        out.global_get(counted.global)
            .i32_const(self.size as i32)
            .i32_add()
            .global_set(counted.global)
            .global_get(counted.global)
            .i32_const(MAX_DEPTH.cast_signed())
            .i32_gt_u();
        trap_if(out);
        out.block(counted.ty);
    }

    fn leave(&self, out: &mut InstructionSink<'_>) {
        if let Some(counted) = &self.counted {
            out.global_get(counted.global)
                .i32_const(self.size as i32)
                .i32_sub()
                .global_set(counted.global);
        }
    }
}

/// Traps where the number on the stack is not 0.
fn trap_if(out: &mut InstructionSink<'_>) {
    out.if_(BlockType::Empty).unreachable().end();
}

#[cfg(test)]
mod tests {
    use weir_engine::WasmFeatures;

    use super::*;
    use crate::ModuleParts;

    fn costs(text: &str) -> Vec<usize> {
        let wasm = wat::parse_str(text).unwrap();
        let parts = ModuleParts::read(&wasm, WasmFeatures::WASM2).unwrap();
        let mut costs = Vec::new();
        for body in &parts.bodies {
            let (found, _) = insertions(body, body.range().start as usize, false).unwrap();
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
}
