//! Nothing that is started here outlives the one who started it.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

/// Waits for the end of its input. The process goes unless it is told that all is well; so does, if there are more
/// arguments, the one whose number is in that file. Numbers are given out again: the one must still be the process that it
/// was in the beginning, the other have been started with that text in its environment.
const SCRIPT: &str = r#"
begun() {
    line=
    read -r line < "/proc/$1/stat"
    set -- ${line##*) }
    echo "${20}"
} 2> /dev/null
trap '' INT TERM HUP
begin=$(begun "$1")
echo ready
read -r said
[ "$said" = over ] && exit
[ -n "$begin" ] && [ "$(begun "$1")" = "$begin" ] && kill -KILL "$1"
[ -n "$2" ] && read -r other < "$2" && grep -aqF -e "$3" "/proc/$other/environ" && kill -KILL "$other"
"#;

/// Kills another process should this one end without having let go of it, by whatever: Ctrl-C, a crash, a test runner that
/// has lost patience.
pub struct Watchdog {
    child: Child,
}

impl Watchdog {
    /// For a process. Let go of it (by dropping this) only after it was waited for.
    ///
    /// # Errors
    ///
    /// There is no `sh`.
    pub fn of(pid: u32) -> Result<Self> {
        Self::of_server(pid, Path::new(""), "")
    }

    /// And for another whose number will be in a file, and that has this variable in its environment.
    pub(crate) fn of_server(pid: u32, lock: &Path, environment: &str) -> Result<Self> {
        let mut child = Command::new("sh")
            .args(["-c", SCRIPT, "watchdog"])
            .arg(pid.to_string())
            .arg(lock)
            .arg(environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start sh")?;
        // Until it has seen the process: afterwards the number may be somebody else's.
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut String::new())?;
        }
        Ok(Self { child })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(mut stdin) = self.child.stdin.take() {
            // Without a listener there is nobody to kill either.
            let _ = writeln!(stdin, "over");
        }
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn process(whose: &str) -> Child {
        let mut command = Command::new("cat");
        command.env("WHOSE", whose).stdin(Stdio::piped());
        let child = command.spawn().unwrap();
        // The environment is that of the program from when it runs.
        let path = format!("/proc/{}/environ", child.id());
        while !String::from_utf8_lossy(&fs::read(&path).unwrap()).contains(&format!("WHOSE={whose}")) {}
        child
    }

    fn ends(mut watchdog: Watchdog) {
        drop(watchdog.child.stdin.take());
        watchdog.child.wait().unwrap();
    }

    #[test]
    fn only_processes_that_were_not_released_are_killed() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join("lock");
        let (mut one, mut ours, mut theirs) = (process("one"), process("ours"), process("theirs"));
        fs::write(&lock, format!("{}\n", theirs.id())).unwrap();
        ends(Watchdog::of_server(one.id(), &lock, "WHOSE=ours").unwrap());
        assert!(!one.wait().unwrap().success());
        assert!(theirs.try_wait().unwrap().is_none());

        fs::write(&lock, format!("{}\n", ours.id())).unwrap();
        drop(Watchdog::of_server(theirs.id(), &lock, "WHOSE=ours").unwrap());
        assert!(theirs.try_wait().unwrap().is_none() && ours.try_wait().unwrap().is_none());
        ends(Watchdog::of_server(theirs.id(), &lock, "WHOSE=ours").unwrap());
        assert!(!theirs.wait().unwrap().success() && !ours.wait().unwrap().success());
    }
}
