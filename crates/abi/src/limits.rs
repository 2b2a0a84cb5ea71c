//! Every limit of the host, each with its reason. A limit that an operator can change says "unless configured".

use std::fmt;
use std::time::Duration;

/// Bounds of one VM, as its configuration sets them. Filters that share a VM share them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VmLimits {
    /// Bytes of linear memory; [`MEMORY`] unless given.
    pub memory: u64,
    /// CPU time of one callback; [`CALLBACK_BUDGET`] unless given.
    pub callback_deadline: Duration,
    /// CPU time of each start function, of `proxy_on_vm_start` and of `proxy_on_configure`; [`START_BUDGET`] unless given.
    pub start_deadline: Duration,
    /// HTTP calls in flight; [`MAX_HTTP_CALLS_IN_FLIGHT`] unless given.
    pub http_calls: usize,
    /// The longest that an HTTP call may take, whatever the guest asked for; [`CALL_TIMEOUT`] unless given. The proxy's
    /// client keeps it.
    pub http_call_timeout: Duration,
    /// Bytes that the host keeps for the VM; [`HOST_MEMORY`] unless given.
    pub host_memory: usize,
    /// Bytes that each plugin of the VM may log in a second; [`LOG`] unless given.
    pub log: u64,
    /// Share of its thread that the VM may use in the background; [`CPU`] unless given.
    pub cpu: CpuShare,
}

/// A share of a thread's time, in steps of a thousandth: more than none, at most all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CpuShare(u16);

impl CpuShare {
    /// All of the thread.
    pub const ALL: Self = Self(1000);

    /// The least share.
    pub const LEAST: Self = Self(1);

    /// A share of so many thousandths; `None` unless from 1 to 1000.
    pub const fn from_thousandths(thousandths: u16) -> Option<Self> {
        if matches!(thousandths, 1..=1000) {
            Some(Self(thousandths))
        } else {
            None
        }
    }

    /// Returns the time in which this share of a thread amounts to `used`.
    pub fn time_for(self, used: Duration) -> Duration {
        used * 1000 / u32::from(self.0)
    }
}

impl fmt::Display for CpuShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(self.0) / 1000.0)
    }
}

impl Default for VmLimits {
    fn default() -> Self {
        Self {
            memory: MEMORY as u64,
            callback_deadline: CALLBACK_BUDGET,
            start_deadline: START_BUDGET,
            http_calls: MAX_HTTP_CALLS_IN_FLIGHT,
            http_call_timeout: CALL_TIMEOUT,
            host_memory: HOST_MEMORY,
            log: LOG,
            cpu: CPU,
        }
    }
}

// Serialised maps.

/// Bytes of a serialised map that a guest hands over. A mebibyte is far more than any HTTP server takes as headers,
/// and the number that other hosts use.
pub const MAX_PAIRS_BYTES: usize = 1 << 20;

/// Entries of a serialised map that a guest hands over; the number that other hosts use.
pub const MAX_PAIRS: usize = 1024;

// Time.

/// CPU time of one callback, unless configured. Real filters use micro- to milliseconds; one in Go that parses 1 MB of JSON, which
/// [`BODY`] lets it hold, uses up to 200 ms on Wasmtime, and slower machines need twice that. A worker that stands still for longer
/// is felt by every other stream.
pub const CALLBACK_BUDGET: Duration = Duration::from_millis(500);

/// CPU time of each start function, `proxy_on_vm_start` and `proxy_on_configure`, unless configured. Parsing a large
/// rule set takes half a second; ten leave room for slow machines and still end.
pub const START_BUDGET: Duration = Duration::from_secs(10);

/// The time for which a context that answered false from `proxy_on_done` waits for `proxy_done`. Long enough for a last
/// outbound call to end, short enough that forgotten contexts do not pile up.
pub const DONE_WAIT: Duration = Duration::from_secs(30);

/// Longest wait for an HTTP or gRPC call, unless configured. Guests may ask for no bound at all, and a call without
/// one holds its stream for ever.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Share of its thread that a VM may use in the background, unless configured: for ticks, queue wake-ups and answers that no
/// stream waits for.
pub const CPU: CpuShare = CpuShare(500);

/// The span over which [`CPU`] holds: a VM that has rested for so long may use its share of it in one go.
pub const CPU_WINDOW: Duration = Duration::from_secs(1);

/// Time of one entry in the background that counts once. What an entry takes beyond counts [`LONG_ENTRY_WEIGHT`] times,
/// because an entry cannot be interrupted: requests that come meanwhile wait for its end. A tenth of a millisecond is less than
/// a request takes in a proxy.
pub const SHORT_ENTRY: Duration = Duration::from_micros(100);

/// How often the time beyond [`SHORT_ENTRY`] counts. With entries that fill half of a thread, half of all requests wait, and
/// their median is a wait; with a sixth, five of six find the thread free.
pub const LONG_ENTRY_WEIGHT: u32 = 3;

/// How long a VM's events are delivered before the thread looks after its streams.
pub const EVENTS_AT_ONCE: Duration = Duration::from_millis(1);

/// Shortest tick period. A guest that asks for less gets this: a shorter one is a busy loop.
pub const MIN_TICK_PERIOD: Duration = Duration::from_millis(1);

/// Deaths that VMs of one VM key may die in [`RESTART_WINDOW`] and be replaced at once. Two poisonous requests a second leave
/// the filter at work for everybody else, and a VM that dies of each request costs two starts a second.
pub const RESTARTS: usize = 20;

/// The span in which [`RESTARTS`] are counted. Long enough that a burst of bad requests counts as one, short enough that a
/// filter which has calmed down is replaced at once again.
pub const RESTART_WINDOW: Duration = Duration::from_secs(10);

/// Pause before a VM that died is replaced, once its VM key has used up its [`RESTARTS`]. Doubles with each further death.
pub const RESTART_BACKOFF_MIN: Duration = Duration::from_secs(1);

/// Longest pause before a VM that died is replaced. A VM that dies at once costs one start a minute.
pub const RESTART_BACKOFF_MAX: Duration = Duration::from_secs(60);

/// A VM that has lived for this long is healthy: the next pause is the shortest again.
pub const RESTART_BACKOFF_RESET: Duration = Duration::from_secs(60);

// One VM.

/// Bytes of linear memory, unless configured: twice what the largest filter known (Coraza with the core rule set,
/// 64 MiB) needs.
pub const MEMORY: usize = 128 << 20;

/// Plugin and stream contexts that live at a time in one VM. Each holds a stream of the proxy; ten times the
/// connections that a busy worker has.
pub const MAX_CONTEXTS: usize = 100_000;

/// HTTP calls in flight per VM, unless configured. Each holds a buffer and perhaps a connection; a guest that starts
/// one in each callback and never waits would take all of them.
pub const MAX_HTTP_CALLS_IN_FLIGHT: usize = 1024;

/// gRPC calls and streams in flight per VM, for the same reason as [`MAX_HTTP_CALLS_IN_FLIGHT`].
pub const MAX_GRPC_CALLS_IN_FLIGHT: usize = 1024;

/// Bytes of body that the host holds of the answer to an HTTP call. The guest sees the answer as a whole, so all of it
/// is kept; larger ones fail.
pub const MAX_HTTP_CALL_BODY: usize = 16 << 20;

/// Bytes that the host keeps for one VM beside its linear memory, unless configured: calls with their answers, replies, added
/// header lines and body bytes, bodies that are held, properties. A `vm_id` may have as much in its queues. Half of what a VM
/// may have as linear memory by default: room for four answers of the largest size at a time.
pub const HOST_MEMORY: usize = 64 << 20;

/// Bytes that the host keeps for all VMs together, unless configured: sixteen VMs that use all that each may.
pub const HOST_MEMORY_OF_PROCESS: usize = 1 << 30;

/// The process counts in steps of this many bytes for each VM, so that worker threads rarely touch the same number.
pub const HOST_MEMORY_BLOCK: usize = 64 << 10;

/// Bytes counted for each line, entry or name beside its contents: what its allocations and the tables that list it cost.
/// Without it, empty ones would be free.
pub const HOST_MEMORY_ITEM: usize = 96;

/// Bytes of one log line; longer ones are cut. A guest can put its whole memory into one.
pub const MAX_LOG_MESSAGE: usize = 64 << 10;

/// Bytes that a plugin may log in a second, unless configured; it may save up those of one second. Some thousand lines: more
/// than a log that people read has, and a fraction of what a disk takes.
pub const LOG: u64 = 1 << 20;

/// Bytes counted for each line of a guest beside its text: the time, the level and the names that the log adds. Without it,
/// empty lines would be free.
pub const LOG_LINE: u64 = 128;

/// Bytes that a guest which dies may log in any case as its last words. Holds a panic's message with its stack, which is what
/// the death is explained by; deaths are bounded by the pauses before restarts.
pub const LAST_WORDS: usize = 16 << 10;

/// The pause between two warnings that a plugin has lost lines.
pub const LOG_WARNING_PAUSE: Duration = Duration::from_secs(10);

/// Bytes that wait for a log's target; further lines are lost. Some seconds of a busy access log, for a target that stops as
/// long.
pub const LOG_BUFFER: usize = 8 << 20;

/// Bytes of one `random_get`; more is `EINVAL`, as other hosts answer.
pub const MAX_RANDOM_BYTES: usize = 64 << 10;

/// Slices of one `fd_write` that are looked at; a guest could name its whole memory as slices of length 0.
pub const MAX_IO_SLICES: usize = 1024;

// One stream.

/// Bytes of body held while a filter pauses, unless configured: what Envoy's listeners hold by default.
pub const BODY: usize = 1 << 20;

/// The time for which filters may hold a stream in a proxy whose own timeouts do not run meanwhile. Longer than a call of theirs may
/// take, so that it is the call that fails first.
pub const STREAM_DEADLINE: Duration = Duration::from_secs(90);

/// The time that a tunnel after a 101 may go without a byte, unless configured. Clients of WebSockets send a ping every minute or
/// so; those that send none and yet wait are given an hour.
pub const TUNNEL_IDLE: Duration = Duration::from_secs(3600);

/// Bytes of notes (`proxy_set_property`, filter state), names and values together, per stream.
pub const MAX_STREAM_STATE_BYTES: usize = 1 << 20;

/// Bytes of a property path. Envoy's longest name has 40; a header name and a guest's own names need some more.
pub const MAX_PROPERTY_PATH: usize = 8 << 10;

/// Bytes of a local response's status details, which end up in each line of the access log.
pub const MAX_STATUS_DETAILS: usize = 1024;

// Shared by VMs: a process holds these per `vm_id`, so that one tenant cannot starve the others.

/// Bytes of shared data per `vm_id`, keys and values together. Rate limiters hold some 100 bytes a client: room for
/// half a million.
pub const MAX_SHARED_DATA_BYTES: usize = 64 << 20;

/// Keys of shared data per `vm_id`.
pub const MAX_SHARED_DATA_KEYS: usize = 100_000;

/// Bytes of a key of shared data or of a queue's name. Keys are names; long ones are values in the wrong place.
pub const MAX_KEY: usize = 4 << 10;

/// Shared queues per `vm_id`.
pub const MAX_QUEUES: usize = 1024;

/// Bytes that wait in one shared queue. A producer without a consumer would fill the machine.
pub const MAX_QUEUE_BYTES: usize = 16 << 20;

/// Entries that wait in one shared queue; empty entries cost memory too.
pub const MAX_QUEUE_ENTRIES: usize = 100_000;

/// Metrics that a `vm_id` may be the first to define. Definitions are never taken back; a guest that puts a client's address
/// into a name would grow for ever, and take other tenants' metrics if all shared one bound.
pub const MAX_METRICS: usize = 10_000;

/// Bytes of a metric's name; each is in every scrape.
pub const MAX_METRIC_NAME: usize = 1024;

// Foreign functions.

/// Bytes of a foreign function's name.
pub const MAX_FOREIGN_NAME: usize = 256;

/// Bytes of a foreign function's arguments.
pub const MAX_FOREIGN_ARGUMENTS: usize = 16 << 20;

/// Bytes that one call of `compress` takes: the largest body that a filter holds by default. Compressing them takes 2 to
/// 100 ms, during which the thread serves nobody else: no longer than a callback may take by default. The result is at most some hundred bytes longer than the
/// argument.
pub const MAX_COMPRESS_ARGUMENT: usize = 1 << 20;

/// Bytes that one call of `uncompress` takes: all that `compress` may give, which is longer than its argument where that does not
/// get shorter.
pub const MAX_UNCOMPRESS_ARGUMENT: usize = MAX_COMPRESS_ARGUMENT + (4 << 10);

/// Bytes that one call of `uncompress` gives, so that a few kilobytes do not unfold to gigabytes and the thread is kept for
/// some ten milliseconds.
pub const MAX_UNCOMPRESS_RESULT: usize = 4 << 20;

// Modules.

/// Bytes of a module. The largest filters known, firewalls written in Go, have 25 MB.
pub const MAX_MODULE_BYTES: usize = 256 << 20;

/// CPU time that compiling one module may take, unless configured: a firewall written in Go, 31 MB, takes an eighth of it.
pub const COMPILER_CPU_TIME: Duration = Duration::from_secs(300);

/// Bytes of memory that compiling one module may take, unless configured: that firewall takes a sixth of it.
pub const COMPILER_MEMORY: u64 = 4 << 30;

/// Bytes of a module that is compiled inside the server, unless configured: filters in Rust and TinyGo have less.
pub const COMPILED_IN_PROCESS: u64 = 8 << 20;

/// Bytes of a module's file, unless configured: the module, and code for some runtimes beside it, each of which is about three times as
/// large. A file without end would take all memory.
pub const MAX_MODULE_FILE_BYTES: u64 = 512 << 20;
