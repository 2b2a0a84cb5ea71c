//! Snapshots: instances that share the memory of a frozen one until they write to it.
//!
//! `unsafe` lives in `memory`, which gives Wasmtime memory that lies in a file.

#[expect(unsafe_code, reason = "memory is mapped")]
mod memory;
mod rewrite;

use std::io;
use std::sync::Arc;

use wasmtime::{InstancePre, Val};
use weir_engine::{
    CompileError, Freezable, HostFuncs, HostState, Instance, InstantiateError, Limits, Module, Snapshot,
    SnapshotModule, Snapshots,
};

use crate::config::{Engines, Interruption};
use crate::instance::{Data, Failure, WasmtimeInstance};
use crate::link::link;
use crate::module::{Form, WasmtimeModule, deserialize};

use memory::{Backing, Creator, MemoryFile, with_backing};
pub(crate) use rewrite::FILL;

/// Settings of the engine whose memories lie in files.
pub(crate) fn configure(config: &mut wasmtime::Config) {
    config.with_host_memory(Arc::new(Creator));
}

/// The way to snapshots with the settings of these engines.
pub(crate) struct WasmtimeSnapshots(pub Arc<Engines>);

impl Snapshots for WasmtimeSnapshots {
    fn prepare(&self, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
        rewrite::rewrite(wasm)
    }

    fn load(&self, code: &[u8], funcs: HostFuncs) -> Result<Arc<dyn SnapshotModule>, CompileError> {
        let engines = Arc::clone(&self.0);
        Ok(Arc::new(RewrittenModule::load(engines, code, funcs)?))
    }
}

/// A module that [`Snapshots::prepare`] has rewritten.
struct RewrittenModule {
    /// Makes ordinary instances.
    plain: WasmtimeModule,
    shared: Arc<Shared>,
}

/// The module in the engine whose memories lie in files.
struct Shared {
    module: InstancePre<Data>,
    interruption: Interruption,
    form: Form,
    /// Names of the globals that a snapshot holds.
    globals: Vec<String>,
}

impl RewrittenModule {
    fn load(engines: Arc<Engines>, code: &[u8], funcs: HostFuncs) -> Result<Self, CompileError> {
        let module = deserialize(engines.for_snapshots()?, code)
            .map_err(|error| CompileError::Invalid(format!("cannot load the code: {error:#}")))?;
        let is_global = |name: &String| module.get_export(name).is_some();
        let moved = module.exports().find_map(|export| rewrite::moved(export.name()));
        let form = Form::Rewritten {
            moved: moved.unwrap_or(0),
        };
        let shared = Shared {
            module: link(&module, funcs)?,
            interruption: engines.interruption,
            form,
            globals: (0..).map(rewrite::global).take_while(is_global).collect(),
        };
        Ok(Self {
            plain: WasmtimeModule::load(engines, code, funcs, form)?,
            shared: Arc::new(shared),
        })
    }
}

impl Module for RewrittenModule {
    fn instantiate(
        &self,
        state: Box<dyn HostState>,
        limits: &Limits,
    ) -> Result<Box<dyn Instance>, InstantiateError> {
        self.plain.instantiate(state, limits)
    }
}

impl SnapshotModule for RewrittenModule {
    fn instantiate_freezable(
        &self,
        state: Box<dyn HostState>,
        limits: &Limits,
    ) -> Result<Box<dyn Instance>, InstantiateError> {
        let file = Arc::new(MemoryFile::new().map_err(|error| refused(&error))?);
        let backing = Backing::Written(Arc::clone(&file));
        let mut instance = self.shared.instantiate(backing, state, limits)?;
        instance.fill_and_start(limits.start_budget)?;
        let shared = Arc::clone(&self.shared);
        instance.freezer = Some(Freezer { shared, file });
        Ok(Box::new(instance))
    }
}

impl Shared {
    fn instantiate(
        &self,
        backing: Backing,
        state: Box<dyn HostState>,
        limits: &Limits,
    ) -> Result<WasmtimeInstance, InstantiateError> {
        let made = with_backing(backing, || {
            WasmtimeInstance::new(&self.module, state, limits, self.interruption, self.form)
        });
        made.map_err(Failure::into_error)
    }
}

/// The parts of an instance that freezing needs.
pub(crate) struct Freezer {
    shared: Arc<Shared>,
    file: Arc<MemoryFile>,
}

impl Freezer {
    /// The instance that this belongs to, ready to freeze.
    pub(crate) fn freezable(self, instance: WasmtimeInstance) -> Box<dyn Freezable> {
        let freezer = self;
        Box::new(Ready { instance, freezer })
    }
}

struct Ready {
    instance: WasmtimeInstance,
    freezer: Freezer,
}

impl Freezable for Ready {
    fn freeze(self: Box<Self>) -> Result<Arc<dyn Snapshot>, InstantiateError> {
        let Self {
            mut instance,
            freezer: Freezer { shared, file },
        } = *self;
        let globals = instance.globals(&shared.globals)?;
        let size = instance.memory_size();
        // Its mapping of the memory, which can be written to, ends with it.
        drop(instance);
        file.seal().map_err(|error| refused(&error))?;
        Ok(Arc::new(WasmtimeSnapshot {
            shared,
            file,
            size,
            globals,
        }))
    }
}

fn refused(error: &io::Error) -> InstantiateError {
    InstantiateError::Other(format!("no file for the guest's memory: {error}"))
}

struct WasmtimeSnapshot {
    shared: Arc<Shared>,
    file: Arc<MemoryFile>,
    /// Bytes of memory.
    size: usize,
    globals: Vec<Val>,
}

impl Snapshot for WasmtimeSnapshot {
    fn instantiate(
        &self,
        state: Box<dyn HostState>,
        limits: &Limits,
    ) -> Result<Box<dyn Instance>, InstantiateError> {
        let backing = Backing::Snapshot(Arc::clone(&self.file), self.size);
        let mut instance = self.shared.instantiate(backing, state, limits)?;
        instance.restore(self.size, self.shared.globals.iter().zip(&self.globals))?;
        Ok(Box::new(instance))
    }

    fn memory_size(&self) -> usize {
        self.size
    }
}
