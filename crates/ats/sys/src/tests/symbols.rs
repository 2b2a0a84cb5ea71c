//! The names under which functions are looked up.

use std::collections::HashSet;
use std::path::Path;

use object::{Object, ObjectSymbol};

use super::itanium::mangle;
use crate::load::entries;

const SERVER: &str = "/usr/bin/traffic_server";

/// The signature of a function is part of its mangled name: a wrong argument in a declaration shows here.
#[test]
fn mangled_names_follow_from_the_signatures() {
    let declared = crate::functions::ENTRIES
        .iter()
        .copied()
        .chain([crate::memory::TRACKED_ENTRIES])
        .flatten();
    let mut count = 0;
    for entry in declared {
        assert_eq!(
            mangle(entry.label(), entry.arguments),
            entry.mangled.to_str().unwrap_or_default()
        );
        count += 1;
    }
    assert!(count > 350, "only {count} functions are declared");
}

#[test]
fn mangled_names_carry_the_c_name() {
    for entry in entries().filter(|entry| !entry.c_name.is_empty() && !entry.mangled.is_empty()) {
        let name = entry.label();
        let name = if name == "_TSfree" { "TSfree" } else { name };
        let mangled = entry.mangled.to_str().unwrap_or_default();
        assert!(
            mangled.starts_with(&format!("_Z{}{name}", name.len())),
            "{mangled} is not {name}"
        );
    }
}

#[test]
fn no_symbol_is_declared_twice() {
    let mut seen = HashSet::new();
    for name in entries()
        .flat_map(|entry| [entry.c_name, entry.mangled])
        .filter(|name| !name.is_empty())
    {
        assert!(seen.insert(name), "{name:?} is declared twice");
    }
}

/// Debian's server is a 9.2: it has every function that is required, and none that is said to come with 10.
#[test]
fn an_installed_9_2_exports_every_required_symbol() -> Result<(), Box<dyn std::error::Error>> {
    if !Path::new(SERVER).exists() {
        eprintln!("skipped: {SERVER} is not installed");
        return Ok(());
    }
    let bytes = std::fs::read(SERVER)?;
    let file = object::File::parse(&*bytes)?;
    let exported: HashSet<&[u8]> = file
        .dynamic_symbols()
        .filter(|symbol| symbol.is_definition())
        .filter_map(|symbol| symbol.name_bytes().ok())
        .collect();
    if !exported.contains(&b"TSTrafficServerVersionGetMajor"[..]) {
        eprintln!("skipped: {SERVER} is no 9.2");
        return Ok(());
    }
    let missing = |required: bool| -> Vec<&str> {
        entries()
            .filter(|entry| entry.required == required && !entry.c_name.is_empty())
            .filter(|entry| !exported.contains(entry.c_name.to_bytes()))
            .map(|entry| entry.label())
            .collect()
    };
    assert_eq!(missing(true), Vec::<&str>::new());
    assert_eq!(
        missing(false),
        [
            "TSHttpSsnInfoIntGet",
            "TSNetVConnClientAddrGet",
            "TSVConnPPInfoGet",
            "TSVConnPPInfoIntGet",
            "TSHttpTxnCacheKeyDigestGet",
            "TSHttpTxnErrorBodyGet",
            "TSHttpTxnTypeGet",
        ]
    );
    Ok(())
}
