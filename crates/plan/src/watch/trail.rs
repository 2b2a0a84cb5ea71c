//! The way to a file, links followed.

use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Links on the way to one file, as many as Linux follows.
const MAX_LINKS: usize = 40;

/// The directory entries that decide which file a path names: a change of any of them may make it another one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Trail {
    /// Folders without links in their paths, and the name in each. The last may not exist.
    pub entries: Vec<(PathBuf, OsString)>,
    /// The file at the end, without links in its path; `None` where there is none.
    pub file: Option<PathBuf>,
}

enum Step {
    Root,
    Up,
    Down(OsString),
}

impl Trail {
    /// The way to `file` as it is now.
    pub fn of(file: &Path) -> Self {
        let mut trail = Self::default();
        let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let mut ahead = Vec::new();
        push(&mut ahead, &absolute);
        let mut at = PathBuf::from("/");
        let mut links = 0;
        while let Some(step) = ahead.pop() {
            let name = match step {
                Step::Root => {
                    at = PathBuf::from("/");
                    continue;
                }
                Step::Up => {
                    at.pop();
                    continue;
                }
                Step::Down(name) => name,
            };
            let place = at.join(&name);
            trail.entries.push((at.clone(), name));
            let Ok(found) = fs::symlink_metadata(&place) else {
                break;
            };
            if found.is_symlink() {
                links += 1;
                match fs::read_link(&place) {
                    Ok(target) if links <= MAX_LINKS => push(&mut ahead, &target),
                    _ => break,
                }
            } else if found.is_dir() {
                at = place;
            } else {
                trail.file = Some(place);
                break;
            }
        }
        trail
    }
}

/// Puts the steps of a path before those that are ahead.
fn push(ahead: &mut Vec<Step>, path: &Path) {
    let steps = path.components().filter_map(|component| match component {
        Component::RootDir => Some(Step::Root),
        Component::ParentDir => Some(Step::Up),
        Component::Normal(name) => Some(Step::Down(name.to_owned())),
        Component::CurDir | Component::Prefix(_) => None,
    });
    ahead.extend(steps.collect::<Vec<_>>().into_iter().rev());
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// The entries below `folder`, as `folder/name` each, and the file.
    fn seen(folder: &Path, file: &str) -> (Vec<String>, Option<String>) {
        let trail = Trail::of(&folder.join(file));
        let below = |path: &Path| Some(path.strip_prefix(folder).ok()?.to_str()?.to_owned());
        let entries = trail.entries.iter();
        (
            entries
                .filter_map(|(folder, name)| below(&folder.join(name)))
                .filter(|entry| !entry.is_empty())
                .collect(),
            trail.file.as_deref().and_then(below),
        )
    }

    #[test]
    fn every_link_on_the_way_is_an_entry() {
        let folder = tempfile::tempdir().unwrap();
        let folder = fs::canonicalize(folder.path()).unwrap();
        for made in ["r2/deep", "archive", "live"] {
            fs::create_dir_all(folder.join(made)).unwrap();
        }
        fs::write(folder.join("r2/deep/a.wasm"), "").unwrap();
        fs::write(folder.join("archive/cert2.pem"), "").unwrap();
        symlink("r2", folder.join("current")).unwrap();
        symlink("../archive/cert2.pem", folder.join("live/cert.pem")).unwrap();
        symlink(folder.join("live"), folder.join("absolute")).unwrap();
        symlink("loop", folder.join("loop")).unwrap();

        let (entries, file) = seen(&folder, "current/deep/a.wasm");
        assert_eq!(entries, ["current", "r2", "r2/deep", "r2/deep/a.wasm"]);
        assert_eq!(file.as_deref(), Some("r2/deep/a.wasm"));

        let (entries, file) = seen(&folder, "absolute/cert.pem");
        let last: Vec<_> = entries.iter().rev().take(4).rev().collect();
        assert_eq!(last, ["live", "live/cert.pem", "archive", "archive/cert2.pem"]);
        assert_eq!(entries[0], "absolute");
        assert_eq!(file.as_deref(), Some("archive/cert2.pem"));

        let (entries, file) = seen(&folder, "no/such/file");
        assert_eq!((entries, file), (vec!["no".to_owned()], None));
        let (entries, file) = seen(&folder, "loop/file");
        assert!(entries.iter().all(|entry| entry == "loop") && file.is_none());
        let (entries, file) = seen(&folder, "live/../archive/cert2.pem");
        assert_eq!(entries, ["live", "archive", "archive/cert2.pem"]);
        assert!(file.is_some());
    }
}
