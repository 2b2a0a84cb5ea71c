//! What is done to a module before WAMR sees it.
//!
//! - It is validated, with the proposals that WAMR has here, so that a refusal says which one is missing.
//! - Its start section becomes an export: WAMR would run it before anybody could end it.
//! - Exports that WAMR calls by itself when it instantiates go, and so do custom sections, which nobody reads.

use wasmparser::{
    BinaryReader, BinaryReaderError, ExportSectionReader, ExternalKind, FuncType, ImportSectionReader,
    MemorySectionReader, TypeRef, TypeSectionReader, Validator, WasmFeatures,
};
use weir_engine::{CompileError, ImportKind};

use crate::data::PAGE;

/// The proposals that WAMR's fast interpreter has, as it is built here.
const FEATURES: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::SIMD)
    .union(WasmFeatures::FLOATS)
    .union(WasmFeatures::GC_TYPES);

/// What WAMR runs by itself after it has instantiated a module, if it is exported.
const RUN_BY_WAMR: [&str; 2] = ["__post_instantiate", "__wasm_call_ctors"];

/// The export that stands for the start section. No toolchain makes such a name.
pub(crate) const START: &str = "weir:start";

/// Magic and version.
const PREAMBLE: usize = 8;

mod id {
    pub const CUSTOM: u8 = 0;
    pub const TYPE: u8 = 1;
    pub const IMPORT: u8 = 2;
    pub const MEMORY: u8 = 5;
    pub const GLOBAL: u8 = 6;
    pub const EXPORT: u8 = 7;
    pub const START: u8 = 8;
}

/// A module for WAMR.
pub(crate) struct Prepared {
    pub wasm: Vec<u8>,
    /// Module, name and kind of each import, in order.
    pub imports: Vec<(String, String, ImportKind)>,
    /// Bytes of memory at start.
    pub memory: usize,
    pub has_start: bool,
    /// The memory is exported as `memory`.
    pub shows_memory: bool,
}

/// Validates a module and rewrites it.
pub(crate) fn prepare(wasm: &[u8]) -> Result<Prepared, CompileError> {
    let invalid = |error: BinaryReaderError| CompileError::Invalid(error.to_string());
    Validator::new_with_features(FEATURES)
        .validate_all(wasm)
        .map_err(invalid)?;
    let sections: Vec<Section<'_>> = Section::all(wasm)
        .filter(|section| section.id != id::CUSTOM)
        .collect();
    rewrite(wasm, &sections).map_err(invalid)
}

fn rewrite(wasm: &[u8], sections: &[Section<'_>]) -> Result<Prepared, BinaryReaderError> {
    let find = |id| sections.iter().find(|section| section.id == id);
    let start = find(id::START).map(|section| BinaryReader::new(section.content, 0).read_var_u32());
    let start = start.transpose()?;
    let Exports {
        content,
        shows_memory,
    } = exports(find(id::EXPORT), start)?;

    let (before, after): (Vec<_>, Vec<_>) = sections
        .iter()
        .filter(|section| ![id::EXPORT, id::START].contains(&section.id))
        .partition(|section| is_before_exports(section.id));
    let mut out = wasm.get(..PREAMBLE).unwrap_or_default().to_vec();
    before.iter().for_each(|section| section.write(&mut out));
    Section::write(
        &Section {
            id: id::EXPORT,
            content: &content,
        },
        &mut out,
    );
    after.iter().for_each(|section| section.write(&mut out));
    Ok(Prepared {
        wasm: out,
        imports: imports(find(id::TYPE), find(id::IMPORT))?,
        memory: memory(find(id::MEMORY))?,
        has_start: start.is_some(),
        shows_memory,
    })
}

/// A tag section, number 13, lies between memory and global.
const fn is_before_exports(id: u8) -> bool {
    id <= id::GLOBAL || id == 13
}

/// The new export section.
struct Exports {
    content: Vec<u8>,
    shows_memory: bool,
}

fn exports(section: Option<&Section<'_>>, start: Option<u32>) -> Result<Exports, BinaryReaderError> {
    let mut shows_memory = false;
    let mut count = 0;
    let mut entries = Vec::new();
    let mut add = |name: &str, kind: u8, index: u32| {
        count += 1;
        leb128(&mut entries, name.len());
        entries.extend(name.as_bytes());
        entries.push(kind);
        leb128(&mut entries, index as usize);
    };
    if let Some(section) = section {
        for export in ExportSectionReader::new(BinaryReader::new(section.content, 0))? {
            let export = export?;
            let kind = match export.kind {
                ExternalKind::Func | ExternalKind::FuncExact if RUN_BY_WAMR.contains(&export.name) => {
                    continue;
                }
                ExternalKind::Func | ExternalKind::FuncExact => 0,
                ExternalKind::Table => 1,
                ExternalKind::Memory => 2,
                ExternalKind::Global => 3,
                ExternalKind::Tag => 4,
            };
            shows_memory |= kind == 2 && export.name == "memory";
            add(export.name, kind, export.index);
        }
    }
    if let Some(func) = start {
        add(START, 0, func);
    }
    let mut content = Vec::new();
    leb128(&mut content, count);
    content.extend(entries);
    Ok(Exports {
        content,
        shows_memory,
    })
}

fn imports(
    types: Option<&Section<'_>>,
    imports: Option<&Section<'_>>,
) -> Result<Vec<(String, String, ImportKind)>, BinaryReaderError> {
    let (Some(types), Some(imports)) = (types, imports) else {
        // Functions have types, and nothing else can be imported that anybody has.
        return imports.map_or(Ok(Vec::new()), |imports| described(&[], imports));
    };
    let reader = TypeSectionReader::new(BinaryReader::new(types.content, 0))?;
    let types: Vec<FuncType> = reader.into_iter_err_on_gc_types().collect::<Result<_, _>>()?;
    described(&types, imports)
}

fn described(
    types: &[FuncType],
    section: &Section<'_>,
) -> Result<Vec<(String, String, ImportKind)>, BinaryReaderError> {
    let mut imports = Vec::new();
    for import in ImportSectionReader::new(BinaryReader::new(section.content, 0))?.into_imports() {
        let import = import?;
        let kind = match import.ty {
            TypeRef::Func(index) | TypeRef::FuncExact(index) => {
                let ty = types.get(index as usize);
                let names = |types: &[wasmparser::ValType]| types.iter().map(ToString::to_string).collect();
                ImportKind::Func {
                    params: ty.map(|ty| names(ty.params())).unwrap_or_default(),
                    results: ty.map(|ty| names(ty.results())).unwrap_or_default(),
                }
            }
            TypeRef::Memory(_) => ImportKind::Other("memory"),
            TypeRef::Table(_) => ImportKind::Other("table"),
            TypeRef::Global(_) => ImportKind::Other("global"),
            TypeRef::Tag(_) => ImportKind::Other("tag"),
        };
        imports.push((import.module.to_owned(), import.name.to_owned(), kind));
    }
    Ok(imports)
}

fn memory(section: Option<&Section<'_>>) -> Result<usize, BinaryReaderError> {
    let Some(section) = section else {
        return Ok(0);
    };
    let mut bytes = 0_usize;
    for memory in MemorySectionReader::new(BinaryReader::new(section.content, 0))? {
        let pages = usize::try_from(memory?.initial).unwrap_or(usize::MAX);
        bytes = bytes.saturating_add(pages.saturating_mul(PAGE));
    }
    Ok(bytes)
}

/// A section of a valid module.
struct Section<'a> {
    id: u8,
    content: &'a [u8],
}

impl<'a> Section<'a> {
    fn all(wasm: &'a [u8]) -> impl Iterator<Item = Self> {
        let mut reader = BinaryReader::new(wasm.get(PREAMBLE..).unwrap_or_default(), 0);
        std::iter::from_fn(move || {
            let id = reader.read_u8().ok()?;
            let size = reader.read_var_u32().ok()?;
            let content = reader.read_bytes(size as usize).ok()?;
            Some(Self { id, content })
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.id);
        leb128(out, self.content.len());
        out.extend(self.content);
    }
}

/// A number as WebAssembly writes it.
fn leb128(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(text: &str) -> Prepared {
        let prepared = prepare(&wat::parse_str(text).unwrap()).unwrap();
        Validator::new_with_features(FEATURES)
            .validate_all(&prepared.wasm)
            .unwrap();
        prepared
    }

    fn exported(prepared: &Prepared) -> Vec<(String, u32)> {
        let section = Section::all(&prepared.wasm)
            .find(|section| section.id == id::EXPORT)
            .unwrap();
        let reader = ExportSectionReader::new(BinaryReader::new(section.content, 0)).unwrap();
        reader
            .into_iter()
            .map(|export| {
                export
                    .map(|export| (export.name.to_owned(), export.index))
                    .unwrap()
            })
            .collect()
    }

    #[test]
    fn the_start_section_becomes_an_export() {
        let prepared = prepared(
            r#"(module (import "env" "log" (func (param i32 i64) (result i32))) (memory 3)
                (@custom "name" "x") (func $main) (start $main) (func (export "__wasm_call_ctors")) (func (export "f")))"#,
        );
        assert!(prepared.has_start);
        assert_eq!(exported(&prepared), [("f".to_owned(), 3), (START.to_owned(), 1)]);
        assert!(Section::all(&prepared.wasm).all(|section| ![id::START, id::CUSTOM].contains(&section.id)));
        assert_eq!(prepared.memory, 3 * PAGE);
        let ImportKind::Func { params, results } = &prepared.imports[0].2 else {
            panic!("{:?}", prepared.imports);
        };
        assert_eq!(
            (params.join(","), results.join(",")),
            ("i32,i64".to_owned(), "i32".to_owned())
        );
    }

    #[test]
    fn a_module_without_exports_gets_them_in_their_place() {
        let prepared =
            prepared("(module (func $main) (start $main) (table 1 funcref) (elem (i32.const 0) $main))");
        assert_eq!(exported(&prepared), [(START.to_owned(), 0)]);
        assert!(!super::tests::prepared("(module)").has_start);
    }

    #[test]
    fn what_wamr_lacks_is_named() {
        let text = "(module (memory i64 1))";
        let error = prepare(&wat::parse_str(text).unwrap()).err().unwrap().to_string();
        assert!(error.contains("memory64 must be enabled"), "{error}");
    }
}
