//! `weir inspect`: what can be said of a module without running it.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use weir_abi::limits::MAX_MODULE_FILE_BYTES;
use weir_host::{Capabilities, ModuleInfo};
use weir_loader::{Code, CodeError, FileSource, fetch};
use weir_plan::import_sets;

use super::size;

/// Arguments of `weir inspect`.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// The module, in WebAssembly's binary format.
    #[arg(value_name = "MODULE.wasm")]
    module: PathBuf,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// Print the restriction that allows what the module has and nothing else, for its document.
    #[arg(long, conflicts_with = "json")]
    allow_list: bool,
}

/// Bytes of a page of linear memory.
const PAGE: u64 = 64 << 10;

/// The beginning of `--help`.
pub const LONG_ABOUT: &str = "\
Says what a module is, exports, imports and needs. The module is not run.

ABI version, the SDK if it can be told, the callbacks that it exports and so takes part in, the hostcalls and WASI \
functions that it imports, imports that Weir does not know, memory, size. Last comes whether Weir can run it, and if \
not, why.";

const EXAMPLES: &str = "\
Examples:
  weir inspect filter.wasm
  weir inspect --allow-list filter.wasm    for a restriction of capabilities
  weir inspect --json filter.wasm | jq -r '.hostcalls[]'

Exit codes:
  0  the module was read, whether Weir can run it or not
  1  it could not be read, or is no WebAssembly module";

/// Prints what is known of the module.
pub fn run(args: &Args) -> Result<()> {
    let name = args.module.display().to_string();
    let source = FileSource::new(&args.module);
    let fetched = fetch(&source, MAX_MODULE_FILE_BYTES).with_context(|| format!("cannot read {name}"))?;
    let file = fetched.file();
    let info = weir_host::inspect(import_sets(), file.wasm().bytes())
        .with_context(|| format!("cannot inspect {name}"))?;
    let code: Vec<String> = file.code().map(compiled).collect();
    let text = if args.allow_list {
        allow_list(&info)
    } else if args.json {
        format!("{:#}\n", as_json(&name, &info, &code))
    } else {
        as_text(&name, &info, &code)
    };
    print!("{text}");
    Ok(())
}

/// The restriction that allows what the module imports and exports: hostcalls and WASI functions that can be restricted, and
/// callbacks, without which the module would see nothing.
fn allow_list(info: &ModuleInfo) -> String {
    let known: Vec<_> = Capabilities::names(import_sets()).collect();
    let imports = info.imports.iter().flat_map(|group| &group.functions);
    let names = imports.chain(&info.callbacks).map(|name| base_name(name));
    let names: BTreeSet<_> = names.filter(|name| known.contains(name)).collect();
    if names.is_empty() {
        return "# The module has nothing that can be allowed.\n".to_owned();
    }
    let mut text = "capability_restriction_config:\n  allowed_capabilities:\n".to_owned();
    for name in names {
        // Writing to a string does not fail.
        let _ = writeln!(text, "    - {name}");
    }
    text
}

/// The name of a function without its module.
fn base_name(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, name)| name)
}

/// The report on code that lies beside the module.
fn compiled(code: Result<Code<'_>, CodeError>) -> String {
    match code {
        Ok(code) => format!(
            "{} for {} ({})",
            size(code.bytes.len() as u64),
            code.key.engine,
            code.key.target
        ),
        Err(error) => error.to_string(),
    }
}

fn as_json(name: &str, info: &ModuleInfo, code: &[String]) -> Value {
    let refused = info.check().err();
    let mut described = json!({
        "file": name,
        "runs": refused.is_none(),
        "refused_because": refused.map(|reason| reason.to_string()),
        "abi": info.abi.map(|abi| abi.name()),
        "markers": info.markers,
        "sdk": info.sdk,
        "size": info.size,
        "callbacks": info.callbacks,
        "unknown_imports": info.unknown_imports,
        "memory": info.memory.map(|memory| json!({
            "min_pages": memory.min_pages,
            "max_pages": memory.max_pages,
        })),
        "allocator": info.allocator,
        "start_section": info.start_section,
        "start_functions": info.start_functions,
        "function_names": info.has_names,
        "warnings": info.warnings,
        "compiled": code,
    });
    for group in &info.imports {
        described[group.name.to_lowercase()] = json!(group.functions);
    }
    described
}

fn as_text(name: &str, info: &ModuleInfo, code: &[String]) -> String {
    let mut text = format!("{name}\n");
    let mut line = |label: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {label:<16}{value}");
    };
    line("size", &size(info.size as u64));
    line("ABI", info.abi.map_or("none that is supported", |abi| abi.name()));
    line("SDK", info.sdk.as_deref().unwrap_or("cannot be told"));
    line("memory", &memory(info));
    line("allocator", info.allocator.unwrap_or("none"));
    line("start", &start(info));
    line(
        "function names",
        if info.has_names {
            "yes, backtraces show them"
        } else {
            "no, backtraces show numbers"
        },
    );
    let imports = info
        .imports
        .iter()
        .map(|group| (group.name, group.functions.as_slice()));
    let lists = [("callbacks", info.callbacks.as_slice())]
        .into_iter()
        .chain(imports)
        .chain([
            ("unknown imports", info.unknown_imports.as_slice()),
            ("warnings", info.warnings.as_slice()),
            ("machine code", code),
        ]);
    for (label, names) in lists {
        line(label, names.first().map_or("none", String::as_str));
        names.iter().skip(1).for_each(|name| line("", name));
    }
    match info.check() {
        Ok(abi) => line("verdict", &format!("Weir can run it, with ABI {abi}")),
        Err(reason) => line("verdict", &format!("Weir cannot run it: {reason}")),
    }
    text
}

fn memory(info: &ModuleInfo) -> String {
    let Some(memory) = info.memory else {
        return "none exported".into();
    };
    let bytes = |pages: u64| size(pages.saturating_mul(PAGE));
    let most = memory.max_pages.map_or("no bound of its own".into(), |pages| {
        format!("{} at most", bytes(pages))
    });
    format!("{} at start, {most}", bytes(memory.min_pages))
}

fn start(info: &ModuleInfo) -> String {
    let section = info.start_section.then_some("start section");
    let functions = info.start_functions.iter().map(String::as_str);
    let all: Vec<_> = section.into_iter().chain(functions).collect();
    if all.is_empty() {
        "nothing".into()
    } else {
        all.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILTER: &str = r#"(module
        (import "env" "proxy_log" (func (param i32 i32 i32) (result i32)))
        (memory (export "memory") 2 16)
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param i32) (result i32) i32.const 0)
        (func (export "proxy_on_log") (param i32)))"#;

    fn info(text: &str) -> ModuleInfo {
        weir_host::inspect(import_sets(), &wat::parse_str(text).unwrap()).unwrap()
    }

    #[test]
    fn a_filter_is_described() {
        let text = as_text("log.wasm", &info(FILTER), &[]);
        for line in [
            "log.wasm\n",
            "  ABI             0.2.1\n",
            "  memory          128.0 KiB at start, 1.0 MiB at most\n",
            "  allocator       malloc\n",
            "  callbacks       proxy_on_log\n",
            "  hostcalls       proxy_log\n",
            "  WASI            none\n",
            "  verdict         Weir can run it, with ABI 0.2.1\n",
        ] {
            assert!(text.contains(line), "{line:?} in\n{text}");
        }
    }

    #[test]
    fn modules_that_cannot_run_say_why() {
        let info = info(r#"(module (import "env" "no_such_hostcall" (func)))"#);
        let json = as_json("x.wasm", &info, &[]);
        assert_eq!(json["runs"], false);
        assert!(
            json["refused_because"]
                .as_str()
                .unwrap()
                .contains("no ABI marker"),
            "{json}"
        );
        assert!(
            json["unknown_imports"][0]
                .as_str()
                .unwrap()
                .contains("env.no_such_hostcall"),
            "{json}"
        );
        assert!(as_text("x.wasm", &info, &[]).contains("Weir cannot run it: not a Proxy-Wasm module"));
    }

    #[test]
    fn the_proposed_restriction_names_callbacks_too() {
        assert_eq!(
            allow_list(&info(FILTER)),
            "capability_restriction_config:\n  allowed_capabilities:\n    - proxy_log\n    - proxy_on_log\n"
        );
        assert!(allow_list(&info("(module)")).starts_with('#'));
    }

    #[test]
    fn sizes_are_readable() {
        assert_eq!(
            [size(7), size(1_536), size(3 << 20)],
            ["7 bytes", "1.5 KiB", "3.0 MiB"]
        );
    }
}
