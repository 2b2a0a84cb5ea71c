//! Every document in `documents/invalid` is refused with exactly the lines that stand in it after `#!`.
//!
//! A document whose name begins with `filter-` or `process-` is one of the Traffic Server plugin, any other one of
//! `weir serve`. In
//! the expectation, `$DIR` is the folder of the documents. `BLESS=1` writes what the reader says now into the
//! documents, to be looked at before it is committed.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};

use weir_config::{ConfigError, Environment, FilterConfig, ProcessConfig, ProxyConfig};
use weir_host::{Capabilities, ImportSets};

const BUILT_IN: &[&str] = &["wasmtime", "wasmi"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents/invalid")
}

fn documents() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut documents: Vec<PathBuf> = entries.filter(|path| path.extension().is_some()).collect();
    documents.sort();
    documents
}

/// The error as the command shows it, runtimes checked last.
fn problems(document: &Path) -> String {
    let capabilities = Capabilities::names(ImportSets::standard());
    let environment = Environment::empty().with_capabilities(capabilities);
    let name = document.file_name().unwrap().to_str().unwrap();
    let result: Result<(), ConfigError> = if name.starts_with("filter-") {
        FilterConfig::load(document, &environment).and_then(|filter| filter.check_runtime(BUILT_IN))
    } else if name.starts_with("process-") {
        ProcessConfig::load(document, &environment).map(drop)
    } else {
        ProxyConfig::load(document, &environment).and_then(|proxy| proxy.check_runtimes(BUILT_IN))
    };
    let problems = result.err().map(|error| error.to_string()).unwrap_or_default();
    problems.replace(&format!("{}/", folder().display()), "$DIR/")
}

/// The document without its expectation, and the expectation.
fn split(text: &str) -> (String, String) {
    let (expected, document): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with("#!"));
    let expected: Vec<&str> = expected
        .iter()
        .map(|line| line.trim_start_matches("#!").trim())
        .collect();
    (document.join("\n"), expected.join("\n"))
}

#[test]
fn every_document_is_refused_as_it_says() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = Vec::new();
    let documents = documents();
    assert!(documents.len() > 20, "the documents are missing");
    for document in documents {
        let bytes = fs::read(&document).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let (rest, expected) = split(&text);
        let found = problems(&document);
        if bless && std::str::from_utf8(&bytes).is_ok() {
            let lines: String = found.lines().map(|line| format!("#! {line}\n")).collect();
            fs::write(&document, format!("{}\n{lines}", rest.trim_end())).unwrap();
        } else if found.is_empty() || found != expected {
            wrong.push(format!(
                "{}\nexpected:\n{expected}\nfound:\n{found}\n",
                document.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_file_that_is_missing_is_named() {
    let path = folder().join("there-is-none.yaml");
    let error = ProxyConfig::load(&path, &Environment::empty()).unwrap_err();
    let shown = path.display();
    assert_eq!(
        error.to_string(),
        format!("{shown}: cannot read the file {shown}: there is no such file")
    );
    assert_eq!(error.files(), [path]);
}

#[test]
fn a_failed_reading_tells_which_files_to_watch() {
    let path = folder().join("missing-files.yaml");
    let error = ProxyConfig::load(&path, &Environment::empty()).unwrap_err();
    assert_eq!(error.files()[0], path);
    assert!(error.files().contains(&folder().join("nowhere.wasm")));
    assert!(error.files().contains(&folder().join("cert.pem")));
}
