//! A module taken apart, for backends that must change one before their runtime sees it.

use std::collections::HashMap;

use wasmparser::{
    BinaryReader, BinaryReaderError, ExportSectionReader, ExternalKind, FuncType, FunctionSectionReader,
    ImportSectionReader, MemorySectionReader, TableSectionReader, TypeRef, TypeSectionReader, Validator,
    WasmFeatures,
};

use crate::{CompileError, ImportKind, TABLE_LIMIT};

/// Bytes of a page of linear memory.
pub const PAGE: usize = 64 << 10;

/// Magic and version.
const PREAMBLE: usize = 8;

/// Numbers of sections.
pub mod section {
    /// Custom sections, which need not be read to run a module.
    pub const CUSTOM: u8 = 0;
    /// Types.
    pub const TYPE: u8 = 1;
    /// Imports.
    pub const IMPORT: u8 = 2;
    /// Functions, by their types.
    pub const FUNCTION: u8 = 3;
    /// Tables.
    pub const TABLE: u8 = 4;
    /// Memories.
    pub const MEMORY: u8 = 5;
    /// Globals.
    pub const GLOBAL: u8 = 6;
    /// Exports.
    pub const EXPORT: u8 = 7;
    /// The start function.
    pub const START: u8 = 8;
    /// Bodies of functions.
    pub const CODE: u8 = 10;
    /// Data segments.
    pub const DATA: u8 = 11;
    /// How many data segments there are.
    pub const DATA_COUNT: u8 = 12;
}

/// The order in which sections stand.
const ORDER: [u8; 13] = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11];

/// A valid module.
pub struct ModuleParts<'a> {
    /// Module, name and kind of each import, in order.
    pub imports: Vec<(String, String, ImportKind)>,
    /// Pages at start and at most of the memory that the module makes.
    pub memory: Option<(u64, Option<u64>)>,
    /// The tables that the module makes: type as it is written, elements at start and at most.
    tables: Vec<(u8, u64, Option<u64>)>,
    /// Name, kind as it is written, and index of each export, in order.
    pub exports: Vec<(String, u8, u32)>,
    /// Index of the start function.
    pub start: Option<u32>,
    /// The type of each function, imported ones first.
    functions: Vec<FuncType>,
    /// Number and contents of each section but the custom ones, in order.
    sections: Vec<(u8, &'a [u8])>,
    /// Contents of the custom section that has the names of functions, its own name included.
    names: Option<&'a [u8]>,
}

/// The export that stands for the start section where a runtime must not run that by itself. No toolchain makes such a name.
pub const START_EXPORT: &str = "weir:start";

/// How the contents of the custom section begin that has the names of functions.
const NAME: &[u8] = b"\x04name";

impl<'a> ModuleParts<'a> {
    /// Takes a module apart that uses no proposal but `features`.
    ///
    /// # Errors
    ///
    /// It is not valid, or needs another proposal.
    pub fn read(wasm: &'a [u8], features: WasmFeatures) -> Result<Self, CompileError> {
        let invalid = |error: BinaryReaderError| CompileError::Invalid(error.to_string());
        Validator::new_with_features(features)
            .validate_all(wasm)
            .map_err(invalid)?;
        Self::take_apart(wasm).map_err(invalid)
    }

    fn take_apart(wasm: &'a [u8]) -> Result<Self, BinaryReaderError> {
        let mut parts = Self {
            imports: Vec::new(),
            memory: None,
            tables: Vec::new(),
            exports: Vec::new(),
            start: None,
            functions: Vec::new(),
            sections: Vec::new(),
            names: None,
        };
        let mut types = Vec::new();
        let mut reader = BinaryReader::new(wasm.get(PREAMBLE..).unwrap_or_default(), 0);
        while !reader.eof() {
            let number = reader.read_u8()?;
            let size = reader.read_var_u32()?;
            let content = reader.read_bytes(size as usize)?;
            if number == section::CUSTOM {
                parts.names = parts.names.or(content.starts_with(NAME).then_some(content));
                continue;
            }
            parts.sections.push((number, content));
            let content = BinaryReader::new(content, 0);
            match number {
                section::TYPE => {
                    let reader = TypeSectionReader::new(content)?;
                    types = reader.into_iter_err_on_gc_types().collect::<Result<_, _>>()?;
                }
                section::IMPORT => {
                    parts.functions = imported_functions(content.clone(), &types)?;
                    parts.imports = imports(content, &types)?;
                }
                section::FUNCTION => {
                    for index in FunctionSectionReader::new(content)? {
                        parts.functions.extend(types.get(index? as usize).cloned());
                    }
                }
                section::TABLE => parts.tables = tables(content)?,
                section::MEMORY => {
                    let memory = MemorySectionReader::new(content)?
                        .into_iter()
                        .next()
                        .transpose()?;
                    parts.memory = memory.map(|memory| (memory.initial, memory.maximum));
                }
                section::EXPORT => parts.exports = exports(content)?,
                section::START => parts.start = Some(content.clone().read_var_u32()?),
                _ => {}
            }
        }
        Ok(parts)
    }

    /// How many parameters a function has, imported ones counting first.
    pub fn parameters(&self, function: u32) -> u32 {
        let ty = self.functions.get(function as usize);
        ty.map_or(0, |ty| ty.params().len() as u32)
    }

    /// Types of a function's results, as WebAssembly writes them, where these are types of WebAssembly 2.
    pub fn results(&self, function: u32) -> Vec<u8> {
        let ty = self.functions.get(function as usize);
        let results = ty.map_or(&[][..], |ty| ty.results());
        results.iter().map(written).collect()
    }

    /// The exports as they are to be written, and the start section as one of them.
    pub fn exports_with_start(&self) -> impl Iterator<Item = (&str, u8, u32)> {
        let own = self
            .exports
            .iter()
            .map(|(name, kind, index)| (name.as_str(), *kind, *index));
        own.chain(self.start.map(|index| (START_EXPORT, 0, index)))
    }

    /// How many globals are imported.
    pub fn imported_globals(&self) -> u32 {
        let is_global = |kind: &ImportKind| matches!(kind, ImportKind::Other("global"));
        self.imports.iter().filter(|(_, _, kind)| is_global(kind)).count() as u32
    }

    /// How many functions are imported.
    pub fn imported_functions(&self) -> u32 {
        let is_function = |kind: &ImportKind| matches!(kind, ImportKind::Func { .. });
        self.imports
            .iter()
            .filter(|(_, _, kind)| is_function(kind))
            .count() as u32
    }

    /// How many functions there are, imported ones included.
    pub fn functions(&self) -> u32 {
        self.functions.len() as u32
    }

    /// Bytes of memory at start.
    pub fn memory_at_start(&self) -> usize {
        let (pages, _) = self.memory.unwrap_or_default();
        usize::try_from(pages).unwrap_or(usize::MAX).saturating_mul(PAGE)
    }

    /// The contents of a table section whose tables cannot grow beyond [`TABLE_LIMIT`] elements, all together: what they do
    /// not have at start is shared out among them. For runtimes that bound each table by itself.
    ///
    /// # Errors
    ///
    /// They have more at start.
    pub fn bounded_tables(&self) -> Result<Vec<u8>, CompileError> {
        let at_start = self
            .tables
            .iter()
            .fold(0_u64, |sum, (_, start, _)| sum.saturating_add(*start));
        let Some(left) = (TABLE_LIMIT as u64).checked_sub(at_start) else {
            return Err(CompileError::Invalid(format!(
                "the module's tables have {at_start} elements at start, the limit is {TABLE_LIMIT}"
            )));
        };
        let share = left / self.tables.len().max(1) as u64;
        let mut content = Vec::new();
        if self.tables.is_empty() {
            return Ok(content);
        }
        leb128(&mut content, self.tables.len());
        for (ty, start, max) in &self.tables {
            let most = max.unwrap_or(u64::MAX).min(start + share);
            // With a maximum.
            content.extend([*ty, 1]);
            for elements in [*start, most] {
                leb128(&mut content, usize::try_from(elements).unwrap_or(TABLE_LIMIT));
            }
        }
        Ok(content)
    }

    /// Whether the memory is exported as `memory`.
    pub fn shows_memory(&self) -> bool {
        self.exports
            .iter()
            .any(|(name, kind, _)| name == "memory" && *kind == 2)
    }

    /// The functions that are exported, with their types.
    pub fn exported_functions(&self) -> HashMap<String, ImportKind> {
        let functions = self.exports.iter().filter(|(_, kind, _)| *kind == 0);
        functions
            .filter_map(|(name, _, index)| Some((name.clone(), kind(self.functions.get(*index as usize)?))))
            .collect()
    }

    /// Contents of a section.
    pub fn section(&self, number: u8) -> Option<&'a [u8]> {
        self.sections
            .iter()
            .find(|(found, _)| *found == number)
            .map(|(_, content)| *content)
    }

    /// As [`ModuleParts::write`], and the names of functions stay.
    pub fn write_with_names(&self, changed: &[(u8, Vec<u8>)]) -> Vec<u8> {
        let mut out = self.write(changed);
        if let Some(names) = self.names {
            out.push(section::CUSTOM);
            leb128(&mut out, names.len());
            out.extend(names);
        }
        out
    }

    /// The module with other contents of some sections; those without contents go. Custom sections go as well.
    pub fn write(&self, changed: &[(u8, Vec<u8>)]) -> Vec<u8> {
        let mut out = b"\0asm\x01\0\0\0".to_vec();
        for number in ORDER {
            let new = changed.iter().find(|(found, _)| *found == number);
            let content = match new {
                Some((_, content)) => content.as_slice(),
                None => self.section(number).unwrap_or_default(),
            };
            if !content.is_empty() {
                out.push(number);
                leb128(&mut out, content.len());
                out.extend(content);
            }
        }
        out
    }
}

/// A type as WebAssembly writes it.
const fn written(ty: &wasmparser::ValType) -> u8 {
    match ty {
        wasmparser::ValType::I32 => 0x7f,
        wasmparser::ValType::I64 => 0x7e,
        wasmparser::ValType::F32 => 0x7d,
        wasmparser::ValType::F64 => 0x7c,
        wasmparser::ValType::V128 => 0x7b,
        wasmparser::ValType::Ref(ty) if ty.is_extern_ref() => 0x6f,
        wasmparser::ValType::Ref(_) => 0x70,
    }
}

fn imports(
    section: BinaryReader<'_>,
    types: &[FuncType],
) -> Result<Vec<(String, String, ImportKind)>, BinaryReaderError> {
    let mut imports = Vec::new();
    for import in ImportSectionReader::new(section)?.into_imports() {
        let import = import?;
        let kind = match import.ty {
            TypeRef::Func(index) | TypeRef::FuncExact(index) => types
                .get(index as usize)
                .map_or(ImportKind::Other("function without a type"), kind),
            TypeRef::Memory(_) => ImportKind::Other("memory"),
            TypeRef::Table(_) => ImportKind::Other("table"),
            TypeRef::Global(_) => ImportKind::Other("global"),
            TypeRef::Tag(_) => ImportKind::Other("tag"),
        };
        imports.push((import.module.to_owned(), import.name.to_owned(), kind));
    }
    Ok(imports)
}

fn tables(section: BinaryReader<'_>) -> Result<Vec<(u8, u64, Option<u64>)>, BinaryReaderError> {
    let mut tables = Vec::new();
    for table in TableSectionReader::new(section)? {
        let ty = table?.ty;
        // The two types that reference types bring.
        let written = if ty.element_type.is_extern_ref() {
            0x6f
        } else {
            0x70
        };
        tables.push((written, ty.initial, ty.maximum));
    }
    Ok(tables)
}

fn imported_functions(
    section: BinaryReader<'_>,
    types: &[FuncType],
) -> Result<Vec<FuncType>, BinaryReaderError> {
    let mut functions = Vec::new();
    for import in ImportSectionReader::new(section)?.into_imports() {
        if let TypeRef::Func(index) | TypeRef::FuncExact(index) = import?.ty {
            functions.extend(types.get(index as usize).cloned());
        }
    }
    Ok(functions)
}

fn kind(ty: &FuncType) -> ImportKind {
    let names = |types: &[wasmparser::ValType]| types.iter().map(ToString::to_string).collect();
    ImportKind::Func {
        params: names(ty.params()),
        results: names(ty.results()),
    }
}

fn exports(section: BinaryReader<'_>) -> Result<Vec<(String, u8, u32)>, BinaryReaderError> {
    let mut exports = Vec::new();
    for export in ExportSectionReader::new(section)? {
        let export = export?;
        let kind = match export.kind {
            ExternalKind::Func | ExternalKind::FuncExact => 0,
            ExternalKind::Table => 1,
            ExternalKind::Memory => 2,
            ExternalKind::Global => 3,
            ExternalKind::Tag => 4,
        };
        exports.push((export.name.to_owned(), kind, export.index));
    }
    Ok(exports)
}

/// The contents of an export section.
pub fn write_exports<'a>(exports: impl Iterator<Item = (&'a str, u8, u32)>) -> Vec<u8> {
    let mut count = 0;
    let mut entries = Vec::new();
    for (name, kind, index) in exports {
        count += 1;
        write_name(&mut entries, name);
        entries.push(kind);
        leb128(&mut entries, index as usize);
    }
    let mut content = Vec::new();
    leb128(&mut content, count);
    content.extend(entries);
    content
}

/// The contents of an import section with one more entry: a memory of so many pages at start.
pub fn with_imported_memory(section: Option<&[u8]>, module: &str, name: &str, pages: u64) -> Vec<u8> {
    let mut entry = Vec::new();
    write_name(&mut entry, module);
    write_name(&mut entry, name);
    // A memory without a maximum.
    entry.extend([2, 0]);
    leb128(&mut entry, usize::try_from(pages).unwrap_or(usize::MAX));
    with_entry(section, &entry).1
}

/// The contents of a section with one more entry at the end, and how many it had before.
pub fn with_entry(section: Option<&[u8]>, entry: &[u8]) -> (u32, Vec<u8>) {
    let mut reader = BinaryReader::new(section.unwrap_or(&[0]), 0);
    // The section is valid, so it begins with a number.
    let count = reader.read_var_u32().unwrap_or(0);
    let rest = reader.read_bytes(reader.bytes_remaining()).unwrap_or_default();
    let mut content = Vec::new();
    leb128(&mut content, count as usize + 1);
    content.extend(rest);
    content.extend(entry);
    (count, content)
}

fn write_name(out: &mut Vec<u8>, name: &str) {
    leb128(out, name.len());
    out.extend(name.as_bytes());
}

/// Appends a number as WebAssembly writes it.
pub fn leb128(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a number as WebAssembly writes the operands of constants, which have a sign.
pub fn signed_leb128(out: &mut Vec<u8>, mut value: i64) {
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if (value == 0 && byte & 0x40 == 0) || (value == -1 && byte & 0x40 != 0) {
            out.push(byte);
            return;
        }
        out.push(byte | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"(module (import "env" "log" (func (param i32 i64) (result i32))) (memory (export "memory") 3 9)
        (@custom "name" "x") (func $main) (start $main) (table 1 funcref) (elem (i32.const 0) $main)
        (global (mut i32) (i32.const 0)) (func (export "f")) (data (i32.const 0) "x"))"#;

    fn read(wasm: &[u8]) -> ModuleParts<'_> {
        ModuleParts::read(wasm, WasmFeatures::all()).unwrap()
    }

    #[test]
    fn a_module_is_taken_apart() {
        let wasm = wat::parse_str(TEXT).unwrap();
        let parts = read(&wasm);
        assert_eq!(parts.start, Some(1));
        assert_eq!(
            (parts.memory, parts.memory_at_start()),
            (Some((3, Some(9))), 3 * PAGE)
        );
        assert!(parts.shows_memory());
        assert_eq!(
            parts.exports,
            [("memory".to_owned(), 2, 0), ("f".to_owned(), 0, 2)]
        );
        let ImportKind::Func { params, results } = &parts.imports[0].2 else {
            panic!("{:?}", parts.imports);
        };
        assert_eq!(
            (params.join(","), results.join(",")),
            ("i32,i64".into(), "i32".into())
        );
    }

    #[test]
    fn sections_go_where_they_belong() {
        let wasm = wat::parse_str(
            "(module (func $main) (start $main) (table 1 funcref) (elem (i32.const 0) $main))",
        );
        let wasm = wasm.unwrap();
        let exports = write_exports([("main", 0, 0)].into_iter());
        let changed = read(&wasm).write(&[(section::EXPORT, exports), (section::START, Vec::new())]);
        let parts = read(&changed);
        assert_eq!(parts.start, None);
        assert_eq!(parts.exports, [("main".to_owned(), 0, 0)]);
    }

    #[test]
    fn a_memory_becomes_an_import() {
        for text in [TEXT, r#"(module (memory (export "memory") 3 9))"#] {
            let wasm = wat::parse_str(text).unwrap();
            let parts = read(&wasm);
            let import = with_imported_memory(parts.section(section::IMPORT), "weir", "memory", 3);
            let changed = parts.write(&[(section::IMPORT, import), (section::MEMORY, Vec::new())]);
            let changed = read(&changed);
            assert_eq!(changed.memory, None);
            assert!(changed.shows_memory());
            assert_eq!(changed.imports.last().unwrap().2, ImportKind::Other("memory"));
            assert_eq!(changed.imports.len(), parts.imports.len() + 1);
        }
    }

    #[test]
    fn tables_share_their_limit() {
        let wasm =
            wat::parse_str("(module (table 10 funcref) (table 20 30 externref) (table 0 funcref))").unwrap();
        let parts = read(&wasm);
        let bounded = parts.write(&[(section::TABLE, parts.bounded_tables().unwrap())]);
        let most = |parts: &ModuleParts<'_>| parts.tables.iter().map(|(_, _, max)| *max).collect::<Vec<_>>();
        let share = (TABLE_LIMIT as u64 - 30) / 3;
        assert_eq!(most(&read(&bounded)), [Some(10 + share), Some(30), Some(share)]);
        let wasm = wat::parse_str(format!(
            "(module (table {TABLE_LIMIT} funcref) (table 1 funcref))"
        ))
        .unwrap();
        let error = read(&wasm).bounded_tables().unwrap_err().to_string();
        assert!(
            error.contains("1048577 elements at start, the limit is 1048576"),
            "{error}"
        );
    }

    #[test]
    fn numbers_have_a_sign() {
        for value in [
            0,
            1,
            63,
            64,
            127,
            128,
            8191,
            8192,
            1 << 20,
            -1,
            -64,
            -65,
            i64::MAX,
            i64::MIN,
        ] {
            let mut out = Vec::new();
            signed_leb128(&mut out, value);
            assert_eq!(BinaryReader::new(&out, 0).read_var_i64().unwrap(), value);
        }
    }

    #[test]
    fn missing_parts_are_named() {
        let wasm = wat::parse_str("(module (memory i64 1))").unwrap();
        let error = ModuleParts::read(&wasm, WasmFeatures::MVP)
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("memory64 must be enabled"), "{error}");
    }
}
