//! Measures one engine once, in a process of its own, and prints `name value` lines. `cargo xtask bench-engines` runs it
//! for each engine in turn, round by round.
//!
//! `engine-figures ENGINE [fuel] FOLDER`: FOLDER has the example filters.
#![forbid(unsafe_code)]
#![allow(
    clippy::expect_used,
    reason = "a figure of something broken is worse than none"
)]

use std::path::PathBuf;
use std::sync::Arc;

use weir_abi::limits::MAX_MODULE_FILE_BYTES;
use weir_benches::{Bench, EMPTY, Filter, GET_VALUE, engine, mean, median, print, private, timed};
use weir_engine::Engine;
use weir_host::{ForeignFunctions, HostModule, Shared};
use weir_loader::{CachedEngine, CodeCache, FileSource, MAX_CODE_CACHE_BYTES, fetch};
use weir_plan::import_sets;

/// Bytes of the body that is looked through.
const BODY: usize = 64 << 10;

/// Rounds of what takes nanoseconds, microseconds, and more.
const MANY: u32 = 20_000;
const SOME: u32 = 2_000;
const FEW: u32 = 30;

/// How many VMs the memory is measured with.
const VMS: [usize; 3] = [1, 4, 16];

fn main() {
    let mut arguments = std::env::args().skip(1).collect::<Vec<_>>();
    let folder = PathBuf::from(arguments.pop().expect("a folder of filters"));
    let name = arguments.first().expect("an engine").clone();
    // As an operator has it, so that a compiler that takes minutes is waited for once; empty at the start.
    let cache = tempfile::tempdir().expect("a folder");
    let code = CodeCache::open(cache.path(), MAX_CODE_CACHE_BYTES).expect("a cache");
    let engine: Arc<dyn Engine> = Arc::new(CachedEngine::new(engine(&name, &arguments), Arc::new(code)));
    let read = |name: &str| {
        let fetched = fetch(&FileSource::new(folder.join(name)), MAX_MODULE_FILE_BYTES);
        fetched.expect("the filters are built").bytes
    };
    let rules = read("bench_rules.wasm");

    compile(engine.as_ref(), &rules);
    callbacks(engine.as_ref());

    let filter =
        |name: &str, configuration: &str| Filter::load(engine.as_ref(), &folder.join(name), configuration);
    let headers = filter(
        "header_rewrite.wasm",
        r#"{"request":{"add":{"x-a":"1"}},"response":{"add":{"x-b":"1"}}}"#,
    );
    print(
        "start of a VM, us",
        1e6 * median(FEW, || timed(|| drop(headers.start()))),
    );
    let mut vm = headers.start();
    print("header filter, us", 1e6 * mean(SOME, || vm.request(&[], false)));
    let mut vm = filter("body_hash.wasm", "").start();
    let body = vec![b'a'; BODY];
    print("body of 64 KiB, us", 1e6 * mean(FEW, || vm.request(&body, true)));
    let heavy = filter("bench_rules.wasm", "");
    let mut vm = heavy.start();
    print("rule engine, us", 1e6 * mean(FEW, || vm.request(&[], false)));
    drop(vm);
    memory(&heavy);
}

/// Compiling the largest of the filters, and loading what was compiled.
fn compile(engine: &dyn Engine, wasm: &[u8]) {
    let compile = || HostModule::compile(engine, import_sets(), "rules", &wasm.into()).expect("it compiles");
    print("compile, ms", 1e3 * timed(|| drop(compile())));
    if let Some(ahead) = engine.ahead_of_time().filter(|ahead| ahead.compiles_at_load()) {
        let compiler = ahead.compiler().expect("the compiler is installed");
        let code = compiler.compile_code(&wasm.into()).expect("it compiles");
        let load = || {
            HostModule::load_code(engine, &*ahead, import_sets(), "rules", &wasm.into(), &code)
                .expect("it loads")
        };
        print(
            "load compiled code, ms",
            1e3 * median(FEW, || timed(|| drop(load()))),
        );
    }
}

fn callbacks(engine: &dyn Engine) {
    let shared = Shared::new(ForeignFunctions::default());
    let mut bench = Bench::start(engine, EMPTY, &shared);
    print("callback, ns", 1e9 * mean(MANY, || bench.callback(0)));
    let mut bench = Bench::start(engine, GET_VALUE, &shared);
    bench.callback(u64::from(SOME));
    let all = timed(|| bench.callback(u64::from(MANY)));
    print("hostcall, ns", 1e9 * all / f64::from(MANY));
}

/// Private memory of the process, more than before, with so many VMs of the rule engine that have each served a request.
fn memory(filter: &Filter) {
    let before = private();
    let mut vms = Vec::new();
    for count in VMS {
        while vms.len() < count {
            let mut vm = filter.start();
            vm.request(&[], false);
            vms.push(vm);
        }
        print(
            &format!("memory of {count} VMs, MiB"),
            (private() - before) / f64::from(1 << 20),
        );
    }
}
