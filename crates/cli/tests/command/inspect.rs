//! `weir inspect`.

use super::support::{assert_ends, folder, weir};

#[test]
fn inspect_describes_a_module() {
    let folder = folder(&[]);
    let (text, _) = assert_ends(&weir(folder.path(), &["inspect", "filter.wasm"]), 0);
    assert!(text.contains("Weir can run it, with ABI 0.2.1"), "{text}");

    let (json, _) = assert_ends(&weir(folder.path(), &["inspect", "--json", "filter.wasm"]), 0);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["callbacks"], serde_json::json!(["proxy_on_configure"]));
    assert_eq!(json["hostcalls"], serde_json::json!(["proxy_log"]));
}

#[test]
fn inspect_names_the_file_that_is_no_module() {
    let folder = folder(&[]);
    let (_, broken) = assert_ends(&weir(folder.path(), &["inspect", "broken.wasm"]), 1);
    assert!(
        broken.contains("broken.wasm") && broken.contains("not a WebAssembly module"),
        "{broken}"
    );
    let (_, absent) = assert_ends(&weir(folder.path(), &["inspect", "absent.wasm"]), 1);
    assert!(absent.contains("absent.wasm"), "{absent}");
    for verb in ["inspect", "compile"] {
        let (_, endless) = assert_ends(&weir(folder.path(), &[verb, "/dev/zero"]), 1);
        assert!(
            endless.contains("cannot read /dev/zero") && endless.contains("not a regular file"),
            "{endless}"
        );
    }
}
