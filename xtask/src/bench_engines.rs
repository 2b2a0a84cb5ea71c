//! `cargo xtask bench-engines`: what each runtime costs, in the host alone and in both proxies.

mod figures;
mod page;
mod proxies;

use anyhow::Result;

use crate::bench::wrk::Load;
use crate::{bench, guests, setup, sh, v8, wamr_compiler};

/// Arguments of `cargo xtask bench-engines`.
#[derive(clap::Args)]
pub struct Args {
    /// Rounds of the figures that are taken in the host alone.
    #[arg(long, default_value_t = 5)]
    figure_rounds: usize,
    #[command(flatten)]
    load: Load,
    /// Print the tables and write no page and no plot.
    #[arg(long)]
    only_print: bool,
}

/// A runtime and a way to use it.
#[derive(Clone, Copy)]
pub struct Mode {
    /// The runtime's name in configurations.
    pub engine: &'static str,
    pub way: Way,
}

/// The use of the runtime.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// As it is.
    Plain,
    /// Wasmtime counts instructions.
    Fuel,
}

impl Mode {
    /// All that are measured.
    pub const ALL: [Self; 6] = [
        Self::of("wasmtime", Way::Plain),
        Self::of("wasmtime", Way::Fuel),
        Self::of("v8", Way::Plain),
        Self::of("wamr-jit", Way::Plain),
        Self::of("wamr", Way::Plain),
        Self::of("wasmi", Way::Plain),
    ];

    const fn of(engine: &'static str, way: Way) -> Self {
        Self { engine, way }
    }

    /// The name in tables.
    pub fn label(self) -> String {
        let way = match self.way {
            Way::Plain => "",
            Way::Fuel => ", fuel",
        };
        format!("{}{way}", self.engine)
    }
}

/// Measures everything, prints it, and renews `docs/engines.md` and its plot.
pub fn run(args: &Args) -> Result<()> {
    setup::debian("wrk", "wrk")?;
    setup::ats()?;
    setup::wamr()?;
    v8::library()?;
    wamr_compiler::program()?;
    guests::build_filters()?;
    sh::run(sh::cargo(
        "build --release --package weir-benches --package weir --package weir-ats --package weir-compiler --bins --lib",
    ))?;

    let figures = figures::measure(args.figure_rounds)?;
    let subjects = proxies::start()?;
    let targets: Vec<_> = subjects.iter().map(proxies::Subject::target).collect();
    let rows = bench::measure(&targets, args.load)?;
    let tables = page::tables(&figures, &rows);
    print!("{tables}");
    if !args.only_print {
        page::write(&tables, &figures)?;
    }
    Ok(())
}
