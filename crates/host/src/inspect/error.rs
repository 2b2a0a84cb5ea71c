//! Why a module is refused.

use weir_abi::AbiVersion;
use weir_abi::limits::MAX_MODULE_BYTES;
use weir_engine::CompileError;

/// Why a module is refused. The caller knows and names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The bytes are something else.
    #[error("not a WebAssembly module: {found}")]
    NotWasm {
        /// A description of the bytes, and a remedy.
        found: String,
    },
    /// The bytes are machine code that an engine made ahead of time.
    #[error(
        "machine code of Wasmtime's, where a WebAssembly module is expected; `weir compile` makes files with both"
    )]
    Precompiled,
    /// The bytes are more than any filter has.
    #[error("{0} bytes are too many for a module, the limit is {MAX_MODULE_BYTES}")]
    TooLarge(usize),
    /// The module begins well but cannot be read.
    #[error("malformed WebAssembly at byte {offset:#x}: {reason}")]
    Malformed {
        /// The place, in bytes from the start.
        offset: u64,
        /// Why.
        reason: String,
    },
    /// The module does not export a marker of the ABI.
    #[error(
        "not a Proxy-Wasm module: it exports no ABI marker (one of {}); was it built as a filter, with an SDK?",
        markers()
    )]
    NoAbiMarker,
    /// The module speaks an ABI that the host does not.
    #[error("the ABI {marker} is not supported (supported: {}){}", markers(), about(.marker))]
    UnsupportedAbi {
        /// Name of the marker exported.
        marker: String,
    },
    /// The module imports what the host does not have.
    #[error("imports that the host does not have: {}", .0.join("; "))]
    UnknownImports(Vec<String>),
    /// The module does not export its memory.
    #[error("no export `memory`: the host cannot reach the module's memory")]
    NoMemory,
    /// The module's memory is of a kind that the ABI does not know.
    #[error("the module's memory {0}; the ABI needs one memory with 32-bit addresses")]
    UnsupportedMemory(&'static str),
    /// The module does not export an allocator.
    #[error(
        "no allocator: the module must export `malloc` or `proxy_on_memory_allocate`, each of type (i32) -> i32"
    )]
    NoAllocator,
    /// The runtime refuses the module.
    #[error(transparent)]
    Compile(#[from] CompileError),
}

impl From<wasmparser::BinaryReaderError> for LoadError {
    fn from(error: wasmparser::BinaryReaderError) -> Self {
        Self::Malformed {
            offset: error.offset(),
            reason: error.message().to_owned(),
        }
    }
}

fn markers() -> String {
    let markers: Vec<_> = AbiVersion::ALL.iter().map(|version| version.marker()).collect();
    markers.join(", ")
}

fn about(marker: &str) -> &'static str {
    if marker == "proxy_abi_version_0_2_100" {
        ": it is Higress's private ABI; build the filter with a Proxy-Wasm SDK that emits a standard marker"
    } else {
        ""
    }
}
