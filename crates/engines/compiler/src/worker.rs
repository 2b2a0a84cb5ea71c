//! The side that compiles.

use std::io::{self, Read, Write};
use std::panic;
use std::process::{self, ExitCode};
use std::sync::Arc;

use weir_engine::{AheadOfTime, Engine, Wasm};
use weir_engine_support::{FAULTY, NOT_COMPILED, NOT_USABLE, confine};
use weir_loader::{Code, CodeKey};

use crate::protocol::Request;

/// Why there is no code.
enum Failure {
    /// The compiler refuses the module.
    NotCompiled(String),
    /// This program is of no use to the server.
    NotUsable(String),
}

/// Compiles the module on standard input as the arguments say, and writes the code to standard output. To be called first in
/// a program, with its arguments, and to be ended with.
pub fn work(arguments: &[String]) -> ExitCode {
    panic::set_hook(Box::new(|panic| {
        say(&panic.to_string());
        process::exit(FAULTY.into());
    }));
    let (status, reason) = match compile(arguments) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::NotCompiled(reason)) => (NOT_COMPILED, reason),
        Err(Failure::NotUsable(reason)) => (NOT_USABLE, reason),
    };
    say(&reason);
    ExitCode::from(status)
}

/// Gives the server a reason, in one line: it reads the last one.
fn say(reason: &str) {
    let reason = reason.replace('\n', " ");
    // Nobody is left to be told of an error here.
    let _ = writeln!(io::stderr(), "{reason}");
}

fn compile(arguments: &[String]) -> Result<(), Failure> {
    let request = Request::read(arguments).map_err(Failure::NotUsable)?;
    let [cpu_time, memory] = request.bounds.map(str::parse);
    let (Ok(cpu_time), Ok(memory)) = (cpu_time, memory) else {
        let problem = format!("{} are no bounds", request.bounds.join(" and "));
        return Err(Failure::NotUsable(problem));
    };
    confine(cpu_time, memory)
        .map_err(|error| Failure::NotUsable(format!("the system refuses the bounds: {error}")))?;
    let ahead = open(&request).map_err(Failure::NotUsable)?;
    let key = ahead.code_key();
    if key != request.key {
        let problem = format!(
            "it makes other code ({key}) than the server takes ({})",
            request.key
        );
        return Err(Failure::NotUsable(problem));
    }
    let mut wasm = Vec::new();
    let read = io::stdin().lock().read_to_end(&mut wasm);
    read.map_err(|error| Failure::NotUsable(format!("cannot read the module: {error}")))?;
    let wasm = Wasm::from(&wasm);
    let code = ahead
        .compiler()
        .map_err(|error| Failure::NotUsable(error.to_string()))?
        .compile_code(&wasm)
        .map_err(|error| Failure::NotCompiled(error.to_string()))?;
    let key = CodeKey {
        engine: ahead.code_engine(),
        target: &key,
        module: wasm.digest(),
    };
    let answer = Code { key, bytes: &code }.encode();
    let written = io::stdout().lock().write_all(&answer);
    written.map_err(|error| Failure::NotUsable(format!("cannot write the code: {error}")))
}

/// The code of the engine that is asked for.
fn open(request: &Request<'_>) -> Result<Arc<dyn AheadOfTime>, String> {
    let opened = match request.engine {
        #[cfg(feature = "wasmtime")]
        "wasmtime" => wasmtime(request.settings)?,
        _ => None,
    };
    opened.and_then(|engine| engine.ahead_of_time()).ok_or_else(|| {
        let Request { engine, settings, .. } = request;
        format!("it has no runtime {engine} with the settings {settings:?}")
    })
}

#[cfg(feature = "wasmtime")]
fn wasmtime(settings: &str) -> Result<Option<Arc<dyn Engine>>, String> {
    use weir_engine_wasmtime::{WasmtimeConfig, WasmtimeEngine};
    let Some(config) = WasmtimeConfig::for_code(settings) else {
        return Ok(None);
    };
    let engine = WasmtimeEngine::new(&config).map_err(|error| error.to_string())?;
    Ok(Some(Arc::new(engine)))
}
