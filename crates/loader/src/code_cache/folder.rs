//! The files of a code cache's folder: whom they belong to, how old they are, which ones go.

use std::ffi::OsStr;
use std::fs::{self, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::process::geteuid;

/// Extension of a file of code.
pub(super) const CODE: &str = "code";
/// Extension of a file that is being written.
pub(super) const UNFINISHED: &str = "unfinished";
/// Name of the file that is locked by the process that removes old files.
const LOCK: &str = "lock";

/// Age at which an unfinished file is removed: whoever began it has ended.
const ABANDONED_AFTER: Duration = Duration::from_secs(60 * 60);

/// Removes the code that was used longest ago until the rest has `max_bytes` at most, and files that nobody finished. One
/// process does it at a time.
pub(super) fn tidy(folder: &Path, max_bytes: u64) -> io::Result<()> {
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(folder.join(LOCK))?;
    match lock.try_lock() {
        Ok(()) => {}
        // Another process does it.
        Err(TryLockError::WouldBlock) => return Ok(()),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let now = SystemTime::now();
    let mut kept: Vec<(Duration, u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // A file that has gone in between is no matter.
        let Ok(found) = fs::symlink_metadata(&path) else {
            continue;
        };
        let age = age(&found, now);
        match path.extension().and_then(OsStr::to_str) {
            Some(CODE) => kept.push((age, found.len(), path)),
            Some(UNFINISHED) if age > ABANDONED_AFTER => remove(&path)?,
            _ => {}
        }
    }
    kept.sort_unstable();
    let mut sum = 0;
    for (_, size, path) in kept {
        sum += size;
        if sum > max_bytes {
            remove(&path)?;
        }
    }
    Ok(())
}

/// Why a file or folder cannot be trusted: somebody else may write to it. `None` if nobody else may.
pub(super) fn distrust(found: &Metadata) -> Option<String> {
    if found.uid() != geteuid().as_raw() {
        return Some(format!("it belongs to user {}", found.uid()));
    }
    let mode = found.mode() & 0o7777;
    (mode & 0o022 != 0).then(|| format!("others may write to it (mode {mode:o})"))
}

/// The time since a file was last written, or noted as used.
pub(super) fn age(found: &Metadata, now: SystemTime) -> Duration {
    let changed = found.modified().unwrap_or(now);
    now.duration_since(changed).unwrap_or_default()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
