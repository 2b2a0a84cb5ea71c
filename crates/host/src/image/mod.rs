//! One configured VM, many VMs: the others are copies that share its memory until they write to it.
//!
//! The module is compiled for that by [`HostModule::compile_clonable`](crate::HostModule::compile_clonable). A donor VM is
//! started and configured, warmed up with made-up requests, and frozen; what it has told the host is kept with it, and told
//! again for each copy. What start functions and configuration did to shared data, queues and metrics they have done once.

mod donor;
mod warm_up;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use weir_engine::{Image, InstantiateError};

pub use self::warm_up::WarmUp;
use crate::state::PluginContext;
use crate::vm::Vm;
use crate::{ContextId, QueueWaker, Services, Shared, StartError, VmError, VmSpec};

/// A VM as it was when it had been configured, from which others begin.
pub struct VmImage {
    pub(crate) spec: Arc<VmSpec>,
    pub(crate) frozen: Arc<dyn Image>,
    /// What the donor had told the host.
    pub(crate) told: Told,
    /// Copies that died too early, each of which a VM that is started as usual is to follow.
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
}

/// Why there is no image. VMs are to be started as usual.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotCloned {
    /// The module.
    #[error("{0}")]
    Module(String),
    /// The VM that was to be copied did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A made-up request killed it.
    #[error("it did not survive request {number} of warm_up: {error}")]
    WarmUp {
        /// Its place among the requests, from 1.
        number: usize,
        /// How.
        error: VmError,
    },
    /// It waits for something that would not come to its copies.
    #[error("while it was configured it began {0}")]
    Pending(&'static str),
    /// The engine refuses.
    #[error(transparent)]
    Frozen(#[from] InstantiateError),
}

impl VmImage {
    /// Makes a VM that goes on where the image was taken: start functions and configuration do not run. Gives the contexts
    /// of the plugins, in the order in which the image has them.
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
        let vm = Vm::copy(self, shared, services, waker)?;
        Ok((vm, self.told.plugins.iter().map(|(id, _)| *id).collect()))
    }

    /// Whether the next VM is to be started as usual, because a copy has died before it had finished a stream: what is
    /// wrong may be wrong with the image. Asked before each start; yes once for each such death.
    pub fn is_distrusted(&self) -> bool {
        let taken = self
            .early_deaths
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |deaths| {
                deaths.checked_sub(1)
            });
        taken.is_ok()
    }

    /// Bytes of memory that copies share.
    pub fn memory_size(&self) -> usize {
        self.frozen.memory_size()
    }

    pub(crate) fn died_early(&self) {
        self.early_deaths.fetch_add(1, Ordering::Relaxed);
    }
}
