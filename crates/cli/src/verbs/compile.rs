//! `weir compile`: a module with machine code beside it.

use std::fs;
use std::io::Write;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use weir_abi::limits::MAX_MODULE_FILE_BYTES;
use weir_config::CompilerConfig;
use weir_engine::{Ability, Engine};
use weir_host::HostModule;
use weir_loader::{Code, CodeKey, FileSource, ModuleFile, fetch, with_code};
use weir_plan::import_sets;

use super::size;
use crate::runtime_args;

/// Arguments of `weir compile`.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// The module, in WebAssembly's binary format.
    #[arg(value_name = "MODULE.wasm")]
    module: PathBuf,
    /// The runtime to compile for; may be given several times.
    #[arg(long = "engine", value_name = "NAME", default_value = "wasmtime")]
    engines: Vec<String>,
    /// The file to write; `MODULE.compiled.wasm` unless given.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// CPU time in seconds that compiling may take; 300 unless given, as `compiler.cpu_time` of a configuration.
    #[arg(long, value_name = "SECONDS")]
    cpu_time: Option<NonZeroU64>,
    /// Memory in MiB that compiling may take; 4096 unless given, as `compiler.memory` of a configuration.
    #[arg(long, value_name = "MIB")]
    memory: Option<NonZeroU64>,
}

impl Args {
    /// The bounds of compiling.
    fn compiler(&self) -> CompilerConfig {
        let default = CompilerConfig::default();
        CompilerConfig {
            cpu_time: self
                .cpu_time
                .map_or(default.cpu_time, |seconds| Duration::from_secs(seconds.get())),
            memory: self.memory.map_or(default.memory, |mebibytes| {
                mebibytes.get().saturating_mul(1 << 20)
            }),
            // Whoever calls the command wants this module compiled.
            in_process: u64::MAX,
        }
    }
}

/// The beginning of `--help`.
pub const LONG_ABOUT: &str = "\
Compiles a module ahead of time.

The file that is written is the module with the machine code in a custom section, which other hosts skip. Weir takes the \
code where the filter's configuration says `allow_precompiled: true`; whoever made the file then controls the process, as \
with any program. Code of another version of the runtime, or for another processor, is not used: the module beside it is \
compiled then.

Without this command Weir compiles a module when it first sees it, and keeps the code in its cache.";

const EXAMPLES: &str = "\
Examples:
  weir compile filter.wasm
  weir compile filter.wasm --engine wasmtime -o /etc/trafficserver/filter.wasm

Exit codes:
  0  the file is written
  1  no file is written; the error is printed to stderr";

/// Compiles the module and writes the file.
pub fn run(args: &Args) -> Result<()> {
    let name = args.module.display().to_string();
    let source = FileSource::new(&args.module);
    let fetched = fetch(&source, MAX_MODULE_FILE_BYTES).with_context(|| format!("cannot read {name}"))?;
    let runtimes = runtime_args::built_in(args.compiler());
    let mut file = fetched.bytes;
    for engine in &args.engines {
        let Some(opened) = runtimes.open(engine) else {
            bail!(
                "there is no runtime {engine}; expected one of {}",
                runtimes.names().join(", ")
            );
        };
        let engine = opened.with_context(|| format!("the runtime {engine} cannot be used"))?;
        file = compile(engine.as_ref(), &name, &file).with_context(|| format!("cannot compile {name}"))?;
    }
    let output = args
        .output
        .clone()
        .unwrap_or_else(|| args.module.with_extension("compiled.wasm"));
    write(&output, &file).with_context(|| format!("cannot write {}", output.display()))?;
    println!(
        "{}: {} for {}",
        output.display(),
        size(file.len() as u64),
        args.engines.join(", ")
    );
    Ok(())
}

/// The file with code for one more engine.
fn compile(engine: &dyn Engine, name: &str, file: &[u8]) -> Result<Vec<u8>> {
    let parts = ModuleFile::split(file);
    let wasm = parts.wasm();
    // A module that Weir cannot run need not be compiled.
    weir_host::inspect(import_sets(), wasm.bytes())?.check()?;
    let Some(ahead) = engine.ahead_of_time() else {
        bail!(
            "the runtime {} cannot {}",
            engine.name(),
            Ability::Precompile.name()
        );
    };
    let compiler = ahead
        .compiler()
        .with_context(|| format!("the runtime {} has no compiler here", engine.name()))?;
    let code = compiler
        .compile_code(&wasm)
        .map_err(|error| weir_engine::explain(engine, wasm.bytes(), error))?;
    HostModule::load_code(engine, &*ahead, import_sets(), name, &wasm, &code)?;
    let key = CodeKey {
        engine: ahead.code_engine(),
        target: &ahead.code_key(),
        module: wasm.digest(),
    };
    Ok(with_code(file, &Code { key, bytes: &code }))
}

/// Writes a file that appears whole or not at all: a proxy may be watching it.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    file.write_all(bytes)?;
    // Readable as any module is, which is no secret; writable by the owner alone, since it is run.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.as_file()
            .set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    file.persist(path)?;
    Ok(())
}
