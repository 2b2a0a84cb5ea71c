//! Every conformance case on every engine, through the real proxy.
//!
//! `cargo test -p weir-testkit --test conformance -- wasmtime::get_header` runs some. With `WEIR_CONFORMANCE_TABLE=FILE`
//! and nothing left out, the page `docs/conformance.md` is written to that file.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};
use weir_engine::{Ability, Engine};
use weir_engine_wasmi::WasmiEngine;
use weir_engine_wasmtime::WasmtimeEngine;
use weir_testkit::case::{Case, Coverage, Stage, Verdict};

/// Name under which the cases say that they are for this proxy.
const PROXY: &str = "embedded";

fn main() -> Result<()> {
    let arguments = Arguments::from_args();
    let cases: Vec<Case> = Case::all()?;
    let cases: Vec<Case> = cases
        .into_iter()
        .filter(|case| case.proxies.is_empty() || case.proxies.iter().any(|proxy| proxy == PROXY))
        .collect();
    let engines: [Box<dyn Engine>; 2] = [
        Box::new(WasmtimeEngine::new(&Default::default())?),
        Box::new(WasmiEngine::new()),
    ];
    let names: Vec<&str> = engines.iter().map(|engine| engine.name()).collect();
    let coverage = Arc::new(Mutex::new(Coverage::new(&cases, &names)));

    let mut trials = vec![Trial::test("coverage", {
        let cases = cases.clone();
        move || Ok(Coverage::new(&cases, &[]).check()?)
    })];
    for engine in &engines {
        let abilities: Vec<&str> = engine.abilities().iter().map(Ability::name).collect();
        for case in &cases {
            trials.push(trial(engine.name(), &abilities, case, &coverage));
        }
    }

    let conclusion = libtest_mimic::run(&arguments, trials);
    let coverage = coverage.lock().unwrap_or_else(PoisonError::into_inner);
    match std::env::var_os("WEIR_CONFORMANCE_TABLE") {
        Some(file) if coverage.is_whole() => std::fs::write(file, coverage.page())?,
        _ => {}
    }
    conclusion.exit()
}

fn trial(engine: &str, abilities: &[&str], case: &Case, coverage: &Arc<Mutex<Coverage>>) -> Trial {
    let note = {
        let (coverage, engine, name) = (Arc::clone(coverage), engine.to_owned(), case.name.clone());
        move |verdict| {
            coverage
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .note(&engine, &name, verdict)
        }
    };
    let name = format!("{engine}::{}", case.name);
    if let Some(ability) = case.lacking(abilities) {
        note(Verdict::Lacks(ability.to_owned()));
        // The name says why, so that the report of the run does.
        let skipped = format!("{name} (skipped: {engine} has no {ability})");
        return Trial::test(skipped, || Ok(())).with_ignored_flag(true);
    }
    let (engine, case) = (engine.to_owned(), case.clone());
    Trial::test(name, move || {
        let result = Stage::shared().and_then(|stage| stage.run(&case, &engine));
        note(if result.is_ok() {
            Verdict::Passed
        } else {
            Verdict::Failed
        });
        // Not with `{:?}`: a backtrace of the test says nothing about the proxy.
        result.map_err(|error| Failed::from(format!("{error:#}")))
    })
}
