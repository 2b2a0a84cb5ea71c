//! Modules in files.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{fmt, io};

use rustix::fs::OFlags;

use super::{FetchError, ModuleSource, Stamp};

/// A module in a regular file.
#[derive(Clone, Debug)]
pub struct FileSource {
    path: PathBuf,
}

impl FileSource {
    /// The file of this path, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

impl fmt::Display for FileSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

impl ModuleSource for FileSource {
    fn read(&self, max_bytes: u64) -> Result<Vec<u8>, FetchError> {
        let file = open(&self.path)?;
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(FetchError::NotAFile);
        }
        if found.len() > max_bytes {
            return Err(FetchError::TooLarge { max_bytes });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(found.len()).unwrap_or(0));
        // The file may have grown since.
        file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > max_bytes {
            return Err(FetchError::TooLarge { max_bytes });
        }
        Ok(bytes)
    }

    fn stamp(&self) -> Option<Stamp> {
        let stamp = FileStamp::of(&self.path);
        stamp.exists().then_some(Stamp::File(stamp))
    }
}

/// Opens without waiting for the other end of a pipe.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits() as i32)
        .open(path)
}

/// Tells a file from what it was: time of its last change, length and number. Empty for a file that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStamp(Option<(SystemTime, u64, u64)>);

impl FileStamp {
    /// The stamp of a file as it is now; links are followed.
    pub fn of(file: &Path) -> Self {
        let stamp = |found: std::fs::Metadata| Some((found.modified().ok()?, found.len(), found.ino()));
        Self(std::fs::metadata(file).ok().and_then(stamp))
    }

    /// True if the file was there.
    pub const fn exists(&self) -> bool {
        self.0.is_some()
    }
}

#[cfg(test)]
mod tests {
    use weir_abi::limits::MAX_MODULE_FILE_BYTES;

    use super::*;
    use crate::{FileDigest, fetch};

    #[test]
    fn a_file_is_fetched_with_its_digest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("module.wasm");
        std::fs::write(&path, "module").unwrap();
        let source = FileSource::new(&path);
        let fetched = fetch(&source, 6).unwrap();
        assert_eq!(fetched.bytes, b"module");
        assert_eq!(fetched.digest, FileDigest::of(b"module"));
        assert_eq!(source.to_string(), path.display().to_string());
    }

    #[test]
    fn a_changed_file_has_another_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let source = FileSource::new(folder.path().join("module.wasm"));
        assert_eq!(source.stamp(), None);
        std::fs::write(&source.path, "1").unwrap();
        let first = source.stamp();
        assert!(first.is_some() && first == source.stamp());
        std::fs::write(&source.path, "22").unwrap();
        assert_ne!(source.stamp(), first);
    }

    #[test]
    fn only_regular_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
        for path in [Path::new("/dev/zero"), folder.path(), &pipe] {
            let error = fetch(&FileSource::new(path), 6).unwrap_err();
            assert_eq!(error.to_string(), "not a regular file", "{}", path.display());
        }
        let error = fetch(&FileSource::new(folder.path().join("none")), 6).unwrap_err();
        assert!(matches!(error, FetchError::Io(_)), "{error}");
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        // A hole: it takes no room on disk.
        file.as_file().set_len((512 << 20) + 1).unwrap();
        let error = fetch(&FileSource::new(file.path()), MAX_MODULE_FILE_BYTES)
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "larger than 512 MiB, the most that a module's file may have"
        );
        file.as_file().set_len(5).unwrap();
        let source = FileSource::new(file.path());
        assert_eq!(source.read(5).unwrap().len(), 5);
        assert!(matches!(
            source.read(4),
            Err(FetchError::TooLarge { max_bytes: 4 })
        ));
    }

    /// Files of the system have length 0 and give more.
    #[test]
    fn the_bound_holds_where_the_length_lies() {
        let source = FileSource::new("/proc/self/maps");
        assert!(matches!(source.read(10), Err(FetchError::TooLarge { .. })));
    }
}
