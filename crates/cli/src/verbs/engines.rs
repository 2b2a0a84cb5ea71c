//! `weir engines`: the runtimes of this build.

use std::fmt::Write;
use std::sync::Arc;

use anyhow::Result;
use serde_json::{Value, json};
use weir_config::CompilerConfig;
use weir_engine::{Abilities, Ability, Engine, PROPOSALS, Proposal, Unavailable};

use crate::runtime_args;

/// Arguments of `weir engines`.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Print one JSON array instead of text.
    #[arg(long)]
    json: bool,
}

/// The beginning of `--help`.
pub const LONG_ABOUT: &str = "\
Lists the runtimes that a configuration may name with `runtime:`.

For each: its version, where its library was found, what it can do, and the WebAssembly proposals that it takes, which is \
found out by compiling a small module for each. For one that cannot be used: what to install.";

const EXAMPLES: &str = "\
Examples:
  weir engines
  weir engines --json | jq -r '.[] | select(.usable) | .name'

Exit codes:
  0  the runtimes are listed, whether they can be used or not";

/// A runtime, opened.
struct Row {
    name: &'static str,
    opened: Result<Arc<dyn Engine>, Unavailable>,
}

/// Prints what is known of each runtime.
pub fn run(args: &Args) -> Result<()> {
    let runtimes = runtime_args::built_in(CompilerConfig::default());
    let row = |name| runtimes.open(name).map(|opened| Row { name, opened });
    let rows: Vec<Row> = runtimes.names().into_iter().filter_map(row).collect();
    let text = if args.json {
        format!("{:#}\n", Value::from_iter(rows.iter().map(as_json)))
    } else {
        rows.iter().map(as_text).collect()
    };
    print!("{text}");
    Ok(())
}

fn as_json(row: &Row) -> Value {
    match &row.opened {
        Ok(engine) => json!({
            "name": row.name,
            "usable": true,
            "version": engine.version(),
            "library": engine.library(),
            "abilities": Abilities::of(engine.as_ref()).iter().map(Ability::name).collect::<Vec<_>>(),
            "proposals": proposals(engine.as_ref(), true),
        }),
        Err(error) => json!({
            "name": row.name,
            "usable": false,
            "problem": error.problem,
            "remedy": error.remedy,
        }),
    }
}

fn as_text(row: &Row) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{label:<12}{value}");
    };
    match &row.opened {
        Ok(engine) => {
            line(row.name, &engine.version());
            let library = engine.library().map(|path| path.display().to_string());
            line("  library", library.as_deref().unwrap_or("built in"));
            let abilities = Abilities::of(engine.as_ref());
            for (label, has) in [("  can", true), ("  cannot", false)] {
                let names = Ability::ALL
                    .iter()
                    .filter(|ability| abilities.has(**ability) == has);
                let names: Vec<_> = names.map(|ability| ability.name()).collect();
                line(label, &or_nothing(&names));
            }
            for (label, takes) in [("  takes", true), ("  lacks", false)] {
                line(label, &or_nothing(&proposals(engine.as_ref(), takes)));
            }
        }
        Err(error) => {
            line(row.name, "cannot be used");
            line("  problem", &error.problem);
            line("  remedy", &error.remedy);
        }
    }
    text
}

/// The WebAssembly proposals that an engine takes, or does not.
fn proposals(engine: &dyn Engine, takes: bool) -> Vec<&'static str> {
    let is_wanted = |proposal: &&Proposal| proposal.is_taken_by(engine) == takes;
    PROPOSALS
        .iter()
        .filter(is_wanted)
        .map(|proposal| proposal.name)
        .collect()
}

fn or_nothing(names: &[&str]) -> String {
    if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    }
}
