//! What the VMs of a process share: data, queues, metrics, foreign functions.

mod exposition;
mod metrics;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use metrics::{HISTOGRAM_BOUNDS, HistogramSnapshot, MetricCache, MetricSnapshot, MetricValue, Metrics};
pub use weir_state::{QueueWaker, SharedData, SharedQueues};

use weir_meters::Meters;

use crate::ForeignFunctions;

/// What the VMs of a process share. A clone is the same state.
#[derive(Clone, Debug)]
pub struct Shared(Arc<State>);

#[derive(Debug)]
struct State {
    data: SharedData,
    queues: SharedQueues,
    metrics: Metrics,
    meters: Meters,
    foreign_functions: ForeignFunctions,
    last_vm: AtomicU64,
}

impl Shared {
    /// State without content; guests may call these foreign functions.
    pub fn new(foreign_functions: ForeignFunctions) -> Self {
        Self(Arc::new(State {
            data: SharedData::default(),
            queues: SharedQueues::default(),
            metrics: Metrics::default(),
            meters: Meters::default(),
            foreign_functions,
            last_vm: AtomicU64::new(0),
        }))
    }

    /// Shared data.
    pub fn data(&self) -> &SharedData {
        &self.0.data
    }

    /// Shared queues.
    pub fn queues(&self) -> &SharedQueues {
        &self.0.queues
    }

    /// The metrics that guests have defined.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// What the process counts about itself.
    pub fn meters(&self) -> &Meters {
        &self.0.meters
    }

    /// What guests may call beyond the specification.
    pub fn foreign_functions(&self) -> &ForeignFunctions {
        &self.0.foreign_functions
    }

    /// A copy for a VM that is only tried out: it finds the data, queues and metrics that exist, and what it changes
    /// nobody else sees.
    pub fn scratch(&self) -> Self {
        Self(Arc::new(State {
            data: self.0.data.copy(),
            queues: self.0.queues.copy(),
            metrics: self.0.metrics.copy(),
            // A VM that is only tried out is nobody's to count.
            meters: Meters::default(),
            foreign_functions: self.0.foreign_functions.clone(),
            last_vm: AtomicU64::new(0),
        }))
    }

    /// A number for a new VM, unique in the process.
    pub(crate) fn next_vm(&self) -> u64 {
        self.0.last_vm.fetch_add(1, Ordering::Relaxed) + 1
    }
}
