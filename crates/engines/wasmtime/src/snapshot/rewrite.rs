//! Rewrites a module so that its instances can be frozen.
//!
//! Wasmtime fills memory and runs the start section whenever it instantiates. An instance from a snapshot
//! must not have that done to it: its memory is filled already. So active data segments become passive, with an exported
//! function that does what they did, and the start section becomes an export. Mutable globals are exported, for a snapshot
//! holds them one by one. One more export tells by its name how far code has moved, so that the offsets in backtraces are
//! those of the module as it was.

use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{
    DataCountSection, DataSection, DataSegment, DataSegmentMode, ExportKind, Function, FunctionSection,
    SectionId,
};
use wasmparser::{
    DataKind, DataSectionReader, FunctionSectionReader, GlobalSectionReader, Operator, Parser, Payload,
    ValType,
};
use weir_engine::{CompileError, WasmFeatures};
use weir_engine_support::{ModuleParts, ModuleWriter, invalid};

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
/// The module is not valid, or has state that a snapshot does not hold.
pub(crate) fn rewrite(wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
    let parts = ModuleParts::read(wasm, FEATURES)?;
    if let Some(what) = not_kept(&parts).map_err(invalid)? {
        return Err(CompileError::Invalid(format!(
            "no snapshot can be taken: the module {what}"
        )));
    }
    // The name is as long, whatever the number is, so code lies in the same place.
    let first = first_body(&write(&parts, 0)?).map_err(invalid)?;
    write(&parts, first - first_body(wasm).map_err(invalid)?)
}

/// The module, whose code has moved by so many bytes.
fn write(parts: &ModuleParts<'_>, moved: i64) -> Result<Vec<u8>, CompileError> {
    let mut writer = ModuleWriter::new(parts);
    writer.keep_names();
    writer.export_start();
    // The function that fills memory is the last one.
    let ty = writer.add_type(&[], &[])?;
    let mut functions = FunctionSection::new();
    if let Some(section) = parts.section(SectionId::Function) {
        let section = FunctionSectionReader::new(section).map_err(invalid)?;
        RoundtripReencoder
            .parse_function_section(&mut functions, section)
            .map_err(invalid)?;
    }
    functions.function(ty);
    writer.set(&functions);
    let fill = parts.functions();
    writer.export(FILL, ExportKind::Func, fill);
    writer.export(moved_name(moved), ExportKind::Func, fill);
    for (number, index) in mutable_globals(parts).map_err(invalid)?.into_iter().enumerate() {
        writer.export(global(number), ExportKind::Global, index);
    }
    let body = make_passive(parts, &mut writer).map_err(invalid)?;
    // Bodies of the module stay byte by byte, so that all of them move by as much.
    writer.append(SectionId::Code, &body)?;
    Ok(writer.finish())
}

fn moved_name(by: i64) -> String {
    format!("{MOVED}{by:+012}")
}

/// The offset of the first function's body; 0 where there is none.
fn first_body(wasm: &[u8]) -> wasmparser::Result<i64> {
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::CodeSectionEntry(body) = payload? {
            return Ok(body.range().start as i64);
        }
    }
    Ok(0)
}

/// The module's changes to its tables: an instance from a snapshot has them as they were at start.
fn not_kept(parts: &ModuleParts<'_>) -> wasmparser::Result<Option<&'static str>> {
    for body in parts.bodies() {
        for operator in body.get_operators_reader()? {
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
    if let Some(globals) = parts.section(SectionId::Global) {
        for global in GlobalSectionReader::new(globals)? {
            let ty = global?.ty;
            if ty.mutable && matches!(ty.content_type, ValType::Ref(_)) {
                return Ok(Some("has a global that holds a reference"));
            }
        }
    }
    Ok(None)
}

/// Indices of the globals that can change.
fn mutable_globals(parts: &ModuleParts<'_>) -> wasmparser::Result<Vec<u32>> {
    let Some(globals) = parts.section(SectionId::Global) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    let globals = GlobalSectionReader::new(globals)?;
    for (index, global) in (parts.imported_globals()..).zip(globals) {
        if global?.ty.mutable {
            found.push(index);
        }
    }
    Ok(found)
}

/// Makes active data segments passive. Returns the body of a function that does what they did.
fn make_passive(parts: &ModuleParts<'_>, writer: &mut ModuleWriter<'_, '_>) -> wasmparser::Result<Function> {
    let mut fill = Function::new([]);
    if let Some(section) = parts.section(SectionId::Data) {
        let segments = DataSectionReader::new(section)?;
        let count = segments.count();
        let mut passive = DataSection::new();
        for (index, segment) in (0..).zip(segments) {
            let segment = segment?;
            passive.segment(DataSegment {
                mode: DataSegmentMode::Passive,
                data: segment.data.iter().copied(),
            });
            if let DataKind::Active { offset_expr, .. } = segment.kind {
                let mut offset = offset_expr.get_binary_reader();
                let offset = offset.read_bytes(offset.bytes_remaining())?;
                // The expression ends with an `end`.
                let offset = offset.split_last().map_or(&[][..], |(_, rest)| rest);
                fill.raw(offset.iter().copied());
                fill.instructions()
                    .i32_const(0)
                    .i32_const((segment.data.len() as u32).cast_signed())
                    .memory_init(0, index)
                    .data_drop(index);
            }
        }
        writer.set(&DataCountSection { count });
        writer.set(&passive);
    }
    fill.instructions().end();
    Ok(fill)
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
            .map(|export| (export.name, export.index))
            .collect();
        assert_eq!(
            exports,
            [
                ("memory", 0),
                ("f", 1),
                ("weir:start", 0),
                ("weir:fill", 2),
                (exports[4].0, 2),
                ("weir:global:0", 0),
                ("weir:global:1", 2)
            ]
        );
        let body = |wasm: &[u8]| first_body(wasm).unwrap();
        assert_eq!(moved(exports[4].0), Some(body(&rewritten) - body(&wasm)));
        let data = parts.section(SectionId::Data).unwrap();
        for segment in DataSectionReader::new(data).unwrap() {
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
