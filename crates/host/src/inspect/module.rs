//! Reads the sections of a module.

use wasmparser::{
    CompositeInnerType, CustomSectionReader, ExternalKind, FuncType, KnownCustom, MemoryType, Name, Parser,
    Payload, TypeRef,
};
use weir_abi::{ALLOCATORS, AbiVersion, Callback, INITIALIZE, MAINS, MEMORY, START, Signature};

use super::imports::{self, Verdict};
use super::toolchain::Clues;
use super::{ImportGroup, LoadError, MemoryInfo, ModuleInfo};
use crate::ImportSets;

/// Callbacks of early drafts that SDKs still export and nobody calls.
const RELICS: [&str; 2] = ["proxy_on_resolve_dns", "proxy_on_stats_update"];

/// Facts gathered on the way through the sections.
struct Sections<'a> {
    sets: &'a ImportSets,
    info: ModuleInfo,
    clues: Clues,
    /// Types by index; `None` where a type is not a function's.
    types: Vec<Option<FuncType>>,
    /// Type index of each function, imported ones first.
    functions: Vec<u32>,
    memories: Vec<MemoryType>,
    exports: Vec<wasmparser::Export<'a>>,
}

/// Reads a module.
pub(super) fn read(sets: &ImportSets, wasm: &[u8]) -> Result<ModuleInfo, LoadError> {
    let mut sections = Sections::of(sets);
    sections.info.size = wasm.len();
    for payload in Parser::new(0).parse_all(wasm) {
        sections.add(payload?)?;
    }
    sections.clues.search(wasm);
    Ok(sections.finish())
}

impl<'a> Sections<'a> {
    fn of(sets: &'a ImportSets) -> Self {
        let mut imports: Vec<ImportGroup> = Vec::new();
        for set in sets.iter() {
            if imports.iter().all(|group| group.name != set.group) {
                imports.push(ImportGroup {
                    name: set.group,
                    functions: Vec::new(),
                });
            }
        }
        Self {
            sets,
            info: ModuleInfo {
                imports,
                ..ModuleInfo::default()
            },
            clues: Clues::default(),
            types: Vec::new(),
            functions: Vec::new(),
            memories: Vec::new(),
            exports: Vec::new(),
        }
    }

    fn add(&mut self, payload: Payload<'a>) -> Result<(), LoadError> {
        match payload {
            Payload::TypeSection(groups) => {
                for group in groups {
                    let types = group?.into_types().map(|ty| match ty.composite_type.inner {
                        CompositeInnerType::Func(function) => Some(function),
                        _ => None,
                    });
                    self.types.extend(types);
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    self.import(&import?);
                }
            }
            Payload::FunctionSection(functions) => {
                for function in functions {
                    self.functions.push(function?);
                }
            }
            Payload::MemorySection(memories) => {
                for memory in memories {
                    self.memories.push(memory?);
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    self.exports.push(export?);
                }
            }
            Payload::StartSection { .. } => self.info.start_section = true,
            Payload::CustomSection(section) => self.custom(&section),
            _ => {}
        }
        Ok(())
    }

    fn import(&mut self, import: &wasmparser::Import<'_>) {
        match import.ty {
            TypeRef::Func(index) | TypeRef::FuncExact(index) => self.functions.push(index),
            TypeRef::Memory(memory) => self.memories.push(memory),
            _ => {}
        }
        self.clues.import(import.name);
        match imports::judge(self.sets, import, &self.types) {
            Verdict::Offered(set) => {
                let group = self.info.imports.iter_mut().find(|group| group.name == set.group);
                group
                    .into_iter()
                    .for_each(|group| group.functions.push(import.name.to_owned()));
                if !self.info.sets.contains(&set.name) {
                    self.info.sets.push(set.name);
                }
            }
            Verdict::Unknown(why) => self.info.unknown_imports.push(why),
        }
    }

    /// Custom sections are hints: a malformed one makes no module invalid.
    fn custom(&mut self, section: &CustomSectionReader<'_>) {
        match section.as_known() {
            KnownCustom::Name(names) => {
                let functions = names.into_iter().flatten().any(|name| match name {
                    Name::Function(functions) => functions.count() > 0,
                    _ => false,
                });
                self.info.has_names |= functions;
            }
            KnownCustom::Producers(producers) => self.clues.producers(producers),
            _ => {}
        }
    }

    fn finish(mut self) -> ModuleInfo {
        let exports = std::mem::take(&mut self.exports);
        self.memory(&exports);
        for export in &exports {
            self.clues.export(export.name);
            if export.kind == ExternalKind::Func && export.name.starts_with("proxy_abi_version_") {
                self.info.markers.push(export.name.to_owned());
            }
        }
        self.info.abi = self
            .info
            .markers
            .iter()
            .find_map(|marker| AbiVersion::from_marker(marker));
        self.callbacks(&exports);
        let has = |(name, signature): &(&str, Signature)| {
            let function = exports.iter().find(|export| export.name == *name);
            function
                .and_then(|export| self.function_type(export))
                .is_some_and(|ty| imports::same(ty, *signature))
        };
        let allocator = ALLOCATORS
            .iter()
            .find(|allocator| has(allocator))
            .map(|(name, _)| *name);
        let start_functions = [INITIALIZE, START]
            .iter()
            .chain(&MAINS)
            .filter(|start| has(start));
        let start_functions = start_functions.map(|(name, _)| (*name).to_owned()).collect();
        self.info.allocator = allocator;
        self.info.start_functions = start_functions;
        self.info.sdk = self.clues.conclusion();
        self.info
    }

    fn memory(&mut self, exports: &[wasmparser::Export<'_>]) {
        let export = exports
            .iter()
            .find(|export| export.name == MEMORY && export.kind == ExternalKind::Memory);
        let memory = export.and_then(|export| self.memories.get(export.index as usize));
        self.info.memory = memory.map(|memory| MemoryInfo {
            min_pages: memory.initial,
            max_pages: memory.maximum,
            unsupported: unsupported(memory),
        });
    }

    /// Sorts the exports into callbacks with the right type and names that only look like one.
    fn callbacks(&mut self, exports: &[wasmparser::Export<'_>]) {
        let abi = self.info.abi.unwrap_or(AbiVersion::V0_2_1);
        let mut callbacks = Vec::new();
        let mut warnings = Vec::new();
        for export in exports {
            let Some(ty) = self.function_type(export) else {
                continue;
            };
            match Callback::named(export.name) {
                Some(callback) if imports::same(ty, callback.signature(abi)) => callbacks.push(callback),
                Some(callback) => warnings.push(format!(
                    "{} {}: in ABI {abi} it is {}, so it is not called",
                    export.name,
                    imports::describe(ty),
                    callback.signature(abi)
                )),
                None if looks_like_a_callback(export.name) => {
                    warnings.push(format!("{}: no such callback, so it is not called", export.name));
                }
                None => {}
            }
        }
        callbacks.sort_unstable();
        self.info.callbacks = callbacks
            .iter()
            .map(|callback| callback.name().to_owned())
            .collect();
        self.info.warnings = warnings;
    }

    /// Type of an exported function; `None` for anything else.
    fn function_type(&self, export: &wasmparser::Export<'_>) -> Option<&FuncType> {
        if !matches!(export.kind, ExternalKind::Func | ExternalKind::FuncExact) {
            return None;
        }
        let index = self.functions.get(export.index as usize)?;
        self.types.get(*index as usize)?.as_ref()
    }
}

fn looks_like_a_callback(name: &str) -> bool {
    name.starts_with("proxy_on_")
        && !RELICS.contains(&name)
        && !ALLOCATORS.iter().any(|(allocator, _)| *allocator == name)
}

fn unsupported(memory: &MemoryType) -> Option<&'static str> {
    if memory.memory64 {
        Some("has 64-bit addresses")
    } else if memory.shared {
        Some("is shared between threads")
    } else if memory.page_size_log2.is_some() {
        Some("has pages of a size of its own")
    } else {
        None
    }
}
