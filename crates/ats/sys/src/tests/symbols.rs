//! The names under which functions are looked up.

use std::collections::HashSet;
use std::path::Path;

use object::{Object, ObjectSymbol};

use super::itanium::mangle;
use crate::load::slots;

const SERVER: &str = "/usr/bin/traffic_server";

/// The signature of a function is part of its mangled name: a wrong argument in a declaration shows here.
#[test]
fn mangled_names_follow_from_the_signatures() {
    let declared = crate::functions::SLOTS
        .iter()
        .copied()
        .chain([crate::memory::TRACKED_SLOTS])
        .flatten();
    let mut count = 0;
    for slot in declared {
        assert_eq!(
            mangle(slot.label(), slot.arguments),
            slot.mangled.to_str().unwrap_or_default()
        );
        count += 1;
    }
    assert!(count > 350, "only {count} functions are declared");
}

#[test]
fn mangled_names_carry_the_c_name() {
    for slot in slots().filter(|slot| !slot.c_name.is_empty() && !slot.mangled.is_empty()) {
        let name = slot.label();
        let name = if name == "_TSfree" { "TSfree" } else { name };
        let mangled = slot.mangled.to_str().unwrap_or_default();
        assert!(
            mangled.starts_with(&format!("_Z{}{name}", name.len())),
            "{mangled} is not {name}"
        );
    }
}

#[test]
fn no_symbol_is_declared_twice() {
    let mut seen = HashSet::new();
    for name in slots()
        .flat_map(|slot| [slot.c_name, slot.mangled])
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
        slots()
            .filter(|slot| slot.required == required && !slot.c_name.is_empty())
            .filter(|slot| !exported.contains(slot.c_name.to_bytes()))
            .map(|slot| slot.label())
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
