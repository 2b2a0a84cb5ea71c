//! The bounds of a compiler, which it sets itself before it reads a module.

use std::env;
use std::fs;
use std::io;

use rustix::process::{
    Resource, Rlimit, Signal, getppid, getrlimit, set_parent_process_death_signal, setpriority_process,
    setrlimit,
};

use super::PARENT;

/// The lowest priority. The policy SCHED_IDLE is below it, and gets nothing at all where others keep all processors busy.
const NICEST: i32 = 19;

/// Makes this process a compiler: bounded in CPU time and memory, below all others in priority, ended with the one that
/// started it, and without the files of that one. To be called first, while there is one thread.
///
/// # Errors
///
/// The system refuses one of the bounds, or the process that wants the code has ended.
pub fn confine(cpu_seconds: u64, memory: u64) -> io::Result<()> {
    close_inherited();
    // None of this is worth failing for: who ends with whom, who is ended first where memory is short, who waits.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    if is_abandoned() {
        return Err(io::Error::other(
            "the process that wants the code has ended, or did not start this one itself",
        ));
    }
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    let _ = setpriority_process(None, NICEST);
    bound(Resource::Core, 0, 0)?;
    // The hard bound is for a process that inherited that it ignores the signal.
    bound(Resource::Cpu, cpu_seconds, cpu_seconds.saturating_add(1))?;
    // Of addresses programs reserve more than they use; this one counts what can be written to.
    bound(Resource::Data, memory, memory)
}

/// True where the parent is not the process that wants the code, which [`PARENT`] names: that one ended before its death
/// could signal this one.
fn is_abandoned() -> bool {
    let wanted = env::var(PARENT).ok().and_then(|parent| parent.parse().ok());
    wanted.is_some_and(|wanted: i32| getppid().map(|parent| parent.as_raw_nonzero().get()) != Some(wanted))
}

/// Sets a bound. A lower one that the system has set stays.
fn bound(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let limit = Rlimit {
        current: Some(soft.min(most)),
        maximum: Some(hard.min(most)),
    };
    Ok(setrlimit(resource, limit)?)
}

/// Closes all files but standard input, output and error: a server's connections would stay open for as long as the
/// compiler runs.
fn close_inherited() {
    #[expect(unsafe_code, reason = "no crate in the tree closes ranges of files")]
    // SAFETY: the process has begun and owns no file above the three yet. Where the system has no such call, it says so.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0);
    }
}
