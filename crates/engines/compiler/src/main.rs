//! The program `weir-compiler`: compiles modules for a server that is not `weir` itself, such as Traffic Server.
#![forbid(unsafe_code)]

use std::process::ExitCode;

/// Compiling makes many small allocations on many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    weir_compiler::work(&arguments)
}
