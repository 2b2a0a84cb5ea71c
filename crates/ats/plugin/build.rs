//! Linker arguments of the plugin.

fn main() {
    // A remap plugin is unmapped when the server reads `remap.config` again, while threads of ours and callbacks of
    // thread-local storage still lead into it.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo:rerun-if-changed=build.rs");
}
