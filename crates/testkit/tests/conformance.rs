//! Every conformance case on every engine, through the real proxies.
//!
//! `cargo test -p weir-testkit --test conformance -- wasmi::get_header` runs some, `-- ats::wasmi::get_header` only those of
//! them that go through Traffic Server. With `WEIR_CONFORMANCE_TABLE=FILE` and nothing left out, the page
//! `docs/conformance.md` is written to that file.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};
use weir_ats_server::{Installation, plugin_library};
use weir_engine::{Abilities, Ability, Engine};
use weir_plan::Runtimes;
use weir_testkit::case::{Case, Coverage, Proxy, Stage, Verdict};

fn main() -> Result<()> {
    let arguments = Arguments::from_args();
    let (engines, missing) = engines();
    let columns: Vec<String> = Proxy::ALL
        .iter()
        .flat_map(|proxy| of_proxy(*proxy, &engines).map(|engine| column(*proxy, engine.name())))
        .collect();
    let coverage = Coverage::new(&Case::all(Proxy::Embedded)?, &columns);
    let mut trials = vec![Trial::test("coverage", {
        let coverage = coverage.clone();
        move || Ok(coverage.check()?)
    })];

    for missing in missing {
        // The name says why, so that the report of the run does.
        trials.push(Trial::test(missing, || Ok(())).with_ignored_flag(true));
    }

    let coverage = Arc::new(Mutex::new(coverage));
    for proxy in Proxy::ALL {
        // Without it nothing can be said about the cases; and nothing said must not look like success.
        if let Err(error) = available(proxy) {
            let failed = Failed::from(format!("{error:#}"));
            trials.push(Trial::test(proxy.name(), move || Err(failed)));
            continue;
        }
        let cases = Case::all(proxy)?;
        for engine in of_proxy(proxy, &engines) {
            let abilities: Vec<&str> = Abilities::of(engine.as_ref()).iter().map(Ability::name).collect();
            for case in &cases {
                trials.extend(trial(proxy, engine.name(), &abilities, case, &coverage));
            }
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

/// The runtimes that the tests can have, and what is to be said of those whose library is not here.
fn engines() -> (Vec<Arc<dyn Engine>>, Vec<String>) {
    let engines = Runtimes::from_sources(weir_builtin::runtimes(Default::default));
    let (mut opened, mut missing) = (Vec::new(), Vec::new());
    for name in engines.names() {
        match engines.open(name) {
            Some(Ok(engine)) => opened.push(engine),
            Some(Err(error)) => missing.push(format!("{name} (cannot be tested: {error})")),
            None => {}
        }
    }
    (opened, missing)
}

/// The engines that a proxy is tried with. Differences of a runtime show in the embedded proxy; for Traffic Server two
/// are enough, one that compiles and one that interprets. A runtime that another's code is for, `wamr-jit`, is the same to
/// guests, and LLVM would take minutes for all of them: the tests of seam, host and containment have it.
fn of_proxy(proxy: Proxy, engines: &[Arc<dyn Engine>]) -> impl Iterator<Item = &Arc<dyn Engine>> {
    let is_tried = move |engine: &&Arc<dyn Engine>| match proxy {
        Proxy::Embedded => {
            let ahead = engine.ahead_of_time();
            ahead.is_none_or(|ahead| ahead.code_engine() == engine.name())
        }
        Proxy::Ats => ["wasmtime", "wamr"].contains(&engine.name()),
    };
    engines.iter().filter(is_tried)
}

fn available(proxy: Proxy) -> Result<()> {
    if proxy == Proxy::Ats {
        Installation::find()?;
        plugin_library()?;
    }
    Ok(())
}

/// The table's name for an engine in a proxy.
fn column(proxy: Proxy, engine: &str) -> String {
    match proxy {
        Proxy::Embedded => engine.to_owned(),
        Proxy::Ats => format!("Traffic Server: {engine}"),
    }
}

/// A case to be run; `None` for one that is for other proxies.
fn trial(
    proxy: Proxy,
    engine: &str,
    abilities: &[&str],
    case: &Case,
    coverage: &Arc<Mutex<Coverage>>,
) -> Option<Trial> {
    let note = {
        let (coverage, column, name) = (Arc::clone(coverage), column(proxy, engine), case.name.clone());
        move |verdict| {
            coverage
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .note(&column, &name, verdict)
        }
    };
    if !case.is_for(proxy) {
        note(Verdict::Elsewhere);
        return None;
    }
    let name = match proxy {
        Proxy::Embedded => format!("{engine}::{}", case.name),
        Proxy::Ats => format!("{}::{engine}::{}", proxy.name(), case.name),
    };
    let by_proxy = case.lacks.as_deref().map(|ability| (proxy.name(), ability));
    let by_engine = case.lacking(abilities).map(|ability| (engine, ability));
    if let Some((who, ability)) = by_proxy.or(by_engine) {
        note(Verdict::Lacks(ability.to_owned()));
        // The name says why, so that the report of the run does.
        let skipped = format!("{name} (skipped: {who} has no {ability})");
        return Some(Trial::test(skipped, || Ok(())).with_ignored_flag(true));
    }
    let (engine, case) = (engine.to_owned(), case.clone());
    Some(Trial::test(name, move || {
        let result = Stage::shared().and_then(|stage| stage.run(&case, proxy, &engine));
        let skips = case.skips();
        note(match &result {
            Ok(()) if skips.is_empty() => Verdict::Passed,
            Ok(()) => Verdict::PassedWithout(skips.join(", ")),
            Err(_) => Verdict::Failed,
        });
        // Not with `{:?}`: a backtrace of the test says nothing about the proxy.
        result.map_err(|error| Failed::from(format!("{error:#}")))
    }))
}
