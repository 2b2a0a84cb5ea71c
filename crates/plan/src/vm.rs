//! The plan of a VM: what it is made of, and what tells it from another.

use std::sync::{Arc, OnceLock};

use weir_abi::{Callback, LogLevel};
use weir_config::VmConfig;
use weir_host::{ContextId, PluginSpec, QueueWaker, Services, Shared, StartError, Vm, VmSpec};

use crate::reach::Reach;

/// A VM that can be started, as often as it is wanted.
pub struct VmPlan {
    /// What it is made of.
    pub spec: Arc<VmSpec>,
    /// Its plugins.
    pub plugins: Vec<Arc<PluginSpec>>,
    /// What its guest may reach.
    pub reach: Arc<Reach>,
    /// What it was made from: equal ones are not started again at a reload.
    pub identity: Identity,
    /// A bit for each callback; unset before any VM has been started.
    exports: OnceLock<u64>,
}

/// What a VM was made from.
#[derive(PartialEq, Eq)]
pub struct Identity {
    /// The configuration of the VM.
    pub config: VmConfig,
    /// SHA-256 of the module.
    pub digest: [u8; 32],
    /// The plugins.
    pub plugins: Vec<PluginSpec>,
    /// The upstreams that calls may name.
    pub upstreams: Vec<(String, Arc<weir_config::Upstream>)>,
    /// Log levels of the plugins.
    pub log_levels: Vec<LogLevel>,
    /// Whether calls may go by their authority.
    pub by_authority: bool,
}

impl VmPlan {
    /// A plan of a VM that nobody has started yet.
    pub(crate) fn new(
        spec: Arc<VmSpec>,
        plugins: Vec<Arc<PluginSpec>>,
        reach: Arc<Reach>,
        identity: Identity,
    ) -> Self {
        Self {
            spec,
            plugins,
            reach,
            identity,
            exports: OnceLock::new(),
        }
    }

    /// Whether the VM has a callback. Before any VM has been started nothing is called, so the answer is no.
    pub fn has(&self, callback: Callback) -> bool {
        self.exports
            .get()
            .is_some_and(|set| set >> callback.index() & 1 == 1)
    }

    /// Starts a VM and configures its plugins. Gives the plugins' contexts in the order of the plan. Blocks for as long as
    /// the guest takes.
    ///
    /// # Errors
    ///
    /// As [`Vm::start`] and [`Vm::add_plugin`]. What the guest has begun through `services` by then comes to nothing; the
    /// proxy has to forget it.
    pub fn start(
        &self,
        shared: &Shared,
        services: Box<dyn Services>,
        waker: Arc<dyn QueueWaker>,
    ) -> Result<(Vm, Vec<ContextId>), StartError> {
        let mut vm = Vm::start(Arc::clone(&self.spec), shared, services, waker)?;
        self.set_exports(|callback| vm.has(callback));
        let contexts = self
            .plugins
            .iter()
            .map(|plugin| vm.add_plugin(Arc::clone(plugin)))
            .collect::<Result<_, _>>()?;
        Ok((vm, contexts))
    }

    /// Takes over what is known of an equal VM that has been started, where a reload lets that one serve on.
    pub fn learn_from(&self, equal: &Self) {
        self.set_exports(|callback| equal.has(callback));
    }

    /// Notes which callbacks the VM has; known once one has been started.
    fn set_exports(&self, has: impl Fn(Callback) -> bool) {
        self.exports.get_or_init(|| {
            Callback::ALL
                .iter()
                .filter(|callback| has(**callback))
                .fold(0, |set, callback| set | 1 << callback.index())
        });
    }
}
