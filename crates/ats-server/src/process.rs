//! Processes by number.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Sends a signal by name, such as `TERM`.
pub(crate) fn signal(pid: u32, name: &str) -> Result<()> {
    // The shell's own `kill`: there is no safe way in the standard library, and no other program is always there.
    let status = Command::new("sh")
        .args(["-c", &format!("kill -{name} {pid}")])
        .stderr(Stdio::null())
        .status()?;
    ensure!(status.success(), "cannot send {name} to {pid}");
    Ok(())
}

/// Whether a process is there and has not ended.
pub(crate) fn runs(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    // The state stands behind the name, which is in parentheses and may hold some itself.
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
    !state.is_some_and(|state| state.starts_with(['Z', 'X']))
}

/// Bytes of memory that a process has resident now, and the most that it ever had.
pub(crate) fn resident(pid: u32) -> Result<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kibibytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        number.with_context(|| format!("no {name} in the status of the process"))
    };
    Ok((kibibytes("VmRSS:")? << 10, kibibytes("VmHWM:")? << 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_runs() {
        assert!(runs(std::process::id()));
        let (now, most) = resident(std::process::id()).unwrap();
        assert!(0 < now && now <= most);
        let mut ended = Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        assert!(!runs(ended.id()));
        assert!(signal(ended.id(), "TERM").is_err());
    }
}
