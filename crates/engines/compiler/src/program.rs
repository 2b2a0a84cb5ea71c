//! The program that compiles.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use weir_engine::Unavailable;
use weir_engine_support::Companion;

const COMPANION: Companion = Companion {
    file: "weir-compiler",
    variable: "WEIR_COMPILER",
    command: "cargo build --release --package weir-compiler",
    source: "no more than the plugin",
};

/// The file of the running program, also where another has taken its name since.
const OWN: &str = "/proc/self/exe";

/// Where the program is that compiles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Program {
    /// `weir-compiler`: where `WEIR_COMPILER` says, else beside the file that this code is in, else in `/usr/lib/weir`.
    #[default]
    Beside,
    /// The running program itself, which calls [`work`](crate::work) with the arguments that follow this one.
    Own(&'static str),
    /// This file.
    At(&'static str),
}

impl Program {
    /// The program, to be started with further arguments. Looked for each time: it may be installed while the server runs.
    pub(crate) fn find(self) -> Result<Found, Unavailable> {
        Ok(match self {
            Self::Beside => Found {
                file: COMPANION.find()?,
                verb: None,
            },
            Self::At(file) if !Path::new(file).is_file() => {
                return Err(Unavailable {
                    problem: format!("{file} is not there"),
                    remedy: "install it".to_owned(),
                });
            }
            Self::At(file) => Found {
                file: file.into(),
                verb: None,
            },
            Self::Own(verb) => Found {
                file: OWN.into(),
                verb: Some(verb),
            },
        })
    }
}

/// A program that was found.
pub(crate) struct Found {
    file: PathBuf,
    verb: Option<&'static str>,
}

impl Found {
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.file);
        if let Some(verb) = self.verb {
            // So that lists of processes have the name.
            if let Some(own) = std::env::args_os().next() {
                command.arg0(own);
            }
            command.arg(verb);
        }
        command
    }

    /// Why the program is of no use, and what to do about it.
    pub fn unusable(&self, problem: &str) -> String {
        match self.verb {
            None => COMPANION.unusable(&self.file, problem).to_string(),
            Some(_) => format!("{}: {problem}", Path::new(OWN).display()),
        }
    }
}
