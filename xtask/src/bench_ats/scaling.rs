//! The gain of a second net thread where each request takes a computation.
//!
//! The load generator takes its part of the same cores, so that not even a perfect server doubles. It sends many requests
//! at a time to keep that part small; what Lua reaches, whose states are one a thread, is what can be reached. What a
//! request costs in CPU time tells whether threads get in each other's way, whatever the load generator takes.

use std::fmt::Write;

use anyhow::{Context, Result};

use super::subject::{Job, Plugin, Setup};
use super::{THREADS, label, target};
use crate::bench;
use crate::bench::report::{Row, median, sorted};
use crate::bench::wrk::{Load, Target};

/// Measures, and gives a Markdown table.
pub fn table(setup: &Setup, load: Load) -> Result<String> {
    let plugins = [Plugin::Lua, Plugin::Wasm];
    let mut servers = Vec::new();
    for plugin in plugins {
        for threads in THREADS {
            let server = setup.start(plugin, Job::Burn, threads, &[])?;
            servers.push((label(plugin, threads), server));
        }
    }
    let script = super::folder()?.join("pipeline.lua");
    std::fs::write(&script, include_str!("pipeline.lua")).with_context(|| script.display().to_string())?;
    let targets: Vec<_> = servers
        .iter()
        .map(|(label, server)| Target {
            script: Some(script.clone()),
            ..target(label, server)
        })
        .collect();
    let rows = bench::measure(&targets, load)?;
    let mut table = String::from(
        "\n| plugin | requests/s, 1 net thread | 2 net threads | ratio | range | CPU s for 100,000, 1 net thread | 2 net threads |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for (plugin, rows) in plugins.iter().zip(rows.chunks(THREADS.len())) {
        if let [one, two] = rows {
            table.push_str(&line(*plugin, one, two));
        }
    }
    Ok(table)
}

fn line(plugin: Plugin, one: &Row, two: &Row) -> String {
    // Of the same round, so that both met the same machine.
    let ratios = sorted(one.rates().zip(two.rates()).map(|(one, two)| two / one));
    let [low, high] = [ratios.first(), ratios.last()].map(|ratio| ratio.copied().unwrap_or(f64::NAN));
    let mut line = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(
        line,
        "| {} | {:.0} | {:.0} | {:.2} | {low:.2}-{high:.2} | {:.2} | {:.2} |",
        plugin.label(),
        median(&sorted(one.rates())),
        median(&sorted(two.rates())),
        median(&ratios),
        median(&sorted(one.cpu())),
        median(&sorted(two.cpu())),
    );
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::wrk::Sample;

    #[test]
    fn ratios_are_those_of_rounds() {
        let row = |rates: [f64; 3]| {
            let mut row = Row::new(String::new());
            row.samples.extend(rates.map(|requests_per_second| Sample {
                cpu_per_100k: 15.0,
                requests_per_second,
            }));
            row
        };
        let line = line(Plugin::Wasm, &row([10.0, 20.0, 30.0]), &row([20.0, 38.0, 60.0]));
        assert_eq!(line, "| wasm.so | 20 | 38 | 2.00 | 1.90-2.00 | 15.00 | 15.00 |\n");
    }
}
