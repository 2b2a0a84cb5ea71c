//! Meters of a VM.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use weir_account::Account;

use crate::meters::Meters;

/// The state of a VM at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum VmState {
    /// The VM is being started and configured.
    Starting,
    /// The VM has been started and waits for another to die.
    Spare,
    /// The VM takes streams.
    Live,
    /// A newer configuration has no use for the VM; streams that began in it keep it.
    Retired,
    /// The VM has died; streams that began in it have yet to let go of it.
    Dead,
}

impl VmState {
    /// Every state, in the order of a VM's life.
    pub const ALL: [Self; 5] = [Self::Starting, Self::Spare, Self::Live, Self::Retired, Self::Dead];

    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Spare => "spare",
            Self::Live => "live",
            Self::Retired => "retired",
            Self::Dead => "dead",
        }
    }
}

/// Counts a VM for as long as the VM exists. The host makes and drops it with the VM.
#[derive(Debug)]
pub struct VmMeter {
    meters: Meters,
    shown: Arc<Shown>,
}

/// The part that readers see.
#[derive(Debug)]
pub(crate) struct Shown {
    state: AtomicU8,
    memory: AtomicUsize,
    account: Arc<Account>,
    /// Names of the plugins, as [`plugin_names`] shows them; set once the VM is live.
    plugins: OnceLock<Arc<str>>,
}

/// Every VM that exists.
#[derive(Debug, Default)]
pub(crate) struct Vms(Mutex<Vec<Weak<Shown>>>);

/// A VM at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmReading {
    /// The VM's state.
    pub state: VmState,
    /// Names of its plugins, as [`plugin_names`] shows them; empty while the VM starts.
    pub plugins: Arc<str>,
    /// Bytes of linear memory, as of the last stream that ended in the VM.
    pub memory: usize,
    /// Bytes that the host holds for the VM.
    pub host_memory: usize,
    /// The number of times that the host refused to hold more for the VM.
    pub host_memory_refused: u64,
}

/// The names of the plugins of a VM, for a label or a line of the log: with commas between them, and a number for those beyond
/// the eighth.
pub fn plugin_names<'a>(plugins: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 8;
    let mut plugins = plugins.into_iter();
    let mut names = plugins.by_ref().take(SHOWN).collect::<Vec<_>>().join(",");
    match plugins.count() {
        0 => {}
        more => names.push_str(&format!(",+{more}")),
    }
    names
}

impl VmMeter {
    pub(crate) fn new(meters: &Meters, account: &Arc<Account>) -> Self {
        let shown = Arc::new(Shown {
            state: AtomicU8::new(VmState::Starting as u8),
            memory: AtomicUsize::new(0),
            account: Arc::clone(account),
            plugins: OnceLock::new(),
        });
        meters.vms().add(&shown);
        Self {
            meters: meters.clone(),
            shown,
        }
    }

    /// The meters that the VM counts into.
    pub fn meters(&self) -> &Meters {
        &self.meters
    }

    /// The VM has been started and configured, with these plugins.
    pub fn started<'a>(&self, plugins: impl IntoIterator<Item = &'a str>) {
        // A VM starts once.
        let _ = self.shown.plugins.set(plugin_names(plugins).into());
        self.set_state(VmState::Live);
        self.meters.vm_started.increment();
    }

    /// The VM has been started to wait for another to die. It counts as started when it takes over.
    pub fn set_aside(&self) {
        self.set_state(VmState::Spare);
    }

    /// A newer configuration has no use for the VM.
    pub fn retired(&self) {
        if self.state() == VmState::Live {
            self.set_state(VmState::Retired);
        }
    }

    /// The VM has died while `plugin`, if any, was called. A VM that dies before it has started counts as a start that
    /// failed.
    pub fn died(&self, plugin: Option<&str>, cause: &'static str) {
        if matches!(self.state(), VmState::Live | VmState::Retired) {
            self.meters.count_death(plugin.unwrap_or_default(), cause);
            self.set_state(VmState::Dead);
            self.set_memory(0);
        }
    }

    /// Notes the size of the VM's linear memory, in bytes.
    #[inline]
    pub fn set_memory(&self, bytes: usize) {
        self.shown.memory.store(bytes, Ordering::Relaxed);
    }

    fn set_state(&self, state: VmState) {
        self.shown.state.store(state as u8, Ordering::Relaxed);
    }

    fn state(&self) -> VmState {
        self.shown.state()
    }
}

impl Drop for VmMeter {
    fn drop(&mut self) {
        if !matches!(self.state(), VmState::Starting | VmState::Spare) {
            self.meters.vm_ended.increment();
        }
    }
}

impl Shown {
    fn state(&self) -> VmState {
        let state = usize::from(self.state.load(Ordering::Relaxed));
        VmState::ALL.get(state).copied().unwrap_or(VmState::Dead)
    }
}

impl Vms {
    fn add(&self, shown: &Arc<Shown>) {
        let mut vms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // As often as the list would grow, so that a VM costs the same however many there are.
        if vms.len() == vms.capacity() {
            vms.retain(|vm| vm.strong_count() > 0);
            let room = vms.len().max(16);
            vms.reserve(room);
        }
        vms.push(Arc::downgrade(shown));
    }

    pub fn reading(&self) -> Vec<VmReading> {
        let vms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let vms = vms.iter().filter_map(Weak::upgrade).map(|vm| VmReading {
            state: vm.state(),
            plugins: vm.plugins.get().cloned().unwrap_or_default(),
            memory: vm.memory.load(Ordering::Relaxed),
            host_memory: vm.account.held(),
            host_memory_refused: vm.account.refused(),
        });
        vms.collect()
    }
}
