//! The source of a proxy's configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use weir_config::{ConfigError, ProxyConfig};
use weir_plan::FileStamp;

/// The most attempts to read a configuration that changes meanwhile. One that is still changing is being written, and its
/// watch reports the end of that.
const MAX_READINGS: usize = 3;

/// The source of a proxy's configuration: asked at start and at each reload.
pub struct ConfigSource {
    load: Box<dyn Fn() -> Result<ProxyConfig, ConfigError> + Send + Sync>,
    read_once: Option<PathBuf>,
}

impl ConfigSource {
    /// A source that calls `load`, which gives the same again unless files have changed.
    pub fn new(load: impl Fn() -> Result<ProxyConfig, ConfigError> + Send + Sync + 'static) -> Self {
        Self {
            load: Box::new(load),
            read_once: None,
        }
    }

    /// Leaves a file out of what is watched, since `load` has read it for good: a pipe. The path is the configuration's
    /// [`source`](ProxyConfig::source).
    #[must_use]
    pub fn read_once(mut self, file: PathBuf) -> Self {
        self.read_once = Some(file);
        self
    }

    /// True for the file of [`ConfigSource::read_once`].
    pub(crate) fn is_read_once(&self, file: &Path) -> bool {
        self.read_once.as_deref() == Some(file)
    }

    /// Reads the configuration, with stamps that its files had before they were read.
    pub(crate) fn read(&self) -> Result<(ProxyConfig, StampedFiles), ConfigError> {
        let mut config = (self.load)()?;
        let mut readings = 1;
        loop {
            // The files are known only now. Where a further reading gives the same, they were stamped before it.
            let files = StampedFiles::of(&config.files());
            let again = (self.load)()?;
            readings += 1;
            if again == config || readings == MAX_READINGS {
                return Ok((again, files));
            }
            config = again;
        }
    }
}

impl fmt::Debug for ConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConfigSource")
    }
}

/// Files with their stamps at some time.
#[derive(Clone, Debug, Default)]
pub(crate) struct StampedFiles(BTreeMap<PathBuf, FileStamp>);

impl StampedFiles {
    /// These files as they are now.
    pub fn of(files: &[PathBuf]) -> Self {
        let stamped = files.iter().map(|file| (file.clone(), FileStamp::of(file)));
        Self(stamped.collect())
    }

    /// The same files as they are now.
    pub fn again(&self) -> Self {
        Self::of(&self.0.keys().cloned().collect::<Vec<_>>())
    }

    /// With others, unless they are there already.
    pub fn and(mut self, others: Self) -> Self {
        for (file, stamp) in others.0 {
            self.0.entry(file).or_insert(stamp);
        }
        self
    }
}

impl IntoIterator for StampedFiles {
    type Item = (PathBuf, FileStamp);
    type IntoIter = std::collections::btree_map::IntoIter<PathBuf, FileStamp>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use weir_config::Environment;

    use super::*;

    fn config(workers: usize, path: &Path) -> Result<ProxyConfig, ConfigError> {
        let text = format!("workers: {workers}\nroutes: [{{ upstream: echo }}]\n");
        ProxyConfig::parse(text.as_bytes(), path, &Environment::empty())
    }

    /// The file changes while it is read: the stamp is older than what was read last, or as old.
    #[test]
    fn stamps_are_never_newer_than_what_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weir.yaml");
        let readings = AtomicUsize::new(0);
        let path = file.clone();
        let source = ConfigSource::new(move || {
            let reading = readings.fetch_add(1, Ordering::SeqCst).min(1);
            let read = config(reading + 1, &path);
            // Written right after the first reading, as an editor may do.
            if reading == 0 {
                std::fs::write(&path, "changed").unwrap();
            }
            read
        });
        let (read, files) = source.read().unwrap();
        assert_eq!(read.workers, 2);
        let stamped: Vec<_> = files.into_iter().collect();
        assert_eq!(stamped, [(file.clone(), FileStamp::of(&file))]);
    }
}
