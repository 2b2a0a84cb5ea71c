//! Libraries and programs of Weir that lie beside it and are opened or started when they are first asked for.

use std::path::{Path, PathBuf};

use weir_engine::Unavailable;

/// The folder in which an administrator may put them.
const SYSTEM: &str = "/usr/lib/weir";

/// Such a library or program.
#[derive(Clone, Copy, Debug)]
pub struct Companion {
    /// Name of the file.
    pub file: &'static str,
    /// Environment variable that names another file.
    pub variable: &'static str,
    /// The command that makes it.
    pub command: &'static str,
    /// The source that the command takes it from.
    pub source: &'static str,
}

impl Companion {
    /// Its file: the one that the variable names, else beside the program or library that this code is in, else
    /// in `/usr/lib/weir`.
    ///
    /// # Errors
    ///
    /// The program is in none of these places.
    pub fn find(&self) -> Result<PathBuf, Unavailable> {
        let candidates = self.candidates();
        let looked: Vec<_> = candidates.iter().map(|path| path.display().to_string()).collect();
        let Self {
            file,
            variable,
            command,
            source,
        } = self;
        candidates
            .into_iter()
            .find(|path| path.is_file())
            .ok_or_else(|| Unavailable {
                problem: format!("{file} is not there (looked for: {})", looked.join(", ")),
                remedy: format!(
                    "make it with `{command}`, which takes {source}, and put it in one of these places, or name it with \
                     {variable}"
                ),
            })
    }

    /// Why what was found is of no use.
    pub fn unusable(&self, path: &Path, problem: &str) -> Unavailable {
        Unavailable {
            problem: format!("{}: {problem}", path.display()),
            remedy: format!(
                "make it again (`{}`), or name another with {}",
                self.command, self.variable
            ),
        }
    }

    /// Somebody who names a file wants no other.
    fn candidates(&self) -> Vec<PathBuf> {
        if let Some(named) = std::env::var_os(self.variable).filter(|named| !named.is_empty()) {
            return vec![named.into()];
        }
        let folder = own_file().and_then(|file| Some(file.parent()?.to_owned()));
        let folders = folder.into_iter().chain([PathBuf::from(SYSTEM)]);
        folders.map(|folder| folder.join(self.file)).collect()
    }
}

/// The bottom of an error: libraries that are not opened say no more than that at its top.
pub fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// The file that this code is in, a program or a library.
fn own_file() -> Option<PathBuf> {
    let own = own_file as fn() -> Option<PathBuf> as usize;
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let file = maps.lines().find_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let address = |text| usize::from_str_radix(text, 16).ok();
        if !(address(start)?..address(end)?).contains(&own) {
            return None;
        }
        // Rights, offset, device and inode stand before the name.
        let name = rest.get(rest.find('/')?..)?;
        Some(PathBuf::from(name))
    });
    file.or_else(|| std::env::current_exe().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOWHERE: Companion = Companion {
        file: "libweir_nowhere.so",
        variable: "WEIR_TEST_NOWHERE",
        command: "cargo xtask nowhere",
        source: "nothing",
    };

    #[test]
    fn companions_are_looked_for_beside_this_program() {
        assert_eq!(own_file().unwrap(), std::env::current_exe().unwrap());
    }

    #[test]
    fn the_error_names_every_folder() {
        let error = NOWHERE.find().unwrap_err().to_string();
        let beside = std::env::current_exe().unwrap().with_file_name(NOWHERE.file);
        let expected = format!(
            "libweir_nowhere.so is not there (looked for: {}, /usr/lib/weir/libweir_nowhere.so); make it with `cargo xtask \
             nowhere`, which takes nothing, and put it in one of these places, or name it with WEIR_TEST_NOWHERE",
            beside.display()
        );
        assert_eq!(error, expected);
    }
}
