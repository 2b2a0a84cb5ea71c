//! What is done to a module before WAMR sees it.
//!
//! - It is validated, with the proposals that WAMR has here, so that a refusal says which one is missing.
//! - Its start section becomes an export: WAMR would run it before anybody could end it.
//! - Its tables get a bound, all together.
//! - What is to be compiled ahead of time counts what it executes ([`meter`]).
//! - Exports that WAMR calls by itself when it instantiates go, and so do custom sections, which nobody reads.

use weir_engine::{CompileError, Metered, ModuleParts, Stack, WasmFeatures, meter, section, write_exports};

/// The proposals that WAMR's fast interpreter has, as it is built here.
pub(crate) const FEATURES: WasmFeatures = WasmFeatures::WASM2
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::EXTENDED_CONST);

/// What WAMR runs by itself after it has instantiated a module, if it is exported.
const RUN_BY_WAMR: [&str; 2] = ["__post_instantiate", "__wasm_call_ctors"];

/// A module for WAMR's interpreter.
pub(crate) fn prepare(parts: &ModuleParts<'_>) -> Result<Vec<u8>, CompileError> {
    rewrite(parts, None)
}

/// A module for WAMR's compiler: its code counts what it executes.
pub(crate) fn prepare_metered(parts: &ModuleParts<'_>) -> Result<Vec<u8>, CompileError> {
    // WAMR's own code checks the stack.
    let metered = meter(parts, Stack::Bounded).map_err(|error| CompileError::Invalid(error.to_string()))?;
    rewrite(parts, Some(metered))
}

fn rewrite(parts: &ModuleParts<'_>, metered: Option<Metered>) -> Result<Vec<u8>, CompileError> {
    let exports = parts
        .exports_with_start()
        .filter(|(name, kind, _)| *kind != 0 || !RUN_BY_WAMR.contains(name));
    let fuel = metered.iter().flat_map(|metered| metered.exports.clone());
    let mut changed = vec![
        (section::TABLE, parts.bounded_tables()?),
        (section::EXPORT, write_exports(exports.chain(fuel))),
        (section::START, Vec::new()),
    ];
    changed.extend(metered.into_iter().flat_map(|metered| metered.sections));
    Ok(parts.write(&changed))
}

/// Takes a module apart that WAMR can run.
pub(crate) fn read(wasm: &[u8]) -> Result<ModuleParts<'_>, CompileError> {
    ModuleParts::read(wasm, FEATURES)
}

#[cfg(test)]
mod tests {
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
        assert_eq!(
            prepared.exports,
            [
                ("f".to_owned(), 0, 2),
                (weir_engine::START_EXPORT.to_owned(), 0, 0)
            ]
        );
    }
}
