//! Wasmtime behind the engine seam.
