//! `cargo xtask bench-snapshot`: the savings of snapshots, with a rule engine in Rust and a large filter in Go.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::{guests, setup, sh};

/// The rule engine's manifest, and what it becomes.
const WAF: &str = "benches/guests/waf/Cargo.toml";
const WAF_MODULE: &str = "benches/guests/waf/target/wasm32-wasip1/release/bench_waf.wasm";

/// The folder of the filter in Go.
const GO: &str = "benches/guests/go";

/// Measures and prints.
pub fn run() -> Result<()> {
    if !Path::new("/usr/share/modsecurity-crs/rules").is_dir() {
        setup::debian_package("modsecurity-crs")?;
    }
    guests::build_alone(WAF)?;
    let go = build_go()?;
    sh::run(sh::cargo(
        "build --release --package weir-benches --package weir --package weir-ats --package weir-compiler --bins --lib",
    ))?;
    let figures = |module: &Path, arguments: &str| {
        let mut command = sh::command(sh::target_dir().join("release/snapshot-figures"), "");
        command.arg(module).args(arguments.split_whitespace());
        println!("{}:", module.display());
        sh::run(command)
    };
    figures(Path::new(WAF_MODULE), "crs")?;
    figures(&go, "")
}

fn build_go() -> Result<PathBuf> {
    let go = setup::go()?;
    let target = sh::target_dir();
    let module = target.join("bench_go.wasm");
    let mut build = sh::command(go, "build -buildmode=c-shared -trimpath -ldflags=-s");
    build
        .current_dir(GO)
        .env("GOTOOLCHAIN", "local")
        .env("GOPROXY", "off")
        .env("GOCACHE", target.join("go-cache"))
        .env("GOOS", "wasip1")
        .env("GOARCH", "wasm")
        .arg("-o")
        .arg(&module)
        .arg(".");
    sh::run(build)?;
    Ok(module)
}
