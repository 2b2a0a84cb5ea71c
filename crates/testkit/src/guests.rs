//! Guests, built from source.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};

use crate::repository;

const TARGET: &str = "wasm32-wasip1";

/// The modules of the workspace `filters/`.
#[derive(Clone, Debug)]
pub struct Guests {
    release: PathBuf,
}

impl Guests {
    /// Builds all of them, once in this process; processes that want to at the same moment wait for each other.
    ///
    /// # Errors
    ///
    /// The build failed; its output is in the message.
    pub fn build() -> Result<Self> {
        static BUILT: OnceLock<Result<Guests, String>> = OnceLock::new();
        let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
        built.clone().map_err(anyhow::Error::msg)
    }

    /// The module of a package, such as `prime-token`.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn filter(&self, package: &str) -> Result<PathBuf> {
        existing(self.release.join(format!("{}.wasm", package.replace('-', "_"))))
    }

    /// The module of an example of a package, such as a conformance case.
    ///
    /// # Errors
    ///
    /// There is none: its `[[example]]` is missing in the package's `Cargo.toml`.
    pub fn example(&self, name: &str) -> Result<PathBuf> {
        existing(self.release.join("examples").join(format!("{name}.wasm")))
    }

    /// Builds the guest of `filters/guests/go` into `folder`. `None`, with a word on standard error, where there is no Go.
    ///
    /// # Errors
    ///
    /// The build failed; its output is in the message.
    pub fn build_go(folder: &Path) -> Result<Option<PathBuf>> {
        let module = folder.join("go.wasm");
        let built = Command::new("go")
            .args([
                "build",
                "-buildmode=c-shared",
                "-trimpath",
                "-ldflags=-s -w",
                "-o",
            ])
            .args([module.as_os_str(), ".".as_ref()])
            .current_dir(repository().join("filters/guests/go"))
            .envs([
                ("GOOS", "wasip1"),
                ("GOARCH", "wasm"),
                ("GOTOOLCHAIN", "local"),
                ("GOPROXY", "off"),
            ])
            .output();
        let output = match built {
            Ok(output) => output,
            Err(error) => {
                eprintln!("not tested with Go: {error}");
                return Ok(None);
            }
        };
        ensure!(
            output.status.success(),
            "go build failed:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(Some(module))
    }

    /// Assembles a module from the text format into `folder`.
    ///
    /// # Errors
    ///
    /// The text is not valid.
    pub fn assemble(folder: &Path, name: &str, text: &str) -> Result<PathBuf> {
        let path = folder.join(format!("{name}.wasm"));
        let bytes = wat::parse_str(text).with_context(|| format!("the module {name}"))?;
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Puts a filter of some kilobytes into a folder that takes compilers more than a minute and gigabytes: loops in loops, each of which
    /// may change all of many variables.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn costly(folder: &Path, name: &str) -> Result<PathBuf> {
        const LOOPS: usize = 1000;
        const VARIABLES: usize = 1000;
        let add = |index: usize| {
            format!(
                "(local.set {index} (i32.add (local.get {index}) (local.get {})))",
                index - 1
            )
        };
        let text = format!(
            r#"(module (memory (export "memory") 1) (func (export "proxy_abi_version_0_2_1"))
            (func (export "malloc") (param i32) (result i32) (i32.const 1024))
            (func (export "proxy_on_log") (param i32) (local{variables}) {loops} {adds} {ends}))"#,
            variables = " i32".repeat(VARIABLES),
            loops = "loop ".repeat(LOOPS),
            adds = (1..=VARIABLES).map(add).collect::<String>(),
            ends = format!("local.get {VARIABLES} br_if 0 end ").repeat(LOOPS),
        );
        Self::assemble(folder, name, &text)
    }
}

fn existing(path: PathBuf) -> Result<PathBuf> {
    ensure!(path.is_file(), "{} was not built", path.display());
    Ok(path)
}

fn build() -> Result<Guests> {
    let filters = repository().join("filters");
    let target = filters.join("target");
    fs::create_dir_all(&target).with_context(|| format!("cannot make {}", target.display()))?;
    // Cargo has a lock of its own, but says so on standard error while it waits; this one waits quietly.
    let lock = File::create(target.join("testkit.lock")).context("the lock of the guests' build")?;
    lock.lock().context("the lock of the guests' build")?;
    let release = target.join(TARGET).join("release");
    // With a process for each test, asking cargo each time would take longer than the tests.
    let (stamp, sources) = (target.join("testkit.stamp"), sources(&filters)?);
    if release.is_dir() && fs::read_to_string(&stamp).is_ok_and(|built| built == sources) {
        return Ok(Guests { release });
    }
    for targets in [["--lib", "--bins"], ["--examples", "--quiet"]] {
        cargo(&filters, &targets)?;
    }
    fs::write(&stamp, sources).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(Guests { release })
}

/// The sources of the guests: each file with its size and the moment it was changed.
fn sources(filters: &Path) -> Result<String> {
    let (mut sources, mut folders) = (Vec::new(), vec![filters.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let entry = entry?;
            let (path, metadata) = (entry.path(), entry.metadata()?);
            if metadata.is_dir() {
                if !path.ends_with("target") {
                    folders.push(path);
                }
            } else if path
                .extension()
                .is_some_and(|kind| ["rs", "toml", "lock"].iter().any(|known| kind == *known))
            {
                sources.push(format!(
                    "{} {} {:?}\n",
                    path.display(),
                    metadata.len(),
                    metadata.modified()?
                ));
            }
        }
    }
    sources.sort();
    Ok(sources.concat())
}

fn cargo(filters: &Path, targets: &[&str]) -> Result<()> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--release", "--workspace", "--target", TARGET])
        .args(targets)
        .current_dir(filters)
        // The filters have a target directory of their own, and no settings of the outer build.
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!(
            "the guests do not build:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}
