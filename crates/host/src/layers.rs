//! Keeps the parts of the host that know no kind of guests free of Proxy-Wasm, which stands on top of them.

use std::fs;
use std::path::Path;

/// Modules that serve guests of every kind.
const BELOW: [&str; 4] = ["life", "sets", "snapshot", "error.rs"];

#[test]
fn life_sets_and_snapshot_use_nothing_of_proxy_wasm() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let root = read(&src.join("lib.rs"));
    let mut names = vec!["proxy_wasm".to_owned()];
    for exported in statements(&root, "pub use proxy_wasm::") {
        names.extend(words(exported).map(str::to_owned));
    }
    assert!(names.iter().any(|name| name == "Vm"), "{names:?}");
    let mut files = Vec::new();
    BELOW.iter().for_each(|part| collect(&src.join(part), &mut files));
    assert!(files.len() > BELOW.len());
    for (path, text) in files {
        let code: String = text
            .lines()
            .map(|line| line.split("//").next().unwrap_or(""))
            .collect::<Vec<_>>()
            .join("\n");
        assert!(
            !words(&code).any(|word| word == "proxy_wasm"),
            "{path} uses crate::proxy_wasm"
        );
        for used in statements(&code, "crate::") {
            let wrong = words(used).find(|word| names.iter().any(|name| name == word));
            assert_eq!(wrong, None, "{path} uses a name of crate::proxy_wasm");
        }
    }
}

fn collect(path: &Path, files: &mut Vec<(String, String)>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            collect(&entry.unwrap().path(), files);
        }
    } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
        files.push((path.display().to_string(), read(path)));
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// Each path that begins with `start`, or the braces that follow it.
fn statements<'a>(text: &'a str, start: &str) -> impl Iterator<Item = &'a str> {
    text.split(start).skip(1).map(|rest| {
        let end = match rest.starts_with('{') {
            true => rest.find(';'),
            false => rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':'),
        };
        &rest[..end.unwrap_or(rest.len())]
    })
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
}
