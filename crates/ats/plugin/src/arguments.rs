//! The arguments of a line `wasm.so ...` of `plugin.config`.

use std::path::{Path, PathBuf};

use weir_config::WasmtimeOptions;

/// The arguments of a line that loads the plugin.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// Filter documents, in the order of the chain.
    pub files: Vec<PathBuf>,
    /// `--config=FILE`: the process document.
    pub config: Option<PathBuf>,
    /// `--metrics=ADDRESS`, any number of times.
    pub metrics: Vec<String>,
    /// `--code-cache=FOLDER|off`.
    pub code_cache: Option<String>,
    /// `--wasmtime=OPTION,...`.
    pub wasmtime: Option<WasmtimeOptions>,
    /// The arguments that have no effect, each with the reason.
    pub problems: Vec<String>,
}

/// The message for a setting of the process that is no longer open.
pub(crate) fn too_late(flag: &str) -> String {
    format!("{flag}: has no effect, it was given or used before; expected once, on the first line of wasm.so")
}

impl Arguments {
    /// Reads the arguments after `wasm.so`. What is wrong with one leaves the others in effect.
    pub fn parse<'a>(arguments: impl IntoIterator<Item = &'a Path>) -> Self {
        let mut parsed = Self::default();
        for argument in arguments {
            match argument.to_str().and_then(flag) {
                Some((flag, value)) => parsed.set(flag, value),
                None => parsed.files.push(argument.to_owned()),
            }
        }
        parsed
    }

    fn set(&mut self, flag: &str, value: &str) {
        let outcome = match flag {
            "--config" if value.is_empty() => Err(format!("{flag}=: expected a file")),
            "--config" => once(&mut self.config, flag, value.into()),
            "--metrics" => {
                self.metrics.push(value.to_owned());
                Ok(())
            }
            "--code-cache" if value != "off" && !value.starts_with('/') => {
                Err(format!("{flag}={value}: expected an absolute folder, or `off`"))
            }
            "--code-cache" => once(&mut self.code_cache, flag, value.to_owned()),
            "--wasmtime" => match value.parse() {
                Ok(options) => once(&mut self.wasmtime, flag, options),
                Err(problem) => Err(format!("{flag}={value}: {problem}")),
            },
            _ => Err(format!(
                "{flag}: unknown; known: --config=FILE, --metrics=ADDRESS, --code-cache=FOLDER, --wasmtime=OPTION,..."
            )),
        };
        self.problems.extend(outcome.err());
    }
}

/// The name and the value of a flag; `None` for a file.
fn flag(argument: &str) -> Option<(&str, &str)> {
    argument
        .starts_with("--")
        .then(|| argument.split_once('=').unwrap_or((argument, "")))
}

fn once<T>(setting: &mut Option<T>, flag: &str, value: T) -> Result<(), String> {
    if setting.is_some() {
        return Err(too_late(flag));
    }
    *setting = Some(value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Arguments {
        Arguments::parse(line.split_whitespace().map(Path::new))
    }

    #[test]
    fn flags_and_files_may_be_mixed() {
        let line = "a.yaml --config=weir.yaml --metrics=127.0.0.1:9180 --code-cache=/var/code \
                    --wasmtime=fuel,debug-info b.yaml --metrics=[::1]:9180";
        let expected = Arguments {
            files: vec!["a.yaml".into(), "b.yaml".into()],
            config: Some("weir.yaml".into()),
            metrics: vec!["127.0.0.1:9180".into(), "[::1]:9180".into()],
            code_cache: Some("/var/code".into()),
            wasmtime: Some("fuel,debug-info".parse().unwrap()),
            problems: Vec::new(),
        };
        assert_eq!(parse(line), expected);
        assert_eq!(parse(""), Arguments::default());
    }

    #[test]
    fn a_wrong_argument_leaves_the_others_in_effect() {
        let parsed =
            parse("--wasmtime=epochs --wasmtime=fuel --code-cache=relative --config= a.yaml --confg=x");
        assert!(parsed.wasmtime.is_some_and(|options| options.fuel));
        assert_eq!(parsed.files, [Path::new("a.yaml")]);
        assert_eq!((parsed.code_cache, parsed.config), (None, None));
        let found: Vec<&str> = parsed.problems.iter().map(String::as_str).collect();
        let starts = [
            "--wasmtime=epochs: \"epochs\" is no option of Wasmtime",
            "--code-cache=relative: expected an absolute folder, or `off`",
            "--config=: expected a file",
            "--confg: unknown; known: --config=FILE",
        ];
        assert_eq!(found.len(), starts.len(), "{found:?}");
        for (problem, start) in found.iter().zip(starts) {
            assert!(problem.starts_with(start), "{problem}");
        }
    }

    #[test]
    fn a_setting_is_given_once() {
        for line in [
            "--config=a.yaml --config=b.yaml",
            "--code-cache=off --code-cache=/x",
            "--wasmtime=fuel --wasmtime=fuel",
        ] {
            let parsed = parse(line);
            assert_eq!(parsed.problems.len(), 1, "{line}");
            assert!(parsed.problems[0].contains("was given or used before"), "{line}");
        }
    }
}
