//! `weir compiler-process`: the process that compiles for the other verbs, which start it.

use std::process::ExitCode;

/// Arguments of `weir compiler-process`, which are between two processes of one program.
#[derive(clap::Args)]
pub struct Args {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Compiles the module on standard input.
pub fn run(args: &Args) -> ExitCode {
    weir_builtin::compiler_process(&args.arguments)
}
