//! Exports that the host has resolved.

use weir_engine::{FuncId, Signature, Trap, ValType};

/// Arguments that an export takes at most.
pub const MAX_ARGUMENTS: usize = 5;

/// True if the host can call exports of this signature: up to [`MAX_ARGUMENTS`] `i32`, and nothing or one `i32` as result.
pub fn is_callable(signature: Signature) -> bool {
    let is_i32 = |ty: &ValType| *ty == ValType::I32;
    signature.params.len() <= MAX_ARGUMENTS
        && signature.params.iter().all(is_i32)
        && signature.result.as_ref().is_none_or(is_i32)
}

/// The exports of an instance by [`FuncId`], each with a function `F` of the runtime.
#[derive(Debug)]
pub struct Exports<F>(Vec<Export<F>>);

/// An export.
#[derive(Clone, Copy, Debug)]
pub struct Export<F> {
    /// The runtime's function.
    pub func: F,
    params: usize,
    /// True if it returns an `i32`.
    pub has_result: bool,
}

impl<F> Export<F> {
    /// An export of a callable signature ([`is_callable`]).
    pub const fn new(func: F, signature: Signature) -> Self {
        Self {
            func,
            params: signature.params.len(),
            has_result: signature.result.is_some(),
        }
    }
}

impl<F> Exports<F> {
    /// None yet.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds an export. `None` where there are more than a [`FuncId`] counts.
    pub fn add(&mut self, export: Export<F>) -> Option<FuncId> {
        let id = u32::try_from(self.0.len()).ok()?;
        self.0.push(export);
        Some(FuncId(id))
    }

    /// The export to call with these arguments.
    ///
    /// # Errors
    ///
    /// The host's own mistakes: it never resolved the function, or gives it another number of arguments.
    #[inline]
    pub fn get(&self, id: FuncId, args: &[u32]) -> Result<&Export<F>, Trap> {
        match self.0.get(id.0 as usize) {
            Some(export) if export.params == args.len() => Ok(export),
            Some(_) => Err(wrong_arguments()),
            None => Err(Trap::host("the host called a function that it never resolved")),
        }
    }

    /// The export as the guest's allocator; `None` where its type is not that of one.
    pub fn allocator(&self, id: FuncId) -> Option<&F> {
        let export = self.0.get(id.0 as usize)?;
        (export.params == 1 && export.has_result).then_some(&export.func)
    }
}

impl<F> Default for Exports<F> {
    fn default() -> Self {
        Self::new()
    }
}

/// The host gave a function another number of arguments than it takes.
#[cold]
pub fn wrong_arguments() -> Trap {
    Trap::host("the host called a function with the wrong number of arguments")
}

#[cfg(test)]
mod tests {
    use super::*;

    const I: ValType = ValType::I32;

    fn signature(params: &'static [ValType], result: Option<ValType>) -> Signature {
        Signature { params, result }
    }

    #[test]
    fn callable_signatures_are_those_of_callbacks() {
        assert!(is_callable(signature(&[], None)) && is_callable(signature(&[I; 5], Some(I))));
        assert!(!is_callable(signature(&[I; 6], None)) && !is_callable(signature(&[ValType::I64], None)));
        assert!(!is_callable(signature(&[], Some(ValType::I64))));
    }

    #[test]
    fn mistakes_of_the_host_are_traps() {
        let mut exports = Exports::new();
        let allocate = exports
            .add(Export::new("allocate", signature(&[I], Some(I))))
            .unwrap();
        let tick = exports.add(Export::new("tick", signature(&[I], None))).unwrap();
        assert_eq!(exports.get(tick, &[1]).unwrap().func, "tick");
        assert_eq!(exports.get(tick, &[]).unwrap_err(), wrong_arguments());
        assert!(exports.get(FuncId(2), &[]).is_err());
        assert_eq!(exports.allocator(allocate), Some(&"allocate"));
        assert_eq!(
            (exports.allocator(tick), exports.allocator(FuncId(2))),
            (None, None)
        );
    }
}
