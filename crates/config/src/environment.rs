//! Facts that a configuration takes from its surroundings.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;

/// Facts that a configuration takes from its surroundings: environment variables, further folders for files, and the names
/// of capabilities.
#[derive(Clone)]
pub struct Environment {
    variables: Variables,
    folders: Vec<PathBuf>,
    capabilities: Option<Vec<&'static str>>,
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
            capabilities: None,
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
            capabilities: None,
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

    /// Tells which names `allowed_capabilities` may have: those of the import sets that the modules are compiled with.
    /// Without them every name is taken, and a wrong one is refused when the VM is planned.
    #[must_use]
    pub fn with_capabilities(mut self, names: impl IntoIterator<Item = &'static str>) -> Self {
        self.capabilities = Some(names.into_iter().collect());
        self
    }

    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        match &self.variables {
            Variables::OfTheProcess => std::env::var(name).ok(),
            Variables::Given(variables) => variables.get(name).cloned(),
        }
    }

    /// Names of capabilities; `None` where any is taken.
    pub(crate) fn capabilities(&self) -> Option<&[&'static str]> {
        self.capabilities.as_deref()
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
