//! What compiling a module may take, and the words for it.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use rustix::process::Signal;
use weir_abi::limits::{COMPILER_CPU_TIME, COMPILER_MEMORY};
use weir_engine::ByteSize;

use super::ended::Ended;

/// A compiler may take so many times its CPU time until it ends, and this long in any case: it gives way to all other
/// processes.
const PATIENCE: u32 = 10;
const LEAST_PATIENCE: Duration = Duration::from_secs(10 * 60);

/// How allocators, the system and LLVM say that there is no more memory.
const OUT_OF_MEMORY: [&str; 6] = [
    "bad_alloc",
    // A thread that cannot be started, for want of memory for its stack.
    "Resource temporarily unavailable",
    "memory allocation of",
    "Cannot allocate memory",
    "out of memory",
    "does not fit into memory",
];

/// What compiling one module may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompilerBounds {
    /// CPU time of all threads of the compiler. The system counts in seconds, and begun ones are whole.
    pub cpu_time: Duration,
    /// Bytes of memory that can be written to.
    pub memory: u64,
}

impl Default for CompilerBounds {
    /// [`COMPILER_CPU_TIME`] and [`COMPILER_MEMORY`].
    fn default() -> Self {
        Self {
            cpu_time: COMPILER_CPU_TIME,
            memory: COMPILER_MEMORY,
        }
    }
}

impl CompilerBounds {
    /// The bounds as arguments of a compiler: seconds and bytes.
    pub fn arguments(&self) -> [String; 2] {
        [self.seconds().to_string(), self.memory.to_string()]
    }

    fn seconds(&self) -> u64 {
        self.cpu_time
            .as_millis()
            .div_ceil(1000)
            .try_into()
            .unwrap_or(u64::MAX)
    }

    /// Time that a compiler gets to end.
    pub(super) fn patience(&self) -> Duration {
        self.cpu_time.saturating_mul(PATIENCE).max(LEAST_PATIENCE)
    }

    pub(super) fn stuck(&self, patience: Duration, ended: &Ended) -> String {
        format!(
            "it did not end within {} (used: {ended}; `compiler.cpu_time` = {})",
            time(patience),
            time(self.cpu_time)
        )
    }

    /// True if a compiler's words say that it got no more memory.
    pub(super) fn is_memory(&self, words: &str) -> bool {
        OUT_OF_MEMORY.iter().any(|sign| words.contains(sign))
    }

    pub(super) fn memory(&self, ended: &Ended) -> String {
        format!(
            "it needed more memory than compiling a module may take (`compiler.memory` = {}; used: {ended})",
            ByteSize(self.memory)
        )
    }

    /// The words for a compiler that a signal has ended because its CPU time was over; `None` for other signals.
    pub(super) fn cpu_time(&self, ended: &Ended) -> Option<String> {
        let signal = ended.status.signal();
        // A process that ignores the first signal gets the other one a second later. The system counts in ticks what it
        // bounds, and what it tells at the end otherwise.
        let is_over = ended.cpu_time.as_secs_f64() >= 0.75 * self.seconds() as f64;
        let is_kill = signal == Some(Signal::KILL.as_raw());
        (signal == Some(Signal::XCPU.as_raw()) || (is_kill && is_over)).then(|| {
            format!(
                "it used all CPU time that compiling a module may take (`compiler.cpu_time` = {}; used: {ended})",
                time(self.cpu_time)
            )
        })
    }

    /// The words for a compiler that another signal has ended.
    pub(super) fn killed(&self, ended: &Ended) -> String {
        if ended.status.signal() == Some(Signal::KILL.as_raw()) {
            format!("it was killed, perhaps because the machine ran out of memory (used: {ended})")
        } else {
            format!("it crashed ({}; used: {ended})", ended.status)
        }
    }
}

/// A time as configurations have it.
fn time(time: Duration) -> String {
    match time.subsec_millis() {
        0 => format!("{} s", time.as_secs()),
        _ => format!("{} ms", time.as_millis()),
    }
}
