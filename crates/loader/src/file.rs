//! A module's file, which may hold code beside the module.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use wasm_encoder::{CustomSection, Section as _};
use wasmparser::BinaryReader;
use weir_engine::{AheadOfTime, Engine, ModuleDigest, Wasm};

use crate::{Code, CodeError, FileDigest};

/// Name of the custom section that holds [`Code`]. A module may have several, for several engines or processors.
const SECTION: &str = "weir.code";
/// Magic and version.
const PREAMBLE: usize = 8;
/// Number of a custom section.
const CUSTOM: u8 = 0;

/// The parts of a module's file.
#[derive(Debug)]
pub struct ModuleFile<'a> {
    /// The module, without the code.
    wasm: Cow<'a, [u8]>,
    /// The module's digest, once it is known.
    digest: OnceLock<ModuleDigest>,
    /// The code sections' contents.
    code: Vec<&'a [u8]>,
}

/// Code of a file that an engine can load.
pub struct FittingCode<'a> {
    /// The engine's.
    pub ahead: Arc<dyn AheadOfTime>,
    /// The bytes for [`AheadOfTime::load_code`].
    pub bytes: &'a [u8],
}

impl<'a> ModuleFile<'a> {
    /// Takes a file apart. What is no module stays as it is, for whoever says what is wrong with it.
    pub fn split(bytes: &'a [u8]) -> Self {
        let mut code = Vec::new();
        let mut others = Vec::new();
        let mut at = PREAMBLE.min(bytes.len());
        let mut kept = 0;
        while let Some(section) = Section::read(bytes, at) {
            if let Some(content) = section.code {
                code.push(content);
                others.push(&bytes[kept..at]);
                kept = section.end;
            }
            at = section.end;
        }
        let wasm = match (others.as_slice(), &bytes[kept..]) {
            ([], rest) => Cow::Borrowed(rest),
            ([only], []) => Cow::Borrowed(*only),
            (parts, rest) => Cow::Owned([parts, &[rest]].concat().concat()),
        };
        Self {
            wasm,
            digest: OnceLock::new(),
            code,
        }
    }

    /// As [`ModuleFile::split`], of bytes whose digest is known.
    pub(crate) fn of_fetched(bytes: &'a [u8], digest: FileDigest) -> Self {
        let mut file = Self::split(bytes);
        if file.code.is_empty() {
            file.digest = OnceLock::from(digest.of_module());
        }
        file
    }

    /// The module, without the code, and its digest.
    pub fn wasm(&self) -> Wasm<'_> {
        let digest = self.digest.get_or_init(|| ModuleDigest::of(&self.wasm));
        Wasm::known(&self.wasm, *digest)
    }

    /// All code that the file holds, or why one of the sections cannot be read.
    pub fn code(&self) -> impl Iterator<Item = Result<Code<'a>, CodeError>> {
        self.code.iter().map(|content| Code::decode(content))
    }

    /// The code that an engine can load; `None` where the file has none, the error where none of it fits.
    pub fn code_for(&self, engine: &dyn Engine) -> Option<Result<FittingCode<'a>, CodeError>> {
        if self.code.is_empty() {
            return None;
        }
        let ahead = engine.ahead_of_time();
        let digest = self.wasm().digest();
        let fitting = |code: Code<'a>| match &ahead {
            Some(ahead) => code.key.check(&**ahead, &digest).map(|()| FittingCode {
                ahead: Arc::clone(ahead),
                bytes: code.bytes,
            }),
            None => Err(CodeError::OtherEngine(code.key.engine.to_owned())),
        };
        let mut why = None;
        for code in self.code() {
            match code.and_then(fitting) {
                Ok(code) => return Some(Ok(code)),
                // An error about another engine says least.
                Err(error @ CodeError::OtherEngine(_)) => why = why.or(Some(error)),
                Err(error) => why = Some(error),
            }
        }
        why.map(Err)
    }
}

/// A module with code beside it: a valid module for every host. Code of the same engine and key that it holds already is
/// replaced.
pub fn with_code(bytes: &[u8], code: &Code<'_>) -> Vec<u8> {
    let file = ModuleFile::split(bytes);
    let mut out = file.wasm.into_owned();
    for content in file.code {
        // Damaged code and that of another module go, too.
        let stays = Code::decode(content).is_ok_and(|old| {
            let (old, new) = (old.key, code.key);
            old.module == new.module && (old.engine, old.target) != (new.engine, new.target)
        });
        if stays {
            append(&mut out, content);
        }
    }
    append(&mut out, &code.encode());
    out
}

fn append(out: &mut Vec<u8>, content: &[u8]) {
    let section = CustomSection {
        name: SECTION.into(),
        data: content.into(),
    };
    section.append_to(out);
}

struct Section<'a> {
    end: usize,
    /// The content, where the section is one of ours.
    code: Option<&'a [u8]>,
}

impl<'a> Section<'a> {
    /// The section that begins at `at`; `None` at the end, or where there is no section.
    fn read(bytes: &'a [u8], at: usize) -> Option<Self> {
        let mut reader = BinaryReader::new(bytes.get(at..)?, 0);
        let number = reader.read_u8().ok()?;
        let content = sized(&mut reader)?;
        let mut inside = BinaryReader::new(content, 0);
        let code = match number == CUSTOM && sized(&mut inside) == Some(SECTION.as_bytes()) {
            true => inside.read_bytes(inside.bytes_remaining()).ok(),
            false => None,
        };
        Some(Self {
            end: at + reader.current_position(),
            code,
        })
    }
}

/// Bytes that stand behind their number.
fn sized<'a>(reader: &mut BinaryReader<'a>) -> Option<&'a [u8]> {
    let size = reader.read_var_u32().ok()?;
    reader.read_bytes(size as usize).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use weir_engine_wasmi::WasmiEngine;
    use weir_engine_wasmtime::{WasmtimeConfig, WasmtimeEngine};

    use super::*;
    use crate::CodeKey;

    fn module() -> Vec<u8> {
        wat::parse_str(r#"(module (memory (export "memory") 1) (@custom "other" "text"))"#).unwrap()
    }

    fn code<'a>(engine: &'a str, target: &'a str, wasm: &[u8], bytes: &'a [u8]) -> Code<'a> {
        let key = CodeKey {
            engine,
            target,
            module: ModuleDigest::of(wasm),
        };
        Code { key, bytes }
    }

    #[test]
    fn a_module_has_one_digest_with_and_without_code_beside_it() {
        let wasm = module();
        let with = with_code(&wasm, &code("wasmtime", "a target", &wasm, b"code"));
        for bytes in [&wasm, &with] {
            let file = ModuleFile::of_fetched(bytes, FileDigest::of(bytes));
            assert_eq!(file.wasm().digest(), ModuleDigest::of(&wasm));
        }
        assert_ne!(FileDigest::of(&with), FileDigest::of(&wasm));
    }

    #[test]
    fn the_module_comes_back_and_stays_a_module() {
        let wasm = module();
        let one = with_code(&wasm, &code("a", "1", &wasm, &[7; 300]));
        let two = with_code(&one, &code("b", "1", &wasm, b"other"));
        let file = ModuleFile::split(&two);
        assert_eq!(file.wasm, wasm);
        assert_eq!(file.code.len(), 2);
        weir_engine::Engine::compile(&WasmiEngine::new(), &(&two).into(), &[]).unwrap();
        // In any place.
        let mut first = two[..PREAMBLE].to_vec();
        first.extend(&two[wasm.len()..]);
        first.extend(&wasm[PREAMBLE..]);
        let file = ModuleFile::split(&first);
        assert_eq!((&*file.wasm, file.code.len()), (&*wasm, 2));
    }

    #[test]
    fn code_is_replaced_by_newer_code() {
        let wasm = module();
        let old = with_code(&wasm, &code("a", "1", &wasm, b"old"));
        let new = with_code(&old, &code("a", "1", &wasm, b"new"));
        assert_eq!(new.len(), old.len());
        // And that of another module goes.
        let stale = with_code(&wasm, &code("b", "1", b"other module", b"stale"));
        let new = with_code(&stale, &code("a", "1", &wasm, b"new"));
        assert_eq!(new.len(), old.len());
    }

    #[test]
    fn an_engine_without_code_of_its_own_hears_why() {
        let engine = WasmiEngine::new();
        let wasm = module();
        assert!(ModuleFile::split(&wasm).code_for(&engine).is_none());
        let with = with_code(&wasm, &code("wasmtime", "1", &wasm, b"code"));
        let why_not = |with: &[u8], engine: &dyn Engine| {
            let file = ModuleFile::split(with);
            file.code_for(engine).unwrap().err().unwrap()
        };
        assert_eq!(why_not(&with, &engine), CodeError::OtherEngine("wasmtime".into()));
        let engine = WasmtimeEngine::new(&WasmtimeConfig::default()).unwrap();
        let with = with_code(&with, &code("wasmtime", "old", &wasm, b"code"));
        let here = engine.ahead_of_time().unwrap().code_key();
        assert_eq!(
            why_not(&with, &engine).to_string(),
            format!("made for another version, other settings or another processor (old; here: {here})")
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_apart(bytes: Vec<u8>) {
            let file = ModuleFile::split(&bytes);
            if file.code.is_empty() {
                prop_assert_eq!(&*file.wasm, &bytes);
            }
        }

        #[test]
        fn code_of_any_length_comes_back(length in 0_usize..1 << 18, rest: u8) {
            let wasm = module();
            let with = with_code(&wasm, &code("a", "1", &wasm, &vec![rest; length]));
            let file = ModuleFile::split(&with);
            prop_assert_eq!(&*file.wasm, &wasm);
            prop_assert_eq!(file.code().next().unwrap().unwrap().bytes, &vec![rest; length]);
        }
    }
}
