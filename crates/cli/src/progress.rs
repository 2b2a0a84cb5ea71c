//! Signs of life while a module compiles for longer than a second.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use weir_engine::{AheadOfTime, CodeCompiler, CompileError, Engine, EngineLayer, HostFuncs, Module, Wasm};

/// The shortest task that is worth a word, and the period in which the terminal's line is renewed.
const PATIENCE: Duration = Duration::from_secs(1);

/// The period in which a log gets a line.
const LOG_EVERY: u64 = 10;

/// An engine that says so when compiling takes long: on a terminal in one line that goes away, else in the log.
#[derive(Clone)]
pub struct Announced(pub Arc<dyn Engine>);

impl EngineLayer for Announced {
    fn below(&self) -> &dyn Engine {
        self.0.as_ref()
    }

    fn compile(&self, wasm: &Wasm<'_>, funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
        announce(self.0.name(), wasm.bytes().len(), || self.0.compile(wasm, funcs))
    }

    fn over_compiler(&self, _: &dyn AheadOfTime, compiler: Arc<dyn CodeCompiler>) -> Arc<dyn CodeCompiler> {
        let engine = self.0.name();
        Arc::new(move |wasm: &Wasm<'_>| announce(engine, wasm.bytes().len(), || compiler.compile_code(wasm)))
    }
}

fn announce<T>(engine: &str, size: usize, work: impl FnOnce() -> T) -> T {
    let what = format!("compiling a module of {} KiB with {engine}", size.div_ceil(1024));
    // Dropped when the work is done, by a panic too: that wakes the other thread at once.
    let (done, wait) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || report(&what, &wait));
        let _done = done;
        work()
    })
}

fn report(what: &str, wait: &mpsc::Receiver<()>) {
    let since = Instant::now();
    let terminal = std::io::stderr().is_terminal();
    let mut seconds = 0;
    while wait.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
        seconds += PATIENCE.as_secs();
        if terminal {
            eprint!("\r{what}: {seconds} s ");
            // A terminal that cannot be written to has nobody in front of it.
            let _ = std::io::stderr().flush();
        } else if seconds == 1 || seconds % LOG_EVERY == 0 {
            tracing::info!(seconds, "{what}");
        }
    }
    if seconds > 0 {
        if terminal {
            // Carriage return, then erase to the end of the line.
            eprint!("\r\x1b[K");
        }
        tracing::info!(seconds = since.elapsed().as_secs(), "{what}: done");
    }
}

#[cfg(test)]
mod tests {
    use super::announce;

    #[test]
    fn the_result_of_the_work_comes_back() {
        assert_eq!(announce("none", 1, || 7), 7);
    }

    #[test]
    fn a_panic_of_the_work_goes_on_instead_of_waiting() {
        let result = std::panic::catch_unwind(|| announce("none", 1, || panic!("no")));
        assert!(result.is_err());
    }
}
