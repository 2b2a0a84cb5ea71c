//! From a module to a VM that serves: instantiation, start functions, plugin contexts.

use std::sync::Arc;

use weir_abi::{Callback, INITIALIZE, MAINS, START};
use weir_engine::{FuncId, Trap, TrapKind};

use super::Vm;
use super::guest::WasmGuest;
use super::state::{PluginContext, ProxyWasmState};
use crate::life::{Budgets, Life, Origin};
use crate::{ContextId, NoSnapshot, PluginSpec, QueueWaker, Services, Shared, StartError, VmError, VmSpec};

/// The queues that a spare consumes once it has taken over.
#[derive(Debug, Default)]
pub struct ConsumedQueues(Vec<(u32, ContextId)>);

impl Vm {
    /// Instantiates the module and runs its start functions: the start section, then `_initialize` with `main`, or
    /// `_start`, each within [`VmLimits::start_deadline`](crate::VmLimits::start_deadline). [`Vm::add_plugin`] comes next.
    /// May take seconds: a proxy calls it away from the threads that serve.
    ///
    /// # Errors
    ///
    /// The module cannot be instantiated, or a start function trapped.
    pub fn start(
        spec: Arc<VmSpec>,
        shared: &Shared,
        services: Box<dyn Services>,
        waker: Arc<dyn QueueWaker>,
    ) -> Result<Self, StartError> {
        Self::begin(spec, Origin::Module, shared, services, waker)
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
        let mut vm = Self::begin(spec, Origin::Freezable(snapshots), shared, services, waker)?;
        vm.life.take_time();
        Ok(vm)
    }

    fn begin(
        spec: Arc<VmSpec>,
        origin: Origin<'_>,
        shared: &Shared,
        services: Box<dyn Services>,
        waker: Arc<dyn QueueWaker>,
    ) -> Result<Self, StartError> {
        let kind = ProxyWasmState::maker(&spec, shared, services, waker)?;
        let life = Life::start(&spec, origin, shared, kind, |instance, budgets| {
            let mut guest = WasmGuest::new(&spec, instance);
            run_start_functions(&mut guest, &spec, budgets)?;
            Ok(guest)
        })?;
        Ok(Self {
            spec,
            life,
            started: false,
            on_trial: false,
        })
    }

    /// Creates a plugin context: `proxy_on_context_create`, for the first plugin of the VM `proxy_on_vm_start`, then
    /// `proxy_on_configure`, each within [`VmLimits::start_deadline`](crate::VmLimits::start_deadline).
    ///
    /// # Errors
    ///
    /// A callback trapped, or the guest refused the configuration. The VM is of no use afterwards.
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
        let log = state.shared.log_allowance(&name);
        state.plugins.insert(
            id,
            PluginContext {
                spec: plugin,
                notes: Vec::new(),
                tick_period: None,
                meter,
                log,
            },
        );
        self.ask(Callback::ContextCreate, id, &[id.wire(), 0])?;
        if !std::mem::replace(&mut self.started, true) {
            let args = [id.wire(), vm_configuration_size];
            if !self.ask(Callback::VmStart, id, &args)? {
                return Err(StartError::Refused {
                    module: self.module(),
                    callback: Callback::VmStart.name(),
                    plugin: None,
                });
            }
        }
        let args = [id.wire(), configuration_size];
        let valid = !self.on_trial || self.ask(Callback::ValidateConfiguration, id, &args)?;
        if !(valid && self.ask(Callback::Configure, id, &args)?) {
            return Err(StartError::Refused {
                module: self.module(),
                callback: Callback::Configure.name(),
                plugin: Some(name),
            });
        }
        Ok(id)
    }

    /// Sets the VM aside as a spare: it consumes no queue until [`Vm::take_over`], so that nobody's entries wait for it.
    /// Returns what it will consume. Called once, when all plugins have been added, instead of [`Vm::mark_live`].
    pub fn set_aside(&mut self) -> ConsumedQueues {
        self.meter().set_aside();
        let Some(state) = self.state() else {
            return ConsumedQueues::default();
        };
        let queues = state.store.consumed().collect();
        state.store.forget_consumers();
        ConsumedQueues(queues)
    }

    /// Makes a spare the VM that serves; called before its first stream.
    pub fn take_over(&mut self, queues: ConsumedQueues) {
        if let Some(state) = self.state() {
            for (queue, plugin) in queues.0 {
                state.store.consume(queue, plugin);
            }
        }
        self.mark_live();
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
        self.meter()
            .started(plugins.iter().map(|(_, plugin)| plugin.name.as_str()));
        self.meter().set_memory(self.memory_size());
    }

    /// Calls a callback of the start, and returns true if the guest said yes.
    fn ask(&mut self, callback: Callback, id: ContextId, args: &[u32]) -> Result<bool, StartError> {
        let answer = self.enter_at_start(callback, id, args);
        let answer = answer.map_err(|error| self.start_error(callback, error))?;
        Ok(answer.unwrap_or(callback.default_result()) != 0 || callback.default_result() == 0)
    }

    fn module(&self) -> String {
        self.spec.module.name().to_owned()
    }

    fn start_error(&self, callback: Callback, error: VmError) -> StartError {
        let (module, callback) = (self.module(), callback.name());
        match error {
            VmError::Trapped { trap, limit, .. } => StartError::Trapped {
                module,
                callback,
                trap,
                limit,
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

/// `_initialize` and then `main`, or else `_start`; never both.
fn run_start_functions(guest: &mut WasmGuest, spec: &VmSpec, budgets: &Budgets) -> Result<(), StartError> {
    if let Some(initialize) = guest.instance().func(INITIALIZE.0, INITIALIZE.1) {
        run(guest, spec, budgets, INITIALIZE.0, initialize, &[])?;
        for (name, signature) in MAINS {
            if let Some(main) = guest.instance().func(name, signature) {
                let args = &[0, 0][..signature.params.len()];
                return run(guest, spec, budgets, name, main, args);
            }
        }
    } else if let Some(start) = guest.instance().func(START.0, START.1) {
        run(guest, spec, budgets, START.0, start, &[])?;
    }
    Ok(())
}

fn run(
    guest: &mut WasmGuest,
    spec: &VmSpec,
    budgets: &Budgets,
    name: &'static str,
    func: FuncId,
    args: &[u32],
) -> Result<(), StartError> {
    guest.vm_state().callback = name;
    match guest.call(func, args, budgets.start.budget) {
        Err(trap) if !(name == START.0 && is_clean_exit(&trap)) => {
            guest.instance().log_last_words();
            Err(StartError::Trapped {
                module: spec.module.name().into(),
                callback: name,
                limit: budgets.start.exceeded(&trap),
                trap,
            })
        }
        _ => {
            guest.state().log_written();
            Ok(())
        }
    }
}

/// True for the ordinary end of a `_start` that calls `proc_exit(0)`.
fn is_clean_exit(trap: &Trap) -> bool {
    trap.kind == TrapKind::Exit(0)
}
