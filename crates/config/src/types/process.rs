//! The process as a whole.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use weir_abi::LogLevel;
use weir_abi::limits::{COMPILED_IN_PROCESS, COMPILER_CPU_TIME, COMPILER_MEMORY, HOST_MEMORY_OF_PROCESS};

/// Settings of the process, not of a filter. `weir serve` has these keys in its document; Traffic Server's plugin
/// has them in one of their own, `wasm.so --config=FILE`.
///
/// All of it is read once, at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessConfig {
    /// Listen address of the admin pages; `None` serves none. Loopback where the document has only a port.
    pub admin: Option<SocketAddr>,
    /// The code cache; `None` means the environment's or else the proxy's default folder.
    pub code_cache: Option<CodeCacheFolder>,
    /// Settings of Wasmtime.
    pub wasmtime: WasmtimeOptions,
    /// Bounds of compiling.
    pub compiler: CompilerConfig,
    /// The lowest level of log lines that are kept, of filters that name none too. `None`: [`ProcessConfig::LOG_LEVEL`] in `weir
    /// serve`; in Traffic Server all levels, of which the server's debug tags choose.
    pub log_level: Option<LogLevel>,
    /// Bytes that the host keeps for all VMs together; [`HOST_MEMORY_OF_PROCESS`] unless given.
    pub host_memory: usize,
}

impl ProcessConfig {
    /// The level of `weir serve` where the document names none.
    pub const LOG_LEVEL: LogLevel = LogLevel::Info;
}

impl Default for ProcessConfig {
    fn default() -> Self {
        Self {
            admin: None,
            code_cache: None,
            wasmtime: WasmtimeOptions::default(),
            compiler: CompilerConfig::default(),
            log_level: None,
            host_memory: HOST_MEMORY_OF_PROCESS,
        }
    }
}

/// Bounds of compiling one module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompilerConfig {
    /// CPU time of all threads of the program that compiles; [`COMPILER_CPU_TIME`] unless given.
    pub cpu_time: Duration,
    /// Bytes of memory of that program; [`COMPILER_MEMORY`] unless given.
    pub memory: u64,
    /// Bytes of a module that is compiled inside the server; [`COMPILED_IN_PROCESS`] unless given.
    pub in_process: u64,
}

impl Default for CompilerConfig {
    fn default() -> Self {
        Self {
            cpu_time: COMPILER_CPU_TIME,
            memory: COMPILER_MEMORY,
            in_process: COMPILED_IN_PROCESS,
        }
    }
}

/// The folder of the code cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodeCacheFolder {
    /// Nowhere: there is no code cache.
    Off,
    /// In this folder, absolute; it need not exist.
    At(PathBuf),
}

/// Settings of Wasmtime, for the process: `wasmtime: [fuel, perf-map]`, `--wasmtime fuel,perf-map`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WasmtimeOptions {
    /// Guests are stopped by the instructions that they have executed, not by CPU time.
    pub fuel: bool,
    /// `/tmp/perf-PID.map` names the functions of guests for `perf report`.
    pub perf_map: bool,
    /// `jit-PID.dump` in the working directory has their code for `perf inject --jit`.
    pub jitdump: bool,
    /// Modules' DWARF is translated for native debuggers.
    pub debug_info: bool,
}

impl WasmtimeOptions {
    /// The words, for messages.
    pub const WORDS: &str = "fuel, perf-map or jitdump, debug-info";

    /// The options that these words switch on.
    ///
    /// # Errors
    ///
    /// A word that is no option, or two that exclude each other.
    pub fn from_words<'w>(words: impl IntoIterator<Item = &'w str>) -> Result<Self, String> {
        let mut options = Self::default();
        for word in words {
            let option = match word {
                "fuel" => &mut options.fuel,
                "perf-map" => &mut options.perf_map,
                "jitdump" => &mut options.jitdump,
                "debug-info" => &mut options.debug_info,
                _ => {
                    return Err(format!(
                        "{word:?} is no option of Wasmtime; expected {}",
                        Self::WORDS
                    ));
                }
            };
            *option = true;
        }
        if options.perf_map && options.jitdump {
            return Err("perf-map and jitdump exclude each other".to_owned());
        }
        Ok(options)
    }
}

impl FromStr for WasmtimeOptions {
    type Err = String;

    /// Reads words with commas between them, as flags have them.
    fn from_str(text: &str) -> Result<Self, String> {
        Self::from_words(text.split(',').map(str::trim))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_from_words() {
        let options: WasmtimeOptions = "fuel, jitdump".parse().unwrap();
        assert!(options.fuel && options.jitdump && !options.perf_map && !options.debug_info);
        let refusal = |text: &str| text.parse::<WasmtimeOptions>().unwrap_err();
        assert_eq!(
            refusal("fuel,epochs"),
            "\"epochs\" is no option of Wasmtime; expected fuel, perf-map or jitdump, debug-info"
        );
        assert_eq!(
            refusal("perf-map,jitdump"),
            "perf-map and jitdump exclude each other"
        );
        assert!(refusal("").starts_with("\"\" is no option"));
    }
}
