//! Snapshots: one guest is configured and frozen, and many guests continue from there. They share its memory until they
//! write to it.
//!
//! The module is compiled for that by [`HostModule::compile_for_snapshots`](crate::HostModule::compile_for_snapshots). The
//! snapshot keeps what the guest told the host until it was frozen, in a form that the guest's kind knows.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use weir_engine::{InstantiateError, Snapshot};

use crate::life::{GuestInstance, Origin};
use crate::sets::{GuestKind, SetStates};
use crate::{StartError, VmError, VmSpec};

/// A configured guest as it was when it was frozen, from which others continue. `T` is what the guest had told the host.
pub struct GuestSnapshot<T> {
    spec: Arc<VmSpec>,
    frozen: Arc<dyn Snapshot>,
    told: T,
    /// The states of import sets, from which each guest gets its own.
    sets: Mutex<SetStates>,
    /// Guests from the snapshot that died before they had proved themselves. The next start for each of them is an ordinary
    /// one.
    early_deaths: AtomicUsize,
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
        /// The VM's death.
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

impl<T> GuestSnapshot<T> {
    /// Freezes an instance that was started from [`Origin::Freezable`].
    ///
    /// # Errors
    ///
    /// An import set has no state for another guest, or the engine refuses.
    pub fn freeze<K: GuestKind>(
        spec: &Arc<VmSpec>,
        mut instance: GuestInstance<K>,
        told: T,
    ) -> Result<Self, NoSnapshot> {
        let sets = &instance.state().common.sets;
        let sets = sets.for_snapshot().map_err(NoSnapshot::ImportSet)?;
        let instance = instance.into_freezable();
        let instance =
            instance.ok_or_else(|| NoSnapshot::Module("its VM was not started to be frozen".into()))?;
        Ok(Self {
            spec: Arc::clone(spec),
            frozen: instance.freeze()?,
            told,
            sets: Mutex::new(sets),
            early_deaths: AtomicUsize::new(0),
        })
    }

    /// Returns the origin of one more guest, for [`Life::start`](crate::life::Life::start).
    ///
    /// # Errors
    ///
    /// An import set has no state for another guest.
    pub fn origin(&self) -> Result<Origin<'_>, StartError> {
        let sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        let sets = sets.for_snapshot().map_err(|set| StartError::Instantiate {
            module: self.spec.module.name().into(),
            source: InstantiateError::Other(format!("the import set {set} has no state for another VM")),
        })?;
        Ok(Origin::Snapshot(self.frozen.as_ref(), sets))
    }

    /// The specification of the guest that was frozen, and of those that continue from it.
    pub const fn spec(&self) -> &Arc<VmSpec> {
        &self.spec
    }

    /// The facts that the guest had told the host.
    pub const fn told(&self) -> &T {
        &self.told
    }

    /// True if the next guest is to be started from its module, because a guest from the snapshot died early: the cause may
    /// lie in the snapshot. The answer is true once for each such death.
    pub fn is_distrusted(&self) -> bool {
        let taken = self
            .early_deaths
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |deaths| {
                deaths.checked_sub(1)
            });
        taken.is_ok()
    }

    /// True if a guest from the snapshot has died early, and none has been started from the module for that yet.
    pub fn has_died_early(&self) -> bool {
        self.early_deaths.load(Ordering::Relaxed) > 0
    }

    /// Notes that a guest from the snapshot has died before it had proved itself.
    pub fn died_early(&self) {
        self.early_deaths.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes of memory that guests from the snapshot share.
    pub fn memory_size(&self) -> usize {
        self.frozen.memory_size()
    }
}
