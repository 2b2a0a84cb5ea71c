//! Rewrites a module so that its instances can be frozen.
//!
//! Wasmtime fills memory and runs the start section whenever it instantiates. An instance from a snapshot
//! must not have that done to it: its memory is filled already. So active data segments become passive, with an exported function that does what they did,
//! and the start section becomes an export. Mutable globals are exported, for a snapshot holds them one by one. One more export
//! tells by its name how far code has moved, so that the offsets in backtraces are those of the module as it was.

use wasmparser::{
    BinaryReader, BinaryReaderError, CodeSectionReader, DataKind, DataSectionReader, GlobalSectionReader,
    Operator, Parser, Payload, ValType,
};
use weir_engine::{
    CompileError, ModuleParts, WasmFeatures, leb128, section, signed_leb128, with_entry, write_exports,
};

/// The export that fills memory. No toolchain makes such names.
pub(crate) const FILL: &str = "weir:fill";

/// Begins the name of the export that tells how far code has moved.
const MOVED: &str = "weir:moved:";

/// The proposals that Wasmtime has here.
const FEATURES: WasmFeatures = WasmFeatures::WASM2
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::RELAXED_SIMD);

/// The name under which a mutable global is exported, the first being 0.
pub(super) fn global(number: usize) -> String {
    format!("weir:global:{number}")
}

/// By how many bytes code has moved in a rewritten module, as one of its exports' names tells.
pub(crate) fn moved(export: &str) -> Option<i64> {
    export.strip_prefix(MOVED)?.parse().ok()
}

/// Rewrites a module.
///
/// # Errors
///
/// It is not valid, or has state that a snapshot does not hold.
pub(crate) fn rewrite(wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
    let parts = ModuleParts::read(wasm, FEATURES)?;
    let invalid = |error: BinaryReaderError| CompileError::Invalid(error.to_string());
    if let Some(what) = not_kept(&parts).map_err(invalid)? {
        return Err(CompileError::Invalid(format!(
            "no snapshot can be taken: the module {what}"
        )));
    }
    let globals = mutable_globals(&parts).map_err(invalid)?;
    let data = passive(parts.section(section::DATA)).map_err(invalid)?;

    // A type without parameters and results, and a function of it, each the last.
    let (ty, types) = with_entry(parts.section(section::TYPE), &[0x60, 0, 0]);
    let mut entry = Vec::new();
    leb128(&mut entry, ty as usize);
    let (_, functions) = with_entry(parts.section(section::FUNCTION), &entry);
    let mut body = Vec::new();
    leb128(&mut body, data.fill.len());
    body.extend(&data.fill);
    let (_, code) = with_entry(parts.section(section::CODE), &body);

    let names: Vec<String> = (0..globals.len()).map(global).collect();
    let unmoved = moved_name(0);
    let exports = parts
        .exports_with_start()
        .chain([(FILL, 0, parts.functions()), (&unmoved, 0, parts.functions())])
        .chain(
            names
                .iter()
                .zip(&globals)
                .map(|(name, index)| (name.as_str(), 3, *index)),
        );
    let mut rewritten = parts.write_with_names(&[
        (section::TYPE, types),
        (section::FUNCTION, functions),
        (section::EXPORT, write_exports(exports)),
        (section::START, Vec::new()),
        (section::DATA_COUNT, data.count),
        (section::CODE, code),
        (section::DATA, data.segments),
    ]);
    // The name is as long, whatever the number is.
    let moved = first_body(&rewritten).map_err(invalid)? - first_body(wasm).map_err(invalid)?;
    let at = rewritten
        .windows(unmoved.len())
        .position(|bytes| bytes == unmoved.as_bytes());
    if let Some(name) = at.and_then(|at| rewritten.get_mut(at..at + unmoved.len())) {
        name.copy_from_slice(moved_name(moved).as_bytes());
    }
    Ok(rewritten)
}

fn moved_name(by: i64) -> String {
    format!("{MOVED}{by:+012}")
}

/// Where the first function's body is; 0 where there is none.
fn first_body(wasm: &[u8]) -> Result<i64, BinaryReaderError> {
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::CodeSectionEntry(body) = payload? {
            return Ok(body.range().start as i64);
        }
    }
    Ok(0)
}

/// What the module does to its tables: an instance from a snapshot has them as they were at start.
fn not_kept(parts: &ModuleParts<'_>) -> Result<Option<&'static str>, BinaryReaderError> {
    let code = parts.section(section::CODE).unwrap_or(&[0]);
    for body in CodeSectionReader::new(BinaryReader::new(code, 0))? {
        for operator in body?.get_operators_reader()? {
            match operator? {
                Operator::TableSet { .. }
                | Operator::TableGrow { .. }
                | Operator::TableFill { .. }
                | Operator::TableCopy { .. }
                | Operator::TableInit { .. } => return Ok(Some("writes to its tables")),
                Operator::ElemDrop { .. } => return Ok(Some("drops element segments")),
                _ => {}
            }
        }
    }
    if let Some(globals) = parts.section(section::GLOBAL) {
        for global in GlobalSectionReader::new(BinaryReader::new(globals, 0))? {
            let ty = global?.ty;
            if ty.mutable && matches!(ty.content_type, ValType::Ref(_)) {
                return Ok(Some("has a global that holds a reference"));
            }
        }
    }
    Ok(None)
}

/// Indices of the globals that can change.
fn mutable_globals(parts: &ModuleParts<'_>) -> Result<Vec<u32>, BinaryReaderError> {
    let Some(globals) = parts.section(section::GLOBAL) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    let globals = GlobalSectionReader::new(BinaryReader::new(globals, 0))?;
    for (index, global) in (parts.imported_globals()..).zip(globals) {
        if global?.ty.mutable {
            found.push(index);
        }
    }
    Ok(found)
}

/// Data segments that do nothing by themselves.
#[derive(Default)]
struct Passive {
    /// Contents of the section that counts them.
    count: Vec<u8>,
    /// Contents of their section.
    segments: Vec<u8>,
    /// Body of the function that does what the active ones did, without its size.
    fill: Vec<u8>,
}

/// Opcodes, as the specification numbers them.
mod opcode {
    pub(super) const END: u8 = 0x0b;
    pub(super) const I32_CONST: u8 = 0x41;
    pub(super) const MEMORY_INIT: [u8; 2] = [0xfc, 8];
    pub(super) const DATA_DROP: [u8; 2] = [0xfc, 9];
}

fn passive(section: Option<&[u8]>) -> Result<Passive, BinaryReaderError> {
    let mut made = Passive::default();
    // No locals.
    made.fill.push(0);
    if let Some(section) = section {
        let reader = DataSectionReader::new(BinaryReader::new(section, 0))?;
        let count = reader.count() as usize;
        leb128(&mut made.count, count);
        leb128(&mut made.segments, count);
        for (index, data) in reader.into_iter().enumerate() {
            let data = data?;
            // Passive.
            made.segments.push(1);
            leb128(&mut made.segments, data.data.len());
            made.segments.extend(data.data);
            if let DataKind::Active { offset_expr, .. } = data.kind {
                let mut offset = offset_expr.get_binary_reader();
                let offset = offset.read_bytes(offset.bytes_remaining())?;
                // It ends with an `end`.
                made.fill
                    .extend(offset.split_last().map_or(&[][..], |(_, rest)| rest));
                made.fill.extend([opcode::I32_CONST, 0, opcode::I32_CONST]);
                signed_leb128(&mut made.fill, (data.data.len() as u32).cast_signed().into());
                made.fill.extend(opcode::MEMORY_INIT);
                leb128(&mut made.fill, index);
                // The one memory.
                made.fill.push(0);
                made.fill.extend(opcode::DATA_DROP);
                leb128(&mut made.fill, index);
            }
        }
    }
    made.fill.push(opcode::END);
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Vec<u8> {
        wat::parse_str(text).unwrap()
    }

    fn refusal(text: &str) -> String {
        rewrite(&parse(text)).unwrap_err().to_string()
    }

    #[test]
    fn a_rewritten_module_starts_nothing_by_itself() {
        let wasm = parse(
            r#"(module (memory (export "memory") 1) (global $a (mut i32) (i32.const 1)) (global i32 (i32.const 2))
            (global $b (mut i64) (i64.const 3)) (func $main) (start $main) (func (export "f") (param i32))
            (data (i32.const 8) "active") (data "passive") (data (offset (i32.add (i32.const 1) (i32.const 2))) "sum"))"#,
        );
        let rewritten = rewrite(&wasm).unwrap();
        let parts = ModuleParts::read(&rewritten, FEATURES).unwrap();
        assert_eq!(parts.start, None);
        let exports: Vec<_> = parts
            .exports
            .iter()
            .map(|(name, kind, index)| (name.as_str(), *kind, *index))
            .collect();
        assert_eq!(
            exports,
            [
                ("memory", 2, 0),
                ("f", 0, 1),
                ("weir:start", 0, 0),
                ("weir:fill", 0, 2),
                (exports[4].0, 0, 2),
                ("weir:global:0", 3, 0),
                ("weir:global:1", 3, 2)
            ]
        );
        let body = |wasm: &[u8]| first_body(wasm).unwrap();
        assert_eq!(moved(exports[4].0), Some(body(&rewritten) - body(&wasm)));
        let data = parts.section(section::DATA).unwrap();
        for segment in DataSectionReader::new(BinaryReader::new(data, 0)).unwrap() {
            assert!(matches!(segment.unwrap().kind, DataKind::Passive));
        }
    }

    #[test]
    fn names_of_functions_stay() {
        let wasm = parse("(module (func $named) (@custom \"other\" \"x\"))");
        let rewritten = rewrite(&wasm).unwrap();
        let has = |text: &[u8]| rewritten.windows(text.len()).any(|bytes| bytes == text);
        assert!(has(b"named") && !has(b"other"));
    }

    #[test]
    fn an_empty_module_is_rewritten() {
        assert!(rewrite(b"\0asm\x01\0\0\0").is_ok());
    }

    #[test]
    fn state_that_a_snapshot_does_not_hold_is_refused() {
        let table = "(module (table 1 funcref) (elem $e func $f) (func $f)";
        for body in [
            "(func (table.set (i32.const 0) (ref.null func)))",
            "(func (drop (table.grow (ref.null func) (i32.const 1))))",
            "(func (table.fill (i32.const 0) (ref.null func) (i32.const 1)))",
            "(func (table.copy (i32.const 0) (i32.const 0) (i32.const 1)))",
            "(func (table.init $e (i32.const 0) (i32.const 0) (i32.const 1)))",
        ] {
            let refusal = refusal(&format!("{table}{body})"));
            assert_eq!(
                refusal, "no snapshot can be taken: the module writes to its tables",
                "{body}"
            );
        }
        assert!(refusal(&format!("{table}(func (elem.drop $e)))")).ends_with("drops element segments"));
        assert!(refusal("(module (global (mut funcref) (ref.null func)))").ends_with("holds a reference"));
        assert!(refusal("(module (memory 1) (memory 1))").contains("multi"));
    }
}
