//! A module written anew.

use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{
    BlockType, ConstExpr, Encode, ExportKind, ExportSection, GlobalSection, GlobalType, ImportSection,
    MemoryType, Module, RawSection, Section, SectionId, TableSection, TypeSection, ValType,
};
use wasmparser::{ExternalKind, GlobalSectionReader, ImportSectionReader, TypeSectionReader};
use weir_engine::CompileError;

use super::{ModuleParts, invalid};
use crate::TABLE_LIMIT;

/// The export that stands for the start section where a runtime must not run that by itself. No toolchain makes such a
/// name.
pub const START_EXPORT: &str = "weir:start";

/// The order in which sections stand; section 13 holds tags.
const ORDER: [u8; 13] = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11];

/// Writes a module anew: sections that are set replace those of the original, the others stay as they are, byte by byte.
/// Custom sections go.
pub struct ModuleWriter<'p, 'a> {
    pub(super) parts: &'p ModuleParts<'a>,
    exports: Vec<(String, ExportKind, u32)>,
    types: Option<TypeSection>,
    globals: Option<GlobalSection>,
    /// By number; `None` for sections that go.
    replaced: Vec<(u8, Option<Vec<u8>>)>,
    keeps_names: bool,
}

impl<'p, 'a> ModuleWriter<'p, 'a> {
    /// Begins with the module as it is.
    pub fn new(parts: &'p ModuleParts<'a>) -> Self {
        let kind = |kind| match kind {
            ExternalKind::Func | ExternalKind::FuncExact => ExportKind::Func,
            ExternalKind::Table => ExportKind::Table,
            ExternalKind::Memory => ExportKind::Memory,
            ExternalKind::Global => ExportKind::Global,
            ExternalKind::Tag => ExportKind::Tag,
        };
        let exports = parts.exports.iter();
        Self {
            parts,
            exports: exports
                .map(|export| (export.name.to_owned(), kind(export.kind), export.index))
                .collect(),
            types: None,
            globals: None,
            replaced: Vec::new(),
            keeps_names: false,
        }
    }

    /// Replaces a section.
    pub fn set(&mut self, section: &impl Section) {
        let mut bytes = Vec::new();
        section.append_to(&mut bytes);
        self.replace(section.id(), Some(bytes));
    }

    /// Removes a section.
    pub fn remove(&mut self, id: SectionId) {
        self.replace(id as u8, None);
    }

    fn replace(&mut self, number: u8, bytes: Option<Vec<u8>>) {
        self.replaced.retain(|(found, _)| *found != number);
        self.replaced.push((number, bytes));
    }

    /// Keeps the names of functions, for backtraces.
    pub fn keep_names(&mut self) {
        self.keeps_names = true;
    }

    /// Adds an export.
    pub fn export(&mut self, name: impl Into<String>, kind: ExportKind, index: u32) {
        self.exports.push((name.into(), kind, index));
    }

    /// Removes exports of functions by their names.
    pub fn remove_functions(&mut self, names: &[&str]) {
        self.exports
            .retain(|(name, kind, _)| *kind != ExportKind::Func || !names.contains(&name.as_str()));
    }

    /// Makes the start section the export [`START_EXPORT`], for the backend to call.
    pub fn export_start(&mut self) {
        if let Some(start) = self.parts.start {
            self.export(START_EXPORT, ExportKind::Func, start);
            self.remove(SectionId::Start);
        }
    }

    /// Adds a function type and returns its index.
    ///
    /// # Errors
    ///
    /// None for a module without types of garbage collection.
    pub fn add_type(&mut self, params: &[ValType], results: &[ValType]) -> Result<u32, CompileError> {
        let types = match &mut self.types {
            Some(types) => types,
            none => {
                let mut types = TypeSection::new();
                if let Some(section) = self.parts.section(SectionId::Type) {
                    let section = TypeSectionReader::new(section).map_err(invalid)?;
                    RoundtripReencoder
                        .parse_type_section(&mut types, section)
                        .map_err(invalid)?;
                }
                none.insert(types)
            }
        };
        let index = types.len();
        types
            .ty()
            .function(params.iter().copied(), results.iter().copied());
        Ok(index)
    }

    /// The type of a block with these results: one of its own where there are several.
    pub(super) fn block_type(&mut self, results: &[ValType]) -> Result<BlockType, CompileError> {
        Ok(match results {
            [] => BlockType::Empty,
            [one] => BlockType::Result(*one),
            many => BlockType::FunctionType(self.add_type(&[], many)?),
        })
    }

    /// Adds a global that can change and returns its index.
    ///
    /// # Errors
    ///
    /// None for a valid module.
    pub fn add_global(&mut self, val_type: ValType, init: &ConstExpr) -> Result<u32, CompileError> {
        let globals = match &mut self.globals {
            Some(globals) => globals,
            none => {
                let mut globals = GlobalSection::new();
                if let Some(section) = self.parts.section(SectionId::Global) {
                    let section = GlobalSectionReader::new(section).map_err(invalid)?;
                    RoundtripReencoder
                        .parse_global_section(&mut globals, section)
                        .map_err(invalid)?;
                }
                none.insert(globals)
            }
        };
        let index = self.parts.imported_globals() + globals.len();
        let ty = GlobalType {
            val_type,
            mutable: true,
            shared: false,
        };
        globals.global(ty, init);
        Ok(index)
    }

    /// Makes the module's memory an import of so many pages at start.
    ///
    /// # Errors
    ///
    /// None for a valid module.
    pub fn import_memory(&mut self, module: &str, name: &str, pages: u64) -> Result<(), CompileError> {
        let mut imports = ImportSection::new();
        if let Some(section) = self.parts.section(SectionId::Import) {
            let section = ImportSectionReader::new(section).map_err(invalid)?;
            RoundtripReencoder
                .parse_import_section(&mut imports, section)
                .map_err(invalid)?;
        }
        let memory = MemoryType {
            minimum: pages,
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        };
        imports.import(module, name, memory);
        self.set(&imports);
        self.remove(SectionId::Memory);
        Ok(())
    }

    /// Bounds the tables, for runtimes that bound each table by itself: together they cannot grow beyond [`TABLE_LIMIT`]
    /// elements. What they do not have at start is shared out among them.
    ///
    /// # Errors
    ///
    /// The tables have more at start.
    pub fn bound_tables(&mut self) -> Result<(), CompileError> {
        let tables = &self.parts.tables;
        if tables.is_empty() {
            return Ok(());
        }
        let at_start = tables
            .iter()
            .fold(0_u64, |sum, table| sum.saturating_add(table.initial));
        let Some(left) = (TABLE_LIMIT as u64).checked_sub(at_start) else {
            return Err(CompileError::Invalid(format!(
                "the module's tables have {at_start} elements at start, the limit is {TABLE_LIMIT}"
            )));
        };
        let share = left / tables.len() as u64;
        let mut section = TableSection::new();
        for table in tables {
            let mut bounded = RoundtripReencoder.table_type(*table).map_err(invalid)?;
            bounded.maximum = Some(table.maximum.unwrap_or(u64::MAX).min(table.initial + share));
            section.table(bounded);
        }
        self.set(&section);
        Ok(())
    }

    /// Appends an entry to a section of which every byte but the count stays as it is.
    ///
    /// # Errors
    ///
    /// None for a valid module.
    pub fn append(&mut self, id: SectionId, entry: &impl Encode) -> Result<(), CompileError> {
        let mut content = Vec::new();
        match self.parts.section(id) {
            Some(mut section) => {
                let count = section.read_var_u32().map_err(invalid)?;
                count.saturating_add(1).encode(&mut content);
                let rest = section.bytes_remaining();
                content.extend(section.read_bytes(rest).map_err(invalid)?);
            }
            None => 1_u32.encode(&mut content),
        }
        entry.encode(&mut content);
        self.set(&RawSection {
            id: id as u8,
            data: &content,
        });
        Ok(())
    }

    /// The module.
    pub fn finish(mut self) -> Vec<u8> {
        let mut exports = ExportSection::new();
        for (name, kind, index) in std::mem::take(&mut self.exports) {
            exports.export(&name, kind, index);
        }
        if exports.is_empty() {
            self.remove(SectionId::Export);
        } else {
            self.set(&exports);
        }
        if let Some(types) = self.types.take() {
            self.set(&types);
        }
        if let Some(globals) = self.globals.take() {
            self.set(&globals);
        }
        let mut out = Module::HEADER.to_vec();
        for number in ORDER {
            match self.replaced.iter().find(|(found, _)| *found == number) {
                Some((_, bytes)) => out.extend(bytes.iter().flatten()),
                None => {
                    if let Some(data) = self.parts.raw_section(number) {
                        RawSection { id: number, data }.append_to(&mut out);
                    }
                }
            }
        }
        if let Some((name, data)) = self.parts.names.filter(|_| self.keeps_names) {
            let names = wasm_encoder::CustomSection {
                name: name.into(),
                data: data.into(),
            };
            names.append_to(&mut out);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use weir_engine::WasmFeatures;

    use super::*;
    use crate::ImportKind;

    const TEXT: &str = r#"(module (import "env" "log" (func (param i32 i64) (result i32))) (memory (export "memory") 3 9)
        (@custom "name" "x") (func $main) (start $main) (table 1 funcref) (elem (i32.const 0) $main)
        (global (mut i32) (i32.const 0)) (func (export "f")) (data (i32.const 0) "x"))"#;

    fn read(wasm: &[u8]) -> ModuleParts<'_> {
        ModuleParts::read(wasm, WasmFeatures::all()).unwrap()
    }

    fn rewritten(text: &str, rewrite: impl FnOnce(&mut ModuleWriter<'_, '_>)) -> Vec<u8> {
        let wasm = wat::parse_str(text).unwrap();
        let parts = read(&wasm);
        let mut writer = ModuleWriter::new(&parts);
        rewrite(&mut writer);
        writer.finish()
    }

    #[test]
    fn the_start_section_becomes_an_export() {
        let wasm = rewritten(TEXT, |writer| writer.export_start());
        let parts = read(&wasm);
        assert_eq!(parts.start, None);
        let exports = parts.exports.iter().map(|export| (export.name, export.index));
        assert_eq!(
            exports.collect::<Vec<_>>(),
            [("memory", 0), ("f", 2), (START_EXPORT, 1)]
        );
    }

    #[test]
    fn added_entries_have_the_next_index() {
        let wasm = rewritten(TEXT, |writer| {
            assert_eq!(writer.add_type(&[], &[ValType::I32, ValType::I64]).unwrap(), 2);
            assert_eq!(writer.add_type(&[], &[]).unwrap(), 3);
            let zero = ConstExpr::i64_const(0);
            assert_eq!(writer.add_global(ValType::I64, &zero).unwrap(), 1);
            assert_eq!(writer.add_global(ValType::I64, &zero).unwrap(), 2);
            writer.export("added", ExportKind::Global, 2);
        });
        assert_eq!(read(&wasm).exports.last().unwrap().name, "added");
    }

    #[test]
    fn a_memory_becomes_an_import() {
        for text in [TEXT, r#"(module (memory (export "memory") 3 9))"#] {
            let wasm = rewritten(text, |writer| writer.import_memory("weir", "memory", 3).unwrap());
            let parts = read(&wasm);
            assert_eq!(parts.memory, None);
            assert!(parts.shows_memory());
            assert_eq!(
                parts.imports.last().unwrap(),
                &("weir", "memory", ImportKind::Other("memory"))
            );
        }
    }

    #[test]
    fn tables_share_their_limit() {
        let wasm = rewritten(
            "(module (table 10 funcref) (table 20 30 externref) (table 0 funcref))",
            |writer| writer.bound_tables().unwrap(),
        );
        let most: Vec<_> = read(&wasm).tables.iter().map(|table| table.maximum).collect();
        let share = (TABLE_LIMIT as u64 - 30) / 3;
        assert_eq!(most, [Some(10 + share), Some(30), Some(share)]);
        rewritten(
            &format!("(module (table {TABLE_LIMIT} funcref) (table 1 funcref))"),
            |writer| {
                let error = writer.bound_tables().unwrap_err().to_string();
                assert!(
                    error.contains("1048577 elements at start, the limit is 1048576"),
                    "{error}"
                );
            },
        );
    }

    #[test]
    fn custom_sections_go_and_names_stay_if_wanted() {
        let text = "(module (func $named) (@custom \"other\" \"x\"))";
        let has = |wasm: &[u8], text: &[u8]| wasm.windows(text.len()).any(|bytes| bytes == text);
        let plain = rewritten(text, |_| {});
        assert!(!has(&plain, b"named") && !has(&plain, b"other"));
        let named = rewritten(text, |writer| writer.keep_names());
        assert!(has(&named, b"named") && !has(&named, b"other"));
    }
}
