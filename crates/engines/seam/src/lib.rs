//! The seam between the host and a WebAssembly runtime.
//!
//! `host` describes what it offers to a guest as one static table of [`HostFunc`]; each backend binds that table and
//! none of them knows a hostcall by name. All values cross as raw `u64` slots: an `i32` lies zero-extended in the low
//! 32 bits, an `i64` fills the slot. Proxy-Wasm and WASI preview 1 use nothing else in their signatures.
#![forbid(unsafe_code)]

mod abilities;
mod ahead_of_time;
mod budget;
mod byte_size;
mod error;
mod layer;
mod limits;
mod proposals;
mod snapshot;
mod state;
mod table;
mod wasm;

use std::path::Path;
use std::sync::Arc;

pub use abilities::{Abilities, Ability, Declared};
pub use ahead_of_time::{AheadOfTime, CodeCompiler};
pub use budget::CpuBudget;
pub use byte_size::ByteSize;
pub use error::{CompileError, Frame, InstantiateError, Trap, TrapKind, Unavailable};
pub use layer::EngineLayer;
pub use limits::{DEFAULT_MEMORY_LIMIT, Limits, STACK_LIMIT};
pub use proposals::{PROPOSALS, Proposal, explain, lacking};
pub use snapshot::{Freezable, Snapshot, SnapshotModule, Snapshots};
pub use state::HostState;
pub use table::{HostFn, HostFunc, HostFuncs, MAX_PARAMS};

pub use wasm::{ModuleDigest, Wasm};
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

    /// The abilities that the runtime has by itself. With the objects that it hands out these are its [`Abilities`]; a
    /// configuration that needs more is refused at load.
    fn declared(&self) -> Declared;

    /// Compiles (or, for an interpreter, validates and translates) a module and resolves its imports against `funcs`.
    ///
    /// `wasm` is the binary format, never text. Imports that the table lacks, or has with another type, are a
    /// [`CompileError`] that names each of them.
    fn compile(&self, wasm: &Wasm<'_>, funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError>;

    /// The runtime's machine code, to be made before a module is loaded; `None` for a runtime that only interprets or
    /// keeps its code to itself.
    fn ahead_of_time(&self) -> Option<Arc<dyn AheadOfTime>> {
        None
    }

    /// The way to snapshots of instances; `None` for a runtime that has none.
    fn snapshots(&self) -> Option<Arc<dyn Snapshots>> {
        None
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
        state: Box<dyn HostState>,
        limits: &Limits,
    ) -> Result<Box<dyn Instance>, InstantiateError>;
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
    /// at a granularity of 10 ms.
    /// After any trap but [`TrapKind::Exit`], which ends a main function, the instance must not be called again.
    fn call(&mut self, func: FuncId, args: &[u32], budget: CpuBudget) -> Result<u32, Trap>;

    /// The state given at instantiation.
    fn state(&mut self) -> &mut dyn HostState;

    /// Size of the guest's linear memory in bytes.
    fn memory_size(&self) -> usize;

    /// The instance as one to freeze. `None` (and the instance is dropped) unless
    /// [`SnapshotModule::instantiate_freezable`] has made it.
    fn into_freezable(self: Box<Self>) -> Option<Box<dyn Freezable>> {
        None
    }
}

/// The guest that is calling a host function, as that function sees it.
pub trait Caller {
    /// The guest's whole linear memory and the instance's state, borrowed side by side.
    ///
    /// Memory is empty where the module exports no memory named `memory`. Fetch again after [`Caller::allocate`]:
    /// it may have grown and moved.
    fn parts(&mut self) -> (&mut [u8], &mut dyn HostState);

    /// The instance's state alone.
    fn state(&mut self) -> &mut dyn HostState;

    /// Calls the guest's allocator for `size` bytes and returns the pointer as the guest gave it, unchecked.
    ///
    /// This is the only way in which a host function enters the guest. Without an allocator (see
    /// [`Instance::set_allocator`]) it answers [`TrapKind::Host`].
    fn allocate(&mut self, size: u32) -> Result<u32, Trap>;
}
