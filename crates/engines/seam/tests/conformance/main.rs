//! One test body for every engine: what the host relies on, checked with small guests on each backend.
//!
//! A test that needs an ability which the engine does not declare is listed as ignored.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failure here is a failed test"
)]

mod calls;
mod floats;
mod guest;
mod imports;
mod limits;
mod memory;
mod modules;
mod snapshots;
mod start;
mod traps;

use std::path::Path;

use libtest_mimic::{Arguments, Trial};
use weir_engine::{Abilities, Ability, Engine, Unavailable};
use weir_engine_v8::V8Engine;
use weir_engine_wamr::WamrEngine;
use weir_engine_wasmedge::WasmEdgeEngine;
use weir_engine_wasmi::WasmiEngine;
use weir_engine_wasmtime::{AddressSpace, Interruption, WasmtimeConfig, WasmtimeEngine};

/// A test of all engines.
pub struct Case {
    name: &'static str,
    needs: Option<Ability>,
    run: fn(&dyn Engine),
}

impl Case {
    /// A test that every engine must pass.
    pub const fn new(name: &'static str, run: fn(&dyn Engine)) -> Self {
        Self {
            name,
            needs: None,
            run,
        }
    }

    /// A test of engines that have `ability`.
    pub const fn needing(name: &'static str, ability: Ability, run: fn(&dyn Engine)) -> Self {
        Self {
            name,
            needs: Some(ability),
            run,
        }
    }
}

/// Instances that the pool of the engine `wasmtime` holds here: few, so that a test can exhaust it.
pub const POOL_SLOTS: u32 = 4;

/// An engine to test: its name in the list, and how it is made (each test makes its own).
type Maker = (&'static str, fn() -> Box<dyn Engine>);

const ENGINES: &[Maker] = &[
    ("wasmtime", || wasmtime(POOL_SLOTS)),
    ("wasmtime without pool", || wasmtime(0)),
    ("wasmtime with fuel", || {
        Box::new(
            WasmtimeEngine::new(&WasmtimeConfig {
                interruption: Interruption::Fuel,
                ..WasmtimeConfig::default()
            })
            .unwrap(),
        )
    }),
    ("wasmtime with few addresses", || {
        Box::new(
            WasmtimeEngine::new(&WasmtimeConfig {
                address_space: AddressSpace::Scarce,
                ..WasmtimeConfig::default()
            })
            .unwrap(),
        )
    }),
    ("snapshots of wasmtime", || {
        Box::new(snapshots::Continued::new(Interruption::Epochs))
    }),
    ("snapshots of wasmtime with fuel", || {
        Box::new(snapshots::Continued::new(Interruption::Fuel))
    }),
    ("wamr", || Box::new(WamrEngine::new(Default::default()).unwrap())),
    ("wamr-jit", || {
        Box::new(WamrEngine::jit(Default::default()).unwrap())
    }),
    ("v8", || Box::new(V8Engine::open().unwrap())),
    ("wasmedge", || Box::new(WasmEdgeEngine::open().unwrap())),
    ("wasmedge's stand-in", || Box::new(stand_in().unwrap())),
    ("wasmi", || Box::new(WasmiEngine::new())),
];

/// Why an engine cannot be tested, where its library is not here.
fn missing(engine: &str) -> Option<String> {
    let opened = match engine {
        "v8" => V8Engine::open().map(drop),
        "wasmedge" => WasmEdgeEngine::open().map(drop),
        "wasmedge's stand-in" => stand_in().map(drop),
        "wamr-jit" => WamrEngine::jit(Default::default()).map(drop),
        _ => return None,
    };
    opened.err().map(|error| error.to_string())
}

/// The backend for WasmEdge, over the library of the workspace that has its interface.
fn stand_in() -> Result<WasmEdgeEngine, Unavailable> {
    let program = std::env::current_exe().unwrap();
    let folder = program.parent().and_then(Path::parent).unwrap();
    WasmEdgeEngine::open_at(&folder.join("libweir_wasmedge_stand_in.so"))
}

fn wasmtime(pool_slots: u32) -> Box<dyn Engine> {
    let config = WasmtimeConfig {
        pool_slots,
        ..WasmtimeConfig::default()
    };
    Box::new(WasmtimeEngine::new(&config).unwrap())
}

fn main() {
    // Before any engine is made.
    modules::start_old_thread();
    let suites: [(&str, &[Case]); 9] = [
        ("calls", calls::CASES),
        ("floats", floats::CASES),
        ("imports", imports::CASES),
        ("limits", limits::CASES),
        ("memory", memory::CASES),
        ("modules", modules::CASES),
        ("snapshots", snapshots::CASES),
        ("start", start::CASES),
        ("traps", traps::CASES),
    ];
    let mut trials = Vec::new();
    for (engine, make) in ENGINES {
        // One whose library is not here is said to be missing, not passed over.
        if let Some(reason) = missing(engine) {
            let name = format!("{engine} (cannot be tested: {reason})");
            trials.push(Trial::test(name, || Ok(())).with_ignored_flag(true));
            continue;
        }
        let abilities = Abilities::of(make().as_ref());
        for (suite, cases) in suites {
            for case in cases {
                let missing = case.needs.filter(|ability| !abilities.has(*ability));
                let name = match missing {
                    Some(ability) => format!("{engine}::{suite}::{} (lacks {})", case.name, ability.name()),
                    None => format!("{engine}::{suite}::{}", case.name),
                };
                let run = case.run;
                let trial = Trial::test(name, move || {
                    run(make().as_ref());
                    Ok(())
                });
                trials.push(trial.with_ignored_flag(missing.is_some()));
            }
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
