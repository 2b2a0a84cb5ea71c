//! What is done to a module before WasmEdge sees it.
//!
//! - It is validated, with the proposals that every version of WasmEdge has here, so that a refusal says which is missing.
//! - It counts what it executes, and what is on its stack.
//! - Its imports get numbers for names: a name may be imported with two types.
//! - Its start section becomes an export: WasmEdge would run it without bounds.
//! - Its tables get a bound, all together.
//! - Custom sections go: in one called `wasmedge`, older versions look for machine code, which they would run.

use wasmparser::{BinaryReader, BinaryReaderError, ImportSectionReader, TypeRef};
use weir_engine::{CompileError, ModuleParts, Stack, WasmFeatures, leb128, meter, section, write_exports};

/// The proposals that are used.
pub(crate) const FEATURES: WasmFeatures = WasmFeatures::WASM2.union(WasmFeatures::TAIL_CALL);

/// The module that all imports come from.
pub(crate) const HOST: &str = "weir";

/// A module for WasmEdge, whose imports are functions.
pub(crate) fn prepare(parts: &ModuleParts<'_>) -> Result<Vec<u8>, CompileError> {
    let invalid = |error: BinaryReaderError| CompileError::Invalid(error.to_string());
    let metered = meter(parts, Stack::Counted).map_err(invalid)?;
    let imports = numbered(parts.section(section::IMPORT)).map_err(invalid)?;
    let exports = parts.exports_with_start().chain(metered.exports);
    let mut changed = vec![
        (section::IMPORT, imports),
        (section::TABLE, parts.bounded_tables()?),
        (section::EXPORT, write_exports(exports)),
        (section::START, Vec::new()),
    ];
    changed.extend(metered.sections);
    Ok(parts.write(&changed))
}

/// Takes a module apart that WasmEdge can run.
pub(crate) fn read(wasm: &[u8]) -> Result<ModuleParts<'_>, CompileError> {
    ModuleParts::read(wasm, FEATURES)
}

/// The imports, named by their numbers.
fn numbered(section: Option<&[u8]>) -> Result<Vec<u8>, BinaryReaderError> {
    let mut entries = Vec::new();
    let mut count = 0_usize;
    if let Some(section) = section {
        for import in ImportSectionReader::new(BinaryReader::new(section, 0))?.into_imports() {
            if let TypeRef::Func(ty) = import?.ty {
                for name in [HOST, &count.to_string()] {
                    leb128(&mut entries, name.len());
                    entries.extend(name.as_bytes());
                }
                // A function.
                entries.push(0);
                leb128(&mut entries, ty as usize);
                count += 1;
            }
        }
    }
    let mut content = Vec::new();
    if count > 0 {
        leb128(&mut content, count);
        content.extend(entries);
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_with_two_types_becomes_two() {
        let wasm = wat::parse_str(
            r#"(module (import "env" "f" (func (param i32))) (import "env" "f" (func (param i64))) (func $main) (start $main))"#,
        );
        let wasm = wasm.unwrap();
        let prepared = prepare(&read(&wasm).unwrap()).unwrap();
        let prepared = read(&prepared).unwrap();
        let names: Vec<_> = prepared
            .imports
            .iter()
            .map(|(module, name, _)| format!("{module}.{name}"))
            .collect();
        assert_eq!(names, ["weir.0", "weir.1"]);
        assert_eq!(prepared.start, None);
        assert!(
            prepared
                .exports
                .iter()
                .any(|(name, ..)| name == weir_engine::START_EXPORT)
        );
    }

    #[test]
    fn a_guest_brings_no_machine_code() {
        let wasm =
            wat::parse_str(r#"(module (@custom "wasmedge" "code") (@custom "name" "") (func))"#).unwrap();
        let prepared = prepare(&read(&wasm).unwrap()).unwrap();
        assert!(!prepared.windows(8).any(|bytes| bytes == b"wasmedge"));
    }
}
