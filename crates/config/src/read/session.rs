//! One run of reading: the files it touches and the problems it finds.

use std::cell::RefCell;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::field::Field;
use crate::yaml::{self, Node, Position, Value};
use crate::{ConfigError, Environment, Location, Problem};

/// Problems that are kept; what comes after is most likely their consequence.
const MAX_PROBLEMS: usize = 50;

/// Bytes of one file. The parser needs several times that.
const MAX_FILE: u64 = 16 << 20;

/// One run of reading.
pub(crate) struct Session<'e> {
    pub(crate) environment: &'e Environment,
    problems: RefCell<Vec<Problem>>,
    files: RefCell<Vec<PathBuf>>,
}

impl<'e> Session<'e> {
    pub(crate) fn new(environment: &'e Environment) -> Self {
        Self {
            environment,
            problems: RefCell::default(),
            files: RefCell::default(),
        }
    }

    /// Notes a problem, unless there are too many or it is noted already (a shared block that was read twice).
    pub(crate) fn report(&self, location: Location, message: String) {
        let problem = Problem { location, message };
        let mut problems = self.problems.borrow_mut();
        if problems.len() < MAX_PROBLEMS && !problems.contains(&problem) {
            problems.push(problem);
        }
    }

    /// Notes that a file belongs to the configuration, whether it exists or not.
    pub(crate) fn file(&self, path: &Path) {
        let mut files = self.files.borrow_mut();
        if !files.iter().any(|known| known == path) {
            files.push(path.to_owned());
        }
    }

    /// The result of the run: `value` only if no problem was noted.
    pub(crate) fn finish<T>(self, value: Option<T>) -> Result<T, ConfigError> {
        let files = self.files.into_inner();
        let mut problems = self.problems.into_inner();
        match value {
            Some(value) if problems.is_empty() => Ok(value),
            _ => {
                sort(&mut problems);
                Err(ConfigError::new(problems, files))
            }
        }
    }
}

/// By line within each file, files in the order in which they were read.
fn sort(problems: &mut [Problem]) {
    let mut order: Vec<PathBuf> = Vec::new();
    for problem in problems.iter() {
        if !order.contains(&problem.location.file) {
            order.push(problem.location.file.clone());
        }
    }
    problems.sort_by_key(|problem| {
        let at = &problem.location;
        (order.iter().position(|file| *file == at.file), at.line, at.column)
    });
}

/// One file, or text that stands for one.
pub(crate) struct Document<'s> {
    pub(crate) session: &'s Session<'s>,
    /// As messages show it.
    pub(crate) shown: PathBuf,
    /// Absolute.
    pub(crate) path: PathBuf,
    root: Node,
}

impl<'s> Document<'s> {
    /// Reads a file; `None` with the problem noted if that fails.
    pub(crate) fn open(session: &'s Session<'s>, shown: &Path) -> Option<Self> {
        let text = Self::text(session, shown)?;
        Self::parse(session, shown, &text)
    }

    /// The bytes of a file; `None` with the problem noted if it cannot be read.
    pub(crate) fn text(session: &Session<'_>, shown: &Path) -> Option<Vec<u8>> {
        let path = absolute(shown);
        session.file(&path);
        match read(&path) {
            Ok(text) => Some(text),
            Err(message) => {
                session.report(Location::whole(shown), message);
                None
            }
        }
    }

    /// Parses text as if it stood in the file `shown`.
    pub(crate) fn parse(session: &'s Session<'s>, shown: &Path, text: &[u8]) -> Option<Self> {
        session.file(&absolute(shown));
        let report = |at: Position, message: String| {
            let Position { line, column } = at;
            session.report(
                Location {
                    file: shown.to_owned(),
                    line,
                    column,
                    key: String::new(),
                },
                message,
            );
        };
        let text = match std::str::from_utf8(text) {
            Ok(text) => text,
            Err(error) => {
                report(
                    position_of(text, error.valid_up_to()),
                    "expected UTF-8 text, found other bytes".to_owned(),
                );
                return None;
            }
        };
        match yaml::parse(text) {
            Ok(root) => {
                let nothing = Node {
                    at: Position { line: 1, column: 1 },
                    value: Value::Map(Vec::new()),
                };
                let root = root.unwrap_or(nothing);
                Some(Self {
                    session,
                    shown: shown.to_owned(),
                    path: absolute(shown),
                    root,
                })
            }
            Err(error) => {
                report(error.at, error.message);
                None
            }
        }
    }

    /// The document's root.
    pub(crate) fn root(&self) -> Field<'_> {
        Field::new(self, &self.root, String::new())
    }

    /// The folder at which relative file names begin.
    pub(crate) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }
}

/// Without resolving links: what a user sees is what is shown and watched.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let failed =
        |error: std::io::Error| format!("cannot read the file {}: {}", path.display(), reason(&error));
    let mut text = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(MAX_FILE + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_FILE {
        return Err(format!("the file is larger than {} MiB", MAX_FILE >> 20));
    }
    Ok(text)
}

/// An I/O error in words, without the number.
pub(crate) fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        std::io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => error.to_string(),
    }
}

fn position_of(text: &[u8], offset: usize) -> Position {
    let before = &text[..offset];
    let line_start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |newline| newline + 1);
    Position {
        line: before.iter().filter(|byte| **byte == b'\n').count() + 1,
        column: String::from_utf8_lossy(&before[line_start..]).chars().count() + 1,
    }
}
