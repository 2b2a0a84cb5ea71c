//! Instances that are copies of one that has been configured: they share its memory until they write to it.
//!
//! `unsafe` lives in `memory`, which gives Wasmtime memory that lies in a file.

#[expect(unsafe_code, reason = "memory is mapped")]
mod memory;
mod rewrite;

use std::any::Any;
use std::io;
use std::sync::Arc;

use wasmtime::{InstancePre, Val};
use weir_engine::{CompileError, HostFuncs, Image, Instance, InstantiateError, Limits, Module};

use crate::config::{Engines, Interruption};
use crate::instance::{Data, Failure, WasmtimeInstance};
use crate::link::link;
use crate::module::{Form, WasmtimeModule, deserialize};

use memory::{Backing, Creator, MemoryFile, with_backing};
pub(crate) use rewrite::{FILL, rewrite};

/// Settings of the engine whose memories lie in files.
pub(crate) fn configure(config: &mut wasmtime::Config) {
    config.with_host_memory(Arc::new(Creator));
}

/// A module that [`rewrite`] has made ready.
pub(crate) struct ClonableModule {
    /// Makes instances that are not to be copied.
    plain: WasmtimeModule,
    shared: Arc<Shared>,
}

/// What donors and copies are made from.
struct Shared {
    module: InstancePre<Data>,
    interruption: Interruption,
    form: Form,
    /// Names of the globals that are copied.
    globals: Vec<String>,
}

impl ClonableModule {
    /// Loads what `Engine::precompile_module` made of a rewritten module with the settings of `engines`.
    pub(crate) fn load(engines: Arc<Engines>, code: &[u8], funcs: HostFuncs) -> Result<Self, CompileError> {
        let module = deserialize(engines.clonable()?, code)
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

impl Module for ClonableModule {
    fn instantiate(
        &self,
        state: Box<dyn Any + Send>,
        limits: &Limits,
    ) -> Result<Box<dyn Instance>, InstantiateError> {
        self.plain.instantiate(state, limits)
    }

    fn instantiate_donor(
        &self,
        state: Box<dyn Any + Send>,
        limits: &Limits,
    ) -> Result<Box<dyn Instance>, InstantiateError> {
        let file = Arc::new(MemoryFile::new().map_err(|error| refused(&error))?);
        let mut instance = self
            .shared
            .instantiate(Backing::Donor(Arc::clone(&file)), state, limits)?;
        instance.fill_and_start(limits.start_budget)?;
        instance.donor = Some(Donor {
            shared: Arc::clone(&self.shared),
            file,
        });
        Ok(Box::new(instance))
    }
}

impl Shared {
    fn instantiate(
        &self,
        backing: Backing,
        state: Box<dyn Any + Send>,
        limits: &Limits,
    ) -> Result<WasmtimeInstance, InstantiateError> {
        let made = with_backing(backing, || {
            WasmtimeInstance::new(&self.module, state, limits, self.interruption, self.form)
        });
        made.map_err(Failure::into_error)
    }
}

/// What an instance has that can be copied.
pub(crate) struct Donor {
    shared: Arc<Shared>,
    file: Arc<MemoryFile>,
}

impl Donor {
    /// The names of the globals that are copied.
    pub(crate) fn globals(&self) -> &[String] {
        &self.shared.globals
    }

    /// The image of the instance, which is gone already: it had these globals and so many bytes of memory.
    pub(crate) fn image(self, globals: Vec<Val>, size: usize) -> Result<Arc<dyn Image>, InstantiateError> {
        self.file.seal().map_err(|error| refused(&error))?;
        Ok(Arc::new(WasmtimeImage {
            shared: self.shared,
            file: self.file,
            size,
            globals,
        }))
    }
}

fn refused(error: &io::Error) -> InstantiateError {
    InstantiateError::Other(format!("no file for the guest's memory: {error}"))
}

struct WasmtimeImage {
    shared: Arc<Shared>,
    file: Arc<MemoryFile>,
    /// Bytes of memory.
    size: usize,
    globals: Vec<Val>,
}

impl Image for WasmtimeImage {
    fn instantiate(
        &self,
        state: Box<dyn Any + Send>,
        limits: &Limits,
    ) -> Result<Box<dyn Instance>, InstantiateError> {
        let backing = Backing::Image(Arc::clone(&self.file), self.size);
        let mut instance = self.shared.instantiate(backing, state, limits)?;
        instance.take_over(self.size, self.shared.globals.iter().zip(&self.globals))?;
        Ok(Box::new(instance))
    }

    fn memory_size(&self) -> usize {
        self.size
    }
}
