use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

/// Never looks by itself within a test's life: what is seen was an event.
const EVENTS_ONLY: Pace = Pace {
    look: Duration::from_secs(3600),
    retry: Duration::from_secs(3600),
    ..Pace::DEFAULT
};

/// A watch of one file and what it says.
struct Seen {
    watch: FileWatch,
    file: PathBuf,
    causes: Receiver<Cause>,
}

impl Seen {
    fn of(file: impl Into<PathBuf>) -> Self {
        Self::with(EVENTS_ONLY, Events::new(), file)
    }

    fn with(pace: Pace, events: Events, file: impl Into<PathBuf>) -> Self {
        let (sender, causes) = channel();
        let watch = FileWatch::start_with(pace, events, move |cause| {
            let _ = sender.send(cause);
        });
        let seen = Self {
            watch: watch.unwrap(),
            file: file.into(),
            causes,
        };
        seen.watch
            .follow(vec![(seen.file.clone(), FileStamp::of(&seen.file))]);
        seen
    }

    fn reloaded(&self, loaded: Loaded) {
        let stamp = FileStamp::of(&self.file);
        self.watch.reloaded(vec![(self.file.clone(), stamp)], loaded);
    }

    /// Waits for a change, and follows the file as it is then.
    fn changed(&self, what: &str) {
        let cause = self.causes.recv_timeout(PATIENCE);
        assert_eq!(cause, Ok(Cause::Changed), "{what}");
        self.reloaded(Loaded::Yes);
    }

    fn nothing_more(&self) {
        let cause = self.causes.recv_timeout(2 * Pace::DEFAULT.quiet);
        assert_eq!(cause, Err(RecvTimeoutError::Timeout));
    }
}

/// A folder whose path has no links.
fn folder() -> (tempfile::TempDir, PathBuf) {
    let made = tempfile::tempdir().unwrap();
    let path = fs::canonicalize(made.path()).unwrap();
    (made, path)
}

fn replace_link(target: impl AsRef<Path>, link: &Path) {
    let new = link.with_file_name("link.new");
    symlink(target, &new).unwrap();
    fs::rename(new, link).unwrap();
}

#[test]
fn neighbours_neither_cause_nor_delay_a_reload() {
    let (_kept, folder) = folder();
    let file = folder.join("weir.yaml");
    fs::write(&file, "1").unwrap();
    let seen = Seen::of(&file);
    let end = Arc::new(AtomicBool::new(false));
    let busy = {
        let (folder, end) = (folder.clone(), Arc::clone(&end));
        std::thread::spawn(move || {
            for number in 0.. {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                fs::write(folder.join("weir.log"), number.to_string()).unwrap();
                fs::write(folder.join(format!("{}.tmp", number % 7)), "").unwrap();
                let _ = fs::remove_file(folder.join(format!("{}.tmp", (number + 3) % 7)));
                #[expect(
                    clippy::disallowed_methods,
                    reason = "the test's own thread, which paces its writes"
                )]
                std::thread::sleep(Duration::from_millis(5));
            }
        })
    };
    seen.nothing_more();
    fs::write(&file, "22").unwrap();
    seen.changed("under steady traffic");
    end.store(true, Ordering::SeqCst);
    busy.join().unwrap();
    seen.nothing_more();
}

#[test]
fn the_target_of_a_link_counts() {
    let (_kept, folder) = folder();
    for made in ["live", "archive"] {
        fs::create_dir(folder.join(made)).unwrap();
    }
    let cert = |number: usize| folder.join(format!("archive/cert{number}.pem"));
    fs::write(cert(1), "1").unwrap();
    let link = folder.join("live/cert.pem");
    symlink("../archive/cert1.pem", &link).unwrap();
    let seen = Seen::of(&link);
    fs::write(cert(1), "22").unwrap();
    seen.changed("the target was written to");
    fs::rename(cert(1), folder.join("old")).unwrap();
    fs::write(cert(1), "333").unwrap();
    seen.changed("the target was replaced");
    fs::write(cert(2), "4444").unwrap();
    replace_link("../archive/cert2.pem", &link);
    seen.changed("the link was replaced");
    fs::write(cert(2), "55555").unwrap();
    seen.changed("the new target was written to");
}

#[test]
fn a_link_on_the_way_counts() {
    let (_kept, folder) = folder();
    for number in [1, 2, 3] {
        let release = folder.join(format!("r{number}"));
        fs::create_dir(&release).unwrap();
        fs::write(release.join("filter.wasm"), number.to_string()).unwrap();
    }
    let current = folder.join("current");
    symlink("r1", &current).unwrap();
    let seen = Seen::of(current.join("filter.wasm"));
    for number in [2, 3] {
        replace_link(format!("r{number}"), &current);
        seen.changed("another release");
    }
    fs::write(folder.join("r3/filter.wasm"), "33").unwrap();
    seen.changed("a change of that release");
}

#[test]
fn folders_that_are_replaced_are_found_again() {
    let (_kept, folder) = folder();
    let (own, file) = (folder.join("a/b"), folder.join("a/b/file"));
    fs::create_dir_all(&own).unwrap();
    fs::write(&file, "1").unwrap();
    let seen = Seen::of(&file);
    for content in ["22", "333"] {
        fs::remove_dir_all(folder.join("a")).unwrap();
        seen.changed("the folder has gone");
        fs::create_dir_all(&own).unwrap();
        fs::write(&file, content).unwrap();
        seen.changed("the folder has come back");
        fs::write(&file, "4444").unwrap();
        seen.changed("the file in the new folder was written to");
    }
    fs::rename(&own, folder.join("a/c")).unwrap();
    seen.changed("the folder was renamed");
    fs::rename(folder.join("a/c"), &own).unwrap();
    seen.changed("the folder has its name again");
}

#[test]
fn orchestrators_and_editors_are_seen() {
    let (_kept, folder) = folder();
    // As Kubernetes mounts a ConfigMap.
    for revision in ["..1", "..2"] {
        fs::create_dir(folder.join(revision)).unwrap();
        fs::write(folder.join(revision).join("weir.yaml"), revision.repeat(3)).unwrap();
    }
    symlink("..1", folder.join("..data")).unwrap();
    let file = folder.join("weir.yaml");
    symlink("..data/weir.yaml", &file).unwrap();
    let seen = Seen::of(&file);
    replace_link("..2", &folder.join("..data"));
    seen.changed("..data");
    fs::remove_dir_all(folder.join("..1")).unwrap();

    let new = folder.join("new");
    fs::write(&new, "renamed").unwrap();
    fs::rename(&new, &file).unwrap();
    seen.changed("rename");
    fs::File::create(&file).unwrap();
    seen.changed("truncation");
    for number in 0..50 {
        fs::write(&file, "x".repeat(number)).unwrap();
    }
    // Fifty edits are a few changes, the last of which is seen.
    loop {
        assert_eq!(seen.causes.recv_timeout(PATIENCE), Ok(Cause::Changed));
        let read = fs::read(&file).unwrap();
        seen.reloaded(Loaded::Yes);
        if read.len() == 49 {
            break;
        }
    }
}

#[test]
fn a_change_before_the_watch_stands_is_seen() {
    let (_kept, folder) = folder();
    let file = folder.join("file");
    fs::write(&file, "1").unwrap();
    let seen = Seen::of(&file);
    let read = FileStamp::of(&file);
    fs::write(&file, "22").unwrap();
    seen.watch.follow(vec![(file, read)]);
    seen.changed("between being read and being watched");
}

#[test]
fn a_slow_look_sees_what_no_event_tells() {
    let (_kept, folder) = folder();
    let file = folder.join("file");
    fs::write(&file, "1").unwrap();
    let pace = Pace {
        look: Duration::from_millis(20),
        ..EVENTS_ONLY
    };
    let seen = Seen::with(pace, Events::deaf(), &file);
    fs::write(&file, "22").unwrap();
    seen.changed("without events");
    fs::remove_file(&file).unwrap();
    seen.changed("without events");
}

#[test]
fn a_failed_reload_is_asked_for_again() {
    let (_kept, folder) = folder();
    let file = folder.join("file");
    fs::write(&file, "1").unwrap();
    let pace = Pace {
        retry: Duration::from_millis(20),
        ..EVENTS_ONLY
    };
    let seen = Seen::with(pace, Events::new(), &file);
    for _ in 0..3 {
        seen.reloaded(Loaded::No);
        assert_eq!(seen.causes.recv_timeout(PATIENCE), Ok(Cause::Retry));
    }
    seen.reloaded(Loaded::Yes);
    seen.nothing_more();
}

#[test]
fn the_thread_ends_with_the_watch() {
    let (_kept, folder) = folder();
    let seen = Seen::of(folder.join("file"));
    drop(seen.watch);
    // The thread holds the sender.
    assert_eq!(
        seen.causes.recv_timeout(PATIENCE),
        Err(RecvTimeoutError::Disconnected)
    );
}
