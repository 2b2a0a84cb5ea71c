//! `cargo xtask wamr-compiler`: the program that compiles for WAMR.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{setup, sh};

/// Debian's LLVM, and what shows that it is there.
const LLVM: &str = "/usr/lib/llvm-14";
const HEADER: &str = "/usr/lib/llvm-14/include/llvm-c/Core.h";
const PACKAGE: &str = "llvm-14-dev";

/// The name of the program.
const PROGRAM: &str = "weir-wamr-compiler";

/// Our part of the program.
const SOURCES: &str = "crates/engines/wamr/compiler";

/// The build options of WAMR, here as for the runtime.
const TOOLCHAIN: &str = "crates/engines/wamr/wamr.cmake";

/// Makes the program and prints where it is.
pub fn run() -> Result<()> {
    let program = program()?;
    println!("{}", program.display());
    println!(
        "Put it beside `weir` or `wasm.so`, in /usr/lib/weir, or name it with WEIR_WAMR_COMPILER. It needs Debian's \
         libllvm14. What it has compiled needs neither."
    );
    Ok(())
}

/// The program, made anew where its sources have changed.
pub fn program() -> Result<PathBuf> {
    let folder = sh::root().join("target/wamr-compiler");
    let program = folder.join(PROGRAM);
    let sources = sh::root().join(SOURCES);
    let inputs = [
        sources.join("CMakeLists.txt"),
        sources.join("weir_wamr_compiler.c"),
        sh::root().join(TOOLCHAIN),
        sh::root().join("Cargo.lock"),
    ];
    if sh::is_newer(&program, &inputs) {
        return Ok(program);
    }
    setup::wamr()?;
    setup::debian("c++", "g++")?;
    if !Path::new(HEADER).is_file() {
        setup::debian_package(PACKAGE)?;
    }
    let build = folder.join("build");
    std::fs::create_dir_all(&build).with_context(|| format!("cannot create {}", build.display()))?;
    let mut configure = sh::command("cmake", "-DCMAKE_BUILD_TYPE=Release");
    configure
        .arg(format!("-DLLVM_ROOT={LLVM}"))
        .arg(format!("-DWAMR_ROOT={}", wamr()?.display()))
        .arg(format!(
            "-DCMAKE_TOOLCHAIN_FILE={}",
            sh::root().join(TOOLCHAIN).display()
        ))
        .arg("-S")
        .arg(&sources)
        .arg("-B")
        .arg(&build)
        .stdout(std::process::Stdio::null());
    sh::run(configure)?;
    let mut make = sh::command("cmake", "--build");
    make.arg(&build)
        .args(["--parallel", "2"])
        .stdout(std::process::Stdio::null());
    sh::run(make)?;
    let made = build.join(PROGRAM);
    std::fs::copy(&made, &program).with_context(|| format!("cannot copy {}", made.display()))?;
    Ok(program)
}

/// WAMR's source: that of the crate, wherever cargo keeps it.
fn wamr() -> Result<PathBuf> {
    let metadata = sh::output(sh::cargo("metadata --locked --format-version 1"))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata).context("cargo's metadata")?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let manifest = packages
        .filter(|package| package["name"] == "wamrx-sys")
        .find_map(|package| package["manifest_path"].as_str());
    let Some(manifest) = manifest else {
        bail!("cargo does not know the crate wamrx-sys");
    };
    let source = Path::new(manifest).with_file_name("wasm-micro-runtime");
    if source.is_dir() {
        Ok(source)
    } else {
        bail!("{} is not there", source.display());
    }
}
