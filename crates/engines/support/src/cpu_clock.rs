//! CPU time of the calling thread.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// CPU time that the calling thread has used since it began.
///
/// This is a real system call on Linux (the vDSO does not serve this clock), a few hundred nanoseconds: never make it
/// on the way into a callback.
pub fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    // The kernel never answers a negative time here; a clock that did would stop no guest too early.
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_this_thread_computes() {
        let before = thread_cpu_time();
        let mut rounds = 0_u64;
        while thread_cpu_time() == before {
            rounds = std::hint::black_box(rounds + 1);
        }
        assert!(thread_cpu_time() > before);
    }
}
