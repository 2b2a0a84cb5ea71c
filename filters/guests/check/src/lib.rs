//! Nothing but its test: `cargo test --manifest-path filters/Cargo.toml -p guests-check`.
#![forbid(unsafe_code)]
