//! The cost of the seam: a call into an empty guest, and a call from the guest to the host.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "criterion generates the entry point"
)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use weir_engine::{
    CpuBudget, DEFAULT_MEMORY_LIMIT, Engine, HostFunc, HostFuncs, HostState, Instance, Limits, Signature,
    ValType,
};
use weir_engine_wasmi::WasmiEngine;
use weir_engine_wasmtime::{WasmtimeConfig, WasmtimeEngine};

/// Hostcalls in one call of the export `hostcalls`, so that the way into the guest weighs little.
const HOSTCALLS: u32 = 1_000;

const BUDGET: CpuBudget = CpuBudget(Duration::from_secs(10));

const GUEST: &str = r#"(module
    (import "env" "nothing" (func $nothing (param i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "empty") (param i32 i32 i32) (result i32) (i32.const 0))
    (func (export "allocate") (param i32) (result i32) (i32.const 64))
    (func (export "hostcalls") (param $left i32)
        (loop $again
            (drop (call $nothing (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 4) (i32.const 5)))
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br_if $again (local.get $left)))))"#;

/// State of the guest: the sum of what it has told.
struct Count(u64);

impl HostState for Count {
    fn common(&mut self) -> &mut dyn std::any::Any {
        self
    }
}

const FUNCS: HostFuncs = &[HostFunc {
    module: "env",
    name: "nothing",
    signature: Signature {
        params: &[ValType::I32; 5],
        result: Some(ValType::I32),
    },
    id: 0,
    call: |caller, _, args| {
        // Every hostcall has to find its state at least.
        let (memory, state) = caller.parts();
        let count = state.downcast_mut::<Count>().map_or(0, |Count(count)| {
            *count += args[0];
            *count
        });
        Ok(count ^ memory.len() as u64)
    },
}];

fn instance(engine: &dyn Engine) -> Box<dyn Instance> {
    let module = engine
        .compile(&(&wat::parse_str(GUEST).unwrap()).into(), FUNCS)
        .unwrap();
    let limits = Limits {
        memory: DEFAULT_MEMORY_LIMIT,
        start_budget: BUDGET,
    };
    module.instantiate(Box::new(Count(0)), &limits).unwrap()
}

fn engines(criterion: &mut Criterion) {
    let engines: [Box<dyn Engine>; 2] = [
        Box::new(WasmtimeEngine::new(&WasmtimeConfig::default()).unwrap()),
        Box::new(WasmiEngine::new()),
    ];
    for engine in &engines {
        let name = engine.name();
        let mut guest = instance(engine.as_ref());
        let empty = Signature {
            params: &[ValType::I32; 3],
            result: Some(ValType::I32),
        };
        let empty = guest.func("empty", empty).unwrap();
        criterion.bench_function(&format!("{name}/call into an empty guest"), |bencher| {
            bencher.iter(|| guest.call(empty, black_box(&[1, 2, 0]), BUDGET).unwrap());
        });
        let hostcalls = Signature {
            params: &[ValType::I32],
            result: None,
        };
        let hostcalls = guest.func("hostcalls", hostcalls).unwrap();
        criterion.bench_function(&format!("{name}/{HOSTCALLS} hostcalls"), |bencher| {
            bencher.iter(|| guest.call(hostcalls, &[HOSTCALLS], BUDGET).unwrap());
        });
        let module = engine
            .compile(&(&wat::parse_str(GUEST).unwrap()).into(), FUNCS)
            .unwrap();
        let limits = Limits {
            memory: DEFAULT_MEMORY_LIMIT,
            start_budget: BUDGET,
        };
        criterion.bench_function(&format!("{name}/instantiate"), |bencher| {
            bencher.iter(|| module.instantiate(Box::new(Count(0)), &limits).unwrap());
        });
    }
}

criterion_group!(benches, engines);
criterion_main!(benches);
