//! Bytes that are no core module: told apart, so that the message says what to do.

use super::LoadError;

const MAGIC: &[u8] = b"\0asm";
const VERSION_1: &[u8] = &[1, 0, 0, 0];
/// Layer 1 in the upper half of the version marks a component.
const COMPONENT_LAYER: &[u8] = &[1, 0];

/// Beginnings of files that come in place of a module, and what to say.
const KNOWN: &[(&[u8], &str)] = &[
    (b"\x1f\x8b", "gzip data; unpack it"),
    (b"(\xb5/\xfd", "zstd data; unpack it"),
    (b"PK\x03\x04", "a zip archive; unpack it"),
    (b"BC\xc0\xde", "LLVM bitcode; link it to a module"),
    (b"!<arch>\n", "a static library; link it to a module"),
    (
        b"version https://git-lfs",
        "a pointer of Git LFS; fetch the file it stands for (`git lfs pull`)",
    ),
];

/// Beginnings of text, white space skipped.
const TEXT: &[(&str, &str)] = &[
    (
        "(module",
        "WebAssembly text; compile it with `wat2wasm` or `wasm-tools parse`",
    ),
    ("(component", "the text of a component; filters are core modules"),
    (
        "(;",
        "WebAssembly text; compile it with `wat2wasm` or `wasm-tools parse`",
    ),
    (
        ";;",
        "WebAssembly text; compile it with `wat2wasm` or `wasm-tools parse`",
    ),
    (
        "<",
        "HTML or XML; perhaps an error page was saved in place of the module",
    ),
    (
        "{",
        "JSON; perhaps an error message was saved in place of the module",
    ),
    ("#!", "a script"),
];

/// Refuses bytes that do not begin like a core module.
pub(super) fn refuse(bytes: &[u8]) -> Result<(), LoadError> {
    if let Some(version) = bytes.strip_prefix(MAGIC) {
        return match version.get(..4) {
            Some(VERSION_1) => Ok(()),
            Some([_, _, layer @ ..]) if layer == COMPONENT_LAYER => Err(not_wasm(
                "a component; filters are core modules (for Rust: target wasm32-wasip1)",
            )),
            Some(_) => Err(not_wasm("a version of WebAssembly that is not known")),
            None => Err(not_wasm("a file that ends after the first bytes of a module")),
        };
    }
    if bytes.starts_with(b"\x7fELF") {
        // Wasmtime writes its machine code as an ELF file with sections of these names.
        let precompiled = memchr::memmem::find(bytes, b".wasmtime.").is_some();
        return Err(if precompiled {
            LoadError::Precompiled
        } else {
            not_wasm("a native program or library (ELF)")
        });
    }
    Err(not_wasm(&describe(bytes)))
}

fn not_wasm(found: &str) -> LoadError {
    LoadError::NotWasm {
        found: found.to_owned(),
    }
}

fn describe(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "an empty file".into();
    }
    if let Some((_, what)) = KNOWN.iter().find(|(start, _)| bytes.starts_with(start)) {
        return (*what).into();
    }
    let text = bytes
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(bytes)
        .trim_ascii_start();
    if let Some((_, what)) = TEXT.iter().find(|(start, _)| text.starts_with(start.as_bytes())) {
        return (*what).into();
    }
    let start: Vec<_> = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!(
        "a module begins with 00 61 73 6d, this file with {}",
        start.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: &[u8]) -> String {
        refuse(bytes).expect_err("refused").to_string()
    }

    #[test]
    fn each_kind_is_named() {
        let cases: &[(&[u8], &str)] = &[
            (b"", "an empty file"),
            (b"\0asm", "ends after the first bytes"),
            (b"\0asm\x0d\0\x01\0", "a component"),
            (b"\0asm\x02\0\0\0", "a version of WebAssembly"),
            (b"  \n(module)", "WebAssembly text"),
            (b"\xef\xbb\xbf;; comment", "WebAssembly text"),
            (b"(component)", "the text of a component"),
            (b"<!DOCTYPE html>", "HTML or XML"),
            (b"{\"error\":1}", "JSON"),
            (b"\x1f\x8b\x08", "gzip"),
            (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
            (b"\x7fELF\x02\x01", "a native program"),
            (b"\x01\x02", "this file with 01 02"),
            (b"0123456789", "this file with 30 31 32 33 34 35 36 37"),
        ];
        for (bytes, expected) in cases {
            let message = message(bytes);
            assert!(
                message.contains(expected),
                "{message:?} does not say {expected:?}"
            );
        }
    }

    #[test]
    fn machine_code_is_told_from_other_programs() {
        let code = refuse(b"\x7fELF....\0.wasmtime.engine\0");
        assert!(matches!(code, Err(LoadError::Precompiled)), "{code:?}");
        assert!(refuse(b"\0asm\x01\0\0\0").is_ok());
    }
}
