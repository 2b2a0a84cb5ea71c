//! WAMR's compiler: a program of its own that is started for each module.
//!
//! LLVM ends the process that it is in where it finds something that it cannot do, and takes as much memory as a module
//! makes it take. Neither may happen to a proxy.

use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::thread;

use weir_engine::{CompileError, Unavailable};
use weir_engine_support::Companion;

/// The program's interface: `INTERFACE` of `compiler/weir_wamr_compiler.c`.
const INTERFACE: &str = "2";

const COMPANION: Companion = Companion {
    file: "weir-wamr-compiler",
    variable: "WEIR_WAMR_COMPILER",
    command: "cargo xtask wamr-compiler",
    source: "LLVM from Debian's llvm-14-dev",
};

/// The least that a processor must have to run what is compiled here: LLVM's name for it.
pub(crate) const PROCESSOR: &str = if cfg!(target_arch = "x86_64") {
    "x86-64-v2"
} else {
    "generic"
};

/// The first bytes of code.
const CODE: &[u8] = b"\0aot";

/// The program's status where the module cannot be compiled.
const NOT_COMPILED: i32 = 1;

/// CPU time that compiling may take, in seconds, and for how many bytes of the module: seven times what it takes.
const CPU_SECONDS: u64 = 600;
const CPU_SECONDS_FOR: u64 = 1 << 20;

/// Memory that compiling may take, in bytes: this much, and so many times the module.
const MEMORY: u64 = 4 << 30;
const MEMORY_FOR_BYTE: u64 = 1024;

/// The program, for one version of WAMR.
pub(crate) struct Compiler {
    program: PathBuf,
    wamr: String,
}

impl Compiler {
    /// Finds the program.
    ///
    /// # Errors
    ///
    /// The program is not installed.
    pub fn find(wamr: &str) -> Result<Self, Unavailable> {
        Ok(Self {
            program: COMPANION.find()?,
            wamr: wamr.to_owned(),
        })
    }

    /// Finds the program and has it compile an empty module.
    ///
    /// # Errors
    ///
    /// The program is not installed, or does not work for this version of WAMR.
    pub fn find_usable(wamr: &str) -> Result<Self, Unavailable> {
        const EMPTY: &[u8] = b"\0asm\x01\0\0\0";
        let compiler = Self::find(wamr)?;
        match run(&compiler.program, wamr, EMPTY, &Bounds::of(EMPTY)) {
            Ok(_) => Ok(compiler),
            Err(Failure::Module(problem) | Failure::Unusable(problem)) => {
                Err(COMPANION.unusable(&compiler.program, &problem))
            }
        }
    }

    /// File of the program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Compiles a module for this architecture. Takes as long as LLVM does.
    pub fn compile(&self, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
        run(&self.program, &self.wamr, wasm, &Bounds::of(wasm)).map_err(|failure| match failure {
            // The module is valid, so no proposal could explain the failure.
            Failure::Module(reason) => CompileError::Compiler(format!("WAMR's compiler: {reason}")),
            Failure::Unusable(problem) => {
                let error = COMPANION.unusable(&self.program, &problem);
                CompileError::Compiler(format!("WAMR's compiler cannot be used: {error}"))
            }
        })
    }
}

/// Why there is no code.
#[derive(Debug, PartialEq)]
enum Failure {
    /// The program does not get on with the module.
    Module(String),
    /// The program is of another kind, or the machine lacks what it needs.
    Unusable(String),
}

/// The bounds of compiling: seconds of CPU time, and bytes of memory.
struct Bounds {
    cpu: u64,
    memory: u64,
}

impl Bounds {
    fn of(wasm: &[u8]) -> Self {
        let size = wasm.len() as u64;
        Self {
            cpu: CPU_SECONDS * (1 + size / CPU_SECONDS_FOR),
            memory: MEMORY + MEMORY_FOR_BYTE * size,
        }
    }
}

/// Starts the program for a module.
fn run(program: &Path, wamr: &str, wasm: &[u8], bounds: &Bounds) -> Result<Vec<u8>, Failure> {
    answer(program, wamr, wasm, bounds)
        .map_err(|error| Failure::Unusable(error.to_string()))
        .and_then(code)
}

fn answer(program: &Path, wamr: &str, wasm: &[u8], bounds: &Bounds) -> io::Result<Output> {
    let mut command = Command::new(program);
    command
        .args([INTERFACE, wamr, std::env::consts::ARCH, PROCESSOR])
        .args([bounds.cpu.to_string(), bounds.memory.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env_clear();
    let mut child = command.spawn()?;
    let module = child.stdin.take();
    thread::scope(|scope| {
        scope.spawn(move || {
            // A program that ends before it has read all says why by its status and its words.
            let _ = module.map(|mut module| module.write_all(wasm));
        });
        child.wait_with_output()
    })
}

/// The outcome.
fn code(answer: Output) -> Result<Vec<u8>, Failure> {
    let said = String::from_utf8_lossy(&answer.stderr);
    // LLVM's last word is what it failed for.
    let said = said.trim().lines().next_back().unwrap_or_default().to_owned();
    if answer.status.success() {
        return if answer.stdout.starts_with(CODE) {
            Ok(answer.stdout)
        } else {
            Err(Failure::Unusable("it is not Weir's compiler for WAMR".to_owned()))
        };
    }
    Err(match answer.status.code() {
        Some(NOT_COMPILED) => Failure::Module(said),
        Some(_) => Failure::Unusable(said),
        None => Failure::Module(ended(answer.status)),
    })
}

/// Explains why the system has ended the process.
fn ended(status: ExitStatus) -> String {
    match status.signal() {
        Some(libc::SIGXCPU) => "it took more CPU time than a module of this size may".to_owned(),
        Some(libc::SIGKILL) => "it was killed, perhaps for want of memory".to_owned(),
        _ => format!("it broke down ({status})"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::runtime::Runtime;

    /// The outcome of a program that does what `script` says.
    fn compiled(script: &str) -> Result<Vec<u8>, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("compiler");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        loop {
            let module = [0; 1 << 20];
            let compiled = run(&program, "2.4.3", &module, &Bounds::of(&module));
            // Another thread starts a program at this moment, and the script's file is still open in its child.
            match compiled {
                Err(Failure::Unusable(problem)) if problem.contains("Text file busy") => thread::yield_now(),
                compiled => return compiled,
            }
        }
    }

    #[test]
    fn the_compiler_gives_code() {
        assert_eq!(
            compiled("cat > /dev/null; printf '\\0aotcode'"),
            Ok(b"\0aotcode".to_vec())
        );
    }

    #[test]
    fn the_compilers_last_line_says_why_a_module_is_refused() {
        let failure = compiled("echo first >&2; echo LLVM ERROR: out of registers >&2; exit 1");
        assert_eq!(
            failure,
            Err(Failure::Module("LLVM ERROR: out of registers".to_owned()))
        );
    }

    #[test]
    fn a_compiler_that_the_system_ends_takes_nothing_with_it() {
        for (signal, reason) in [
            ("XCPU", "it took more CPU time than a module of this size may"),
            ("KILL", "it was killed, perhaps for want of memory"),
            ("SEGV", "it broke down (signal: 11 (SIGSEGV))"),
        ] {
            let failure = compiled(&format!("ulimit -c 0; kill -{signal} $$"));
            assert_eq!(failure, Err(Failure::Module(reason.to_owned())));
        }
    }

    #[test]
    fn the_compiler_stays_within_its_limits() {
        let wamr = Runtime::start().unwrap().version();
        let Ok(Compiler { program, .. }) = Compiler::find(&wamr) else {
            eprintln!("not tested: `cargo xtask wamr-compiler` makes the compiler");
            return;
        };
        let bounded = |wasm: &[u8], cpu, memory| run(&program, &wamr, wasm, &Bounds { cpu, memory });
        let add = "(i32.store (local.get 0) (i32.load (i32.add (i32.load (local.get 0)) (local.get 0))))";
        let function = format!("(func (export \"NAME\") (param i32) {})", add.repeat(50));
        let functions: String = (0..2000)
            .map(|name| function.replace("NAME", &name.to_string()))
            .collect();
        let large = wat::parse_str(format!("(module (memory 1) {functions})")).unwrap();
        let small = wat::parse_str("(module)").unwrap();
        assert!(bounded(&small, 600, 1 << 30).is_ok());
        let slow = bounded(&large, 1, 4 << 30);
        let expected = "it took more CPU time than a module of this size may";
        assert_eq!(slow, Err(Failure::Module(expected.to_owned())));
        let big = bounded(&large, 600, 300 << 20);
        assert!(matches!(big, Err(Failure::Module(_))), "{big:?}");
    }

    #[test]
    fn other_programs_are_refused() {
        let unusable = |reason: &str| Err(Failure::Unusable(reason.to_owned()));
        assert_eq!(
            compiled("echo hello"),
            unusable("it is not Weir's compiler for WAMR")
        );
        assert_eq!(
            compiled("echo its interface is 7 >&2; exit 2"),
            unusable("its interface is 7")
        );
    }
}
