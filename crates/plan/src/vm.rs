//! The plan of a VM: its module, plugins and reach, and the identity that tells it from another.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};

use weir_abi::{LogLevel, log_target};
use weir_config::{Ticks, VmConfig};
use weir_engine::ModuleDigest;
use weir_host::{
    ContextId, ExportedCallbacks, PluginSpec, QueueWaker, Services, Shared, StartError, Vm, VmSnapshot,
    VmSpec,
};

use crate::reach::Reach;

/// A VM that can be started as often as a proxy needs it: once for each thread, and again after each death. The planner makes
/// it; the supervisor starts it ([`VmPlan::start`]).
pub struct VmPlan {
    /// Module, limits and configuration of the VM, as the host takes them.
    pub spec: Arc<VmSpec>,
    /// The plugins that run in the VM, one for each filter, in the order of their contexts.
    pub plugins: Vec<Arc<PluginSpec>>,
    /// Upstreams and log levels of the guest. The proxy makes the VM's [`Services`] from it.
    pub reach: Arc<Reach>,
    /// Everything that the plan was made from. A reload keeps the VMs of a plan whose identity is equal.
    pub identity: Identity,
    /// The callbacks that the module exports; known once a VM of the plan has started.
    pub exported: Arc<ExportedCallbacks>,
    /// The snapshot that VMs continue from, taken for the first start; `None` where that could not be done.
    snapshot: OnceLock<Option<Arc<VmSnapshot>>>,
}

/// Everything that a plan was made from, compared at a reload: VMs of equal plans go on, others are replaced.
#[derive(PartialEq, Eq)]
pub struct Identity {
    /// The configuration of the VM.
    pub config: VmConfig,
    /// Digest of the module.
    pub digest: ModuleDigest,
    /// The plugins, in the order of their contexts.
    pub plugins: Vec<PluginSpec>,
    /// The upstreams that calls may name, by the guest's names for them.
    pub upstreams: Vec<(String, Arc<weir_config::Upstream>)>,
    /// The lowest level that the log keeps of each plugin, in the order of `plugins`.
    pub log_levels: Vec<LogLevel>,
    /// True if a call to an unknown upstream may go to its `:authority`; see [`Reach::knows_by_authority`].
    pub by_authority: bool,
    /// The place where the ticks of each plugin run; `None` where its document leaves that to the proxy.
    pub ticks: Vec<Option<Ticks>>,
}

impl Identity {
    /// A hash of the greater part of it: equal identities have equal hashes. For tables of plans within one process.
    pub fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.config.hash(&mut hasher);
        self.digest.hash(&mut hasher);
        for plugin in &self.plugins {
            plugin.name.hash(&mut hasher);
            plugin.configuration.hash(&mut hasher);
        }
        hasher.finish()
    }
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
            exported: Arc::default(),
            snapshot: OnceLock::new(),
        }
    }

    /// Starts a VM and configures its plugins, or continues from a snapshot of one that is configured. Returns the plugins'
    /// contexts in the order of the plan. Blocks for as long as the guest takes.
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
        let (mut vm, contexts) = self.start_spare(shared, services, waker)?;
        vm.mark_live();
        Ok((vm, contexts))
    }

    /// As [`VmPlan::start`], for a VM that does not serve yet: the caller says [`Vm::mark_live`], or [`Vm::set_aside`].
    ///
    /// # Errors
    ///
    /// As [`VmPlan::start`].
    pub fn start_spare(
        &self,
        shared: &Shared,
        services: Box<dyn Services>,
        waker: Arc<dyn QueueWaker>,
    ) -> Result<(Vm, Vec<ContextId>), StartError> {
        let started = self.try_start(shared, services, waker);
        if started.is_err() {
            shared.meters().vm_start_failed.increment();
        }
        started
    }

    /// Starts a VM from the snapshot where it has been taken, in a fraction of a millisecond and without running the guest:
    /// for the thread of a VM that has just died. `None` where there is no snapshot.
    pub fn continue_snapshot(
        &self,
        shared: &Shared,
        services: impl FnOnce() -> (Box<dyn Services>, Arc<dyn QueueWaker>),
    ) -> Option<Result<(Vm, Vec<ContextId>), StartError>> {
        let snapshot = self.taken_snapshot()?;
        let (services, waker) = services();
        let started = snapshot.start(shared, services, waker);
        Some(started.map(|(mut vm, contexts)| {
            vm.mark_live();
            (vm, contexts)
        }))
    }

    /// Returns true if the plan's VMs need a spare: always without a snapshot, since starts take time; with one, only after a VM
    /// from it has died before it had finished a stream, when one is to be started as usual.
    pub fn needs_spare(&self) -> bool {
        self.taken_snapshot()
            .is_none_or(|snapshot| snapshot.has_died_early())
    }

    /// A spare has taken over from a VM that died: if that one was from the snapshot, the spare is its ordinary successor.
    pub fn spare_took_over(&self) {
        if let Some(snapshot) = self.taken_snapshot() {
            // The answer counts the death as answered.
            let _ = snapshot.is_distrusted();
        }
    }

    fn taken_snapshot(&self) -> Option<&Arc<VmSnapshot>> {
        self.snapshot.get()?.as_ref()
    }

    fn try_start(
        &self,
        shared: &Shared,
        services: Box<dyn Services>,
        waker: Arc<dyn QueueWaker>,
    ) -> Result<(Vm, Vec<ContextId>), StartError> {
        if let Some(snapshot) = self.snapshot(shared) {
            if !snapshot.is_distrusted() {
                let (vm, contexts) = snapshot.start(shared, services, waker)?;
                self.exported.learn(&vm);
                return Ok((vm, contexts));
            }
            let module = &self.reach.module;
            tracing::warn!(
                target: log_target::ABOUT_GUEST,
                module,
                "a VM from a snapshot died before it had finished a stream; the next is started as usual"
            );
        }
        let mut vm = Vm::start(Arc::clone(&self.spec), shared, services, waker)?;
        self.exported.learn(&vm);
        let contexts = self
            .plugins
            .iter()
            .map(|plugin| vm.add_plugin(Arc::clone(plugin)))
            .collect::<Result<_, _>>()?;
        Ok((vm, contexts))
    }

    /// The snapshot that VMs continue from. The first caller takes it, and others wait.
    fn snapshot(&self, shared: &Shared) -> Option<&Arc<VmSnapshot>> {
        let requests = &self.identity.config.snapshot.as_ref()?.warm_up;
        let make = || {
            let services = Arc::clone(&self.reach);
            let module = &self.reach.module;
            match VmSnapshot::take(&self.spec, &self.plugins, requests, shared, services) {
                Ok(snapshot) => {
                    tracing::info!(
                        target: log_target::ABOUT_GUEST,
                        module,
                        shared = snapshot.memory_size(),
                        "VMs start from a snapshot"
                    );
                    Some(snapshot)
                }
                Err(reason) => {
                    tracing::warn!(
                        target: log_target::ABOUT_GUEST,
                        module,
                        "each VM is started by itself although snapshot is on: {reason}"
                    );
                    None
                }
            }
        };
        self.snapshot.get_or_init(make).as_ref()
    }
}
