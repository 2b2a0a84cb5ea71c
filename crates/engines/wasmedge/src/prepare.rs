//! Changes to a module before WasmEdge sees it.
//!
//! - It is validated, with the proposals that every version of WasmEdge has here, so that a refusal says which is missing.
//! - It counts what it executes, and what is on its stack.
//! - Its imports get numbers for names: a name may be imported with two types.
//! - Its start section becomes an export: WasmEdge would run it without bounds.
//! - Its tables get a bound, all together.
//! - Custom sections go: in one called `wasmedge`, older versions look for machine code, which they would run.

use wasm_encoder::{EntityType, ImportSection, SectionId};
use wasmparser::{ImportSectionReader, TypeRef};
use weir_engine::{CompileError, WasmFeatures};
use weir_engine_support::{ModuleParts, ModuleWriter, Stack, invalid};

/// The proposals that are used.
pub(crate) const FEATURES: WasmFeatures = WasmFeatures::WASM2.union(WasmFeatures::TAIL_CALL);

/// The module that all imports come from.
pub(crate) const HOST: &str = "weir";

/// A module for WasmEdge, whose imports are functions.
pub(crate) fn prepare(parts: &ModuleParts<'_>) -> Result<Vec<u8>, CompileError> {
    let mut writer = ModuleWriter::new(parts);
    number_imports(parts, &mut writer)?;
    writer.export_start();
    writer.bound_tables()?;
    writer.meter(Stack::Counted)?;
    Ok(writer.finish())
}

/// Takes a module apart that WasmEdge can run.
pub(crate) fn read(wasm: &[u8]) -> Result<ModuleParts<'_>, CompileError> {
    ModuleParts::read(wasm, FEATURES)
}

/// Names the imports by their numbers.
fn number_imports(parts: &ModuleParts<'_>, writer: &mut ModuleWriter<'_, '_>) -> Result<(), CompileError> {
    let Some(section) = parts.section(SectionId::Import) else {
        return Ok(());
    };
    let mut imports = ImportSection::new();
    for import in ImportSectionReader::new(section).map_err(invalid)?.into_imports() {
        if let TypeRef::Func(ty) = import.map_err(invalid)?.ty {
            imports.import(HOST, &imports.len().to_string(), EntityType::Function(ty));
        }
    }
    writer.set(&imports);
    Ok(())
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
                .any(|export| export.name == weir_engine_support::START_EXPORT)
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
