//! The code cache: a folder of compiled code, and an engine that compiles nothing twice.

mod cache;
mod engine;
mod folder;
mod key;

pub use cache::{CodeCache, CodeCacheError, MAX_CODE_CACHE_BYTES};
pub use engine::CachedEngine;
pub use key::CodeKey;
