//! V8 behind the engine seam: the JavaScript engine's WebAssembly, out of the library of Node.js.
//!
//! Neither V8 nor Node.js is linked. A small library of our own, `libweir_v8.so` (sources in `shim/`, made by
//! `cargo xtask v8`), stands before Debian's `libnode` and is opened when the engine is first asked for. It is looked for
//!
//! 1. where `WEIR_V8_LIB` says,
//! 2. beside the file that this code is in: the command `weir`, or the plugin `wasm.so`,
//! 3. in `/usr/lib/weir`.
//!
//! Each instance has an isolate of its own, since instances are made on other threads than they serve on; compiled modules
//! are shared between them.

mod beat;
mod caller;
mod data;
mod instance;
mod library;
mod module;
mod trap;

use std::path::Path;
use std::sync::Arc;

use weir_engine::{CompileError, Declared, Engine, HostFuncs, Module, Unavailable, Wasm};

use library::Library;
use module::V8Module;

/// The runtime. One value a process is enough; V8 itself is one for the process.
pub struct V8Engine {
    library: &'static Library,
}

impl V8Engine {
    /// Opens the library and starts V8.
    ///
    /// # Errors
    ///
    /// The library is not there, or is of another version.
    pub fn open() -> Result<Self, Unavailable> {
        Ok(Self {
            library: Library::open()?,
        })
    }
}

impl Engine for V8Engine {
    fn name(&self) -> &'static str {
        "v8"
    }

    fn version(&self) -> String {
        self.library.version()
    }

    fn library(&self) -> Option<&Path> {
        Some(&self.library.path)
    }

    fn declared(&self) -> Declared {
        Declared {
            interrupt: true,
            memory_limit: true,
            ..Declared::default()
        }
    }

    fn compile(&self, wasm: &Wasm<'_>, funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
        Ok(Arc::new(V8Module::compile(self.library, wasm.bytes(), funcs)?))
    }
}
