//! The installation that is used.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};

/// Environment variable that names a prefix with `bin/traffic_server` in it.
const PREFIX: &str = "WEIR_ATS_PREFIX";

/// The folder of Debian's package `trafficserver`.
const DEBIAN: &str = "/usr";

/// An installed Traffic Server.
#[derive(Clone, Debug)]
pub struct Installation {
    prefix: PathBuf,
    version: Version,
    plugins: PathBuf,
    configuration: PathBuf,
    libraries: PathBuf,
}

/// A release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 9 or 10.
    pub major: u16,
    /// Second number.
    pub minor: u16,
    /// Third number.
    pub patch: u16,
}

impl Installation {
    /// The one under `WEIR_ATS_PREFIX`, else Debian's.
    ///
    /// # Errors
    ///
    /// There is none, or one that is older than 9.2; the message says what to install.
    pub fn find() -> Result<Self> {
        match std::env::var_os(PREFIX) {
            Some(prefix) => {
                let prefix = PathBuf::from(prefix);
                Self::under(&prefix).with_context(|| format!("{PREFIX} is {}", prefix.display()))
            }
            None => Self::under(Path::new(DEBIAN)).context(
                "Traffic Server is missing: install Debian's package `trafficserver`, or set WEIR_ATS_PREFIX to a prefix \
                 with bin/traffic_server in it",
            ),
        }
    }

    /// The one with this prefix.
    ///
    /// # Errors
    ///
    /// As for [`Installation::find`].
    pub fn under(prefix: &Path) -> Result<Self> {
        let server = prefix.join("bin/traffic_server");
        ensure!(server.is_file(), "{} does not exist", server.display());
        let version: Version = output(&server, &["-V"])?.parse()?;
        ensure!(
            version
                >= Version {
                    major: 9,
                    minor: 2,
                    patch: 0
                },
            "{} is {version}; 9.2 is the oldest that is supported",
            server.display()
        );
        // The server's own word, since a prefix does not tell: Debian's configuration is in /etc.
        let layout = output(&prefix.join("bin/traffic_layout"), &["info", "--json"])?;
        let path = |name: &str| {
            let path = entry(&layout, name);
            path.with_context(|| format!("traffic_layout says no {name}:\n{layout}"))
        };
        Ok(Self {
            plugins: path("PLUGINDIR")?,
            configuration: path("SYSCONFDIR")?,
            libraries: path("LIBDIR")?,
            prefix: prefix.to_owned(),
            version,
        })
    }

    /// Its release.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The prefix that its programs are under.
    pub fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// One of its programs, such as `traffic_ctl`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.prefix.join("bin").join(name)
    }

    /// The folder of the plugins that came with it.
    pub fn plugins(&self) -> &Path {
        &self.plugins
    }

    /// The folder of its own configuration, which a private server does not use.
    pub fn configuration(&self) -> &Path {
        &self.configuration
    }

    /// The folder of its libraries.
    pub fn libraries(&self) -> &Path {
        &self.libraries
    }
}

impl Version {
    /// True if it is configured by `records.yaml` and has no `traffic_manager`.
    pub fn is_10(self) -> bool {
        self.major >= 10
    }
}

impl FromStr for Version {
    type Err = anyhow::Error;

    /// Reads what `traffic_server -V` prints: the first word that is three numbers.
    fn from_str(text: &str) -> Result<Self> {
        let version = text.split_whitespace().find_map(|word| {
            let mut numbers = word.splitn(3, '.').map(|number| number.parse().ok());
            let version = Version {
                major: numbers.next()??,
                minor: numbers.next()??,
                patch: numbers.next()??,
            };
            Some(version)
        });
        version.with_context(|| format!("no version in: {text}"))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

fn output(program: &Path, args: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(args)
        .env_remove("TS_RUNROOT")
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{} {}: {}\n{stderr}",
            program.display(),
            args.join(" "),
            output.status
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A path in the JSON of `traffic_layout`, which has one entry a line.
fn entry(json: &str, name: &str) -> Option<PathBuf> {
    let value = json.lines().find_map(|line| {
        let (key, value) = line.trim().trim_end_matches(',').split_once(':')?;
        (key.trim().trim_matches('"') == name).then(|| value.trim().trim_matches('"'))
    })?;
    Some(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        for (text, expected) in [
            ("Traffic Server 9.2.9 Apr  4 2026 14:52:39 localhost\n", "9.2.9"),
            (
                "Apache Traffic Server - traffic_server - 10.1.4 - (build # 0 on Jan  1 2026 at 00:00:00)\n",
                "10.1.4",
            ),
        ] {
            let version: Version = text.parse().unwrap();
            assert_eq!(version.to_string(), expected);
            assert_eq!(version.is_10(), expected.starts_with("10"));
        }
        assert!("Traffic Server 9.2".parse::<Version>().is_err());
    }

    #[test]
    fn the_layout_is_read() {
        let json = "{\n    \"PREFIX\": \"/usr\",\n    \"PLUGINDIR\": \"/usr/lib/x\"\n}\n";
        assert_eq!(entry(json, "PREFIX"), Some("/usr".into()));
        assert_eq!(entry(json, "PLUGINDIR"), Some("/usr/lib/x".into()));
        assert_eq!(entry(json, "LIBDIR"), None);
    }
}
