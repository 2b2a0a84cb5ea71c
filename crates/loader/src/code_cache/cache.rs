//! The folder of the code cache.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;
use rustix::process::geteuid;

use super::CodeKey;
use super::folder::{CODE, UNFINISHED, age, distrust, tidy};
use crate::Code;

/// Bytes that a cache holds at most, unless told otherwise: some twenty of the largest filters known, or hundreds of
/// usual ones.
pub const MAX_CODE_CACHE_BYTES: u64 = 1 << 30;

/// Use is noted in the file's time of change, not more often than this.
const NOTE_USE_AFTER: Duration = Duration::from_secs(60 * 60);

/// Compiled code in a folder, found by its [`CodeKey`].
///
/// Several processes may use one folder: a file appears whole or not at all, and whoever has opened one keeps it. What
/// was used longest ago goes first when there is too much.
#[derive(Debug)]
pub struct CodeCache {
    folder: PathBuf,
    max_bytes: u64,
    /// Files that this process has begun.
    begun: AtomicU64,
    /// True once the log has a warning that nothing can be kept.
    warned: AtomicBool,
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodeCacheError {
    /// The system refuses.
    #[error("{folder}: the code cache cannot use the folder: {error}")]
    Io {
        /// The folder.
        folder: PathBuf,
        /// In the system's words.
        error: io::Error,
    },
    /// Others could put code there that this process would run.
    #[error(
        "{folder}: the code cache does not use the folder: {reason}; expected a folder that belongs to user {user} and that nobody else may write to"
    )]
    Untrusted {
        /// The folder.
        folder: PathBuf,
        /// The fault.
        reason: String,
        /// Whose it should be.
        user: u32,
    },
}

impl CodeCache {
    /// Opens a folder of at most `max_bytes` of code; makes it where there is none.
    ///
    /// # Errors
    ///
    /// The system refuses, or somebody else may write to the folder.
    pub fn open(folder: &Path, max_bytes: u64) -> Result<Self, CodeCacheError> {
        let io = |error| CodeCacheError::Io {
            folder: folder.to_owned(),
            error,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(io)?;
        let found = fs::metadata(folder).map_err(io)?;
        distrust(&found).map_or(Ok(()), |reason| {
            Err(CodeCacheError::Untrusted {
                folder: folder.to_owned(),
                reason,
                user: geteuid().as_raw(),
            })
        })?;
        Ok(Self {
            folder: folder.to_owned(),
            max_bytes,
            begun: AtomicU64::new(0),
            warned: AtomicBool::new(false),
        })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Hands the code of this key to `load`; `None` where there is none. A damaged file is removed.
    pub fn find<R>(&self, key: &CodeKey<'_>, load: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let path = self.path(key);
        let file = match self.read(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(
                    "{}: the code cache does not use the file: {error}",
                    path.display()
                );
                return None;
            }
        };
        match Code::decode(&file) {
            Ok(code) if code.key == *key => Some(load(code.bytes)),
            other => {
                let reason = other
                    .err()
                    .map_or("it is other code".to_owned(), |error| error.to_string());
                tracing::warn!("{}: the code cache removes the file: {reason}", path.display());
                // Whoever makes it again replaces it.
                let _ = fs::remove_file(&path);
                None
            }
        }
    }

    /// Keeps code. The log has one warning where that is not possible; the code is made again the next time.
    pub fn keep(&self, code: &Code<'_>) {
        let kept = self
            .write(&self.path(&code.key), &code.encode())
            .and_then(|()| tidy(&self.folder, self.max_bytes));
        if let Err(error) = kept
            && !self.warned.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                "{}: the code cache cannot keep code, each start compiles: {error}",
                self.folder.display()
            );
        }
    }

    fn path(&self, key: &CodeKey<'_>) -> PathBuf {
        self.folder.join(format!("{}.{CODE}", key.file_stem()))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
            .open(path)?;
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::other("not a file"));
        }
        if let Some(reason) = distrust(&found) {
            return Err(io::Error::other(reason));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(found.len()).unwrap_or(0));
        (&mut file).take(self.max_bytes).read_to_end(&mut bytes)?;
        let now = SystemTime::now();
        if age(&found, now) > NOTE_USE_AFTER {
            // Only the order in which files go depends on it.
            let _ = file.set_modified(now);
        }
        Ok(bytes)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() as u64 > self.max_bytes {
            return Err(io::Error::other(format!(
                "{} bytes are more than the whole cache may have",
                bytes.len()
            )));
        }
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}.{UNFINISHED}", std::process::id());
        let unfinished = self.folder.join(name);
        // Of a process with this number that has ended.
        let _ = fs::remove_file(&unfinished);
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)
            .and_then(|mut file| file.write_all(bytes))
            .and_then(|()| fs::rename(&unfinished, path));
        if written.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use weir_engine::ModuleDigest;

    struct Kept {
        folder: tempfile::TempDir,
        cache: CodeCache,
    }

    fn cache(max_bytes: u64) -> Kept {
        let folder = tempfile::tempdir().unwrap();
        let cache = CodeCache::open(&folder.path().join("a/b"), max_bytes).unwrap();
        Kept { folder, cache }
    }

    fn code(module: u8, bytes: &[u8]) -> Code<'_> {
        Code {
            key: CodeKey {
                engine: "wasmtime",
                target: "target",
                module: ModuleDigest::from_bytes([module; 32]),
            },
            bytes,
        }
    }

    fn find(cache: &CodeCache, wanted: &Code<'_>) -> Option<Vec<u8>> {
        cache.find(&wanted.key, <[u8]>::to_vec)
    }

    #[test]
    fn kept_code_is_found_only_by_its_whole_key() {
        let Kept { folder, cache } = cache(1 << 20);
        let kept = code(1, b"code");
        assert_eq!(find(&cache, &kept), None);
        cache.keep(&kept);
        let other = CodeCache::open(&folder.path().join("a/b"), 1 << 20).unwrap();
        assert_eq!(find(&other, &code(1, b"")).unwrap(), b"code");
        let with = |key| Code { key, ..kept };
        for wanted in [
            code(2, b""),
            with(CodeKey {
                engine: "wamr",
                ..kept.key
            }),
            with(CodeKey {
                target: "other",
                ..kept.key
            }),
        ] {
            assert_eq!(find(&cache, &wanted), None);
        }
    }

    #[test]
    fn damaged_code_is_removed() {
        let Kept {
            folder: _folder,
            cache,
        } = cache(1 << 20);
        let kept = code(1, b"code");
        cache.keep(&kept);
        let path = cache.path(&kept.key);
        let whole = fs::read(&path).unwrap();
        for damaged in [&whole[..whole.len() - 1], b"", b"code"] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(find(&cache, &kept), None);
            assert!(!path.exists());
        }
        // Under the name of other code.
        cache.keep(&kept);
        fs::rename(&path, cache.path(&code(2, b"").key)).unwrap();
        assert_eq!(find(&cache, &code(2, b"")), None);
    }

    #[test]
    fn the_least_recently_used_code_goes() {
        let size = code(0, &[0; 1000]).encode().len() as u64;
        let Kept {
            folder: _folder,
            cache,
        } = cache(2 * size);
        let day = Duration::from_secs(24 * 60 * 60);
        let set_age = |module, days| {
            let file = File::options()
                .write(true)
                .open(cache.path(&code(module, b"").key))
                .unwrap();
            file.set_modified(SystemTime::now() - day * days).unwrap();
        };
        let unfinished = cache.folder().join(format!("1-1.{UNFINISHED}"));
        File::create(&unfinished)
            .unwrap()
            .set_modified(SystemTime::now() - day)
            .unwrap();
        cache.keep(&code(1, &[1; 1000]));
        assert!(!unfinished.exists(), "what was abandoned goes at once");
        set_age(1, 3);
        cache.keep(&code(2, &[2; 1000]));
        set_age(2, 2);
        // Used today.
        assert!(find(&cache, &code(1, b"")).is_some());
        cache.keep(&code(3, &[3; 1000]));
        let there = [1, 2, 3].map(|module| find(&cache, &code(module, b"")).is_some());
        assert_eq!(there, [true, false, true]);
    }

    #[test]
    fn code_larger_than_the_cache_is_not_kept() {
        let Kept {
            folder: _folder,
            cache,
        } = cache(1000);
        let kept = code(1, &[0; 1000]);
        cache.keep(&kept);
        assert_eq!(find(&cache, &kept), None);
        assert_eq!(fs::read_dir(cache.folder()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_or_file_that_others_can_write_to_is_not_used() {
        let Kept { folder, cache } = cache(1 << 20);
        let kept = code(1, b"code");
        cache.keep(&kept);
        let set_mode =
            |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        set_mode(&cache.path(&kept.key), 0o666);
        assert_eq!(find(&cache, &kept), None);
        set_mode(&cache.path(&kept.key), 0o644);
        assert!(find(&cache, &kept).is_some());
        let target = folder.path().join("target");
        fs::rename(cache.path(&kept.key), &target).unwrap();
        std::os::unix::fs::symlink(&target, cache.path(&kept.key)).unwrap();
        assert_eq!(find(&cache, &kept), None);
        set_mode(cache.folder(), 0o777);
        let error = CodeCache::open(cache.folder(), 1).unwrap_err().to_string();
        assert!(error.contains("others may write to it (mode 777)"), "{error}");
        let file = folder.path().join("file");
        File::create(&file).unwrap();
        let error = CodeCache::open(&file, 1).unwrap_err().to_string();
        assert!(error.contains("the code cache cannot use the folder"), "{error}");
    }

    #[test]
    fn several_writers_and_readers_find_whole_code() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    // Room for two of the three.
                    let cache = CodeCache::open(folder.path(), 250_000).unwrap();
                    for round in 0..50_u8 {
                        let module = round % 3;
                        let bytes = vec![module; 100_000];
                        if let Some(found) = find(&cache, &code(module, b"")) {
                            assert!(found == bytes);
                        }
                        cache.keep(&code(module, &bytes));
                    }
                });
            }
        });
        assert!(
            fs::read_dir(folder.path())
                .unwrap()
                .all(|entry| { !entry.unwrap().path().to_string_lossy().ends_with(UNFINISHED) })
        );
    }
}
