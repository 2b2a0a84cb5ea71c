//! The keys of the process, in `weir serve`'s document and in one of their own.

use std::net::{Ipv4Addr, SocketAddr};

use super::{filter, or};
use crate::read::{Field, Keys};
use crate::{CodeCacheFolder, CompilerConfig, Listener, ProcessConfig, WasmtimeOptions};

/// The keys of `weir serve` that a process document must not have, since Traffic Server does these things.
const OF_THE_PROXY: [&str; 10] = [
    "listeners",
    "listen",
    "upstreams",
    "routes",
    "workers",
    "limits",
    "timeouts",
    "access_log",
    "watch",
    "start",
];

/// Keys of filters.
const OF_FILTERS: [&str; 2] = ["filters", "config"];

/// Takes the keys of the process from a document, in which there are these listeners.
pub(super) fn read(keys: &Keys<'_>, listeners: &[Listener]) -> ProcessConfig {
    let default = ProcessConfig::default();
    ProcessConfig {
        admin: keys.take("admin").and_then(|field| admin(&field, listeners)),
        code_cache: keys.take("code_cache").and_then(|field| code_cache(&field)),
        wasmtime: or(keys.take("wasmtime"), default.wasmtime, wasmtime),
        compiler: or(keys.take("compiler"), default.compiler, compiler),
        log_level: keys.take("log_level").and_then(|field| filter::log_level(&field)),
        host_memory: or(keys.take("host_memory"), default.host_memory, filter::bytes),
    }
}

/// Reads a document that has nothing but the keys of the process.
pub(super) fn document(root: &Field<'_>) -> Option<ProcessConfig> {
    let keys = root.keys()?;
    let process = read(&keys, &[]);
    for key in OF_THE_PROXY {
        keys.refuse(
            key,
            "a key of weir serve; Traffic Server listens, routes and connects by its own configuration",
        );
    }
    for key in OF_FILTERS {
        keys.refuse(
            key,
            "a filter does not belong here; expected a document of its own: wasm.so --config=FILE FILTER.yaml",
        );
    }
    keys.finish();
    Some(process)
}

/// A port, or an address with one, that no listener has.
fn admin(field: &Field<'_>, listeners: &[Listener]) -> Option<SocketAddr> {
    const EXPECTED: &str =
        "a port such as 9180, which is on 127.0.0.1, or an IP address and a port such as 192.0.2.1:9180";
    let text = field.scalar(EXPECTED)?;
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let port = text.parse().map(loopback).ok();
    let Some(address) = port.or_else(|| text.parse().ok()) else {
        return field.expected(EXPECTED);
    };
    let is_taken = |listener: &Listener| listener.address == address && address.port() != 0;
    if listeners.iter().any(is_taken) {
        field.report(format!("the address {address} is a listener's"));
    }
    Some(address)
}

fn code_cache(field: &Field<'_>) -> Option<CodeCacheFolder> {
    match field.scalar("a folder or off")? {
        "off" | "false" => Some(CodeCacheFolder::Off),
        _ => field.new_file().map(CodeCacheFolder::At),
    }
}

fn compiler(field: &Field<'_>) -> Option<CompilerConfig> {
    let keys = field.keys()?;
    let default = CompilerConfig::default();
    let compiler = CompilerConfig {
        cpu_time: or(keys.take("cpu_time"), default.cpu_time, Field::duration),
        memory: or(keys.take("memory"), default.memory, Field::size),
        in_process: or(keys.take("in_process"), default.in_process, Field::size),
    };
    keys.finish();
    Some(compiler)
}

/// A word or a list of words.
fn wasmtime(field: &Field<'_>) -> Option<WasmtimeOptions> {
    let items = field.items_or_one();
    let words = items.iter().map(|item| item.scalar(WasmtimeOptions::WORDS));
    let words: Vec<&str> = words.collect::<Option<_>>()?;
    match WasmtimeOptions::from_words(words) {
        Ok(options) => Some(options),
        Err(problem) => {
            field.report(problem);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::super::proxy;
    use super::*;
    use crate::Environment;
    use crate::read::{Document, Session};

    /// The keys that are asked for in an empty document.
    fn names(take: impl FnOnce(&Keys<'_>)) -> BTreeSet<String> {
        let environment = Environment::empty();
        let session = Session::new(&environment);
        let document = Document::parse(&session, Path::new("test.yaml"), b"").expect("an empty map");
        let root = document.root();
        let keys = root.keys().expect("a map");
        take(&keys);
        keys.names()
    }

    #[test]
    fn every_key_of_weir_serve_is_one_of_the_process_or_refused() {
        let of_serve = names(|keys| drop(proxy::take(keys)));
        let of_the_process = names(|keys| drop(read(keys, &[])));
        let refused = OF_THE_PROXY.iter().chain(&["filters"]);
        let expected: BTreeSet<String> = refused.map(ToString::to_string).collect();
        assert_eq!(&of_serve - &of_the_process, expected);
    }
}
