//! From a module to a VM that serves: instantiation, start functions, plugin contexts.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use weir_abi::{ALLOCATORS, Callback, INITIALIZE, MAINS, START};
use weir_engine::{Instance, InstantiateError, Limits};

use super::exports::Exports;
use super::{Vm, budget, is_clean_exit, panic_message};
use crate::snapshot::NoSnapshot;
use crate::state::{PluginContext, VmState};
use crate::{ContextId, PluginSpec, QueueWaker, Services, Shared, StartError, VmError, VmSpec};

impl Vm {
    /// Instantiates the module and runs its start functions: the start section, then `_initialize` with `main`, or
    /// `_start`. `proxy_on_vm_start` is called with the first plugin ([`Vm::add_plugin`]).
    pub fn start(
        spec: Arc<VmSpec>,
        shared: &Shared,
        services: Box<dyn Services>,
        waker: Arc<dyn QueueWaker>,
    ) -> Result<Self, StartError> {
        let module = Arc::clone(&spec.module);
        Self::begin(spec, shared, services, waker, |state, limits| {
            module.compiled().instantiate(state, limits)
        })
    }

    /// As [`Vm::start`], and the VM can be frozen. Every callback may take as long as a start.
    pub(crate) fn start_freezable(
        spec: Arc<VmSpec>,
        shared: &Shared,
        services: Box<dyn Services>,
        waker: Arc<dyn QueueWaker>,
    ) -> Result<Self, NoSnapshot> {
        let module = Arc::clone(&spec.module);
        let snapshots = module
            .snapshots()
            .map_err(|reason| NoSnapshot::Module(reason.to_owned()))?;
        let mut vm = Self::begin(spec, shared, services, waker, |state, limits| {
            snapshots.instantiate_freezable(state, limits)
        })?;
        vm.callback_budget = vm.start_budget;
        Ok(vm)
    }

    fn begin(
        spec: Arc<VmSpec>,
        shared: &Shared,
        services: Box<dyn Services>,
        waker: Arc<dyn QueueWaker>,
        instantiate: impl FnOnce(Box<VmState>, &Limits) -> Result<Box<dyn Instance>, InstantiateError>,
    ) -> Result<Self, StartError> {
        let meter = shared.meters().vm();
        let begun = catch_unwind(AssertUnwindSafe(|| {
            let state = VmState::new(Arc::clone(&spec), spec.module.abi(), shared, services, waker);
            let made = instantiate(Box::new(state), &limits(&spec));
            let mut instance = made.map_err(|source| StartError::Instantiate {
                module: spec.module.name().into(),
                source,
            })?;
            tell_allocator(instance.as_mut());
            let exports = Exports::resolve(instance.as_mut(), &spec);
            run_start_functions(instance.as_mut(), &spec)?;
            Ok((instance, exports))
        }));
        let (instance, exports) = begun.unwrap_or_else(|panic| {
            let message = panic_message(&*panic);
            Err(StartError::Panicked {
                module: spec.module.name().into(),
                callback: "_start",
                message,
            })
        })?;
        Ok(Self {
            meter: Arc::new(meter),
            callback_budget: budget(spec.limits.callback_deadline),
            start_budget: budget(spec.limits.start_deadline),
            spec,
            exports,
            instance: Some(instance),
            started: false,
            canary: false,
            untried_snapshot: None,
        })
    }

    /// Makes a plugin context: `proxy_on_context_create`, for the first one `proxy_on_vm_start`, then
    /// `proxy_on_configure`.
    pub fn add_plugin(&mut self, plugin: Arc<PluginSpec>) -> Result<ContextId, StartError> {
        let configuration_size = plugin.configuration.len() as u32;
        let vm_configuration_size = self.spec.configuration.len() as u32;
        let name = plugin.name.clone();
        let Some(state) = self.state() else {
            return Err(StartError::Dead {
                module: self.module(),
            });
        };
        let id = state.next_context();
        let meter = Arc::new(state.shared.meters().plugin(&name));
        state.plugins.insert(
            id,
            PluginContext {
                spec: plugin,
                notes: Vec::new(),
                tick_period: None,
                meter,
            },
        );
        self.ask(Callback::ContextCreate, id, &[id.wire(), 0])?;
        if !std::mem::replace(&mut self.started, true) {
            let args = [id.wire(), vm_configuration_size];
            if !self.ask(Callback::VmStart, id, &args)? {
                return Err(StartError::VmStartRefused {
                    module: self.module(),
                });
            }
        }
        let args = [id.wire(), configuration_size];
        let valid = !self.canary || self.ask(Callback::ValidateConfiguration, id, &args)?;
        if !(valid && self.ask(Callback::Configure, id, &args)?) {
            return Err(StartError::ConfigureRefused {
                module: self.module(),
                plugin: name,
            });
        }
        Ok(id)
    }

    /// Counts the VM as one that serves from now on. Called once, by the proxy, when all plugins have been added.
    pub fn mark_live(&mut self) {
        let Some(state) = self.state() else {
            return;
        };
        let mut plugins: Vec<_> = state
            .plugins
            .iter()
            .map(|(id, plugin)| (*id, Arc::clone(&plugin.spec)))
            .collect();
        plugins.sort_unstable_by_key(|(id, _)| *id);
        self.meter
            .started(plugins.iter().map(|(_, plugin)| plugin.name.as_str()));
        self.meter.set_memory(self.memory_size());
    }

    /// Calls a callback of the start; whether it said yes.
    fn ask(&mut self, callback: Callback, id: ContextId, args: &[u32]) -> Result<bool, StartError> {
        let answer = self.enter_within(callback, id, args, self.start_budget);
        let answer = answer.map_err(|error| self.start_error(callback, error))?;
        Ok(answer.unwrap_or(callback.default_result()) != 0 || callback.default_result() == 0)
    }

    fn module(&self) -> String {
        self.spec.module.name().to_owned()
    }

    fn start_error(&self, callback: Callback, error: VmError) -> StartError {
        let (module, callback) = (self.module(), callback.name());
        match error {
            VmError::Trapped { trap, .. } => StartError::Trapped {
                module,
                callback,
                trap,
            },
            VmError::Panicked { message, .. } => StartError::Panicked {
                module,
                callback,
                message,
            },
            _ => StartError::Dead { module },
        }
    }
}

/// The bounds of an instance.
pub(super) fn limits(spec: &VmSpec) -> Limits {
    Limits {
        memory: usize::try_from(spec.limits.memory).unwrap_or(usize::MAX),
        start_budget: budget(spec.limits.start_deadline),
    }
}

/// Tells an instance which of its functions allocates.
pub(super) fn tell_allocator(instance: &mut dyn Instance) {
    let find = |(name, signature): &(&str, _)| instance.func(name, *signature);
    if let Some(allocator) = ALLOCATORS.iter().find_map(find) {
        instance.set_allocator(allocator);
    }
}

/// `_initialize` and then `main`, or else `_start`; never both.
fn run_start_functions(instance: &mut dyn Instance, spec: &VmSpec) -> Result<(), StartError> {
    if let Some(initialize) = instance.func(INITIALIZE.0, INITIALIZE.1) {
        run(instance, spec, INITIALIZE.0, initialize, &[])?;
        for (name, signature) in MAINS {
            if let Some(main) = instance.func(name, signature) {
                return run(instance, spec, name, main, &[0, 0][..signature.params.len()]);
            }
        }
    } else if let Some(start) = instance.func(START.0, START.1) {
        run(instance, spec, START.0, start, &[])?;
    }
    Ok(())
}

fn run(
    instance: &mut dyn Instance,
    spec: &VmSpec,
    name: &'static str,
    func: weir_engine::FuncId,
    args: &[u32],
) -> Result<(), StartError> {
    if let Some(state) = instance.state().downcast_mut::<VmState>() {
        state.callback = name;
    }
    match instance.call(func, args, budget(spec.limits.start_deadline)) {
        Err(trap) if !(name == START.0 && is_clean_exit(&trap)) => Err(StartError::Trapped {
            module: spec.module.name().into(),
            callback: name,
            trap,
        }),
        _ => Ok(()),
    }
}
