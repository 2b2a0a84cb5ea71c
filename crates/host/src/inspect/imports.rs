//! Imports, held against what the host offers.

use wasmparser::{FuncType, TypeRef};
use weir_abi::{Signature, ValType};

use crate::ImportSets;
use crate::sets::SetInfo;

/// The kind of an import.
pub(super) enum Verdict {
    /// A function of this set.
    Offered(SetInfo),
    /// The host does not have it; why.
    Unknown(String),
}

/// Judges an import. `types` are the module's function types by index, `None` where a type is not a function's.
pub(super) fn judge(
    sets: &ImportSets,
    import: &wasmparser::Import<'_>,
    types: &[Option<FuncType>],
) -> Verdict {
    let full_name = format!("{}.{}", import.module, import.name);
    let found = match import.ty {
        TypeRef::Func(index) | TypeRef::FuncExact(index) => match types.get(index as usize) {
            Some(Some(found)) => found,
            _ => {
                return Verdict::Unknown(format!(
                    "{full_name}: a function of a type that the host cannot offer"
                ));
            }
        },
        TypeRef::Table(_) => return not_a_function(&full_name, "a table"),
        TypeRef::Memory(_) => return not_a_function(&full_name, "a memory"),
        TypeRef::Global(_) => return not_a_function(&full_name, "a global"),
        TypeRef::Tag(_) => return not_a_function(&full_name, "an exception tag"),
    };
    let Some((set, offered)) = sets.find(import.module, import.name) else {
        return Verdict::Unknown(format!("{full_name} {}: no such function", describe(found)));
    };
    if offered.signatures().any(|signature| same(found, signature)) {
        Verdict::Offered(set)
    } else {
        let expected = offered.signature();
        Verdict::Unknown(format!(
            "{full_name} {}: the host's is {expected}",
            describe(found)
        ))
    }
}

fn not_a_function(full_name: &str, kind: &str) -> Verdict {
    Verdict::Unknown(format!("{full_name}: {kind}, but a host offers only functions"))
}

/// Returns true if a function of the module has this type.
pub(super) fn same(found: &FuncType, expected: Signature) -> bool {
    let equal = |(found, expected): (&wasmparser::ValType, &ValType)| *found == val_type(*expected);
    found.params().len() == expected.params.len()
        && found.params().iter().zip(expected.params).all(equal)
        && found.results().len() == usize::from(expected.result.is_some())
        && found.results().iter().zip(&expected.result).all(equal)
}

/// A type in the notation of [`Signature`].
pub(super) fn describe(found: &FuncType) -> String {
    let list = |types: &[wasmparser::ValType]| {
        let names: Vec<_> = types.iter().map(ToString::to_string).collect();
        names.join(",")
    };
    match found.results() {
        [one] => format!("({}) -> {one}", list(found.params())),
        results => format!("({}) -> ({})", list(found.params()), list(results)),
    }
}

const fn val_type(expected: ValType) -> wasmparser::ValType {
    match expected {
        ValType::I32 => wasmparser::ValType::I32,
        ValType::I64 => wasmparser::ValType::I64,
    }
}
