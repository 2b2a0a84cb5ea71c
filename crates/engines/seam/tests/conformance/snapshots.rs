//! An engine that runs each start section once: every instance continues from a snapshot of one that has started. Whatever
//! holds for an instance holds for one from a snapshot, so all tests run on this engine too.

use std::sync::Arc;

use weir_engine::{
    Ability, CompileError, Engine, EngineLayer, HostFuncs, HostState, Instance, InstantiateError, Limits,
    Module, Snapshot, SnapshotModule, Wasm,
};
use weir_engine_wasmtime::{Interruption, WasmtimeConfig, WasmtimeEngine};

use crate::Case;
use crate::guest::{FUNCS, Heard, PLENTY, limits, run, told, value};

/// Wasmtime, with snapshots where a module allows them.
#[derive(Clone)]
pub struct Continued(Arc<WasmtimeEngine>);

impl Continued {
    pub fn new(interruption: Interruption) -> Self {
        let config = WasmtimeConfig {
            interruption,
            ..WasmtimeConfig::default()
        };
        Self(Arc::new(WasmtimeEngine::new(&config).unwrap()))
    }
}

impl EngineLayer for Continued {
    fn below(&self) -> &dyn Engine {
        &*self.0
    }

    fn compile(&self, wasm: &Wasm<'_>, funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
        match freezable(&*self.0, wasm.bytes(), funcs) {
            Ok(module) => Ok(Arc::new(ContinuedModule(module))),
            // As a proxy does.
            Err(_) => self.0.compile(wasm, funcs),
        }
    }
}

struct ContinuedModule(Arc<dyn SnapshotModule>);

impl Module for ContinuedModule {
    fn instantiate(
        &self,
        state: Box<dyn HostState>,
        limits: &Limits,
    ) -> Result<Box<dyn Instance>, InstantiateError> {
        let mut started = self.0.instantiate_freezable(state, limits)?;
        let state: Box<dyn HostState> = match started.state().downcast_mut::<Heard>() {
            Some(heard) => Box::new(std::mem::take(heard)),
            None => Box::new(()),
        };
        frozen(started)?.instantiate(state, limits)
    }
}

fn freezable(
    engine: &dyn Engine,
    wasm: &[u8],
    funcs: HostFuncs,
) -> Result<Arc<dyn SnapshotModule>, CompileError> {
    let snapshots = engine.snapshots().unwrap();
    let prepared = snapshots.prepare(wasm)?;
    let code = engine
        .ahead_of_time()
        .unwrap()
        .compiler()?
        .compile_code(&(&prepared).into())?;
    snapshots.load(&code, funcs)
}

fn frozen(instance: Box<dyn Instance>) -> Result<Arc<dyn Snapshot>, InstantiateError> {
    instance.into_freezable().unwrap().freeze()
}

const fn case(name: &'static str, run: fn(&dyn Engine)) -> Case {
    Case::needing(name, Ability::Snapshot, run)
}

pub const CASES: &[Case] = &[
    case("goes on where the snapshot was taken", goes_on),
    case("instances know nothing of each other", separate),
    case("memory counts", counts),
    case("grows", grows),
    case("a trap ends one", trapped),
    case("without memory", without_memory),
    case("no other instance is frozen", not_frozen),
    case("state that a snapshot does not hold is refused", refused),
    case("an ordinary instance starts as always", plain),
];

/// A guest with something in all places: memory at start, a start section, globals of every type, memory that grew.
const EVERYWHERE: &str = r#"(module
    (import "env" "tell" (func $tell (param i32)))
    (memory (export "memory") 1 100)
    (global $i (mut i32) (i32.const 1)) (global $l (mut i64) (i64.const 2))
    (global $f (mut f32) (f32.const 3)) (global $d (mut f64) (f64.const 4))
    (global $v (mut v128) (v128.const i32x4 0 0 0 5))
    (table 2 funcref) (elem (i32.const 0) $one $two)
    (func $one (result i32) (i32.const 100)) (func $two (result i32) (i32.const 200))
    (data (i32.const 16) "\01\02\03\04")
    (func $start
        (i32.store8 (i32.const 20) (i32.const 9))
        (call $tell (i32.const 77)))
    (start $start)
    (func (export "configure")
        (global.set $i (i32.const 10)) (global.set $l (i64.const 20)) (global.set $f (f32.const 30))
        (global.set $d (f64.const 40)) (global.set $v (v128.const i32x4 0 0 0 50))
        (drop (memory.grow (i32.const 2)))
        (i32.store8 (i32.const 131072) (i32.const 7)))
    (func (export "sum") (result i32)
        (global.get $i) (i32.wrap_i64 (global.get $l)) (i32.trunc_f32_s (global.get $f))
        (i32.trunc_f64_s (global.get $d)) (i32x4.extract_lane 3 (global.get $v))
        i32.add i32.add i32.add i32.add
        (call_indirect (result i32) (i32.const 1)) i32.add)
    (func (export "peek") (param i32) (result i32) (i32.load8_u (local.get 0)))
    (func (export "poke") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
    (func (export "pages") (result i32) (memory.size))
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "die") unreachable))"#;

const PAGE: usize = 64 << 10;

fn module(engine: &dyn Engine, text: &str) -> Arc<dyn SnapshotModule> {
    freezable(engine, &wat::parse_str(text).unwrap(), FUNCS).unwrap()
}

fn to_freeze(module: &dyn SnapshotModule) -> Box<dyn Instance> {
    module
        .instantiate_freezable(Box::new(Heard::default()), &limits(100 * PAGE))
        .unwrap()
}

/// The snapshot of [`EVERYWHERE`] once it is configured.
fn snapshot(engine: &dyn Engine) -> Arc<dyn Snapshot> {
    let mut configured = to_freeze(module(engine, EVERYWHERE).as_ref());
    assert_eq!(told(configured.as_mut()), [77]);
    assert_eq!(
        value(configured.as_mut(), "sum", &[]),
        Ok(1 + 2 + 3 + 4 + 5 + 200)
    );
    run(configured.as_mut(), "configure").unwrap();
    frozen(configured).unwrap()
}

fn continued(snapshot: &dyn Snapshot) -> Box<dyn Instance> {
    snapshot
        .instantiate(Box::new(Heard::default()), &limits(100 * PAGE))
        .unwrap()
}

fn poke(guest: &mut dyn Instance, at: u32, byte: u32) {
    let signature = weir_engine::Signature {
        params: &[weir_engine::ValType::I32; 2],
        result: None,
    };
    let func = guest.func("poke", signature).unwrap();
    guest.call(func, &[at, byte], PLENTY).unwrap();
}

fn goes_on(engine: &dyn Engine) {
    let snapshot = snapshot(engine);
    assert_eq!(snapshot.memory_size(), 3 * PAGE);
    let mut guest = continued(snapshot.as_ref());
    assert!(
        told(guest.as_mut()).is_empty(),
        "the start section has run already"
    );
    assert_eq!(
        value(guest.as_mut(), "sum", &[]),
        Ok(10 + 20 + 30 + 40 + 50 + 200)
    );
    assert_eq!(value(guest.as_mut(), "pages", &[]), Ok(3));
    assert_eq!(guest.memory_size(), 3 * PAGE);
    for (at, byte) in [(16, 1), (19, 4), (20, 9), (131_072, 7), (131_073, 0)] {
        assert_eq!(value(guest.as_mut(), "peek", &[at]), Ok(byte), "at {at}");
    }
}

fn separate(engine: &dyn Engine) {
    let snapshot = snapshot(engine);
    let (mut one, mut two) = (continued(snapshot.as_ref()), continued(snapshot.as_ref()));
    poke(one.as_mut(), 16, 111);
    poke(two.as_mut(), 17, 222);
    let mut three = continued(snapshot.as_ref());
    drop(snapshot);
    let peek =
        |guest: &mut Box<dyn Instance>| [16, 17].map(|at| value(guest.as_mut(), "peek", &[at]).unwrap());
    assert_eq!(
        [peek(&mut one), peek(&mut two), peek(&mut three)],
        [[111, 2], [1, 222], [1, 2]]
    );
    drop((one, two));
    assert_eq!(peek(&mut three), [1, 2]);
}

fn counts(engine: &dyn Engine) {
    let snapshot = snapshot(engine);
    let refused = snapshot
        .instantiate(Box::new(Heard::default()), &limits(2 * PAGE))
        .err();
    assert!(
        matches!(refused, Some(InstantiateError::Memory { needed, limit }) if (needed, limit) == (3 * PAGE, 2 * PAGE)),
        "{refused:?}"
    );
    let mut guest = snapshot
        .instantiate(Box::new(Heard::default()), &limits(4 * PAGE))
        .unwrap();
    assert_eq!(value(guest.as_mut(), "grow", &[2]).map(u32::cast_signed), Ok(-1));
    assert_eq!(value(guest.as_mut(), "grow", &[1]), Ok(3));
}

fn grows(engine: &dyn Engine) {
    let mut guest = continued(snapshot(engine).as_ref());
    for pages in 3..90 {
        assert_eq!(value(guest.as_mut(), "grow", &[1]), Ok(pages));
        let last = pages * PAGE as u32 + PAGE as u32 - 1;
        assert_eq!(value(guest.as_mut(), "peek", &[last]), Ok(0));
        poke(guest.as_mut(), last, 5);
        assert_eq!(value(guest.as_mut(), "peek", &[last]), Ok(5));
    }
}

fn trapped(engine: &dyn Engine) {
    let snapshot = snapshot(engine);
    let mut dead = continued(snapshot.as_ref());
    assert!(run(dead.as_mut(), "die").is_err());
    let beyond = value(continued(snapshot.as_ref()).as_mut(), "peek", &[3 * PAGE as u32]);
    assert!(beyond.is_err(), "memory ends where it did in the snapshot");
    let far = value(continued(snapshot.as_ref()).as_mut(), "peek", &[u32::MAX]);
    assert!(far.is_err());
    assert_eq!(value(continued(snapshot.as_ref()).as_mut(), "pages", &[]), Ok(3));
}

fn without_memory(engine: &dyn Engine) {
    let text = r#"(module (global $count (mut i32) (i32.const 0))
        (func (export "step") (result i32)
            (global.set $count (i32.add (global.get $count) (i32.const 1))) (global.get $count)))"#;
    let mut started = to_freeze(module(engine, text).as_ref());
    assert_eq!(value(started.as_mut(), "step", &[]), Ok(1));
    let snapshot = frozen(started).unwrap();
    for _ in 0..2 {
        assert_eq!(value(continued(snapshot.as_ref()).as_mut(), "step", &[]), Ok(2));
    }
}

fn not_frozen(engine: &dyn Engine) {
    let ordinary = crate::guest::start(engine, EVERYWHERE);
    assert!(ordinary.into_freezable().is_none());
    let ordinary = module(engine, EVERYWHERE).instantiate(Box::new(Heard::default()), &limits(100 * PAGE));
    assert!(
        ordinary.unwrap().into_freezable().is_none(),
        "not made to be frozen"
    );
    let instance = continued(snapshot(engine).as_ref());
    assert!(instance.into_freezable().is_none(), "from a snapshot");
}

fn refused(engine: &dyn Engine) {
    let wasm = wat::parse_str("(module (table 1 funcref) (func (table.set (i32.const 0) (ref.null func))))");
    let error = engine.snapshots().unwrap().prepare(&wasm.unwrap()).unwrap_err();
    assert!(error.to_string().contains("writes to its tables"), "{error}");
}

fn plain(engine: &dyn Engine) {
    let module = module(engine, EVERYWHERE);
    let mut guest = module
        .instantiate(Box::new(Heard::default()), &limits(100 * PAGE))
        .unwrap();
    assert_eq!(told(guest.as_mut()), [77]);
    assert_eq!(value(guest.as_mut(), "sum", &[]), Ok(1 + 2 + 3 + 4 + 5 + 200));
    assert_eq!(value(guest.as_mut(), "peek", &[18]), Ok(3));
}
