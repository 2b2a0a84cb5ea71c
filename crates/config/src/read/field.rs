//! One value of a document, on its way to a type.

use std::path::{Path, PathBuf};

use super::keys::Keys;
use super::session::{Document, reason};
use super::text::quoted;
use crate::Location;
use crate::yaml::{Node, Position, Value};

/// A value, its key and the document it stands in.
#[derive(Clone)]
pub(crate) struct Field<'d> {
    pub(crate) document: &'d Document<'d>,
    pub(crate) node: &'d Node,
    /// The path of the key, such as `routes[0].upstream`.
    pub(crate) key: String,
}

impl<'d> Field<'d> {
    pub(crate) fn new(document: &'d Document<'d>, node: &'d Node, key: String) -> Self {
        Self { document, node, key }
    }

    /// Notes a problem with this value.
    pub(crate) fn report(&self, message: impl Into<String>) {
        self.report_at(self.node.at, message);
    }

    /// Notes a problem with this key at another place.
    pub(crate) fn report_at(&self, at: Position, message: impl Into<String>) {
        self.document.session.report(self.location_at(at), message.into());
    }

    /// Notes that something else was expected here. `expected` such as `a duration`.
    pub(crate) fn expected<T>(&self, expected: &str) -> Option<T> {
        self.report(format!("expected {expected}, found {}", self.node.describe()));
        None
    }

    /// The position of the value.
    pub(crate) fn location(&self) -> Location {
        self.location_at(self.node.at)
    }

    fn location_at(&self, at: Position) -> Location {
        Location {
            file: self.document.shown.clone(),
            line: at.line,
            column: at.column,
            key: self.key.clone(),
        }
    }

    /// The field of a value inside this one.
    pub(crate) fn child(&self, name: &str, node: &'d Node) -> Self {
        let key = if self.key.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.key)
        };
        Self::new(self.document, node, key)
    }

    /// The keys of a map. Nothing at all counts as an empty map: its entries may be commented out.
    pub(crate) fn keys(&self) -> Option<Keys<'d>> {
        match &self.node.value {
            Value::Map(entries) => Some(Keys::new(self.clone(), entries)),
            _ if self.node.is_null() => Some(Keys::new(self.clone(), &[])),
            _ => self.expected("a map"),
        }
    }

    /// The entries of a map whose keys are names that the user chooses.
    pub(crate) fn named(&self) -> Option<Vec<(&'d str, Self)>> {
        match &self.node.value {
            Value::Map(entries) => {
                let fields = entries
                    .iter()
                    .map(|entry| (entry.key.as_str(), self.child(&entry.key, &entry.value)));
                Some(fields.collect())
            }
            _ if self.node.is_null() => Some(Vec::new()),
            _ => self.expected("a map"),
        }
    }

    /// The items of a list. Nothing at all counts as an empty list.
    pub(crate) fn items(&self) -> Option<Vec<Self>> {
        match &self.node.value {
            Value::List(items) => Some(self.numbered(items)),
            _ if self.node.is_null() => Some(Vec::new()),
            _ => self.expected("a list"),
        }
    }

    /// The items of a list, or this value as the only one.
    pub(crate) fn items_or_one(&self) -> Vec<Self> {
        match &self.node.value {
            Value::List(items) => self.numbered(items),
            _ => vec![self.clone()],
        }
    }

    fn numbered(&self, items: &'d [Node]) -> Vec<Self> {
        let field = |(index, item)| Self::new(self.document, item, format!("{}[{index}]", self.key));
        items.iter().enumerate().map(field).collect()
    }

    pub(crate) fn is_map(&self) -> bool {
        matches!(self.node.value, Value::Map(_))
    }

    pub(crate) fn is_list(&self) -> bool {
        matches!(self.node.value, Value::List(_))
    }

    /// True where nothing stands (`~`), or the empty text.
    pub(crate) fn is_empty_text(&self) -> bool {
        self.node.is_null() || matches!(&self.node.value, Value::Scalar { text, .. } if text.is_empty())
    }

    /// The text of a scalar, quoted or not. `expected` such as `a string`.
    pub(crate) fn scalar(&self, expected: &str) -> Option<&'d str> {
        match &self.node.value {
            Value::Scalar { text, .. } if !self.node.is_null() => Some(text),
            _ => self.expected(expected),
        }
    }

    /// The absolute path of a file that exists. Relative names begin at the document's folder, then at the folders
    /// of the environment.
    pub(crate) fn existing_file(&self) -> Option<PathBuf> {
        self.file(readable_file)
    }

    /// As [`Field::existing_file`], of a regular file: no pipe and no device, which may have no end.
    pub(crate) fn regular_file(&self) -> Option<PathBuf> {
        self.file(regular_file)
    }

    /// The first candidate that `check` has nothing against.
    fn file(&self, check: impl Fn(&Path) -> Result<(), String>) -> Option<PathBuf> {
        let written = self.scalar("a file name")?;
        let session = self.document.session;
        let folders = std::iter::once(self.document.folder())
            .chain(session.environment.folders().iter().map(PathBuf::as_path));
        let candidates: Vec<PathBuf> = if Path::new(written).is_absolute() {
            vec![PathBuf::from(written)]
        } else {
            folders.map(|folder| joined(folder, written)).collect()
        };
        let mut failures = Vec::new();
        for path in candidates {
            session.file(&path);
            match check(&path) {
                Ok(()) => return Some(path),
                Err(reason) => failures.push(format!("{}: {reason}", path.display())),
            }
        }
        self.report(format!(
            "cannot read the file {} ({})",
            quoted(written),
            failures.join("; ")
        ));
        None
    }

    /// The absolute path of a file that need not exist.
    pub(crate) fn new_file(&self) -> Option<PathBuf> {
        let written = self.scalar("a file name")?;
        Some(joined(self.document.folder(), written))
    }
}

/// `folder/name` without `.` segments; an absolute name stays as it is.
fn joined(folder: &Path, name: &str) -> PathBuf {
    folder.join(name).components().collect()
}

fn regular_file(path: &Path) -> Result<(), String> {
    readable_file(path)?;
    let is_regular = std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    if is_regular {
        Ok(())
    } else {
        Err("it is no regular file".to_owned())
    }
}

fn readable_file(path: &Path) -> Result<(), String> {
    let metadata = std::fs::metadata(path).map_err(|error| reason(&error))?;
    if metadata.is_dir() {
        return Err("it is a folder".to_owned());
    }
    // Opening a pipe would wait for its other end.
    if metadata.is_file() {
        std::fs::File::open(path).map_err(|error| reason(&error))?;
    }
    Ok(())
}
