//! Modules: what loads, precompiled code, many instances, threads.

use std::sync::{Mutex, OnceLock, mpsc};

use weir_engine::{Abilities, Ability, AheadOfTime, CompileError, Engine};

use crate::guest::{FUNCS, compile, instantiate, run, start, told, value};
use crate::{Case, POOL_SLOTS};

pub const CASES: &[Case] = &[
    Case::new("other bytes than a module are refused", no_module),
    Case::new("features that SDKs use", features),
    Case::new("features that no guest needs are refused", refused_features),
    Case::new("a missing proposal is named", named_proposal),
    Case::new("more instances than the pool holds", many),
    Case::new("more tables than the pool holds", many_tables),
    Case::new("instances share nothing", separate),
    Case::new("an instance moves to another thread", moves),
    Case::new(
        "an instance moves to a thread older than the engine",
        moves_to_an_old_thread,
    ),
    Case::new("instances go round threads that come and go", hand_over),
    Case::new("threads share a module", shared),
    Case::needing("precompiled code runs", Ability::Precompile, precompiled),
    Case::needing(
        "other bytes than precompiled code are refused",
        Ability::Precompile,
        no_code,
    ),
    Case::new("abilities are those of the objects handed out", abilities),
];

const COUNTER: &str = r#"(module
    (import "env" "tell" (func $tell (param i32)))
    (memory (export "memory") 1)
    (global $count (mut i32) (i32.const 0))
    (func (export "step") (result i32)
        (global.set $count (i32.add (global.get $count) (i32.const 1)))
        (global.get $count))
    (func (export "tell") (call $tell (global.get $count))))"#;

fn no_module(engine: &dyn Engine) {
    let truncated = wat::parse_str(COUNTER).unwrap();
    let truncated = &truncated[..truncated.len() - 3];
    let ill_typed = wat::parse_str("(module (func (result i32)))").unwrap();
    for bytes in [
        &b""[..],
        b"<html>",
        b"(module)",
        b"\0asm",
        b"\0asm\x0d\0\x01\0",
        truncated,
        &ill_typed,
    ] {
        let error = engine.compile(&bytes.into(), FUNCS).err().unwrap();
        assert!(matches!(error, CompileError::Invalid(_)), "{error}");
    }
}

fn features(engine: &dyn Engine) {
    let text = r#"(module
        (memory (export "memory") 1)
        (table $functions 4 funcref)
        (type $pair (func (result i32 i32)))
        (elem declare func $one)
        (func $one (result i32) (i32.const 1))
        (func $pair (type $pair) (i32.const 4) (i32.const 5))
        (func $last (param i32) (result i32) (return_call $minus (local.get 0)))
        (func $minus (param i32) (result i32) (i32.sub (local.get 0) (i32.const 1)))
        (func (export "run") (result i32)
            (table.set $functions (i32.const 2) (ref.func $one))
            (memory.fill (i32.const 0) (i32.const 3) (i32.const 64))
            (memory.copy (i32.const 100) (i32.const 0) (i32.const 16))
            (i32.add (call $pair))
            (i32x4.extract_lane 0 (i32x4.add (v128.load (i32.const 100)) (v128.const i32x4 1 1 1 1)))
            (i32.add)
            (i32.extend8_s)
            (call $last)))"#;
    let mut guest = start(engine, text);
    assert_eq!(value(guest.as_mut(), "run", &[]), Ok(4 + 5 + 3 + 1 - 1));
}

fn named_proposal(engine: &dyn Engine) {
    let explained = |text: &str| {
        let wasm = wat::parse_str(text).unwrap();
        let error = engine.compile(&(&wasm).into(), FUNCS).err().unwrap();
        weir_engine::explain(engine, &wasm, error)
    };
    let error = explained(r#"(module (memory i64 1) (func (drop (i32.extend8_s (i32.const 0)))))"#);
    let CompileError::Proposals { engine: name, names } = &error else {
        panic!("{error}");
    };
    assert_eq!(
        (*name, names.as_slice()),
        (engine.name(), &["64-bit memories"][..])
    );
    // A fault with every engine is not for want of a proposal.
    let error = explained(r#"(module (import "env" "no such function" (func)))"#);
    assert!(matches!(error, CompileError::Imports(_)), "{error}");
}

fn refused_features(engine: &dyn Engine) {
    for text in [
        r#"(module (memory 1 2 shared))"#,
        r#"(module (memory i64 1))"#,
        r#"(module (memory 1) (memory 1))"#,
    ] {
        let error = engine
            .compile(&(&wat::parse_str(text).unwrap()).into(), FUNCS)
            .err();
        assert!(matches!(error, Some(CompileError::Invalid(_))), "{text}");
    }
}

fn many(engine: &dyn Engine) {
    let module = compile(engine, COUNTER);
    for _ in 0..2 {
        let mut guests: Vec<_> = (0..3 * POOL_SLOTS)
            .map(|_| instantiate(module.as_ref()))
            .collect();
        for guest in &mut guests {
            assert_eq!(value(guest.as_mut(), "step", &[]), Ok(1));
        }
    }
}

fn many_tables(engine: &dyn Engine) {
    let module = compile(
        engine,
        r#"(module (table 10 funcref) (table 10 funcref) (table 10 funcref) (table 100000 funcref)
            (func (export "run") (result i32) (table.size 3)))"#,
    );
    assert_eq!(
        value(instantiate(module.as_ref()).as_mut(), "run", &[]),
        Ok(100_000)
    );
}

fn separate(engine: &dyn Engine) {
    let module = compile(engine, COUNTER);
    let mut one = instantiate(module.as_ref());
    let mut two = instantiate(module.as_ref());
    drop(module);
    for count in 1..=3 {
        assert_eq!(value(one.as_mut(), "step", &[]), Ok(count));
    }
    run(one.as_mut(), "tell").unwrap();
    run(two.as_mut(), "tell").unwrap();
    assert_eq!(told(one.as_mut()), [3]);
    assert_eq!(told(two.as_mut()), [0]);
}

type Job = Box<dyn FnOnce() + Send>;

static OLD_THREAD: OnceLock<Mutex<mpsc::Sender<Job>>> = OnceLock::new();

/// Starts a thread that is there before any engine, as those of a server are before it loads a plugin.
pub fn start_old_thread() {
    let (jobs, todo) = mpsc::channel::<Job>();
    std::thread::spawn(move || todo.into_iter().for_each(|job| job()));
    OLD_THREAD.set(Mutex::new(jobs)).unwrap();
}

fn moves_to_an_old_thread(engine: &dyn Engine) {
    let mut guest = start(engine, COUNTER);
    assert_eq!(value(guest.as_mut(), "step", &[]), Ok(1));
    let (done, wait) = mpsc::channel();
    let job = move || {
        let stepped = value(guest.as_mut(), "step", &[]);
        run(guest.as_mut(), "tell").unwrap();
        let _ = done.send((stepped, guest));
    };
    OLD_THREAD
        .get()
        .unwrap()
        .lock()
        .unwrap()
        .send(Box::new(job))
        .unwrap();
    let (stepped, mut guest) = wait.recv().unwrap();
    assert_eq!(stepped, Ok(2));
    assert_eq!(value(guest.as_mut(), "step", &[]), Ok(3));
    assert_eq!(told(guest.as_mut()), [2]);
}

fn moves(engine: &dyn Engine) {
    let mut guest = start(engine, COUNTER);
    for count in 1..=4 {
        guest = std::thread::spawn(move || {
            assert_eq!(value(guest.as_mut(), "step", &[]), Ok(count));
            guest
        })
        .join()
        .unwrap();
    }
}

/// Whatever a runtime keeps for a thread, an instance finds none of it: neither what another left there, nor what it left
/// itself.
fn hand_over(engine: &dyn Engine) {
    const INSTANCES: usize = 5;
    const ROUNDS: usize = 20;
    let module = compile(
        engine,
        r#"(module
            (import "env" "tell" (func $tell (param i32)))
            (memory (export "memory") 1)
            (func (export "step") (result i32)
                (call $tell (memory.size))
                (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
                (i32.load (i32.const 0)))
            (func (export "grow") (result i32) (memory.grow (i32.const 1)))
            (func (export "trap") (drop (call $deep (i32.const 100))))
            (func $deep (param i32) (result i32)
                (if (i32.eqz (local.get 0)) (then (unreachable)))
                (call $deep (i32.sub (local.get 0) (i32.const 1)))))"#,
    );
    let instances = (0..INSTANCES).map(|_| (instantiate(module.as_ref()), 0));
    let waiting = Mutex::new(instances.collect::<std::collections::VecDeque<_>>());
    for _ in 0..ROUNDS {
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let (mut guest, round) = waiting.lock().unwrap().pop_front().unwrap();
                    let guest_ref = guest.as_mut();
                    for step in 1..=10 {
                        assert_eq!(value(guest_ref, "step", &[]), Ok(10 * round + step));
                    }
                    assert_eq!(told(guest_ref), vec![u64::from(round) + 1; 10]);
                    // Another that falls on this thread is no matter of this one.
                    assert!(run(instantiate(module.as_ref()).as_mut(), "trap").is_err());
                    assert_eq!(value(guest_ref, "grow", &[]), Ok(round + 1));
                    waiting.lock().unwrap().push_back((guest, round + 1));
                });
            }
        });
    }
    let rounds: u32 = waiting.into_inner().unwrap().iter().map(|(_, round)| round).sum();
    assert_eq!(rounds as usize, 3 * ROUNDS);
}

fn shared(engine: &dyn Engine) {
    let module = compile(engine, COUNTER);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut guest = instantiate(module.as_ref());
                for count in 1..=100 {
                    assert_eq!(value(guest.as_mut(), "step", &[]), Ok(count));
                }
            });
        }
    });
}

fn precompiled(engine: &dyn Engine) {
    let ahead = engine.ahead_of_time().unwrap();
    let code = code(&*ahead);
    for _ in 0..2 {
        let module = ahead.load_code(&code, FUNCS).unwrap();
        assert_eq!(value(instantiate(module.as_ref()).as_mut(), "step", &[]), Ok(1));
    }
    let error = ahead.load_code(&code, &[]).err().unwrap();
    assert!(matches!(error, CompileError::Imports(_)), "{error}");
}

fn no_code(engine: &dyn Engine) {
    let wasm = wat::parse_str(COUNTER).unwrap();
    let ahead = engine.ahead_of_time().unwrap();
    let code = code(&*ahead);
    for bytes in [&b""[..], b"garbage", &wasm, &code[..code.len() / 2]] {
        let error = ahead.load_code(bytes, FUNCS).err().unwrap();
        assert!(matches!(error, CompileError::Invalid(_)), "{error}");
    }
}

/// The code of a module.
fn code(ahead: &dyn AheadOfTime) -> Vec<u8> {
    let wasm = wat::parse_str(COUNTER).unwrap();
    ahead.compiler().unwrap().compile_code(&(&wasm).into()).unwrap()
}

fn abilities(engine: &dyn Engine) {
    let abilities = Abilities::of(engine);
    let compiler = engine.ahead_of_time().and_then(|ahead| ahead.compiler().ok());
    assert_eq!(abilities.has(Ability::Precompile), compiler.is_some());
    if let Some(compiler) = compiler {
        assert!(
            compiler
                .compile_code(&(&wat::parse_str(COUNTER).unwrap()).into())
                .is_ok()
        );
    }
    assert_eq!(abilities.has(Ability::Snapshot), engine.snapshots().is_some());
}
