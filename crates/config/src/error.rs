//! Problems of a configuration.

use std::fmt::{self, Write};
use std::path::{Path, PathBuf};

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    /// The file, as it was named.
    pub file: PathBuf,
    /// From 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// In characters, from 1; 0 where the file as a whole is meant.
    pub column: usize,
    /// The key, such as `config.vm_config.runtime` or `routes[0].upstream`; empty at the top.
    pub key: String,
}

impl Location {
    /// A file as a whole.
    pub(crate) fn whole(file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            line: 0,
            column: 0,
            key: String::new(),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if self.key.is_empty() {
            return Ok(());
        }
        f.write_str(": ")?;
        // YAML has keys of several lines; a problem has one.
        self.key.chars().try_for_each(|char| match char {
            char if char.is_control() => write!(f, "{}", char.escape_default()),
            char => f.write_char(char),
        })
    }
}

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The position of the problem.
    pub location: Location,
    /// The problem, and the value that was expected.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.message)
    }
}

/// Everything that was found wrong with a configuration: one line each, `file:line:column: key: message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<Problem>,
    files: Vec<PathBuf>,
}

impl ConfigError {
    pub(crate) fn new(problems: Vec<Problem>, files: Vec<PathBuf>) -> Self {
        Self { problems, files }
    }

    /// At least one, in the order of the files.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The files that were read or looked for before it was given up, absolute: a change of one of them is a reason to
    /// try again.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
