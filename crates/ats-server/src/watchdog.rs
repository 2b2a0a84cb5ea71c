//! Nothing that is started here outlives the one who started it.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

/// Waits for the end of its input. The process goes unless it is told that all is well; so does, if there is a second
/// argument, the one whose number is in that file.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
read -r said
[ "$said" = over ] || kill -KILL "$1" $(cat "$2")
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
        Self::of_server(pid, Path::new("/dev/null"))
    }

    /// And for another whose number will be in a file.
    pub(crate) fn of_server(pid: u32, lock: &Path) -> Result<Self> {
        let child = Command::new("sh")
            .args(["-c", SCRIPT, "watchdog"])
            .arg(pid.to_string())
            .arg(lock)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start sh")?;
        Ok(Self { child })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(mut stdin) = self.child.stdin.take() {
            // Where nobody listens there is nobody to kill either.
            let _ = writeln!(stdin, "over");
        }
        let _ = self.child.wait();
    }
}
