//! Metrics that guests define: one registry per process, read and written without a lock.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use weir_abi::limits::{MAX_METRIC_NAME, MAX_METRICS};
use weir_abi::{MetricType, Status};
use weir_account::{Account, Ceiling, Charge, HOST_MEMORY_ITEM};

/// Upper bounds (inclusive) of the buckets of every histogram: 1, 2, 5 and their multiples by ten. A guest defines a
/// histogram by its name alone, so the bounds must suit milliseconds as well as nanoseconds and bytes: a sample is known
/// to within a factor of 2.5 from 1 up to five million million. A last bucket holds what is larger.
pub const HISTOGRAM_BOUNDS: [u64; BOUNDS] = {
    let mut bounds = [0; BOUNDS];
    let (mut i, mut decade) = (0, 1);
    while i < BOUNDS {
        bounds[i] = decade;
        bounds[i + 1] = 2 * decade;
        bounds[i + 2] = 5 * decade;
        decade *= 10;
        i += 3;
    }
    bounds
};

const BOUNDS: usize = 39;

/// The metrics of a process. A clone is the same registry.
///
/// Names belong to the whole process: VMs that define the same name and type count into the same metric.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

/// The number of a metric that could not be defined. It counts nothing and is always 0: SDKs take no status from
/// `proxy_define_metric` but Ok.
pub(crate) const NO_METRIC: u32 = u32::MAX - 1;

#[derive(Debug)]
struct Inner {
    registry: RwLock<Registry>,
    /// Pays for names and values; the ceiling of the process is its limit.
    account: Arc<Account>,
    below: Option<Below>,
}

/// The metrics below an overlay.
#[derive(Debug)]
struct Below {
    metrics: Metrics,
    /// The last number when the overlay was made: up to this one, numbers mean what they mean below.
    last: u32,
}

#[derive(Debug, Default)]
struct Registry {
    ids: HashMap<Arc<str>, u32>,
    /// The number of metrics that each `vm_id` was the first to define.
    defined: HashMap<Box<str>, usize>,
    metrics: BTreeMap<u32, Arc<Metric>>,
    /// The number given out last.
    last: u32,
}

#[derive(Debug)]
struct Metric {
    name: Arc<str>,
    cell: Cell,
    _charge: Charge,
}

#[derive(Debug)]
enum Cell {
    Counter(AtomicU64),
    Gauge(AtomicI64),
    Histogram(Box<Histogram>),
}

#[derive(Debug)]
struct Histogram {
    /// Samples per bucket, each sample in one.
    buckets: [AtomicU64; BOUNDS + 1],
    sum: AtomicU64,
}

/// A metric as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricSnapshot {
    /// Name that the guest gave.
    pub name: String,
    /// Value.
    pub value: MetricValue,
}

/// Value of a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricValue {
    /// A counter.
    Counter(u64),
    /// A gauge.
    Gauge(i64),
    /// A histogram.
    Histogram(Box<HistogramSnapshot>),
}

/// A histogram as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramSnapshot {
    /// Samples up to each of [`HISTOGRAM_BOUNDS`], those of the buckets before included.
    pub cumulative: [u64; BOUNDS],
    /// All samples.
    pub count: u64,
    /// Sum of all samples; stays at `u64::MAX` once there.
    pub sum: u64,
}

/// Metrics under a ceiling of their own.
impl Default for Metrics {
    fn default() -> Self {
        Self::under(&Ceiling::default())
    }
}

impl Metrics {
    /// No metrics, in a process with this ceiling.
    pub(super) fn under(ceiling: &Ceiling) -> Self {
        Self(Arc::new(Inner {
            registry: RwLock::default(),
            account: Account::new(usize::MAX, ceiling),
            below: None,
        }))
    }

    /// The way to the metrics of a VM without `vm_id`.
    pub fn cache(&self) -> MetricCache {
        self.cache_of("")
    }

    /// A VM's way to the metrics. What it defines counts for its `vm_id`.
    pub fn cache_of(&self, vm_id: &str) -> MetricCache {
        MetricCache {
            registry: self.clone(),
            vm_id: vm_id.into(),
            metrics: Vec::new(),
        }
    }

    /// Every metric as it stands, in the order of definition.
    pub fn snapshot(&self) -> Vec<MetricSnapshot> {
        // Only the list is taken under the lock.
        let metrics: Vec<_> = self.read().metrics.values().cloned().collect();
        metrics.iter().map(|metric| metric.snapshot()).collect()
    }

    /// Metrics for a VM that is only tried out: it finds those that exist, by name, type and number, all at zero, and
    /// nobody else sees what it defines and counts. Costs the same however many exist.
    pub(super) fn overlay(&self) -> Self {
        let last = self.read().last;
        Self(Arc::new(Inner {
            registry: RwLock::new(Registry {
                last,
                ..Registry::default()
            }),
            account: Arc::clone(&self.0.account),
            below: Some(Below {
                metrics: self.clone(),
                last,
            }),
        }))
    }

    fn define(&self, vm_id: &str, kind: MetricType, name: &str) -> Result<u32, Status> {
        let mut registry = self.write();
        if let Some(known) = registry
            .ids
            .get(name)
            .and_then(|id| registry.metrics.get_key_value(id))
        {
            let (id, metric) = known;
            return if metric.cell.kind() == kind {
                Ok(*id)
            } else {
                Err(Status::BadArgument)
            };
        }
        if let Some((id, metric)) = self.0.below.as_ref().and_then(|below| below.named(name)) {
            registry.add(id, &metric.name, metric.cell.kind(), Charge::none());
            return if metric.cell.kind() == kind {
                Ok(id)
            } else {
                Err(Status::BadArgument)
            };
        }
        let below = self
            .0
            .below
            .as_ref()
            .map_or(0, |below| below.metrics.defined(vm_id));
        if below + registry.defined(vm_id) >= MAX_METRICS || registry.last >= NO_METRIC - 1 {
            return Err(Status::InternalFailure);
        }
        let charge = self.0.account.charge(cost(kind, name));
        let charge = charge.map_err(|_| Status::InternalFailure)?;
        match registry.defined.get_mut(vm_id) {
            Some(defined) => *defined += 1,
            None => {
                registry.defined.insert(vm_id.into(), 1);
            }
        }
        registry.last += 1;
        let id = registry.last;
        registry.add(id, &name.into(), kind, charge);
        Ok(id)
    }

    fn find(&self, id: u32) -> Option<Arc<Metric>> {
        if let Some(metric) = self.read().metrics.get(&id) {
            return Some(Arc::clone(metric));
        }
        let metric = self.0.below.as_ref()?.numbered(id)?;
        Some(
            self.write()
                .add(id, &metric.name, metric.cell.kind(), Charge::none()),
        )
    }

    /// Returns the number of metrics that a `vm_id` has defined.
    fn defined(&self, vm_id: &str) -> usize {
        self.read().defined(vm_id)
    }

    fn read(&self) -> RwLockReadGuard<'_, Registry> {
        self.0.registry.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Registry> {
        self.0.registry.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Below {
    /// The metric of this name.
    fn named(&self, name: &str) -> Option<(u32, Arc<Metric>)> {
        let id = self.metrics.read().ids.get(name).copied()?;
        Some((id, self.numbered(id)?))
    }

    /// The metric with this number.
    fn numbered(&self, id: u32) -> Option<Arc<Metric>> {
        if id > self.last {
            return None;
        }
        self.metrics.find(id)
    }
}

impl Registry {
    /// Adds a metric at zero, unless there is one with this number.
    fn add(&mut self, id: u32, name: &Arc<str>, kind: MetricType, charge: Charge) -> Arc<Metric> {
        let metric = self.metrics.entry(id).or_insert_with(|| {
            Arc::new(Metric {
                name: Arc::clone(name),
                cell: Cell::new(kind),
                _charge: charge,
            })
        });
        self.ids.insert(Arc::clone(name), id);
        Arc::clone(metric)
    }

    fn defined(&self, vm_id: &str) -> usize {
        self.defined.get(vm_id).copied().unwrap_or_default()
    }
}

/// The bytes that a metric takes.
fn cost(kind: MetricType, name: &str) -> usize {
    let histogram = if kind == MetricType::Histogram {
        size_of::<Histogram>()
    } else {
        0
    };
    name.len() + 4 * HOST_MEMORY_ITEM + histogram
}

/// A VM's way to the metrics: it asks the registry once for each metric and touches only that metric afterwards.
#[derive(Debug)]
pub struct MetricCache {
    registry: Metrics,
    vm_id: Box<str>,
    metrics: Vec<Option<Arc<Metric>>>,
}

impl MetricCache {
    /// Defines a metric, or finds the one of this name and type. Returns its number, which is not 0.
    ///
    /// # Errors
    ///
    /// `BadArgument` where the name is too long or belongs to a metric of another type, `InternalFailure` where the `vm_id`
    /// has defined too many metrics or the process has no room for more.
    pub fn define(&mut self, kind: MetricType, name: &[u8]) -> Result<u32, Status> {
        if name.len() > MAX_METRIC_NAME {
            return Err(Status::BadArgument);
        }
        self.registry
            .define(&self.vm_id, kind, &String::from_utf8_lossy(name))
    }

    /// Adds `delta` to a counter (more than 0) or a gauge.
    ///
    /// # Errors
    ///
    /// `NotFound` for an unknown number, `BadArgument` for a counter with another delta and for a histogram.
    pub fn increment(&mut self, id: u32, delta: i64) -> Result<(), Status> {
        if id == NO_METRIC {
            return Ok(());
        }
        match self.cell(id)? {
            Cell::Counter(counter) => match u64::try_from(delta) {
                Ok(delta @ 1..) => counter.fetch_add(delta, Ordering::Relaxed),
                _ => return Err(Status::BadArgument),
            },
            Cell::Gauge(gauge) => gauge.fetch_add(delta, Ordering::Relaxed).cast_unsigned(),
            Cell::Histogram(_) => return Err(Status::BadArgument),
        };
        Ok(())
    }

    /// Sets a gauge, samples a histogram, or adds to a counter, as Envoy does.
    ///
    /// # Errors
    ///
    /// `NotFound` for an unknown number.
    pub fn record(&mut self, id: u32, value: u64) -> Result<(), Status> {
        if id == NO_METRIC {
            return Ok(());
        }
        match self.cell(id)? {
            Cell::Counter(counter) => {
                counter.fetch_add(value, Ordering::Relaxed);
            }
            Cell::Gauge(gauge) => gauge.store(value.cast_signed(), Ordering::Relaxed),
            Cell::Histogram(histogram) => histogram.record(value),
        }
        Ok(())
    }

    /// Returns the value of a counter or gauge; a gauge below zero as two's complement.
    ///
    /// # Errors
    ///
    /// `NotFound` for an unknown number, `BadArgument` for a histogram.
    pub fn value(&mut self, id: u32) -> Result<u64, Status> {
        if id == NO_METRIC {
            return Ok(0);
        }
        match self.cell(id)? {
            Cell::Counter(counter) => Ok(counter.load(Ordering::Relaxed)),
            Cell::Gauge(gauge) => Ok(gauge.load(Ordering::Relaxed).cast_unsigned()),
            Cell::Histogram(_) => Err(Status::BadArgument),
        }
    }

    fn cell(&mut self, id: u32) -> Result<&Cell, Status> {
        let index = id.checked_sub(1).ok_or(Status::NotFound)? as usize;
        if !matches!(self.metrics.get(index), Some(Some(_))) {
            // Numbers are given out in order, so one that exists bounds the length of this list.
            let metric = self.registry.find(id).ok_or(Status::NotFound)?;
            if self.metrics.len() <= index {
                self.metrics.resize(index + 1, None);
            }
            self.metrics[index] = Some(metric);
        }
        match self.metrics.get(index) {
            Some(Some(metric)) => Ok(&metric.cell),
            _ => Err(Status::NotFound),
        }
    }
}

impl Metric {
    fn snapshot(&self) -> MetricSnapshot {
        let value = match &self.cell {
            Cell::Counter(counter) => MetricValue::Counter(counter.load(Ordering::Relaxed)),
            Cell::Gauge(gauge) => MetricValue::Gauge(gauge.load(Ordering::Relaxed)),
            Cell::Histogram(histogram) => MetricValue::Histogram(Box::new(histogram.snapshot())),
        };
        MetricSnapshot {
            name: self.name.as_ref().into(),
            value,
        }
    }
}

impl Cell {
    fn new(kind: MetricType) -> Self {
        match kind {
            MetricType::Counter => Self::Counter(AtomicU64::new(0)),
            MetricType::Gauge => Self::Gauge(AtomicI64::new(0)),
            MetricType::Histogram => Self::Histogram(Box::new(Histogram {
                buckets: std::array::from_fn(|_| AtomicU64::new(0)),
                sum: AtomicU64::new(0),
            })),
        }
    }

    const fn kind(&self) -> MetricType {
        match self {
            Self::Counter(_) => MetricType::Counter,
            Self::Gauge(_) => MetricType::Gauge,
            Self::Histogram(_) => MetricType::Histogram,
        }
    }
}

impl Histogram {
    fn record(&self, sample: u64) {
        let bucket = HISTOGRAM_BOUNDS.partition_point(|bound| *bound < sample);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        // Cannot fail: the closure always has an answer.
        let _ = self
            .sum
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |sum| {
                Some(sum.saturating_add(sample))
            });
    }

    fn snapshot(&self) -> HistogramSnapshot {
        let mut count = 0;
        let mut cumulative = [0; BOUNDS];
        for (i, bucket) in self.buckets.iter().enumerate() {
            count += bucket.load(Ordering::Relaxed);
            if let Some(bound) = cumulative.get_mut(i) {
                *bound = count;
            }
        }
        HistogramSnapshot {
            cumulative,
            count,
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}
