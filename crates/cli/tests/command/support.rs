//! Folders with filters, and the command run in them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

pub const FILTER: &str = r#"(module
    (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "the colour is not known")
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (param i32) (result i32) i32.const 1024)
    (func (export "proxy_on_configure") (param i32) (param $size i32) (result i32)
        ;; An empty configuration is refused, and the log says why.
        (if (result i32) (local.get $size)
            (then i32.const 1)
            (else
                (drop (call $log (i32.const 4) (i32.const 0) (i32.const 23)))
                (i32.const 0)))))"#;

/// A folder with a filter, a broken module and what is in `files`.
pub fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("filter.wasm"), wat::parse_str(FILTER).unwrap()).unwrap();
    fs::write(folder.path().join("broken.wasm"), "no module").unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

pub fn weir(folder: &Path, args: &[&str]) -> Output {
    command(folder, args).output().unwrap()
}

pub fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command
        .args(args)
        .current_dir(folder)
        .env_remove("WEIR_LOG")
        .env("WEIR_CODE_CACHE", folder.join("cache"));
    command
}

#[track_caller]
pub fn assert_ends(output: &Output, code: i32) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(
        output.status.code(),
        Some(code),
        "stdout:\n{stdout}\nstderr:\n{stderr}"
    );
    (stdout, stderr)
}

pub fn plugin(module: &str, configuration: &str) -> String {
    format!(
        "config:\n  name: colour\n{configuration}  vm_config:\n    code:\n      local:\n        filename: {module}\n"
    )
}

/// Counts the files of code in the code cache.
pub fn cached(folder: &Path) -> usize {
    let entries =
        fs::read_dir(folder.join("cache")).map_or(Vec::new(), |entries| entries.flatten().collect());
    let is_code = |entry: &&fs::DirEntry| {
        entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "code")
    };
    entries.iter().filter(is_code).count()
}
