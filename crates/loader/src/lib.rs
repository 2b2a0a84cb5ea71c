//! Sources of modules, and compiled code that need not be compiled again.
//!
//! A [`ModuleSource`] gives a module's bytes; [`fetch`] gets them whole, bounded and with their digest. Nothing else reads
//! modules.
//!
//! A module is compiled once for a runtime, its version, its settings and the kind of processor. The code is kept in the
//! [`CodeCache`], a folder that several processes share, or it travels in the module's own file, in a custom section
//! that other hosts skip ([`ModuleFile`], [`with_code`]).
//!
//! Code is run as it stands: whoever can write it controls the process. So the folder must be the process's own, and a
//! file's code is used where the operator allows it.
#![forbid(unsafe_code)]

mod code;
mod code_cache;
mod digest;
mod file;
mod source;

pub use code::{Code, CodeError};
pub use code_cache::{CachedEngine, CodeCache, CodeCacheError, CodeKey, MAX_CODE_CACHE_BYTES};
pub use digest::FileDigest;
pub use file::{FittingCode, ModuleFile, with_code};
pub use source::{FetchError, FetchedModule, FileSource, FileStamp, ModuleSource, Stamp, fetch};
