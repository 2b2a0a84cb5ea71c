//! State that the VMs of a process share: data, queues, metrics, foreign functions.

mod log_allowance;
mod metrics;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use log_allowance::LogAllowances;
pub use log_allowance::{LogAllowance, LostLogLines};
pub(crate) use metrics::NO_METRIC;
pub use metrics::{HISTOGRAM_BOUNDS, HistogramSnapshot, MetricCache, MetricSnapshot, MetricValue, Metrics};
use weir_meters::Meters;
use weir_state::Stores;

use crate::ForeignFunctions;

/// State that the VMs of a process share. A clone is the same state.
#[derive(Clone, Debug)]
pub struct Shared(Arc<State>);

#[derive(Debug)]
struct State {
    stores: Stores,
    metrics: Metrics,
    meters: Meters,
    foreign_functions: ForeignFunctions,
    log_allowances: LogAllowances,
    last_vm: AtomicU64,
}

impl Shared {
    /// State without content, in the process; guests may call these foreign functions.
    pub fn new(foreign_functions: ForeignFunctions) -> Self {
        Self::with_stores(foreign_functions, Stores::default())
    }

    /// As [`Shared::new`], with data and queues in these stores.
    pub fn with_stores(foreign_functions: ForeignFunctions, stores: Stores) -> Self {
        Self(Arc::new(State {
            metrics: Metrics::under(stores.ceiling()),
            stores,
            meters: Meters::default(),
            foreign_functions,
            log_allowances: LogAllowances::default(),
            last_vm: AtomicU64::new(0),
        }))
    }

    /// Shared data and shared queues, by `vm_id`.
    pub fn stores(&self) -> &Stores {
        &self.0.stores
    }

    /// The metrics that guests have defined.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// The meters, by which the process counts about itself.
    pub fn meters(&self) -> &Meters {
        &self.0.meters
    }

    /// The functions that guests may call beyond the specification.
    pub fn foreign_functions(&self) -> &ForeignFunctions {
        &self.0.foreign_functions
    }

    /// How many lines plugins have lost because they logged more than they may, in no order.
    pub fn lost_log_lines(&self) -> Vec<LostLogLines> {
        self.0.log_allowances.lost()
    }

    /// What a plugin may log, in all of its VMs. VMs pay for each line from it.
    pub fn log_allowance(&self, plugin: &str) -> Arc<LogAllowance> {
        self.0.log_allowances.of_plugin(plugin)
    }

    pub(crate) fn log_allowances(&self) -> &LogAllowances {
        &self.0.log_allowances
    }

    /// An overlay for a VM that is only tried out: the VM finds the data, queues and metrics that exist, and nobody else
    /// sees what it changes. Its metrics start at zero, its queues empty. Costs the same whatever exists.
    #[must_use]
    pub fn overlay(&self) -> Self {
        Self(Arc::new(State {
            // Under the ceiling of the process: memory for a trial is memory like any other.
            stores: self.0.stores.overlay(),
            metrics: self.0.metrics.overlay(),
            // A VM that is only tried out is nobody's to count.
            meters: Meters::default(),
            foreign_functions: self.0.foreign_functions.clone(),
            // What a trial logs is in the same log.
            log_allowances: self.0.log_allowances.clone(),
            last_vm: AtomicU64::new(0),
        }))
    }

    /// A number for a new VM, unique in the process.
    pub(crate) fn next_vm(&self) -> u64 {
        self.0.last_vm.fetch_add(1, Ordering::Relaxed) + 1
    }
}
