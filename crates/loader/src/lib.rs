//! Module files, and compiled code that need not be compiled again.
//!
//! A module is compiled once for a runtime, its version, its settings and the kind of processor. The code is kept in a
//! [`CodeCache`], a folder that several processes share, or it travels in the module's own file, in a custom section
//! that other hosts skip ([`ModuleFile`], [`with_code`]).
//!
//! Code is run as it stands: whoever can write it controls the process. So the folder must be the process's own, and a
//! file's code is used where the operator allows it.
#![forbid(unsafe_code)]

mod code;
mod code_cache;
mod file;

use sha2::{Digest, Sha256};

pub use code::{Code, CodeError};
pub use code_cache::{CacheError, CachedEngine, CodeCache, MAX_CACHE_BYTES};
pub use file::{ModuleFile, with_code};

/// SHA-256 of a module, by which its code is found.
pub type ModuleDigest = [u8; 32];

/// The digest of a module, without sections of ours.
pub fn digest(wasm: &[u8]) -> ModuleDigest {
    Sha256::digest(wasm).into()
}
