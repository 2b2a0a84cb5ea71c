//! The Proxy-Wasm host: VMs, contexts, every hostcall and callback; knows no runtime and no HTTP library.
