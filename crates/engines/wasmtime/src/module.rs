//! A module: its code in the pooled engine, and in the other one once that is needed.

use std::sync::{Arc, OnceLock};

use wasmtime::InstancePre;
use weir_engine::{CompileError, HostFuncs, HostState, Instance, InstantiateError, Limits, Module};

use crate::config::Engines;
use crate::instance::{Data, Failure, WasmtimeInstance};
use crate::link::link;

/// Which module was compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The one that was given.
    Original,
    /// The module as `snapshot::rewrite` has changed it: does not fill its memory and run its start section by itself.
    Rewritten {
        /// By how many bytes code has moved.
        moved: i64,
    },
}

pub(crate) struct WasmtimeModule {
    engines: Arc<Engines>,
    funcs: HostFuncs,
    form: Form,
    /// `None` where there is no pool or the module does not fit into it.
    pooled: Option<InstancePre<Data>>,
    /// Made when the first instance needs it, from the pooled code.
    on_demand: OnceLock<Result<InstancePre<Data>, String>>,
}

impl WasmtimeModule {
    /// Loads what `Engine::precompile_module` made with the settings of `engines`.
    pub(crate) fn load(
        engines: Arc<Engines>,
        code: &[u8],
        funcs: HostFuncs,
        form: Form,
    ) -> Result<Self, CompileError> {
        let mut pooled = None;
        if let Some(engine) = &engines.pooled {
            match deserialize(engine, code) {
                Ok(module) => pooled = Some(link(&module, funcs)?),
                // Either it does not fit, and the other engine takes it, or the code is no good, and the other
                // engine says so.
                Err(error) => tracing::debug!("the module does not run in the instance pool: {error:#}"),
            }
        }
        let on_demand = OnceLock::new();
        if pooled.is_none() {
            let module = deserialize(&engines.on_demand, code)
                .map_err(|error| CompileError::Invalid(format!("cannot load the code: {error:#}")))?;
            // The cell is new, so it takes the value.
            let _ = on_demand.set(Ok(link(&module, funcs)?));
        }
        Ok(Self {
            engines,
            funcs,
            form,
            pooled,
            on_demand,
        })
    }

    fn on_demand(&self) -> Result<&InstancePre<Data>, InstantiateError> {
        let made = self.on_demand.get_or_init(|| {
            let pooled = self.pooled.as_ref().ok_or("the module was not loaded")?;
            let code = pooled
                .module()
                .serialize()
                .map_err(|error| format!("{error:#}"))?;
            let module = deserialize(&self.engines.on_demand, &code).map_err(|error| format!("{error:#}"))?;
            link(&module, self.funcs).map_err(|error| error.to_string())
        });
        made.as_ref()
            .map_err(|error| InstantiateError::Other(error.clone()))
    }

    /// An instance in the pool, or else outside.
    fn make(
        &self,
        mut state: Box<dyn HostState>,
        limits: &Limits,
    ) -> Result<WasmtimeInstance, InstantiateError> {
        let make = |module: &InstancePre<Data>, state| {
            WasmtimeInstance::new(module, state, limits, self.engines.interruption, self.form)
        };
        if let Some(pooled) = &self.pooled
            && limits.memory <= self.engines.pool_memory
        {
            match make(pooled, state) {
                Ok(instance) => return Ok(instance),
                Err(Failure::PoolFull(unused)) => state = unused,
                Err(Failure::Other(error)) => return Err(error),
            }
        }
        make(self.on_demand()?, state).map_err(Failure::into_error)
    }
}

impl Module for WasmtimeModule {
    fn instantiate(
        &self,
        state: Box<dyn HostState>,
        limits: &Limits,
    ) -> Result<Box<dyn Instance>, InstantiateError> {
        let mut instance = self.make(state, limits)?;
        if self.form != Form::Original {
            instance.fill_and_start(limits.start_budget)?;
        }
        Ok(Box::new(instance))
    }
}

#[expect(unsafe_code, reason = "machine code is loaded")]
pub(crate) fn deserialize(engine: &wasmtime::Engine, code: &[u8]) -> wasmtime::Result<wasmtime::Module> {
    // SAFETY: `code` must be unmodified output of Wasmtime's compiler. `on_demand` passes what
    // `Module::serialize` has just made. The two `load` pass what `WasmtimeEngine::compile` got from `precompile_module` a
    // moment before, or what a caller of `AheadOfTime::load_code` or `Snapshots::load` vouches for, as those demand.
    // Wasmtime itself refuses other versions, settings and processors.
    unsafe { wasmtime::Module::deserialize(engine, code) }
}
