//! Instructions a request, counted by callgrind.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use weir_ats_server::AtsServer;

use super::origin::Client;
use super::subject::{Job, Plugin, Setup};
use crate::sh;

/// The function of the server that everything about a transaction is called from: what is counted.
const INSIDE: &str = "HttpSM::main_handler(int, void*)";

/// Requests that are counted.
const REQUESTS: usize = 2000;

/// Requests before that: everything has been allocated and compiled that will be.
const WARM_UP: usize = 500;

/// Counts, and gives a Markdown table.
pub fn table(setup: &Setup) -> Result<String> {
    let mut table = String::from("\n| plugin | instructions a request | of these added |\n|---|---|---|\n");
    let mut alone = None;
    for plugin in Plugin::ALL {
        let count = count(setup, plugin)?;
        let added = count.saturating_sub(*alone.get_or_insert(count));
        // Writing to a string does not fail.
        let _ = writeln!(table, "| {} | {count} | {added} |", plugin.label());
    }
    Ok(table)
}

/// User instructions of one request that the cache in memory answers. The profile stays, for `callgrind_annotate`.
fn count(setup: &Setup, plugin: Plugin) -> Result<u64> {
    let folder = super::folder()?;
    let name = plugin.label().replace(' ', "-");
    let profile = folder.join(format!("callgrind.{name}"));
    let wrapper = [
        "valgrind".to_owned(),
        "--tool=callgrind".to_owned(),
        "--instr-atstart=no".to_owned(),
        "--collect-atstart=no".to_owned(),
        format!("--toggle-collect={INSIDE}"),
        format!("--callgrind-out-file={}", profile.display()),
    ];
    let server = setup.start(plugin, Job::TwoHeaders, 1, &wrapper)?;
    let client = Client::new(server.http())?;
    client.fetch(WARM_UP)?;
    control(&server, "--instr=on")?;
    client.fetch(REQUESTS).with_context(|| server.log_text())?;
    control(&server, "--instr=off")?;
    control(&server, "--dump")?;
    setup.expect_hits()?;
    // A dump on demand is numbered.
    total(&folder.join(format!("callgrind.{name}.1")))
}

fn control(server: &AtsServer, what: &str) -> Result<()> {
    let mut command = sh::command("callgrind_control", what);
    command.arg(server.pid().to_string());
    sh::output(command).map(drop)
}

fn total(profile: &Path) -> Result<u64> {
    let text = std::fs::read_to_string(profile).with_context(|| profile.display().to_string())?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let total: u64 = total
        .and_then(|total| total.trim().parse().ok())
        .with_context(|| format!("no total in {}", profile.display()))?;
    Ok(total / REQUESTS as u64)
}
