//! Documents of the process alone.

use weir_abi::LogLevel;
use weir_config::{CodeCacheFolder, CompilerConfig, ConfigError, ProcessConfig, WasmtimeOptions};

use super::*;

fn load(name: &str) -> ProcessConfig {
    ProcessConfig::load(&documents().join("valid").join(name), &environment()).unwrap()
}

fn parsed(text: &str) -> Result<ProcessConfig, ConfigError> {
    ProcessConfig::parse(
        text.as_bytes(),
        &documents().join("valid/text.yaml"),
        &environment(),
    )
}

#[test]
fn every_key_of_the_process_is_read_in_either_spelling() {
    let expected = ProcessConfig {
        admin: Some("192.0.2.1:9180".parse().unwrap()),
        code_cache: Some(CodeCacheFolder::At(documents().join("valid/cache/code"))),
        wasmtime: WasmtimeOptions {
            fuel: true,
            perf_map: true,
            jitdump: false,
            debug_info: true,
        },
        log_level: Some(LogLevel::Warn),
        host_memory: 2 << 30,
        compiler: CompilerConfig {
            cpu_time: Duration::from_secs(20 * 60),
            memory: 8 << 30,
            in_process: 1 << 20,
        },
    };
    assert_eq!(load("process-snake.yaml"), expected);
    assert_eq!(load("process-camel.yaml"), expected);
}

#[test]
fn an_empty_document_means_the_defaults() {
    for text in ["", "# Nothing.\n", "wasmtime: []\n"] {
        assert_eq!(parsed(text).unwrap(), ProcessConfig::default(), "{text}");
    }
}

#[test]
fn the_admin_address_is_loopback_where_only_a_port_is_given() {
    for (written, address) in [
        ("9180", "127.0.0.1:9180"),
        ("0", "127.0.0.1:0"),
        ("0.0.0.0:9180", "0.0.0.0:9180"),
        ("\"[::]:9180\"", "[::]:9180"),
    ] {
        let process = parsed(&format!("admin: {written}")).unwrap();
        assert_eq!(process.admin, Some(address.parse().unwrap()), "{written}");
    }
    for written in ["65536", "-1", "localhost", "\":9180\"", "127.0.0.1", "on", "~"] {
        let error = parsed(&format!("admin: {written}")).unwrap_err().to_string();
        assert!(
            error.contains("admin: expected a port such as 9180"),
            "{written}: {error}"
        );
    }
}

/// A process document and `weir serve`'s document read the keys of the process alike.
#[test]
fn both_proxies_read_the_same_keys() {
    let keys = "admin: 9180\ncode_cache: /var/cache/weir\nwasmtime: fuel\nlog_level: error\n";
    let proxy = parsed_proxy(&format!("{keys}routes: [{{ upstream: echo }}]\n"));
    assert_eq!(proxy.process, parsed(keys).unwrap());
    assert_eq!(
        proxy.process.code_cache,
        Some(CodeCacheFolder::At("/var/cache/weir".into()))
    );
}
