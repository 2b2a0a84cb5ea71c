//! The meters of a process.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use quanta::Clock;
use weir_account::Account;

use crate::counter::Counter;
use crate::plugin::{PluginMeter, PluginReading, Plugins};
use crate::times::{COMPILE_BOUNDS, Times, TimesReading};
use crate::upstream::{UpstreamMeter, UpstreamMeters, UpstreamReading};
use crate::vm::{VmMeter, VmReading, Vms};

/// The meters of a process. A clone is the same meters. The counters are its fields, through [`Deref`].
#[derive(Clone, Default)]
pub struct Meters(Arc<Inner>);

#[derive(Default)]
struct Inner {
    counters: Counters,
    plugins: Arc<Plugins>,
    vms: Vms,
    restarting: AtomicUsize,
    deaths: Mutex<BTreeMap<(Arc<str>, &'static str), u64>>,
    /// By the runtime's name.
    compilations: Mutex<BTreeMap<&'static str, Times>>,
    upstreams: UpstreamMeters,
    /// Set once callbacks are to be timed.
    clock: OnceLock<Clock>,
}

macro_rules! counters {
    ($($(#[doc = $help:literal])+ $name:ident,)*) => {
        /// Counters without labels.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[doc = $help])+ pub $name: Counter,)*
        }

        impl Counters {
            /// Every counter, in a fixed order.
            pub fn reading(&self) -> impl Iterator<Item = CounterReading> + '_ {
                [$(CounterReading {
                    name: stringify!($name),
                    help: concat!($($help),+).trim_ascii_start(),
                    value: self.$name.value(),
                },)*].into_iter()
            }
        }
    };
}

counters! {
    /// VMs that have been started.
    vm_started,
    /// VMs that have died.
    vm_died,
    /// VMs that are no more: dead ones, and those that no configuration and no stream uses any longer.
    vm_ended,
    /// VMs that could not be started.
    vm_start_failed,
    /// Streams that filters have seen.
    streams,
    /// Answers that filters have given.
    local_responses,
    /// Streams that went on without a filter that had failed.
    fail_open,
    /// Streams that were refused because a filter had failed.
    fail_closed,
    /// Streams that were ended because nothing moved for too long.
    stream_deadlines,
    /// Configurations that replaced the first one.
    reloads,
    /// Configurations that were refused at a reload.
    reload_failures,
    /// Attempts to replace a VM that died or did not start.
    vm_restarts,
    /// Streams that are over.
    streams_ended,
    /// Client connections that were refused because too many were open.
    connections_refused,
}

/// A counter at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterReading {
    /// Name, without prefix and suffix.
    pub name: &'static str,
    /// One line about its meaning.
    pub help: &'static str,
    /// Its value.
    pub value: u64,
}

/// Deaths of VMs of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// The plugin that was called; empty where the VM died outside of any.
    pub plugin: Arc<str>,
    /// Why, such as `deadline`.
    pub cause: &'static str,
    /// The number of times.
    pub count: u64,
}

/// A slot without a VM that waits for the next start. Counted until it is dropped.
#[derive(Debug)]
pub struct Restarting(Meters);

impl Deref for Meters {
    type Target = Counters;

    fn deref(&self) -> &Counters {
        &self.0.counters
    }
}

impl Meters {
    /// Has the times of callbacks measured from now on, which costs some 40 ns a callback. Called where somebody will read
    /// them. The first call finds out how fast the processor's clock runs, which takes up to 200 ms.
    pub fn time_callbacks(&self) {
        self.0.clock.get_or_init(Clock::new);
    }

    /// The clock of callback times, where they are measured.
    #[inline]
    pub fn clock(&self) -> Option<&Clock> {
        self.0.clock.get()
    }

    /// A meter for a VM that is about to be started, for whose sake the host charges this account.
    pub fn vm(&self, account: &Arc<Account>) -> VmMeter {
        VmMeter::new(self, account)
    }

    /// A meter for a context of the plugin of this name, in one VM.
    pub fn plugin(&self, name: &str) -> PluginMeter {
        PluginMeter::new(&self.0.plugins, name)
    }

    /// The meter of the upstream of this name, shared by all workers. It outlives reloads.
    pub fn upstream(&self, name: &str) -> Arc<UpstreamMeter> {
        self.0.upstreams.of(name)
    }

    /// A slot has no VM and waits for the next start: to be held until the VM has come, or is not wanted any more.
    pub fn restarting(&self) -> Restarting {
        self.0.restarting.fetch_add(1, Ordering::Relaxed);
        Restarting(self.clone())
    }

    /// A runtime took this long to compile a module, or to load its code from the code cache.
    pub fn compiled(&self, runtime: &'static str, took: Duration) {
        let mut compilations = lock(&self.0.compilations);
        let times = compilations
            .entry(runtime)
            .or_insert_with(|| Times::new(COMPILE_BOUNDS));
        times.record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Slots that wait for the next start of their VM.
    pub fn slots_restarting(&self) -> usize {
        self.0.restarting.load(Ordering::Relaxed)
    }

    /// Every VM that exists.
    pub fn vm_readings(&self) -> Vec<VmReading> {
        self.0.vms.reading()
    }

    /// Every plugin that has had a context, by name.
    pub fn plugin_readings(&self) -> Vec<PluginReading> {
        self.0.plugins.reading()
    }

    /// Every upstream that has been made ready, by name.
    pub fn upstream_readings(&self) -> Vec<UpstreamReading> {
        self.0.upstreams.reading()
    }

    /// Compile times by runtime.
    pub fn compilations(&self) -> Vec<(&'static str, TimesReading)> {
        let compilations = lock(&self.0.compilations);
        let times = compilations.iter();
        times
            .map(|(runtime, times)| (*runtime, times.reading()))
            .collect()
    }

    /// Deaths of VMs by plugin and cause.
    pub fn deaths(&self) -> Vec<Death> {
        let deaths = lock(&self.0.deaths);
        let deaths = deaths.iter().map(|((plugin, cause), count)| Death {
            plugin: Arc::clone(plugin),
            cause,
            count: *count,
        });
        deaths.collect()
    }

    pub(crate) fn count_death(&self, plugin: &str, cause: &'static str) {
        self.vm_died.increment();
        *lock(&self.0.deaths).entry((plugin.into(), cause)).or_default() += 1;
    }

    pub(crate) fn vms(&self) -> &Vms {
        &self.0.vms
    }
}

impl fmt::Debug for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Meters").field(&self.0.counters).finish()
    }
}

impl Drop for Restarting {
    fn drop(&mut self) {
        self.0.0.restarting.fetch_sub(1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use weir_account::Ceiling;

    use super::*;
    use crate::VmState;

    fn vm(meters: &Meters) -> VmMeter {
        meters.vm(&Account::new(1000, &Ceiling::default()))
    }

    fn states(meters: &Meters) -> Vec<VmState> {
        meters.vm_readings().iter().map(|vm| vm.state).collect()
    }

    #[test]
    fn a_vm_is_counted_through_its_life() {
        let meters = Meters::default();
        let account = Account::new(1000, &Ceiling::default());
        let vm = meters.vm(&account);
        let charge = account.charge(600);
        assert!(account.charge(600).is_err());
        assert_eq!(states(&meters), [VmState::Starting]);
        vm.started(["a", "b"]);
        vm.set_memory(65_536);
        let reading = &meters.vm_readings()[0];
        assert_eq!((&*reading.plugins, reading.memory), ("a,b", 65_536));
        assert_eq!(reading.state, VmState::Live);
        assert_eq!((reading.host_memory, reading.host_memory_refused), (600, 1));
        drop(charge);
        vm.retired();
        assert_eq!(states(&meters), [VmState::Retired]);
        vm.died(Some("b"), "deadline");
        assert_eq!(states(&meters), [VmState::Dead]);
        drop(vm);
        assert_eq!(states(&meters), []);
        let counts = [&meters.vm_started, &meters.vm_died, &meters.vm_ended];
        assert_eq!(counts.map(Counter::value), [1, 1, 1]);
        let death = Death {
            plugin: "b".into(),
            cause: "deadline",
            count: 1,
        };
        assert_eq!(meters.deaths(), [death]);
    }

    #[test]
    fn a_vm_that_does_not_start_neither_dies_nor_ends() {
        let meters = Meters::default();
        let vm = vm(&meters);
        vm.died(None, "trap");
        drop(vm);
        assert_eq!(meters.vm_died.value() + meters.vm_ended.value(), 0);
        assert!(meters.deaths().is_empty());
    }

    #[test]
    fn slots_that_wait_are_counted_until_they_do_not() {
        let meters = Meters::default();
        let slots = [meters.restarting(), meters.clone().restarting()];
        assert_eq!(meters.slots_restarting(), 2);
        drop(slots);
        assert_eq!(meters.slots_restarting(), 0);
    }

    #[test]
    fn upstreams_of_a_name_share_a_meter() {
        let meters = Meters::default();
        let upstream = meters.upstream("origin");
        upstream.requests.increment();
        upstream.connections.add(2);
        meters.upstream("origin").closed.increment();
        let readings = meters.upstream_readings();
        assert_eq!(readings.len(), 1);
        assert_eq!((readings[0].requests, readings[0].open), (1, 1));
    }

    #[test]
    fn compile_times_are_kept_by_runtime() {
        let meters = Meters::default();
        meters.compiled("wasmi", Duration::from_millis(3));
        meters.compiled("wasmi", Duration::from_millis(4));
        let compilations = meters.compilations();
        assert_eq!(compilations.len(), 1);
        assert_eq!((compilations[0].0, compilations[0].1.count()), ("wasmi", 2));
        assert_eq!(compilations[0].1.sum, Duration::from_millis(7));
    }

    #[test]
    fn callbacks_are_timed_once_asked_for() {
        let meters = Meters::default();
        assert!(meters.clock().is_none());
        meters.clone().time_callbacks();
        assert!(meters.clock().is_some());
    }
}
