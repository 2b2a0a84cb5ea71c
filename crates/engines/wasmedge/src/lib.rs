//! WasmEdge behind the engine seam: an interpreter, opened from a library of the user's.
//!
//! No library can be had from the package registries that this project builds from, so the backend is written against
//! WasmEdge's public C interface, and the ordinary tests run on a stand-in that has the same interface over another runtime
//! (`stand-in`). Where `WEIR_WASMEDGE_LIB` names a real library they run on that one as well; 0.16.4 passes them but for one
//! known fault (`docs/adr/0018-wasmedge.md`).
//!
//! Nothing stops WasmEdge's interpreter from another thread without running each call on a thread of its own, and nothing
//! bounds its stack. So modules count what they execute and what is on their stack (`ModuleWriter::meter` of
//! `weir-engine-support`).

mod caller;
mod data;
mod instance;
mod library;
mod module;
mod prepare;
mod trap;

use std::path::Path;
use std::sync::Arc;

use weir_engine::{CompileError, Declared, Engine, HostFuncs, Module, Unavailable, Wasm};

use library::Library;
use module::WasmEdgeModule;

/// The runtime. One value a process is enough.
pub struct WasmEdgeEngine {
    library: &'static Library,
}

impl WasmEdgeEngine {
    /// Opens the library: the one that `WEIR_WASMEDGE_LIB` names, else the system's.
    ///
    /// # Errors
    ///
    /// There is none, or one that is too old.
    pub fn open() -> Result<Self, Unavailable> {
        Ok(Self {
            library: Library::open()?,
        })
    }

    /// Opens a library at a place.
    ///
    /// # Errors
    ///
    /// The file is no such library, or one that is too old.
    pub fn open_at(path: &Path) -> Result<Self, Unavailable> {
        Ok(Self {
            library: Library::open_at(path)?,
        })
    }
}

impl Engine for WasmEdgeEngine {
    fn name(&self) -> &'static str {
        "wasmedge"
    }

    fn version(&self) -> String {
        self.library.version_text()
    }

    fn library(&self) -> Option<&Path> {
        Some(&self.library.path)
    }

    fn declared(&self) -> Declared {
        Declared {
            fuel: true,
            memory_limit: true,
            ..Declared::default()
        }
    }

    fn compile(&self, wasm: &Wasm<'_>, funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
        Ok(Arc::new(WasmEdgeModule::compile(
            self.library,
            wasm.bytes(),
            funcs,
        )?))
    }
}
