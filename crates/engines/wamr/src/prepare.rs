//! Changes to a module before WAMR sees it.
//!
//! - It is validated, with the proposals that WAMR has here, so that a refusal says which one is missing.
//! - Its start section becomes an export: WAMR would run it before anybody could end it.
//! - Its tables get a bound, all together.
//! - What is to be compiled ahead of time counts what it executes ([`ModuleWriter::meter`]).
//! - Exports that WAMR calls by itself when it instantiates go, and so do custom sections, which nobody reads.

use weir_engine::{CompileError, WasmFeatures};
use weir_engine_support::{ModuleParts, ModuleWriter, Stack};

/// The proposals that WAMR's fast interpreter has, as it is built here.
pub(crate) const FEATURES: WasmFeatures = WasmFeatures::WASM2
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::EXTENDED_CONST);

/// The function that WAMR runs by itself after it has instantiated a module, if it is exported.
const RUN_BY_WAMR: [&str; 2] = ["__post_instantiate", "__wasm_call_ctors"];

/// A module for WAMR's interpreter.
pub(crate) fn prepare(parts: &ModuleParts<'_>) -> Result<Vec<u8>, CompileError> {
    Ok(writer(parts)?.finish())
}

/// A module for WAMR's compiler: its code counts what it executes.
pub(crate) fn prepare_metered(parts: &ModuleParts<'_>) -> Result<Vec<u8>, CompileError> {
    let mut writer = writer(parts)?;
    // WAMR's own code checks the stack.
    writer.meter(Stack::Bounded)?;
    Ok(writer.finish())
}

fn writer<'p, 'a>(parts: &'p ModuleParts<'a>) -> Result<ModuleWriter<'p, 'a>, CompileError> {
    let mut writer = ModuleWriter::new(parts);
    writer.remove_functions(&RUN_BY_WAMR);
    writer.export_start();
    writer.bound_tables()?;
    Ok(writer)
}

/// Takes a module apart that WAMR can run.
pub(crate) fn read(wasm: &[u8]) -> Result<ModuleParts<'_>, CompileError> {
    ModuleParts::read(wasm, FEATURES)
}

#[cfg(test)]
mod tests {
    use weir_engine_support::START_EXPORT;

    use super::*;

    #[test]
    fn the_start_section_becomes_an_export() {
        let wasm = wat::parse_str(
            r#"(module (func $main) (start $main) (func (export "__wasm_call_ctors")) (func (export "f")))"#,
        )
        .unwrap();
        let wasm = prepare(&read(&wasm).unwrap()).unwrap();
        let prepared = read(&wasm).unwrap();
        assert_eq!(prepared.start, None);
        let exports = prepared.exports.iter().map(|export| (export.name, export.index));
        assert_eq!(exports.collect::<Vec<_>>(), [("f", 2), (START_EXPORT, 0)]);
    }
}
