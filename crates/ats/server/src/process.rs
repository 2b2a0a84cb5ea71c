//! Processes that stay who they are, whatever their numbers are given to later.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A process. Signals go to it or to nobody.
pub(crate) struct Process {
    pid: u32,
    fd: OwnedFd,
}

impl Process {
    /// The process that has this number now.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn open(pid: u32) -> Result<Self> {
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let number = number.with_context(|| format!("{pid} is no process"))?;
        let fd = pidfd_open(number, PidfdFlags::empty()).with_context(|| format!("no process {pid}"))?;
        Ok(Self { pid, fd })
    }

    /// The process whose number a file holds, if that one was started with `text` in its environment.
    pub fn noted(file: &Path, text: &str) -> Option<Self> {
        let pid = fs::read_to_string(file).ok()?.trim().parse().ok()?;
        let process = Self::open(pid).ok()?;
        let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let same = environment
            .split(|byte| *byte == 0)
            .any(|entry| entry == text.as_bytes());
        // Still there, so that it is the one whose environment that was.
        (same && process.runs()).then_some(process)
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal.
    ///
    /// # Errors
    ///
    /// The process has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        pidfd_send_signal(&self.fd, signal).with_context(|| format!("no {signal:?} for process {}", self.pid))
    }

    /// True until the process has ended.
    pub fn runs(&self) -> bool {
        // Readable from its end on.
        let mut ended = [PollFd::new(&self.fd, PollFlags::IN)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        !matches!(poll(&mut ended, Some(&now)), Ok(1..))
    }

    /// Bytes of memory that it has resident now, and the most that it ever had.
    pub fn resident(&self) -> Result<(u64, u64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let kibibytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            number.with_context(|| format!("no {name} in the status of the process"))
        };
        Ok((kibibytes("VmRSS:")? << 10, kibibytes("VmHWM:")? << 10))
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_own_process_counts_as_running() {
        let this = Process::open(std::process::id()).unwrap();
        assert!(this.runs());
        let (now, most) = this.resident().unwrap();
        assert!(0 < now && now <= most);
    }

    #[test]
    fn an_ended_process_gets_no_signal() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let process = Process::open(child.id()).unwrap();
        assert!(process.runs());
        process.signal(Signal::TERM).unwrap();
        child.wait().unwrap();
        assert!(!process.runs());
        assert!(process.signal(Signal::TERM).is_err());
        assert!(Process::open(child.id()).is_err());
    }

    #[test]
    fn a_pid_file_is_checked_against_the_environment() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lock");
        let mut child = Command::new("cat")
            .env("WHOSE", "ours")
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        fs::write(&file, format!("{}\n", child.id())).unwrap();
        // The environment is that of the program from when it runs.
        while Process::noted(&file, "WHOSE=ours").is_none() {
            assert!(child.try_wait().unwrap().is_none());
        }
        assert!(Process::noted(&file, "WHOSE=theirs").is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(Process::noted(&file, "WHOSE=ours").is_none());
    }
}
