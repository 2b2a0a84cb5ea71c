//! A host for the guests of these tests, and short ways to start them.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use weir_engine::{
    Caller, CpuBudget, DEFAULT_MEMORY_LIMIT, Engine, HostFn, HostFunc, HostFuncs, HostState, Instance,
    Limits, Module, Signature, Trap, TrapKind, ValType,
};
use weir_engine_support::thread_cpu_time;

/// Time enough for any guest here that ends by itself, on any machine.
pub const PLENTY: CpuBudget = CpuBudget(Duration::from_secs(60));

/// Time that an endless guest gets.
pub const LITTLE: CpuBudget = CpuBudget(Duration::from_millis(50));

/// CPU time that the host function `burn` takes.
pub const BURN: Duration = Duration::from_millis(5);

/// CPU time that the host function `burn_long` takes: more than [`LITTLE`], and many ticks more, so that a ticker which is
/// kept waiting does not matter.
pub const BURN_LONG: Duration = Duration::from_millis(500);

/// State of a guest: what it told the host.
#[derive(Default)]
pub struct Heard(pub Vec<u64>);

impl HostState for Heard {
    fn common(&mut self) -> &mut dyn Any {
        self
    }
}

const I: ValType = ValType::I32;
const L: ValType = ValType::I64;

const fn func(
    name: &'static str,
    params: &'static [ValType],
    result: Option<ValType>,
    call: HostFn,
) -> HostFunc {
    HostFunc {
        module: "env",
        name,
        signature: Signature { params, result },
        id: 0,
        call,
    }
}

/// True if the runtime does not tell that it has refused memory, so that a trap which follows cannot say so either.
pub fn hides_refusals(engine: &dyn Engine) -> bool {
    matches!(engine.name(), "v8" | "wasmedge")
}

/// The imports of these guests.
pub const FUNCS: HostFuncs = &[
    func("tell", &[I], None, tell),
    func("tell_all", &[I, I, I, I, I, I, I, I, I, I, I, I], Some(I), tell),
    func("tell_mixed", &[I, L, I, L], Some(L), tell),
    func("either", &[I], Some(I), |_, _, args| Ok(args[0] + 1)),
    func("either", &[L], Some(L), |_, _, args| Ok(args[0] + 2)),
    func("size", &[], Some(I), |caller, _, _| {
        Ok(caller.parts().0.len() as u64)
    }),
    func("read", &[I], None, |caller, _, args| {
        let (memory, state) = caller.parts();
        heard(state).push(u64::from(memory[args[0] as usize]));
        Ok(0)
    }),
    func("give", &[I, I], Some(I), |caller, _, args| {
        let pointer = caller.allocate(args[0] as u32)?;
        let (memory, state) = caller.parts();
        let start = pointer as usize;
        memory[start..start + args[0] as usize].fill(args[1] as u8);
        heard(state).push(u64::from(pointer));
        Ok(u64::from(pointer))
    }),
    func("burn", &[], None, |caller, _, _| burn(caller, BURN)),
    func("burn_long", &[], None, |caller, _, _| burn(caller, BURN_LONG)),
    func("fail", &[], None, |_, _, _| {
        Err(Trap::host("the host has had enough"))
    }),
    func("exit", &[I], None, |_, _, args| {
        Err(Trap::new(TrapKind::Exit(args[0] as u32)))
    }),
    numbered(7, func("number", &[], Some(I), number)),
    numbered(u32::MAX, func("other_number", &[I], Some(I), number)),
    func("panic", &[], None, |_, _, _| panic!("a bug of the host")),
];

/// Notes a 0 and takes this much CPU time.
fn burn(caller: &mut dyn Caller, time: Duration) -> Result<u64, Trap> {
    heard(caller.parts().1).push(0);
    let end = thread_cpu_time() + time;
    while thread_cpu_time() < end {}
    Ok(0)
}

/// Answers with its own number.
fn number(_: &mut dyn Caller, id: u32, _: &[u64]) -> Result<u64, Trap> {
    Ok(id.into())
}

const fn numbered(id: u32, func: HostFunc) -> HostFunc {
    HostFunc { id, ..func }
}

/// Notes all arguments and returns their sum.
fn tell(caller: &mut dyn Caller, _: u32, args: &[u64]) -> Result<u64, Trap> {
    heard(caller.parts().1).extend_from_slice(args);
    Ok(args.iter().fold(0, |sum, arg| sum.wrapping_add(*arg)))
}

fn heard(state: &mut dyn HostState) -> &mut Vec<u64> {
    &mut state.downcast_mut::<Heard>().unwrap().0
}

pub fn compile(engine: &dyn Engine, text: &str) -> Arc<dyn Module> {
    engine
        .compile(&(&wat::parse_str(text).unwrap()).into(), FUNCS)
        .unwrap()
}

pub fn limits(memory: usize) -> Limits {
    Limits {
        memory,
        start_budget: PLENTY,
    }
}

pub fn instantiate(module: &dyn Module) -> Box<dyn Instance> {
    module
        .instantiate(Box::new(Heard::default()), &limits(DEFAULT_MEMORY_LIMIT))
        .unwrap()
}

pub fn start(engine: &dyn Engine, text: &str) -> Box<dyn Instance> {
    instantiate(compile(engine, text).as_ref())
}

/// The guest's notes since the last call.
pub fn told(instance: &mut dyn Instance) -> Vec<u64> {
    std::mem::take(heard(instance.state()))
}

/// A signature of so many `i32`.
pub fn shape(params: usize, result: bool) -> Signature {
    const FIVE: &[ValType] = &[I; 5];
    Signature {
        params: &FIVE[..params],
        result: result.then_some(I),
    }
}

/// Calls the export `name`, which takes `args` and returns an `i32`.
pub fn value(instance: &mut dyn Instance, name: &str, args: &[u32]) -> Result<u32, Trap> {
    let func = instance.func(name, shape(args.len(), true)).unwrap();
    instance.call(func, args, PLENTY)
}

/// Calls the export `name`, which takes and returns nothing.
pub fn run(instance: &mut dyn Instance, name: &str) -> Result<(), Trap> {
    run_within(instance, name, PLENTY)
}

pub fn run_within(instance: &mut dyn Instance, name: &str, budget: CpuBudget) -> Result<(), Trap> {
    let func = instance.func(name, shape(0, false)).unwrap();
    instance.call(func, &[], budget).map(|_| ())
}
