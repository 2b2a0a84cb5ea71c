//! WAMR's compiler: a program of its own that is started for each module.
//!
//! LLVM ends the process that it is in where it finds something that it cannot do, and takes as much memory as a module
//! makes it take. Neither may happen to a proxy.

use std::path::{Path, PathBuf};
use std::process::Command;

use weir_engine::{CompileError, Unavailable};
use weir_engine_support::{Companion, CompilerBounds, CompilerFailure, run_compiler};

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

/// The program, for one version of WAMR.
pub(crate) struct Compiler {
    program: PathBuf,
    wamr: String,
    bounds: CompilerBounds,
}

impl Compiler {
    /// Finds the program.
    ///
    /// # Errors
    ///
    /// The program is not installed.
    pub fn find(wamr: &str, bounds: CompilerBounds) -> Result<Self, Unavailable> {
        Ok(Self {
            program: COMPANION.find()?,
            wamr: wamr.to_owned(),
            bounds,
        })
    }

    /// Finds the program and has it compile an empty module.
    ///
    /// # Errors
    ///
    /// The program is not installed, or does not work for this version of WAMR.
    pub fn find_usable(wamr: &str, bounds: CompilerBounds) -> Result<Self, Unavailable> {
        const EMPTY: &[u8] = b"\0asm\x01\0\0\0";
        let compiler = Self::find(wamr, bounds)?;
        match compiler.run(EMPTY) {
            Ok(_) => Ok(compiler),
            Err(problem) => Err(COMPANION.unusable(&compiler.program, &problem.to_string())),
        }
    }

    /// File of the program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Compiles a module for this architecture. Takes as long as LLVM does.
    pub fn compile(&self, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
        self.run(wasm).map_err(|failure| match failure {
            CompilerFailure::Unusable(problem) => {
                let error = COMPANION.unusable(&self.program, &problem);
                CompileError::Compiler(format!("WAMR's compiler cannot be used: {error}"))
            }
            CompilerFailure::Exceeded(bound) => CompileError::Bound(format!("WAMR's compiler: {bound}")),
            // The module is valid, so no proposal could explain the failure.
            failure => CompileError::Compiler(format!("WAMR's compiler: {failure}")),
        })
    }

    /// Starts the program for a module.
    fn run(&self, wasm: &[u8]) -> Result<Vec<u8>, CompilerFailure> {
        let mut command = Command::new(&self.program);
        command
            .args([INTERFACE, &self.wamr, std::env::consts::ARCH, PROCESSOR])
            .args(self.bounds.arguments());
        let code = run_compiler(&mut command, wasm, &self.bounds)?;
        if code.starts_with(CODE) {
            Ok(code)
        } else {
            let problem = "it is not Weir's compiler for WAMR";
            Err(CompilerFailure::Unusable(problem.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::runtime::Runtime;

    /// What comes of a program that does what `script` says.
    fn compiled(script: &str) -> Result<Vec<u8>, CompilerFailure> {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("compiler");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        let compiler = Compiler {
            program,
            wamr: "2.4.3".to_owned(),
            bounds: CompilerBounds::default(),
        };
        loop {
            // Another thread starts a program at this moment, and the script's file is still open in its child.
            match compiler.run(&[0; 1 << 20]) {
                Err(CompilerFailure::Unusable(problem)) if problem.contains("Text file busy") => {
                    thread::yield_now();
                }
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
            Err(CompilerFailure::Refused(
                "LLVM ERROR: out of registers".to_owned()
            ))
        );
    }

    #[test]
    fn the_compiler_stays_within_its_bounds() {
        let wamr = Runtime::start().unwrap().version();
        let Ok(Compiler { program, .. }) = Compiler::find(&wamr, CompilerBounds::default()) else {
            eprintln!("not tested: `cargo xtask wamr-compiler` makes the compiler");
            return;
        };
        let bounded = |wasm: &[u8], seconds, memory| {
            let bounds = CompilerBounds {
                cpu_time: Duration::from_secs(seconds),
                memory,
            };
            let compiler = Compiler {
                program: program.clone(),
                wamr: wamr.clone(),
                bounds,
            };
            compiler.run(wasm)
        };
        let add = "(i32.store (local.get 0) (i32.load (i32.add (i32.load (local.get 0)) (local.get 0))))";
        let function = format!("(func (export \"NAME\") (param i32) {})", add.repeat(50));
        let functions: String = (0..2000)
            .map(|name| function.replace("NAME", &name.to_string()))
            .collect();
        let large = wat::parse_str(format!("(module (memory 1) {functions})")).unwrap();
        let small = wat::parse_str("(module)").unwrap();
        assert!(bounded(&small, 600, 1 << 30).is_ok());
        let slow = bounded(&large, 1, 4 << 30).unwrap_err().to_string();
        assert!(slow.contains("(`compiler.cpu_time` = 1 s; used: "), "{slow}");
        let big = bounded(&large, 600, 300 << 20).unwrap_err();
        assert!(matches!(big, CompilerFailure::Exceeded(_)), "{big:?}");
    }

    #[test]
    fn other_programs_are_refused() {
        let unusable = |reason: &str| Err(CompilerFailure::Unusable(reason.to_owned()));
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
