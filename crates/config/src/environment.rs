//! What a configuration takes from around it.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;

/// What a configuration takes from around it: environment variables, and further folders for module files.
pub struct Environment {
    lookup: Box<dyn Fn(&str) -> Option<String> + Send + Sync>,
    folders: Vec<PathBuf>,
}

impl Environment {
    /// The environment of this process. A variable that is not UTF-8 counts as not set.
    pub fn process() -> Self {
        Self::new(|name| std::env::var(name).ok())
    }

    /// These variables and no others.
    pub fn of<K: Into<String>, V: Into<String>>(variables: impl IntoIterator<Item = (K, V)>) -> Self {
        let variables: HashMap<String, String> = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        Self::new(move |name| variables.get(name).cloned())
    }

    /// No variable at all.
    pub fn empty() -> Self {
        Self::new(|_| None)
    }

    fn new(lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self {
            lookup: Box::new(lookup),
            folders: Vec::new(),
        }
    }

    /// Adds a folder in which a relative file name is looked up when it is not beside the file that names it. Traffic
    /// Server's plugin takes module names relative to the server's configuration folder.
    #[must_use]
    pub fn with_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folders.push(folder.into());
        self
    }

    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        (self.lookup)(name)
    }

    pub(crate) fn folders(&self) -> &[PathBuf] {
        &self.folders
    }
}

impl fmt::Debug for Environment {
    /// Shows no variable: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("folders", &self.folders)
            .finish_non_exhaustive()
    }
}
