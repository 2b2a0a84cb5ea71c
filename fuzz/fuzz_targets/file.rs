//! What a module's file holds: any bytes are taken apart into the module and its code; a module that is taken apart and
//! written again is valid.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_engine::WasmFeatures;
use weir_engine_support::{ModuleParts, ModuleWriter};
use weir_loader::{Code, ModuleFile};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(code) = Code::decode(bytes) {
        assert_eq!(code.encode(), bytes);
    }
    let file = ModuleFile::split(bytes);
    let _ = file.code().count();
    let features = WasmFeatures::WASM2 | WasmFeatures::TAIL_CALL | WasmFeatures::EXTENDED_CONST;
    let Ok(parts) = ModuleParts::read(file.wasm().bytes(), features) else {
        return;
    };
    let mut writer = ModuleWriter::new(&parts);
    if writer.bound_tables().is_err() {
        return;
    }
    writer.export_start();
    if let Some((pages, _)) = parts.memory {
        writer
            .import_memory("weir:host", "memory", pages)
            .expect("it is valid");
    }
    let written = writer.finish();
    assert!(
        ModuleParts::read(&written, features).is_ok(),
        "it was valid before"
    );
});
