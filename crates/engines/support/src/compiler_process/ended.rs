//! How a process ended, and what it used.

use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use weir_engine::ByteSize;

/// A process that has ended. Displayed as what it used.
pub(super) struct Ended {
    pub status: ExitStatus,
    /// Of all its threads.
    pub cpu_time: Duration,
    /// Bytes of memory that it had at most.
    peak: u64,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.cpu_time.as_secs_f64();
        write!(
            f,
            "{seconds:.1} s of CPU time, {:.1} of memory",
            ByteSize(self.peak)
        )
    }
}

/// Waits until a child has ended, and leaves its number taken.
pub(super) fn wait_for_exit(pid: Pid) -> io::Result<()> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    loop {
        match waitid(WaitId::Pid(pid), options) {
            Err(rustix::io::Errno::INTR) => {}
            other => return Ok(other.map(drop)?),
        }
    }
}

/// Takes the status of a child that has ended.
pub(super) fn reap(pid: Pid) -> io::Result<Ended> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    let reaped = loop {
        #[expect(
            unsafe_code,
            reason = "the standard library and rustix tell no resources of a single child"
        )]
        // SAFETY: both pointers are to values of the types that the call fills.
        let reaped = unsafe { libc::wait4(pid.as_raw_nonzero().get(), &mut status, 0, usage.as_mut_ptr()) };
        if reaped >= 0 {
            break reaped;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    };
    debug_assert_eq!(reaped, pid.as_raw_nonzero().get());
    #[expect(unsafe_code, reason = "as above")]
    // SAFETY: all bytes zero are a value of the structure, which has numbers alone.
    let usage = unsafe { usage.assume_init() };
    Ok(Ended {
        status: ExitStatus::from_raw(status),
        cpu_time: time(usage.ru_utime).saturating_add(time(usage.ru_stime)),
        peak: u64::try_from(usage.ru_maxrss).unwrap_or(0) << 10,
    })
}

fn time(time: libc::timeval) -> Duration {
    let part = |number| u64::try_from(number).unwrap_or(0);
    Duration::from_secs(part(time.tv_sec)).saturating_add(Duration::from_micros(part(time.tv_usec)))
}
