//! The guests in `guests/toolchains` and `guests/broken` are text, so nothing but this test compiles them in this
//! workspace. A broken guest must be broken in the way that it says, and in no other.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use wasmparser::{Parser, Payload, Validator};

/// A guest as it lies there.
struct Guest {
    name: String,
    text: String,
    /// In order.
    exports: Vec<String>,
    /// `module.name`.
    imports: Vec<String>,
}

impl Guest {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("readable");
        let wasm = wat::parse_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if let Err(error) = Validator::new().validate_all(&wasm) {
            panic!("{}: {error}", path.display());
        }
        let (mut exports, mut imports) = (Vec::new(), Vec::new());
        for payload in Parser::new(0).parse_all(&wasm) {
            match payload.expect("valid") {
                Payload::ExportSection(section) => {
                    exports.extend(
                        section
                            .into_iter()
                            .map(|export| export.expect("valid").name.to_owned()),
                    );
                }
                Payload::ImportSection(section) => {
                    imports.extend(section.into_imports().map(|import| {
                        let import = import.expect("valid");
                        format!("{}.{}", import.module, import.name)
                    }));
                }
                _ => {}
            }
        }
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        Self {
            name,
            text,
            exports,
            imports,
        }
    }

    fn markers(&self) -> usize {
        self.exports
            .iter()
            .filter(|name| name.starts_with("proxy_abi_version_"))
            .count()
    }

    fn has_allocator(&self) -> bool {
        self.exports
            .iter()
            .any(|name| name == "malloc" || name == "proxy_on_memory_allocate")
    }

    fn has_memory(&self) -> bool {
        self.exports.iter().any(|name| name == "memory")
    }

    /// The head says what it is and what follows for a host; the name is the value of the header that it adds.
    fn check_text(&self, first: &str) {
        assert!(
            self.text.starts_with(&format!(";; {first}: ")),
            "{}: begins otherwise",
            self.name
        );
        assert!(
            self.text.contains("\n;; A host must: "),
            "{}: nothing for the host",
            self.name
        );
        assert!(
            self.text.contains(&format!("(i32.const 1040) \"{}\"", self.name)),
            "{}: no name",
            self.name
        );
        let length = format!("(i32.const 1040) (i32.const {})))\n", self.name.len());
        assert!(
            self.text.contains(&length),
            "{}: its name is cut or too long",
            self.name
        );
    }
}

fn guests(folder: &str) -> Vec<Guest> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let entries = std::fs::read_dir(&folder).expect("readable");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    assert!(
        paths
            .iter()
            .all(|path| path.extension().is_some_and(|extension| extension == "wat")),
        "{paths:?}"
    );
    paths.iter().map(|path| Guest::read(path)).collect()
}

#[test]
fn toolchains_lack_nothing() {
    let guests = guests("toolchains");
    assert!(guests.len() >= 12, "some are missing");
    for guest in &guests {
        guest.check_text("Imitates");
        assert!(
            guest.has_memory() && guest.has_allocator(),
            "{}: no memory or allocator",
            guest.name
        );
        let markers = if guest.name == "two_markers" { 2 } else { 1 };
        assert_eq!(guest.markers(), markers, "{}", guest.name);
    }
}

#[test]
fn broken_guests_lack_one_thing() {
    let guests = guests("broken");
    assert!(guests.len() >= 12, "some are missing");
    for guest in &guests {
        guest.check_text("Wrong");
        assert_eq!(guest.markers() == 0, guest.name == "no_marker", "{}", guest.name);
        assert_eq!(
            !guest.has_allocator(),
            guest.name == "no_allocator",
            "{}",
            guest.name
        );
        assert_eq!(!guest.has_memory(), guest.name == "no_memory", "{}", guest.name);
    }
}

#[test]
fn all_of_wasi_under_both_names() {
    let guests = guests("toolchains");
    let guest = guests
        .iter()
        .find(|guest| guest.name == "all_wasi")
        .expect("there");
    let of = |module: &str| -> BTreeSet<&str> {
        guest
            .imports
            .iter()
            .filter_map(|import| import.strip_prefix(module))
            .collect()
    };
    let names = of("wasi_snapshot_preview1.");
    assert_eq!(names.len(), 46);
    assert_eq!(names, of("wasi_unstable."));
}
