//! Snapshots: one VM is configured and frozen, and many VMs continue from there. They share its memory until they write to
//! it.
//!
//! The module is compiled for that by [`HostModule::compile_for_snapshots`](crate::HostModule::compile_for_snapshots). The
//! VM to freeze is started and configured, warmed up with made-up requests, and frozen. The snapshot keeps what the guest
//! told the host by then, and each VM that continues from it tells that again. Effects of start functions and
//! configuration on shared data, queues and metrics happen once, in the VM that was frozen.

mod take;
mod warm_up;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use weir_engine::{InstantiateError, Snapshot};

use crate::proxy_wasm::{PluginContext, Vm};
use crate::sets::SetStates;
use crate::{ContextId, QueueWaker, Services, Shared, StartError, VmError, VmSpec};

/// A configured VM as it was when it was frozen, from which others continue.
pub struct VmSnapshot {
    pub(crate) spec: Arc<VmSpec>,
    pub(crate) frozen: Arc<dyn Snapshot>,
    /// What the guest had told the host.
    pub(crate) told: Told,
    /// VMs from the snapshot that died before their first stream had ended. The next start for each of them is an ordinary
    /// one.
    early_deaths: AtomicUsize,
}

/// What a guest tells the host while it is configured.
pub(crate) struct Told {
    /// The plugin contexts, in the order in which they were made.
    pub plugins: Vec<(ContextId, PluginContext)>,
    /// Queues, and the plugin contexts that consume them.
    pub queues: Vec<(u32, ContextId)>,
    pub next_context: u32,
    pub next_token: u32,
    pub status: (u32, String),
    /// The states of import sets, from which each VM gets its own.
    pub sets: Option<Mutex<SetStates>>,
}

/// Why there is no snapshot. The proxy starts each VM from its module instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoSnapshot {
    /// The module, or its runtime.
    #[error("{0}")]
    Module(String),
    /// The VM to freeze did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A made-up request killed the VM.
    #[error("it did not survive request {number} of warm_up: {error}")]
    WarmUp {
        /// Number of the request, from 1.
        number: usize,
        /// How the VM died.
        error: VmError,
    },
    /// The VM waits for something that would not come to those that continue from it.
    #[error("while it was configured it began {0}")]
    Pending(&'static str),
    /// The module imports from a set whose state cannot be kept in a snapshot.
    #[error("the import set {0} takes no snapshots")]
    ImportSet(&'static str),
    /// The engine refuses.
    #[error(transparent)]
    Frozen(#[from] InstantiateError),
}

impl VmSnapshot {
    /// Makes a VM that continues from the snapshot: start functions and configuration do not run. Returns the contexts
    /// of the plugins, in the order in which the snapshot has them.
    ///
    /// # Errors
    ///
    /// The engine has no room.
    pub fn start(
        self: &Arc<Self>,
        shared: &Shared,
        services: Box<dyn Services>,
        waker: Arc<dyn QueueWaker>,
    ) -> Result<(Vm, Vec<ContextId>), StartError> {
        let vm = Vm::from_snapshot(self, shared, services, waker)?;
        Ok((vm, self.told.plugins.iter().map(|(id, _)| *id).collect()))
    }

    /// True if the next VM is to be started from its module, because a VM from the snapshot died before it had finished a
    /// stream: the cause may lie in the snapshot. A proxy asks before each start; the answer is true once for each such
    /// death.
    pub fn is_distrusted(&self) -> bool {
        let taken = self
            .early_deaths
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |deaths| {
                deaths.checked_sub(1)
            });
        taken.is_ok()
    }

    /// True if a VM from the snapshot has died before it had finished a stream, and none has been started from the module for
    /// that yet.
    pub fn has_died_early(&self) -> bool {
        self.early_deaths.load(Ordering::Relaxed) > 0
    }

    /// Bytes of memory that VMs from the snapshot share.
    pub fn memory_size(&self) -> usize {
        self.frozen.memory_size()
    }

    pub(crate) fn died_early(&self) {
        self.early_deaths.fetch_add(1, Ordering::Relaxed);
    }
}
