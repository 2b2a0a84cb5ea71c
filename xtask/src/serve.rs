//! `cargo xtask serve`: the example filters behind the proxy, ready to be tried.

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};

use crate::{guests, setup, sh};

/// The routes of all example filters.
pub const CONFIG: &str = "filters/weir.yaml";

/// Arguments of `cargo xtask serve`.
#[derive(clap::Args)]
pub struct Args {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: String,
    /// Build the proxy without optimisation: ready sooner, serves slower.
    #[arg(long)]
    debug: bool,
}

/// Builds filters and proxy, says what can be tried and becomes the proxy.
pub fn run(args: &Args) -> Result<()> {
    guests::build_filters()?;
    let weir = build_weir(!args.debug)?;
    announce(&args.listen)?;

    // Replaces this process, so that signals reach the proxy itself.
    let mut serve = sh::command(weir, "serve --config");
    let error = serve.args([CONFIG, "--listen", &args.listen]).exec();
    Err(error).context("cannot start weir")
}

/// Builds the command and returns where it lies.
pub fn build_weir(release: bool) -> Result<std::path::PathBuf> {
    setup::wamr()?;
    let mut build = sh::cargo("build --package weir");
    if release {
        build.arg("--release");
    }
    sh::run(build)?;
    Ok(sh::target_dir()
        .join(if release { "release" } else { "debug" })
        .join("weir"))
}

/// Prints each example filter with the lines to try it, as they stand in its README.
pub fn announce(listen: &str) -> Result<()> {
    println!("\nServing on http://{listen}/ until Ctrl-C. To try:\n");
    for example in examples()? {
        println!("  {}: {}", example.name, example.title);
        for line in &example.lines {
            println!("    {}", line.replace("127.0.0.1:8080", listen));
        }
    }
    println!();
    Ok(())
}

/// An example filter, as its README describes it.
struct Example {
    name: String,
    title: String,
    lines: Vec<String>,
}

/// The folders of `filters/` whose README shows lines that begin with `curl`.
fn examples() -> Result<Vec<Example>> {
    let folder = sh::root().join("filters");
    let mut examples = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let Ok(readme) = std::fs::read_to_string(entry.path().join("README.md")) else {
            continue;
        };
        let lines: Vec<_> = readme
            .lines()
            .filter(|line| line.starts_with("curl "))
            .map(str::to_owned)
            .collect();
        if !lines.is_empty() {
            let name = entry.file_name().to_string_lossy().into_owned();
            examples.push(Example {
                name,
                title: title(&readme),
                lines,
            });
        }
    }
    examples.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(examples)
}

/// The first sentence after the heading.
fn title(readme: &str) -> String {
    let mut paragraphs = readme.split("\n\n").map(str::trim);
    let first = paragraphs
        .find(|text| !text.is_empty() && !text.starts_with('#'))
        .unwrap_or_default();
    let line = first.split_whitespace().collect::<Vec<_>>().join(" ");
    let end = line.find(". ").unwrap_or(line.len());
    line.get(..end)
        .unwrap_or_default()
        .trim_end_matches('.')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::title;

    #[test]
    fn the_title_is_the_first_sentence_after_the_heading() {
        assert_eq!(
            title("# prime-token\n\nLets requests with a\nprime token pass. More.\n\nText."),
            "Lets requests with a prime token pass"
        );
        assert_eq!(title("# prime-token\n"), "");
    }
}
