//! The seam between the host and a WebAssembly runtime.
//!
//! `host` describes what it offers to a guest as one static table of [`HostFunc`]; each backend binds that table and
//! none of them knows a hostcall by name. All values cross as raw `u64` slots: an `i32` lies zero-extended in the low
//! 32 bits, an `i64` fills the slot. Proxy-Wasm and WASI preview 1 use nothing else in their signatures.
#![forbid(unsafe_code)]

mod abilities;
mod budget;
mod companion;
mod cpu_clock;
mod deadline;
mod error;
mod fault;
mod layer;
mod limits;
mod memory;
mod metered;
mod parts;
mod proposals;
mod table;
mod ticker;

use std::any::Any;
use std::path::Path;
use std::sync::Arc;

pub use abilities::{Abilities, Ability};
pub use budget::CpuBudget;
pub use companion::{Companion, root_cause};
pub use cpu_clock::thread_cpu_time;
pub use deadline::{Deadline, Verdict};
pub use error::{CompileError, Frame, InstantiateError, Trap, TrapKind, Unavailable};
pub use fault::Fault;
pub use layer::EngineLayer;
pub use limits::{DEFAULT_MEMORY_LIMIT, Limits, STACK_LIMIT};
pub use memory::{MemoryGuard, TABLE_LIMIT};
pub use metered::{DEPTH, FUEL, MAX_DEPTH, Metered, Pace, Stack, meter};
pub use parts::{
    ModuleParts, PAGE, START_EXPORT, leb128, section, signed_leb128, with_entry, with_imported_memory,
    write_exports,
};
pub use proposals::{PROPOSALS, Proposal, explain, lacking};
pub use table::{HostFn, HostFunc, HostFuncs, ImportKind, MAX_PARAMS, resolve_imports};
pub use ticker::{TICK, Ticker};

pub use wasmparser::WasmFeatures;
pub use weir_abi::{Signature, ValType};

/// A WebAssembly runtime. One value a process is enough; it is shared by all threads.
pub trait Engine: Send + Sync {
    /// The name that a configuration's `runtime:` uses, such as `wasmtime`.
    fn name(&self) -> &'static str;

    /// The runtime's own version, such as `48.0.8`.
    fn version(&self) -> String;

    /// The file of the runtime's library, or of the program that it compiles with; `None` where all of it is built in.
    fn library(&self) -> Option<&Path> {
        None
    }

    /// What this runtime can do. A configuration that needs more is refused at load.
    fn abilities(&self) -> Abilities;

    /// Compiles (or, for an interpreter, validates and translates) a module and resolves its imports against `funcs`.
    ///
    /// `wasm` is the binary format, never text. Imports that the table lacks, or has with another type, are a
    /// [`CompileError`] that names each of them.
    fn compile(&self, wasm: &[u8], funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError>;

    /// What the output of [`Engine::precompile`] depends on beside the module: version, settings, processor. Code with
    /// another key is not loaded. `None` where no code is.
    fn code_key(&self) -> Option<String> {
        None
    }

    /// Name of the runtime that the code is made for, as files of code say it. Two that differ in when they compile take
    /// each other's.
    fn code_engine(&self) -> &'static str {
        self.name()
    }

    /// Whether [`Engine::compile`] makes the code that [`Engine::precompile`] makes, so that it is worth keeping.
    fn compiles_at_load(&self) -> bool {
        self.code_key().is_some()
    }

    /// Compiles ahead of time, to bytes that [`Engine::load_precompiled`] of an engine with the same
    /// [`Engine::code_key`] takes. Needs [`Ability::Precompile`].
    fn precompile(&self, _wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
        Err(CompileError::lacks(self.name(), Ability::Precompile))
    }

    /// Loads what [`Engine::precompile`] made.
    ///
    /// The bytes are machine code: whoever wrote them controls this process. A backend checks that they come from
    /// the same version and settings, and can check no more; callers load only files that the operator vouches for
    /// (`allow_precompiled`).
    fn load_precompiled(&self, _bytes: &[u8], _funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
        Err(CompileError::lacks(self.name(), Ability::Precompile))
    }

    /// Rewrites a module so that its instances can be copied ([`Module::instantiate_donor`]). What comes out goes to
    /// [`Engine::precompile`], and its code to [`Engine::load_clonable`]. Needs [`Ability::Clone`].
    ///
    /// # Errors
    ///
    /// The module does what a copy would not keep.
    fn prepare_clonable(&self, _wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
        Err(CompileError::lacks(self.name(), Ability::Clone))
    }

    /// Loads the code of a module that [`Engine::prepare_clonable`] has rewritten. As [`Engine::load_precompiled`], on
    /// whose terms too.
    fn load_clonable(&self, _bytes: &[u8], _funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
        Err(CompileError::lacks(self.name(), Ability::Clone))
    }
}

/// A compiled module, shared by all threads.
pub trait Module: Send + Sync {
    /// Instantiates the module: memory, globals, data segments and the wasm start section, within `limits`.
    ///
    /// `state` becomes the instance's state, which host functions reach through [`Caller::parts`]. A start section
    /// runs here and may call host functions; `limits.start_budget` bounds it.
    fn instantiate(
        &self,
        state: Box<dyn Any + Send>,
        limits: &Limits,
    ) -> Result<Box<dyn Instance>, InstantiateError>;

    /// As [`Module::instantiate`], and the instance can be made an [`Image`]: see [`Instance::freeze`]. Only modules that
    /// [`Engine::load_clonable`] has loaded can do that.
    fn instantiate_donor(
        &self,
        _state: Box<dyn Any + Send>,
        _limits: &Limits,
    ) -> Result<Box<dyn Instance>, InstantiateError> {
        Err(InstantiateError::Other(
            "instances of this module cannot be copied".to_owned(),
        ))
    }
}

/// An instance as it was at one moment, from which others begin. They share its memory until they write to it.
pub trait Image: Send + Sync {
    /// Makes an instance that goes on where the image was taken: nothing runs. `state` and `limits` as in
    /// [`Module::instantiate`]; exports and the allocator are to be told anew.
    fn instantiate(
        &self,
        state: Box<dyn Any + Send>,
        limits: &Limits,
    ) -> Result<Box<dyn Instance>, InstantiateError>;

    /// Size in bytes of the linear memory that is shared.
    fn memory_size(&self) -> usize;
}

/// An exported function of an instance, resolved once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FuncId(pub u32);

/// An instance: entered by one thread at a time, never re-entered from outside.
pub trait Instance: Send {
    /// Resolves an exported function. `None` where it is not exported or has another type than `signature`.
    ///
    /// Signatures of exports take up to five `i32` and return nothing or one `i32`.
    fn func(&mut self, name: &str, signature: Signature) -> Option<FuncId>;

    /// Tells the backend which function is the guest's allocator, the one that [`Caller::allocate`] calls.
    fn set_allocator(&mut self, func: FuncId);

    /// Calls an export with `args` (as many as its signature has) and returns its result, or 0 where it has none.
    ///
    /// `budget` is CPU time of the calling thread; a guest that uses more is stopped with [`TrapKind::Deadline`],
    /// at the granularity of [`TICK`].
    /// After any trap but [`TrapKind::Exit`], which ends a main function, the instance must not be called again.
    fn call(&mut self, func: FuncId, args: &[u32], budget: CpuBudget) -> Result<u32, Trap>;

    /// The state given at instantiation.
    fn state(&mut self) -> &mut dyn Any;

    /// Size of the guest's linear memory in bytes.
    fn memory_size(&self) -> usize;

    /// Ends an instance that [`Module::instantiate_donor`] has made, and keeps what it was: memory and globals. Its state
    /// is dropped.
    ///
    /// # Errors
    ///
    /// The instance was made otherwise, or the system refuses.
    fn freeze(self: Box<Self>) -> Result<Arc<dyn Image>, InstantiateError> {
        Err(InstantiateError::Other(
            "this instance cannot be copied".to_owned(),
        ))
    }
}

/// The guest that is calling a host function, as that function sees it.
pub trait Caller {
    /// The guest's whole linear memory and the instance's state, borrowed side by side.
    ///
    /// Memory is empty where the module exports no memory named `memory`. Fetch again after [`Caller::allocate`]:
    /// it may have grown and moved.
    fn parts(&mut self) -> (&mut [u8], &mut dyn Any);

    /// The instance's state alone.
    fn state(&mut self) -> &mut dyn Any;

    /// Calls the guest's allocator for `size` bytes and returns the pointer as the guest gave it, unchecked.
    ///
    /// This is the only way in which a host function enters the guest. Without an allocator (see
    /// [`Instance::set_allocator`]) it answers [`TrapKind::Host`].
    fn allocate(&mut self, size: u32) -> Result<u32, Trap>;
}
