//! Snapshots: instances that begin where another was frozen, and share its memory until they write to it.

use std::sync::Arc;

use crate::{CompileError, HostFuncs, HostState, Instance, InstantiateError, Limits, Module};

/// The way to snapshots. A runtime hands it out with [`Engine::snapshots`](crate::Engine::snapshots).
///
/// A module is prepared, then compiled by the compiler of the engine's [`AheadOfTime`](crate::AheadOfTime), then loaded:
/// the code between can be kept like any other.
pub trait Snapshots: Send + Sync {
    /// Rewrites a module so that its instances can be frozen.
    ///
    /// # Errors
    ///
    /// [`CompileError::Invalid`] if the module is invalid, or has state that a snapshot does not hold.
    fn prepare(&self, wasm: &[u8]) -> Result<Vec<u8>, CompileError>;

    /// Loads the code of a module that [`Snapshots::prepare`] has rewritten. The terms are those of
    /// [`AheadOfTime::load_code`](crate::AheadOfTime::load_code).
    ///
    /// # Errors
    ///
    /// As [`AheadOfTime::load_code`](crate::AheadOfTime::load_code).
    fn load(&self, code: &[u8], funcs: HostFuncs) -> Result<Arc<dyn SnapshotModule>, CompileError>;
}

/// A module whose instances can be frozen. Its ordinary instances ([`Module::instantiate`]) cannot.
pub trait SnapshotModule: Module {
    /// Makes an instance that can be frozen: [`Instance::into_freezable`] answers it. All else is as for
    /// [`Module::instantiate`].
    ///
    /// # Errors
    ///
    /// As [`Module::instantiate`]; or the system refuses a file for the memory.
    fn instantiate_freezable(
        &self,
        state: Box<dyn HostState>,
        limits: &Limits,
    ) -> Result<Box<dyn Instance>, InstantiateError>;
}

/// An instance that can be frozen. No guest runs in it any more.
pub trait Freezable: Send {
    /// Ends the instance and keeps its memory and its globals. Its state is dropped.
    ///
    /// # Errors
    ///
    /// The system refuses to seal the memory.
    fn freeze(self: Box<Self>) -> Result<Arc<dyn Snapshot>, InstantiateError>;
}

/// The memory and the globals of an instance as they were when it was frozen.
pub trait Snapshot: Send + Sync {
    /// Makes an instance that continues from the snapshot: no code of the guest runs. `state` and `limits` as in
    /// [`Module::instantiate`]; the caller resolves exports and sets the allocator anew.
    ///
    /// # Errors
    ///
    /// The memory of the snapshot is over the limit, or the system has no room.
    fn instantiate(
        &self,
        state: Box<dyn HostState>,
        limits: &Limits,
    ) -> Result<Box<dyn Instance>, InstantiateError>;

    /// Size in bytes of the linear memory that instances share.
    fn memory_size(&self) -> usize;
}
