//! CPU time of threads.

use std::mem::MaybeUninit;
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

/// The CPU clock of one thread, which every thread of the process can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadClock(i32);

impl ThreadClock {
    /// Returns the clock of the calling thread.
    pub fn of_this_thread() -> Self {
        let mut clock = 0;
        // The call fails for a thread that has ended, and this one runs. The clock 0 of a failure would be the time of day.
        #[expect(
            unsafe_code,
            reason = "no crate in the tree offers the clocks of other threads"
        )]
        // SAFETY: the calling thread lives; the number is written to.
        unsafe {
            libc::pthread_getcpuclockid(libc::pthread_self(), &mut clock);
        }
        Self(clock)
    }

    /// Returns the number by which the system knows the clock.
    pub const fn number(self) -> i32 {
        self.0
    }

    /// Returns the clock of this number.
    pub const fn from_number(number: i32) -> Self {
        Self(number)
    }

    /// Returns the CPU time that the thread has used. `None` for a thread that has ended.
    pub fn read(self) -> Option<Duration> {
        let mut time = MaybeUninit::<libc::timespec>::zeroed();
        #[expect(
            unsafe_code,
            reason = "no crate in the tree offers the clocks of other threads"
        )]
        // SAFETY: the time is written to; the clock of a thread that has ended is an error. All zeros are a time.
        let (error, time) = unsafe { (libc::clock_gettime(self.0, time.as_mut_ptr()), time.assume_init()) };
        let seconds = u64::try_from(time.tv_sec).ok()?;
        let nanoseconds = u32::try_from(time.tv_nsec).ok()?;
        (error == 0).then(|| Duration::new(seconds, nanoseconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computes until the thread's CPU time moves on.
    fn compute() {
        let before = thread_cpu_time();
        let mut rounds = 0_u64;
        while thread_cpu_time() == before {
            rounds = std::hint::black_box(rounds + 1);
        }
    }

    #[test]
    fn counts_what_this_thread_computes() {
        let before = thread_cpu_time();
        compute();
        assert!(thread_cpu_time() > before);
    }

    #[test]
    fn other_threads_read_the_same_clock() {
        let clock = ThreadClock::of_this_thread();
        let read = || std::thread::spawn(move || clock.read()).join().unwrap().unwrap();
        let before = thread_cpu_time();
        let between = read();
        assert!(before <= between && between <= thread_cpu_time());
        compute();
        assert!(read() > between);
    }
}
