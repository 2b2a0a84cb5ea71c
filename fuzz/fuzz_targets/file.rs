//! What a module's file holds: any bytes are taken apart into the module and its code; a module that is taken apart and
//! written again is valid.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_engine::{ModuleParts, WasmFeatures, section, with_imported_memory, write_exports};
use weir_loader::{Code, ModuleFile};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(code) = Code::decode(bytes) {
        assert_eq!(code.encode(), bytes);
    }
    let file = ModuleFile::split(bytes);
    let _ = file.code().count();
    let features = WasmFeatures::WASM2 | WasmFeatures::TAIL_CALL | WasmFeatures::EXTENDED_CONST;
    let Ok(parts) = ModuleParts::read(&file.wasm, features) else {
        return;
    };
    let Ok(tables) = parts.bounded_tables() else {
        return;
    };
    let exports = parts
        .exports
        .iter()
        .map(|(name, kind, index)| (name.as_str(), *kind, *index));
    let mut changed = vec![(section::TABLE, tables)];
    if !parts.exports.is_empty() {
        changed.push((section::EXPORT, write_exports(exports)));
    }
    if let Some((pages, _)) = parts.memory {
        let imports = parts.section(section::IMPORT);
        changed.push((
            section::IMPORT,
            with_imported_memory(imports, "weir:host", "memory", pages),
        ));
        changed.push((section::MEMORY, Vec::new()));
    }
    let written = parts.write(&changed);
    assert!(
        ModuleParts::read(&written, features).is_ok(),
        "it was valid before"
    );
});
