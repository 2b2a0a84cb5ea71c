//! `cargo xtask ats`: the example filters in Traffic Server, ready to be tried.

mod demo;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use weir_ats_server::{AtsServer, Settings, Watchdog, free_port};

use crate::{guests, serve, setup, sh};
use demo::Demo;

/// Arguments of `cargo xtask ats`.
#[derive(clap::Args)]
pub struct Args {
    /// Port of 127.0.0.1 to listen on.
    #[arg(long, default_value_t = 8081)]
    port: u16,
    /// Net threads of the server.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Build the plugin without optimisation: ready sooner, serves slower.
    #[arg(long)]
    debug: bool,
}

/// Builds filters, plugin and origin, starts the server, says what can be tried and waits.
pub fn run(args: &Args) -> Result<()> {
    setup::ats()?;
    guests::build_filters()?;
    let built = build(!args.debug)?;
    let listen = format!("127.0.0.1:{}", args.port);
    let filters = sh::root().join("filters");
    let config = std::fs::read_to_string(sh::root().join(serve::CONFIG)).context(serve::CONFIG)?;
    let demo = Demo::read(&config, &listen);

    let folder = sh::target_dir().join("ats");
    let origin = Origin::start(&built.join("weir"), &folder, &demo)?;
    let mut settings = Settings::new()
        .http_port(args.port)
        .threads(args.threads)
        .managed(true)
        .folder(&folder)
        .module("wasm.so", built.join("libwasm.so"));
    for name in demo.filters() {
        let yaml = filters.join(name).join(format!("{name}.yaml"));
        let text = std::fs::read_to_string(&yaml).with_context(|| yaml.display().to_string())?;
        settings = settings.file(&format!("{name}.yaml"), demo.filter(&text, &filters));
    }
    for line in demo.remap(&origin.address) {
        settings = settings.remap(line);
    }
    let mut server = AtsServer::start(&settings)?;

    serve::announce(&listen)?;
    println!(
        "  The server's files and its log are in {}; after a change there:",
        shown(server.root())
    );
    println!(
        "    TS_RUNROOT={}/runroot.yaml traffic_ctl config reload\n",
        shown(server.root())
    );
    // Ctrl-C ends all of them: the origin and the server see it too, and the watchdogs see to it.
    let status = server.wait()?;
    println!("The server has ended ({status}).");
    Ok(())
}

/// Builds the plugin, and Weir as the origin; returns where they lie.
fn build(release: bool) -> Result<PathBuf> {
    // Unoptimised as the tests need it: another selection of packages would compile the runtimes once more.
    setup::wamr()?;
    sh::run(sh::cargo(if release {
        "build --release --package weir-ats --package weir-compiler --package weir"
    } else {
        "build --workspace --lib --bins"
    }))?;
    Ok(sh::target_dir().join(if release { "release" } else { "debug" }))
}

fn shown(path: &Path) -> std::path::Display<'_> {
    path.strip_prefix(sh::root()).unwrap_or(path).display()
}

/// `weir serve` with the routes of the examples, but without their filters.
struct Origin {
    process: Child,
    address: String,
    _watchdog: Watchdog,
}

impl Origin {
    fn start(weir: &Path, folder: &Path, demo: &Demo) -> Result<Self> {
        let address = format!("127.0.0.1:{}", free_port()?);
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let config = folder.join("origin.yaml");
        std::fs::write(&config, demo.origin())
            .with_context(|| format!("cannot write {}", config.display()))?;
        let process = Command::new(weir)
            .args(["serve", "--listen", &address, "--config"])
            .arg(&config)
            .env("WEIR_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start weir")?;
        Ok(Self {
            _watchdog: Watchdog::of(process.id())?,
            process,
            address,
        })
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        // The process may have ended already; then there is nothing to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
