//! The imports of a module, resolved against the host's table.

use std::ptr;

use weir_engine::{CompileError, HostFunc, HostFuncs, MAX_PARAMS};

/// An import as a module declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportKind {
    /// A function with the names of its parameter and result types, such as `i32` or `externref`.
    Func {
        /// Parameter types.
        params: Vec<String>,
        /// Result types.
        results: Vec<String>,
    },
    /// Anything else: `memory`, `table`, `global`.
    Other(&'static str),
}

/// Finds the host function for each import of a module (import module, name, kind), in order.
///
/// # Errors
///
/// [`CompileError::Imports`] with everything that is wrong.
pub fn resolve_imports<'a>(
    funcs: HostFuncs,
    imports: impl Iterator<Item = (&'a str, &'a str, ImportKind)>,
) -> Result<Vec<&'static HostFunc>, CompileError> {
    let mut found: Vec<&'static HostFunc> = Vec::new();
    let mut wrong = Vec::new();
    for (module, name, kind) in imports {
        match resolve(funcs, module, name, &kind) {
            // Runtimes bind by name, so a name can mean one thing only.
            Ok(func)
                if found
                    .iter()
                    .any(|other| (other.module, other.name) == (module, name) && !ptr::eq(*other, func)) =>
            {
                wrong.push(format!("{module}.{name}: imported twice with different types"));
            }
            Ok(func) => found.push(func),
            Err(reason) => wrong.push(reason),
        }
    }
    if wrong.is_empty() {
        Ok(found)
    } else {
        Err(CompileError::Imports(wrong))
    }
}

fn resolve(
    funcs: HostFuncs,
    module: &str,
    name: &str,
    kind: &ImportKind,
) -> Result<&'static HostFunc, String> {
    let (params, results) = match kind {
        ImportKind::Func { params, results } => (params, results),
        ImportKind::Other(what) => {
            return Err(format!(
                "{module}.{name}: a {what}, the host offers functions only"
            ));
        }
    };
    let imported = written(params, results);
    let mut offered = Vec::new();
    for func in funcs
        .iter()
        .filter(|func| func.module == module && func.name == name)
    {
        let ours = func.signature.to_string();
        if ours == imported && func.signature.params.len() <= MAX_PARAMS {
            return Ok(func);
        }
        offered.push(ours);
    }
    if offered.is_empty() {
        return Err(format!("{module}.{name}: unknown function"));
    }
    Err(format!(
        "{module}.{name}: imported as {imported}, the host has {}",
        offered.join(" or ")
    ))
}

/// A function type as [`Signature`] writes it.
fn written(params: &[String], results: &[String]) -> String {
    let params = params.join(",");
    match results {
        [result] => format!("({params}) -> {result}"),
        results => format!("({params}) -> ({})", results.join(",")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_engine::{Caller, Signature, Trap, ValType};

    fn nothing(_: &mut dyn Caller, _: u32, _: &[u64]) -> Result<u64, Trap> {
        Ok(0)
    }

    const FUNCS: HostFuncs = &[
        HostFunc {
            module: "env",
            name: "twice",
            signature: Signature {
                params: &[ValType::I32],
                result: None,
            },
            id: 0,
            call: nothing,
        },
        HostFunc {
            module: "env",
            name: "twice",
            signature: Signature {
                params: &[ValType::I32, ValType::I64],
                result: Some(ValType::I32),
            },
            id: 0,
            call: nothing,
        },
    ];

    fn func(params: &[&str], results: &[&str]) -> ImportKind {
        let names = |types: &[&str]| types.iter().map(|ty| (*ty).to_owned()).collect();
        ImportKind::Func {
            params: names(params),
            results: names(results),
        }
    }

    #[test]
    fn the_row_with_the_modules_type_wins() {
        let second = resolve(FUNCS, "env", "twice", &func(&["i32", "i64"], &["i32"])).unwrap();
        assert_eq!(second.signature, FUNCS[1].signature);
        let first = resolve(FUNCS, "env", "twice", &func(&["i32"], &[])).unwrap();
        assert_eq!(first.signature, FUNCS[0].signature);
    }

    #[test]
    fn mismatched_rows_are_named() {
        let wrong = |name, kind| resolve(FUNCS, "env", name, &kind).unwrap_err();
        assert_eq!(wrong("thrice", func(&[], &[])), "env.thrice: unknown function");
        assert_eq!(
            wrong("twice", func(&["f64"], &["i32", "externref"])),
            "env.twice: imported as (f64) -> (i32,externref), the host has (i32) -> () or (i32,i64) -> i32"
        );
        assert_eq!(
            wrong("memory", ImportKind::Other("memory")),
            "env.memory: a memory, the host offers functions only"
        );
        assert_eq!(
            resolve(FUNCS, "wasi", "twice", &func(&["i32"], &[])).unwrap_err(),
            "wasi.twice: unknown function"
        );
    }

    #[test]
    fn a_name_means_one_thing() {
        let imports = |kinds: &[ImportKind]| {
            let imports = kinds.iter().map(|kind| ("env", "twice", kind.clone()));
            resolve_imports(FUNCS, imports)
                .map(|found| found.len())
                .map_err(|error| error.to_string())
        };
        let (narrow, wide) = (func(&["i32"], &[]), func(&["i32", "i64"], &["i32"]));
        assert_eq!(imports(&[narrow.clone(), narrow.clone()]), Ok(2));
        assert_eq!(
            imports(&[narrow, wide]),
            Err("imports that the host does not have: env.twice: imported twice with different types".into())
        );
    }
}
