//! What an operator may say about the runtimes as a whole.

use std::str::FromStr;

/// Settings of Wasmtime, for the process: `--wasmtime fuel,perf-map`.
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
    /// What may be said.
    pub const WORDS: &str = "fuel, perf-map or jitdump, debug-info";
}

impl FromStr for WasmtimeOptions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut options = Self::default();
        for word in text.split(',').map(str::trim) {
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

#[cfg(feature = "wasmtime")]
impl WasmtimeOptions {
    pub(crate) fn config(self) -> weir_engine_wasmtime::WasmtimeConfig {
        use weir_engine_wasmtime::{Interruption, Profiler, WasmtimeConfig};
        WasmtimeConfig {
            interruption: if self.fuel {
                Interruption::Fuel
            } else {
                Interruption::Epochs
            },
            profiler: match self {
                Self { perf_map: true, .. } => Profiler::PerfMap,
                Self { jitdump: true, .. } => Profiler::JitDump,
                _ => Profiler::None,
            },
            debug_info: self.debug_info,
            ..WasmtimeConfig::default()
        }
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
