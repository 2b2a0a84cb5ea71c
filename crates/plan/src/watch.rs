//! Watching the files that something was loaded from.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use weir_loader::FileStamp;

/// Watches the folders of files. Files themselves are replaced rather than written to by most editors and by
/// orchestrators, so that a watch on them would see only the first change.
pub struct FileWatch {
    changed: Arc<dyn Fn() + Send + Sync>,
    watcher: Option<RecommendedWatcher>,
    folders: HashSet<PathBuf>,
    files: HashMap<PathBuf, FileStamp>,
}

impl FileWatch {
    /// Watches nothing so far. `changed` is called, on a thread of the watch, when something happens in a folder that holds
    /// one of the files: [`FileWatch::has_changed`] then tells whether it was to one of them.
    pub fn new(changed: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            changed: Arc::new(changed),
            watcher: None,
            folders: HashSet::new(),
            files: HashMap::new(),
        }
    }

    /// Watches these files from now on, and no others. Each comes as it was when it was read, so that what has happened to
    /// it since is a change.
    pub fn follow(&mut self, files: impl IntoIterator<Item = (PathBuf, FileStamp)>) {
        self.files = files.into_iter().collect();
        let folders: HashSet<PathBuf> = self
            .files
            .keys()
            .filter_map(|file| file.parent().map(Path::to_owned))
            .collect();
        if folders == self.folders && self.watcher.is_some() {
            return;
        }
        self.watcher = None;
        if folders.is_empty() {
            self.folders = folders;
            return;
        }
        match watch(&folders, Arc::clone(&self.changed)) {
            Ok(watcher) => {
                self.watcher = Some(watcher);
                self.folders = folders;
            }
            Err(error) => tracing::warn!(%error, "files cannot be watched: a change of one is not noticed"),
        }
    }

    /// Whether a file is not what it was.
    pub fn has_changed(&self) -> bool {
        self.files
            .iter()
            .any(|(file, known)| FileStamp::of(file) != *known)
    }
}

fn watch(
    folders: &HashSet<PathBuf>,
    changed: Arc<dyn Fn() + Send + Sync>,
) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !matches!(event.kind, EventKind::Access(_))) {
            changed();
        }
    })?;
    for folder in folders {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    #[test]
    fn a_change_of_a_file_is_noticed_and_that_of_its_neighbour_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let (file, neighbour) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::write(&file, "1").unwrap();
        let (sender, receiver) = channel();
        let mut watch = FileWatch::new(move || {
            let _ = sender.send(());
        });
        watch.follow([(file.clone(), FileStamp::of(&file))]);
        std::fs::write(neighbour, "1").unwrap();
        receiver.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(!watch.has_changed());
        std::fs::write(file, "22").unwrap();
        assert!(watch.has_changed());
    }
}
