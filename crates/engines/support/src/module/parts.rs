//! A module taken apart.

use std::collections::HashMap;

use wasm_encoder::SectionId;
use wasmparser::{
    BinaryReader, Export, ExternalKind, FuncType, FunctionBody, Parser, Payload, TableType, TypeRef, ValType,
    Validator,
};
use weir_engine::{CompileError, HostFunc, HostFuncs, Signature, WasmFeatures};

use super::invalid;
use crate::{ImportKind, is_callable, resolve_imports};

/// Bytes of a page of linear memory.
pub const PAGE: usize = 64 << 10;

/// The custom section that holds the names of functions.
const NAMES: &str = "name";

/// A valid module, borrowed from its bytes.
pub struct ModuleParts<'a> {
    /// Module, name and kind of each import, in order.
    pub imports: Vec<(&'a str, &'a str, ImportKind)>,
    /// Pages at start and at most of the memory that the module makes.
    pub memory: Option<(u64, Option<u64>)>,
    /// The tables that the module makes.
    pub(super) tables: Vec<TableType>,
    /// The exports, in order.
    pub exports: Vec<Export<'a>>,
    /// Index of the start function.
    pub start: Option<u32>,
    /// The type of each function, imported ones first.
    functions: Vec<FuncType>,
    /// Bodies of the functions that the module makes.
    pub(super) bodies: Vec<FunctionBody<'a>>,
    /// Number and contents of each section but the custom ones, in order.
    sections: Vec<(u8, &'a [u8])>,
    /// Contents of the custom section [`NAMES`].
    pub(super) names: Option<(&'a str, &'a [u8])>,
}

impl<'a> ModuleParts<'a> {
    /// Takes a module apart that uses no proposal but `features`.
    ///
    /// # Errors
    ///
    /// The module is not valid, or needs another proposal.
    pub fn read(wasm: &'a [u8], features: WasmFeatures) -> Result<Self, CompileError> {
        Validator::new_with_features(features)
            .validate_all(wasm)
            .map_err(invalid)?;
        let mut parts = Self {
            imports: Vec::new(),
            memory: None,
            tables: Vec::new(),
            exports: Vec::new(),
            start: None,
            functions: Vec::new(),
            bodies: Vec::new(),
            sections: Vec::new(),
            names: None,
        };
        let mut types = Vec::new();
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload.map_err(invalid)?;
            if let Some((number, range)) = payload.as_section() {
                // Sections lie within the module, which has been validated.
                let content = wasm.get(range.start as usize..range.end as usize);
                if number != SectionId::Custom as u8 {
                    parts.sections.push((number, content.unwrap_or_default()));
                }
            }
            parts.take(payload, &mut types).map_err(invalid)?;
        }
        Ok(parts)
    }

    fn take(&mut self, payload: Payload<'a>, types: &mut Vec<FuncType>) -> wasmparser::Result<()> {
        match payload {
            Payload::TypeSection(reader) => {
                *types = reader.into_iter_err_on_gc_types().collect::<Result<_, _>>()?;
            }
            Payload::ImportSection(reader) => {
                for import in reader.into_imports() {
                    let import = import?;
                    let ty = match import.ty {
                        TypeRef::Func(index) | TypeRef::FuncExact(index) => types.get(index as usize),
                        _ => None,
                    };
                    self.functions.extend(ty.cloned());
                    self.imports
                        .push((import.module, import.name, kind(import.ty, ty)));
                }
            }
            Payload::FunctionSection(reader) => {
                for index in reader {
                    self.functions.extend(types.get(index? as usize).cloned());
                }
            }
            Payload::TableSection(reader) => {
                for table in reader {
                    self.tables.push(table?.ty);
                }
            }
            Payload::MemorySection(reader) => {
                let memory = reader.into_iter().next().transpose()?;
                self.memory = memory.map(|memory| (memory.initial, memory.maximum));
            }
            Payload::ExportSection(reader) => self.exports = reader.into_iter().collect::<Result<_, _>>()?,
            Payload::StartSection { func, .. } => self.start = Some(func),
            Payload::CodeSectionEntry(body) => self.bodies.push(body),
            Payload::CustomSection(reader) if reader.name() == NAMES => {
                self.names = self.names.or(Some((NAMES, reader.data())));
            }
            _ => {}
        }
        Ok(())
    }

    /// The host function for each import, in order.
    ///
    /// # Errors
    ///
    /// As [`resolve_imports`].
    pub fn resolve_imports(&self, funcs: HostFuncs) -> Result<Vec<&'static HostFunc>, CompileError> {
        let imports = self.imports.iter();
        resolve_imports(
            funcs,
            imports.map(|(module, name, kind)| (*module, *name, kind.clone())),
        )
    }

    /// Bodies of the functions that the module makes, in order.
    pub fn bodies(&self) -> &[FunctionBody<'a>] {
        &self.bodies
    }

    /// The type of a function, imported ones counting first.
    pub(super) fn function_type(&self, function: u32) -> Option<&FuncType> {
        self.functions.get(function as usize)
    }

    /// Number of imported globals.
    pub fn imported_globals(&self) -> u32 {
        self.imported(|kind| matches!(kind, ImportKind::Other("global")))
    }

    /// Number of imported functions.
    pub fn imported_functions(&self) -> u32 {
        self.imported(|kind| matches!(kind, ImportKind::Func { .. }))
    }

    fn imported(&self, is_wanted: impl Fn(&ImportKind) -> bool) -> u32 {
        self.imports.iter().filter(|(_, _, kind)| is_wanted(kind)).count() as u32
    }

    /// Number of functions, imported ones included.
    pub fn functions(&self) -> u32 {
        self.functions.len() as u32
    }

    /// Bytes of memory at start.
    pub fn memory_at_start(&self) -> usize {
        let (pages, _) = self.memory.unwrap_or_default();
        usize::try_from(pages).unwrap_or(usize::MAX).saturating_mul(PAGE)
    }

    /// True if the memory is exported as `memory`.
    pub fn shows_memory(&self) -> bool {
        self.exports
            .iter()
            .any(|export| export.name == "memory" && export.kind == ExternalKind::Memory)
    }

    /// The functions that are exported.
    pub fn exported_functions(&self) -> ExportedFunctions {
        let functions = self
            .exports
            .iter()
            .filter(|export| export.kind == ExternalKind::Func);
        let typed = |export: &Export<'_>| {
            let ty = self.function_type(export.index)?;
            Some((export.name.to_owned(), ty.clone()))
        };
        ExportedFunctions(functions.filter_map(typed).collect())
    }

    /// Contents of a section; `None` where the module has none of the number.
    pub fn section(&self, id: SectionId) -> Option<BinaryReader<'a>> {
        Some(BinaryReader::new(self.raw_section(id as u8)?, 0))
    }

    pub(super) fn raw_section(&self, number: u8) -> Option<&'a [u8]> {
        let mut sections = self.sections.iter();
        sections
            .find(|(found, _)| *found == number)
            .map(|(_, content)| *content)
    }
}

/// The functions that a module exports, with their types.
pub struct ExportedFunctions(HashMap<String, FuncType>);

impl ExportedFunctions {
    /// True if there is one of the name and the signature, and the host can call it.
    pub fn has(&self, name: &str, signature: Signature) -> bool {
        let all_i32 = |types: &[ValType]| types.iter().all(|ty| *ty == ValType::I32);
        let Some(ty) = self.0.get(name).filter(|_| is_callable(signature)) else {
            return false;
        };
        all_i32(ty.params())
            && all_i32(ty.results())
            && ty.params().len() == signature.params.len()
            && ty.results().len() == usize::from(signature.result.is_some())
    }
}

/// The kind of an import; functions have a type.
fn kind(import: TypeRef, ty: Option<&FuncType>) -> ImportKind {
    let names = |types: &[ValType]| types.iter().map(ToString::to_string).collect();
    match import {
        TypeRef::Func(_) | TypeRef::FuncExact(_) => match ty {
            Some(ty) => ImportKind::Func {
                params: names(ty.params()),
                results: names(ty.results()),
            },
            None => ImportKind::Other("function without a type"),
        },
        TypeRef::Memory(_) => ImportKind::Other("memory"),
        TypeRef::Table(_) => ImportKind::Other("table"),
        TypeRef::Global(_) => ImportKind::Other("global"),
        TypeRef::Tag(_) => ImportKind::Other("tag"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_taken_apart() {
        let wasm = wat::parse_str(
            r#"(module (import "env" "log" (func (param i32 i64) (result i32))) (memory (export "memory") 3 9)
            (@custom "name" "x") (func $main) (start $main) (table 1 funcref) (elem (i32.const 0) $main)
            (global (mut i32) (i32.const 0)) (func (export "f")) (data (i32.const 0) "x"))"#,
        )
        .unwrap();
        let parts = ModuleParts::read(&wasm, WasmFeatures::all()).unwrap();
        assert_eq!(parts.start, Some(1));
        assert_eq!(
            (parts.memory, parts.memory_at_start()),
            (Some((3, Some(9))), 3 * PAGE)
        );
        assert!(parts.shows_memory());
        assert_eq!((parts.imported_functions(), parts.functions()), (1, 3));
        let exports = parts.exports.iter().map(|export| (export.name, export.index));
        assert_eq!(exports.collect::<Vec<_>>(), [("memory", 0), ("f", 2)]);
        let ImportKind::Func { params, results } = &parts.imports[0].2 else {
            panic!("{:?}", parts.imports);
        };
        assert_eq!(
            (params.join(","), results.join(",")),
            ("i32,i64".into(), "i32".into())
        );
        let none = Signature {
            params: &[],
            result: None,
        };
        let functions = parts.exported_functions();
        assert!(functions.has("f", none) && !functions.has("memory", none));
    }

    #[test]
    fn a_missing_proposal_is_named() {
        let wasm = wat::parse_str("(module (memory i64 1))").unwrap();
        let error = ModuleParts::read(&wasm, WasmFeatures::MVP)
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("memory64 must be enabled"), "{error}");
    }
}
