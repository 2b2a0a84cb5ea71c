//! The command `weir`: one file per verb, no logic of its own.
#![forbid(unsafe_code)]

mod logging;
mod progress;
mod runtime_args;
mod verbs;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use weir_config::ConfigError;

/// Runs Proxy-Wasm filters at the edge.
#[derive(Parser)]
#[command(name = "weir", version, arg_required_else_help = true, long_about = LONG_ABOUT, after_long_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Serve HTTP through filters.
    #[command(long_about = verbs::serve::LONG_ABOUT)]
    Serve(verbs::serve::Args),
    /// Check a configuration and its modules, without serving.
    #[command(long_about = verbs::check::LONG_ABOUT)]
    Check(verbs::check::Args),
    /// Say what a module is, exports, imports and needs.
    #[command(long_about = verbs::inspect::LONG_ABOUT)]
    Inspect(verbs::inspect::Args),
    /// Compile a module ahead of time.
    #[command(long_about = verbs::compile::LONG_ABOUT)]
    Compile(verbs::compile::Args),
    /// List the runtimes: versions, abilities, proposals.
    #[command(long_about = verbs::engines::LONG_ABOUT)]
    Engines(verbs::engines::Args),
    /// Compile for the other verbs, which start this one.
    #[command(name = runtime_args::COMPILER_VERB, hide = true)]
    CompilerProcess(verbs::compiler_process::Args),
}

/// A request makes some dozens of small allocations, almost all of them freed on the thread that made them, which is
/// what this allocator is quick at. The command has it, libraries do not choose.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LONG_ABOUT: &str = "\
Runs Proxy-Wasm filters at the edge.

A filter is a WebAssembly module built with a Proxy-Wasm SDK. It reads, changes, holds or refuses HTTP traffic, in a \
sandbox that it cannot leave. In three steps:

  weir inspect filter.wasm         can Weir run this module, and what does it do?
  weir check weir.yaml             is the configuration right, do the modules accept it?
  weir serve --config weir.yaml    serve";

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the command failed; the error is printed to stderr
  2  the command line is wrong

Environment:
  WEIR_LOG         what is logged, such as `debug` or
                   `info,weir_proxy=debug`, whatever the configuration says
  WEIR_CODE_CACHE  the folder that compiled code is kept in, or `off`";

/// Exit code: the command failed; the error is on stderr.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    let result = match Cli::parse().verb {
        Verb::Serve(args) => verbs::serve::run(&args),
        Verb::Check(args) => verbs::check::run(&args),
        Verb::Inspect(args) => verbs::inspect::run(&args),
        Verb::Compile(args) => verbs::compile::run(&args),
        Verb::Engines(args) => verbs::engines::run(&args),
        Verb::CompilerProcess(args) => return verbs::compiler_process::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::from(FAILED)
        }
    }
}

/// Says why it did not work, to whoever still reads standard error.
fn report(error: &anyhow::Error) {
    let mut stderr = io::stderr().lock();
    // Nobody is left to be told of an error here.
    let _ = write_report(error, &mut stderr);
}

fn write_report(error: &anyhow::Error, out: &mut impl Write) -> io::Result<()> {
    if let Some(problems) = error.downcast_ref::<ConfigError>() {
        // Lines that begin with the file are what editors jump to.
        return writeln!(out, "{problems}");
    }
    let mut told = error.to_string();
    writeln!(out, "weir: {told}")?;
    for cause in error.chain().skip(1).map(ToString::to_string) {
        // Many errors name their cause themselves.
        if !told.contains(&cause) {
            writeln!(out, "  because: {cause}")?;
            told = cause;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
