//! The side that wants code.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use weir_engine::{
    AheadOfTime, ByteSize, CodeCompiler, CompileError, Engine, EngineLayer, HostFuncs, Module, Unavailable,
    Wasm,
};
use weir_engine_support::{CompilerBounds, CompilerFailure, run_compiler};
use weir_loader::Code;

use crate::in_process;
use crate::program::{Found, Program};
use crate::protocol;

/// How modules are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compiling {
    /// The program.
    pub program: Program,
    /// What compiling one module may take.
    pub bounds: CompilerBounds,
    /// Bytes of a module that is compiled in this process, where the program is not there.
    pub in_process: u64,
}

/// An engine whose modules are compiled in a process of their own. Where the program is not there they are compiled in this
/// one, up to a size, and the log has one warning.
#[derive(Clone)]
pub struct OutOfProcess(Arc<Inner>);

struct Inner {
    engine: Arc<dyn Engine>,
    /// As the worker's engine takes them.
    settings: String,
    compiling: Compiling,
    /// True once the log has the warning.
    warned: AtomicBool,
}

impl OutOfProcess {
    /// `engine`, whose code is made with these `settings`: text that the engine gives for it.
    pub fn new(engine: Arc<dyn Engine>, settings: String, compiling: Compiling) -> Self {
        Self(Arc::new(Inner {
            engine,
            settings,
            compiling,
            warned: AtomicBool::new(false),
        }))
    }
}

impl EngineLayer for OutOfProcess {
    fn below(&self) -> &dyn Engine {
        self.0.engine.as_ref()
    }

    fn compile(&self, wasm: &Wasm<'_>, funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
        let Some(ahead) = self.ahead_of_time() else {
            return self.0.engine.compile(wasm, funcs);
        };
        ahead.load_code(&ahead.compiler()?.compile_code(wasm)?, funcs)
    }

    fn over_compiler(
        &self,
        code: &dyn AheadOfTime,
        compiler: Arc<dyn CodeCompiler>,
    ) -> Arc<dyn CodeCompiler> {
        let inner = Arc::clone(&self.0);
        let (engine, key) = (code.code_engine(), code.code_key());
        Arc::new(move |wasm: &Wasm<'_>| match inner.compiling.program.find() {
            Ok(program) => inner.compile(&program, engine, &key, wasm),
            Err(missing) => {
                inner.warn(&missing);
                in_process::check(wasm, inner.compiling.in_process)?;
                compiler.compile_code(wasm)
            }
        })
    }
}

impl Inner {
    /// Has the program compile a module.
    fn compile(
        &self,
        program: &Found,
        engine: &'static str,
        key: &str,
        wasm: &Wasm<'_>,
    ) -> Result<Vec<u8>, CompileError> {
        let bounds = &self.compiling.bounds;
        let mut command = program.command();
        command.args(protocol::arguments(engine, &self.settings, key, bounds));
        let unusable = |problem: &str| {
            let problem = program.unusable(problem);
            CompileError::Compiler(format!("the compiler cannot be used: {problem}"))
        };
        let answer = run_compiler(&mut command, wasm.bytes(), bounds).map_err(|failure| match failure {
            CompilerFailure::Refused(reason) => CompileError::Invalid(reason),
            CompilerFailure::Unusable(problem) => unusable(&problem),
            CompilerFailure::Exceeded(bound) => CompileError::Bound(format!("{engine}'s compiler: {bound}")),
            failure => CompileError::Compiler(format!("{engine}'s compiler: {failure}")),
        })?;
        let code = Code::decode(&answer).map_err(|error| unusable(&format!("it gives no code: {error}")))?;
        let is_wanted =
            code.key.engine == engine && code.key.target == key && code.key.module == wasm.digest();
        if !is_wanted {
            return Err(unusable("it gives code for something else"));
        }
        Ok(code.bytes.to_vec())
    }

    fn warn(&self, missing: &Unavailable) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "{missing}; until then modules are compiled inside the server, without bounds of CPU time and memory, and only \
                 up to {} (`compiler.in_process`)",
                ByteSize(self.compiling.in_process)
            );
        }
    }
}
