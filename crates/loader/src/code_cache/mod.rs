//! The code cache: a folder of compiled code, and an engine that compiles nothing twice.

mod cache;
mod engine;

pub use cache::{CacheError, CodeCache, MAX_CACHE_BYTES};
pub use engine::CachedEngine;
