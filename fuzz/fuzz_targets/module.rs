//! The module loader: any bytes are inspected and, where the checks pass, compiled, or refused with a reason.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use weir_engine_wasmi::WasmiEngine;
use weir_host::{HostModule, ImportSets};

static ENGINE: LazyLock<WasmiEngine> = LazyLock::new(WasmiEngine::new);

fuzz_target!(|bytes: &[u8]| {
    match weir_host::inspect(ImportSets::standard(), bytes) {
        Err(refusal) => assert!(!refusal.to_string().is_empty()),
        Ok(info) => {
            let compiled = HostModule::compile(&*ENGINE, ImportSets::standard(), "fuzz.wasm", &bytes.into());
            if let Err(refusal) = info.check() {
                let compiled = compiled
                    .err()
                    .expect("a module that fails the checks is not compiled");
                assert_eq!(compiled.to_string(), refusal.to_string());
            }
        }
    }
});
