//! What a configuration takes from around it.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;

/// What a configuration takes from around it: environment variables, and further folders for files.
#[derive(Clone)]
pub struct Environment {
    variables: Variables,
    folders: Vec<PathBuf>,
}

#[derive(Clone)]
enum Variables {
    OfTheProcess,
    Given(HashMap<String, String>),
}

impl Environment {
    /// The environment of this process. A variable that is not UTF-8 counts as not set.
    pub fn process() -> Self {
        Self {
            variables: Variables::OfTheProcess,
            folders: Vec::new(),
        }
    }

    /// These variables and no others.
    pub fn of<K: Into<String>, V: Into<String>>(variables: impl IntoIterator<Item = (K, V)>) -> Self {
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        Self {
            variables: Variables::Given(variables.collect()),
            folders: Vec::new(),
        }
    }

    /// No variable at all.
    pub fn empty() -> Self {
        Self::of::<String, String>([])
    }

    /// Adds a folder in which a relative file name is looked up when it is not beside the file that names it. Traffic
    /// Server's plugin takes module names relative to the server's configuration folder.
    #[must_use]
    pub fn with_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folders.push(folder.into());
        self
    }

    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        match &self.variables {
            Variables::OfTheProcess => std::env::var(name).ok(),
            Variables::Given(variables) => variables.get(name).cloned(),
        }
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
