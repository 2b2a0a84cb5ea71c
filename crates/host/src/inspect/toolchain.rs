//! The SDK and compiler that made a module: a guess from what they leave behind, for people to read.

use memchr::memmem;
use wasmparser::ProducersSectionReader;

/// Traces of toolchains.
#[derive(Default)]
pub(super) struct Clues {
    /// `language` of the producers section, with version.
    language: Option<(String, String)>,
    /// `processed-by` of the producers section, with versions.
    tools: Vec<(String, String)>,
    assembly_script: bool,
    emscripten: bool,
    /// The SDK's name, and its version where it can be told.
    sdk: Option<String>,
}

/// Languages of the producers section as people write them.
const LANGUAGES: [(&str, &str); 4] = [
    ("C_plus_plus_", "C++"),
    ("C_plus_plus", "C++"),
    ("C11", "C"),
    ("C99", "C"),
];

impl Clues {
    /// Notes an import.
    pub fn import(&mut self, name: &str) {
        self.emscripten |= name.starts_with("emscripten_");
        self.assembly_script |= name == "abort";
    }

    /// Notes an export.
    pub fn export(&mut self, name: &str) {
        self.emscripten |= name.starts_with("emscripten_") || name.starts_with("_emscripten_");
        self.assembly_script |= matches!(name, "__new" | "__pin" | "__rtti_base" | "__allocArray");
    }

    /// Reads the producers section as far as it can be read.
    pub fn producers(&mut self, producers: ProducersSectionReader<'_>) {
        for field in producers.into_iter().map_while(Result::ok) {
            for value in field.values.into_iter().map_while(Result::ok) {
                let entry = (value.name.to_owned(), value.version.to_owned());
                match field.name {
                    // Modules linked from several languages name the C library's last.
                    "language" if self.language.is_none() => self.language = Some(entry),
                    "processed-by" => self.tools.push(entry),
                    _ => {}
                }
            }
        }
    }

    /// Looks for the traces that SDKs leave in data and names.
    pub fn search(&mut self, wasm: &[u8]) {
        // Rust's panics carry paths such as `.../proxy-wasm-0.2.5/src/dispatcher.rs`.
        const CRATE: &[u8] = b"/proxy-wasm-";
        for at in memmem::find_iter(wasm, CRATE) {
            let rest = wasm.get(at + CRATE.len()..).unwrap_or_default();
            let version = rest
                .iter()
                .take(20)
                .take_while(|byte| byte.is_ascii_digit() || **byte == b'.');
            let version: String = version.map(|byte| char::from(*byte)).collect();
            if version.contains('.') {
                self.sdk = Some(format!("SDK proxy-wasm {version}"));
                return;
            }
        }
        for (trace, name) in [
            (&b"proxy-wasm-go-sdk"[..], "SDK proxy-wasm-go-sdk"),
            (b"proxy_wasm::dispatcher", "SDK proxy-wasm"),
            (b"_ZN10proxy_wasm10dispatcher", "SDK proxy-wasm"),
        ] {
            if memmem::find(wasm, trace).is_some() {
                self.sdk = Some(name.into());
                return;
            }
        }
    }

    /// A short description; `None` where nothing is known.
    pub fn conclusion(&self) -> Option<String> {
        match (self.language(), &self.sdk) {
            (Some(language), Some(sdk)) => Some(format!("{language}, {sdk}")),
            (Some(language), None) => Some(language),
            (None, Some(sdk)) => Some(sdk.clone()),
            (None, None) => None,
        }
    }

    fn language(&self) -> Option<String> {
        if let Some(version) = self.tool("TinyGo") {
            return Some(with_version("TinyGo", version));
        }
        let Some((name, version)) = &self.language else {
            if self.assembly_script {
                return Some("AssemblyScript".into());
            }
            let clang = self.tool("clang").map(|version| with_version("clang", version));
            return match (self.emscripten, clang) {
                (true, Some(clang)) => Some(format!("C++ (Emscripten, {clang})")),
                (true, None) => Some("C++ (Emscripten)".into()),
                (false, clang) => clang.map(|clang| format!("C or C++ ({clang})")),
            };
        };
        match name.as_str() {
            "Rust" => {
                let compiler = self.tool("rustc").unwrap_or(version);
                Some(with_version("Rust", compiler))
            }
            "Go" => Some(with_version("Go", version.trim_start_matches("go"))),
            name => {
                let known = LANGUAGES.iter().find(|(start, _)| name.starts_with(start));
                let name = known.map_or(name, |(_, name)| *name);
                let compiler = self.tool("clang").map(|version| with_version("clang", version));
                let tools: Vec<_> = self
                    .emscripten
                    .then(|| "Emscripten".to_owned())
                    .into_iter()
                    .chain(compiler)
                    .collect();
                Some(if tools.is_empty() {
                    name.to_owned()
                } else {
                    format!("{name} ({})", tools.join(", "))
                })
            }
        }
    }

    fn tool(&self, name: &str) -> Option<&str> {
        self.tools
            .iter()
            .find(|(tool, _)| tool == name)
            .map(|(_, version)| version.as_str())
    }
}

/// A name and the first word of its version, which may go on with hashes and dates.
fn with_version(name: &str, version: &str) -> String {
    match version.split_whitespace().next() {
        Some(version) => format!("{name} {version}"),
        None => name.to_owned(),
    }
}
