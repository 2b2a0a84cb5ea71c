//! Meters of a plugin: one block for each VM that it has a context in, added up by the plugin's name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use weir_abi::{Callback, Status};

use crate::times::{CALLBACK_BOUNDS, Times, TimesReading};

const CALLBACKS: usize = Callback::ALL.len();

/// Counts what a plugin does in one VM. The thread that is in the VM writes it.
pub struct PluginMeter {
    registry: Arc<Plugins>,
    name: Arc<str>,
    block: Arc<Block>,
}

/// Every plugin by name.
#[derive(Default)]
pub(crate) struct Plugins(Mutex<BTreeMap<Arc<str>, Plugin>>);

#[derive(Default)]
struct Plugin {
    /// Counts of VMs that are gone.
    past: Totals,
    live: Vec<Arc<Block>>,
}

/// Counts of a plugin in one VM.
struct Block {
    /// By the callbacks' index; each histogram is made with its first sample.
    times: [OnceLock<Box<Times>>; CALLBACKS],
    /// Few hostcalls fail, and in few ways.
    errors: Mutex<Vec<HostcallErrors>>,
    put_off: AtomicU64,
}

#[derive(Clone, Default)]
struct Totals {
    times: BTreeMap<usize, TimesReading>,
    errors: Vec<HostcallErrors>,
    put_off: u64,
}

/// The number of times that a hostcall answered with a status that is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostcallErrors {
    /// Name of the hostcall, such as `proxy_set_buffer_bytes`.
    pub hostcall: &'static str,
    /// The status.
    pub status: Status,
    /// The number of times.
    pub count: u64,
}

/// The times that a callback of a plugin took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallbackTimes {
    /// The callback.
    pub callback: Callback,
    /// Its times.
    pub times: TimesReading,
}

/// The meters of a plugin at one moment, all VMs together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginReading {
    /// Name of the plugin.
    pub name: Arc<str>,
    /// In the order of [`Callback::ALL`]; empty while callbacks are not timed.
    pub callbacks: Vec<CallbackTimes>,
    /// In the order in which the errors first happened.
    pub errors: Vec<HostcallErrors>,
    /// Events in the background that were put off, because the VM had used its share of the thread.
    pub put_off: u64,
}

impl PluginMeter {
    pub(crate) fn new(registry: &Arc<Plugins>, name: &str) -> Self {
        let block = Arc::new(Block {
            times: [const { OnceLock::new() }; CALLBACKS],
            errors: Mutex::default(),
            put_off: AtomicU64::new(0),
        });
        let mut plugins = registry.lock();
        let name = match plugins.get_key_value(name) {
            Some((known, _)) => Arc::clone(known),
            None => name.into(),
        };
        let plugin = plugins.entry(Arc::clone(&name)).or_default();
        plugin.live.push(Arc::clone(&block));
        drop(plugins);
        Self {
            registry: Arc::clone(registry),
            name,
            block,
        }
    }

    /// A callback of the plugin took this long. Called by the thread that is in the VM, after the callback.
    #[inline]
    pub fn callback_took(&self, callback: Callback, nanos: u64) {
        let times = self.block.times[callback.index()].get_or_init(|| Box::new(Times::new(CALLBACK_BOUNDS)));
        times.record(nanos);
    }

    /// A hostcall of the plugin answered with an error.
    #[cold]
    pub fn hostcall_failed(&self, hostcall: &'static str, status: Status) {
        let one = HostcallErrors {
            hostcall,
            status,
            count: 1,
        };
        add_errors(&mut lock(&self.block.errors), &[one]);
    }

    /// An event in the background was put off.
    pub fn put_off(&self) {
        self.block.put_off.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for PluginMeter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PluginMeter").field(&self.name).finish()
    }
}

/// The VM is gone: its counts stay in the plugin's.
impl Drop for PluginMeter {
    fn drop(&mut self) {
        let mut plugins = self.registry.lock();
        // In one step under the lock, so that no reader misses the counts or finds them twice.
        if let Some(plugin) = plugins.get_mut(&self.name) {
            plugin.live.retain(|live| !Arc::ptr_eq(live, &self.block));
            plugin.past.add(&self.block);
        }
    }
}

impl Plugins {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Plugin>> {
        lock(&self.0)
    }

    /// Every plugin that had a context, by name.
    pub fn reading(&self) -> Vec<PluginReading> {
        let plugins = self.lock();
        let reading = plugins.iter().map(|(name, plugin)| {
            let mut totals = plugin.past.clone();
            plugin.live.iter().for_each(|block| totals.add(block));
            let callbacks = totals.times.into_iter().filter_map(|(index, times)| {
                let callback = *Callback::ALL.get(index)?;
                Some(CallbackTimes { callback, times })
            });
            PluginReading {
                name: Arc::clone(name),
                callbacks: callbacks.collect(),
                errors: totals.errors,
                put_off: totals.put_off,
            }
        });
        reading.collect()
    }
}

impl Totals {
    fn add(&mut self, block: &Block) {
        for (index, times) in block.times.iter().enumerate() {
            if let Some(times) = times.get() {
                self.times
                    .entry(index)
                    .or_insert_with(|| TimesReading::empty(CALLBACK_BOUNDS))
                    .add(&times.reading());
            }
        }
        add_errors(&mut self.errors, &lock(&block.errors));
        self.put_off += block.put_off.load(Ordering::Relaxed);
    }
}

fn add_errors(known: &mut Vec<HostcallErrors>, more: &[HostcallErrors]) {
    for one in more {
        let same = |known: &&mut HostcallErrors| known.status == one.status && known.hostcall == one.hostcall;
        match known.iter_mut().find(same) {
            Some(known) => known.count += one.count,
            None => known.push(*one),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_all_vms_are_added_up_and_outlive_them() {
        let plugins = Arc::new(Plugins::default());
        let [one, other] = [(); 2].map(|()| PluginMeter::new(&plugins, "auth"));
        one.callback_took(Callback::Tick, 700);
        other.callback_took(Callback::Tick, 2_000);
        other.callback_took(Callback::Log, 1);
        one.hostcall_failed("proxy_log", Status::BadArgument);
        one.put_off();
        other.hostcall_failed("proxy_log", Status::BadArgument);
        other.put_off();
        other.hostcall_failed("proxy_log", Status::InvalidMemoryAccess);
        let before = plugins.reading();
        drop(one);
        assert_eq!(plugins.reading(), before);
        drop(other);
        assert_eq!(plugins.reading(), before);

        let [auth] = &before[..] else { panic!("{before:?}") };
        assert_eq!((&*auth.name, auth.put_off), ("auth", 2));
        let counts: Vec<_> = auth
            .callbacks
            .iter()
            .map(|callback| (callback.callback, callback.times.count()))
            .collect();
        assert_eq!(counts, [(Callback::Tick, 2), (Callback::Log, 1)]);
        let errors: Vec<_> = auth
            .errors
            .iter()
            .map(|error| (error.status, error.count))
            .collect();
        assert_eq!(
            errors,
            [(Status::BadArgument, 2), (Status::InvalidMemoryAccess, 1)]
        );
    }
}
