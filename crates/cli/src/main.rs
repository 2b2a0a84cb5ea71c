//! Weir: runs Proxy-Wasm modules at the edge.
fn main() {}
