//! Sources of modules.

mod file;

use std::error::Error;
use std::{fmt, io};

pub use file::{FileSource, FileStamp};
use weir_engine::ByteSize;

use crate::{FileDigest, ModuleFile};

/// The number of times that [`fetch`] reads a module that is being changed meanwhile. A file that is replaced by rename needs two
/// readings; one that is still changing after three is being written, and its watch reports the end of that.
const MAX_READINGS: usize = 3;

/// The source of one module: a file, say.
///
/// Displayed, a source names the module in messages: a path, an address.
pub trait ModuleSource: fmt::Debug + fmt::Display + Send + Sync {
    /// Reads the module as it is now, `max_bytes` at most. Blocks until all of it is there; [`fetch`] is the only caller.
    ///
    /// # Errors
    ///
    /// The module is not there, is no regular file, or has more than `max_bytes`. A source must stop reading at that
    /// bound; [`fetch`] checks the length again.
    fn read(&self, max_bytes: u64) -> Result<Vec<u8>, FetchError>;

    /// The digest that the operator expects; `None`, unless a source has its own, takes any module.
    fn expected_digest(&self) -> Option<FileDigest> {
        None
    }

    /// Tells the module as it is now from what it was, without reading it: a module has changed where its stamp has.
    /// `None` where the source cannot tell, for it is away or has no module.
    fn stamp(&self) -> Option<Stamp>;
}

/// Tells what a source gives from what it gave before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// Of a file: its stamp.
    File(FileStamp),
    /// As the source names it: an entity tag, a digest.
    Tag(String),
}

/// A module as its source gave it, whole.
#[derive(Clone, Debug)]
pub struct FetchedModule {
    /// The bytes, with code that may stand beside the module ([`FetchedModule::file`] takes both apart).
    pub bytes: Vec<u8>,
    /// The digest of all the bytes, computed once for all who need it.
    pub digest: FileDigest,
}

impl FetchedModule {
    /// The module and the code beside it.
    pub fn file(&self) -> ModuleFile<'_> {
        ModuleFile::of_fetched(&self.bytes, self.digest)
    }
}

/// Why a source gives no module.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The system's answer.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A folder, a device or a pipe: reading it might never end.
    #[error("not a regular file")]
    NotAFile,
    /// More bytes than a module's file may have.
    #[error("larger than {}, the most that a module's file may have", ByteSize(*max_bytes))]
    TooLarge {
        /// The most that was asked for.
        max_bytes: u64,
    },
    /// The module changed during each reading.
    #[error("it changes while it is read")]
    Changing,
    /// Another module than the operator expects.
    #[error("its SHA-256 is {found}, expected {expected}")]
    OtherDigest {
        /// The digest of the bytes.
        found: FileDigest,
        /// [`ModuleSource::expected_digest`].
        expected: FileDigest,
    },
    /// A failure that only one kind of source has.
    #[error(transparent)]
    Other(Box<dyn Error + Send + Sync>),
}

/// Fetches a module: whole, `max_bytes` at most, and with the digest that its source expects. Blocks; called while a configuration
/// is loaded, never on a thread that serves.
///
/// # Errors
///
/// As [`ModuleSource::read`]; the source returned more than `max_bytes`; the module changes while it is read, or is another
/// one than expected.
pub fn fetch(source: &dyn ModuleSource, max_bytes: u64) -> Result<FetchedModule, FetchError> {
    let bytes = read_whole(source, max_bytes)?;
    let digest = FileDigest::of(&bytes);
    match source.expected_digest() {
        Some(expected) if expected != digest => Err(FetchError::OtherDigest {
            found: digest,
            expected,
        }),
        _ => Ok(FetchedModule { bytes, digest }),
    }
}

/// Reads until a reading was not disturbed, so that nobody gets the beginning of one module and the end of another.
fn read_whole(source: &dyn ModuleSource, max_bytes: u64) -> Result<Vec<u8>, FetchError> {
    for _ in 0..MAX_READINGS {
        let before = source.stamp();
        let bytes = source.read(max_bytes)?;
        // A source that reads past the bound must not have the module compiled.
        if bytes.len() as u64 > max_bytes {
            return Err(FetchError::TooLarge { max_bytes });
        }
        if source.stamp() == before {
            return Ok(bytes);
        }
    }
    Err(FetchError::Changing)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Gives a module that changes during the first readings.
    #[derive(Debug)]
    struct Changing {
        disturbed: usize,
        readings: Mutex<usize>,
        expected: Option<FileDigest>,
    }

    impl fmt::Display for Changing {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("changing")
        }
    }

    impl ModuleSource for Changing {
        fn read(&self, _max_bytes: u64) -> Result<Vec<u8>, FetchError> {
            let mut readings = self.readings.lock().unwrap();
            *readings += 1;
            Ok(format!("reading {readings}").into_bytes())
        }

        fn expected_digest(&self) -> Option<FileDigest> {
            self.expected
        }

        fn stamp(&self) -> Option<Stamp> {
            let readings = *self.readings.lock().unwrap();
            Some(Stamp::Tag(readings.min(self.disturbed).to_string()))
        }
    }

    fn changing(disturbed: usize, expected: Option<FileDigest>) -> Changing {
        Changing {
            disturbed,
            readings: Mutex::new(0),
            expected,
        }
    }

    #[test]
    fn a_module_that_changes_during_a_reading_is_read_again() {
        let fetched = fetch(&changing(2, None), 1 << 20).unwrap();
        assert_eq!(fetched.bytes, b"reading 3");
        let error = fetch(&changing(usize::MAX, None), 1 << 20).unwrap_err();
        assert!(matches!(error, FetchError::Changing), "{error}");
    }

    #[test]
    fn a_source_that_returns_more_than_the_bound_is_refused() {
        assert_eq!(fetch(&changing(0, None), 9).unwrap().bytes, b"reading 1");
        let error = fetch(&changing(0, None), 8).unwrap_err();
        assert!(matches!(error, FetchError::TooLarge { max_bytes: 8 }), "{error}");
    }

    #[test]
    fn another_module_than_expected_is_refused() {
        let expected = FileDigest::of(b"reading 1");
        assert_eq!(
            fetch(&changing(0, Some(expected)), 1 << 20).unwrap().digest,
            expected
        );
        let error = fetch(&changing(0, Some(FileDigest::of(b""))), 1 << 20)
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "its SHA-256 is 4c1c90eae64e00cf96d8c163b0a9954f5d73bc8ef4223841b164548eeb6fce81, expected \
             e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
