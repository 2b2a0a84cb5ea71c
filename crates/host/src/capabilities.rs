//! Capability restriction: which imports answer, and which callbacks are called.

use std::sync::Arc;

use weir_abi::{ALLOCATORS, Callback, INITIALIZE, MAINS, START};

use crate::ImportSets;

const _: () = assert!(Callback::ALL.len() <= 64);

/// The imports and callbacks that a module may use, as bit sets of the size that the import sets need.
///
/// A hostcall outside of it answers `InternalFailure`, a WASI function `ENOTCAPABLE`, and a callback is not called, as
/// if it were not exported. Functions of toolchains, start functions and the allocator are always allowed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Capabilities {
    /// By number of the capability in its composition; `None` for all.
    imports: Option<Arc<[u64]>>,
    callbacks: u64,
}

/// Names in an allow-list that are neither hostcalls, WASI functions nor callbacks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown capabilities: {}", .0.join(", "))]
pub struct UnknownCapability(pub Vec<String>);

impl Capabilities {
    /// No restriction.
    pub const ALL: Self = Self {
        imports: None,
        callbacks: u64::MAX,
    };

    /// Allows what is named: imports by the names that their sets give them, callbacks as they are exported, such as
    /// `proxy_log`, `fd_write`, `proxy_on_request_headers`. As in Envoy's `allowed_capabilities`, an empty list means no
    /// restriction. `sets` is the composition that the module is compiled with.
    ///
    /// # Errors
    ///
    /// A name that is none of [`Capabilities::names`]; all such names are in the error.
    pub fn allow<N: AsRef<str>>(
        sets: &ImportSets,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Self, UnknownCapability> {
        let known: Vec<_> = sets.capability_names().collect();
        let mut imports = vec![0; known.len().div_ceil(64)];
        let mut callbacks = 0;
        let mut unknown = Vec::new();
        let mut empty = true;
        for name in names {
            let name = name.as_ref();
            empty = false;
            if let Some(number) = known.iter().position(|known| *known == name) {
                imports[number / 64] |= 1 << (number % 64);
            } else if let Some(callback) = Callback::named(name) {
                callbacks |= 1 << callback.index();
            } else if !always_allowed().any(|known| known == name) {
                unknown.push(name.to_owned());
            }
        }
        match (empty, unknown.is_empty()) {
            (true, _) => Ok(Self::ALL),
            (false, true) => Ok(Self {
                imports: Some(imports.into()),
                callbacks,
            }),
            (false, false) => Err(UnknownCapability(unknown)),
        }
    }

    /// Every name that [`Capabilities::allow`] takes: capabilities of the import sets, callbacks, start functions and
    /// allocators.
    pub fn names(sets: &ImportSets) -> impl Iterator<Item = &'static str> {
        let callbacks = Callback::ALL.iter().map(|callback| callback.name());
        sets.capability_names().chain(callbacks).chain(always_allowed())
    }

    /// True if the import with this number among the capabilities of the composition answers.
    pub(crate) fn allows_import(&self, number: usize) -> bool {
        self.imports.as_ref().is_none_or(|imports| {
            let word = imports.get(number / 64).copied().unwrap_or_default();
            word >> (number % 64) & 1 == 1
        })
    }

    /// True if this callback is called.
    pub const fn allows_callback(&self, callback: Callback) -> bool {
        self.callbacks >> callback.index() & 1 == 1
    }
}

impl Default for Capabilities {
    fn default() -> Self {
        Self::ALL
    }
}

/// Lists written for other hosts name these too; to allow them changes nothing.
fn always_allowed() -> impl Iterator<Item = &'static str> {
    let start_functions = MAINS.iter().chain([&INITIALIZE, &START]);
    ALLOCATORS.iter().chain(start_functions).map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Names of the imports that are allowed.
    fn allowed_imports(capabilities: &Capabilities) -> Vec<&'static str> {
        let numbered = ImportSets::standard().capability_names().enumerate();
        numbered
            .filter(|(number, _)| capabilities.allows_import(*number))
            .map(|(_, name)| name)
            .collect()
    }

    fn allow<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Result<Capabilities, UnknownCapability> {
        Capabilities::allow(ImportSets::standard(), names)
    }

    #[test]
    fn an_empty_list_restricts_nothing() {
        let none: [&str; 0] = [];
        assert_eq!(allow(none), Ok(Capabilities::ALL));
        assert!(
            Callback::ALL
                .iter()
                .all(|callback| Capabilities::ALL.allows_callback(*callback))
        );
        let all: Vec<_> = ImportSets::standard().capability_names().collect();
        assert_eq!(allowed_imports(&Capabilities::ALL), all);
    }

    #[test]
    fn one_list_holds_hostcalls_callbacks_and_wasi() {
        let allowed = allow(["proxy_log", "fd_write", "proxy_on_tick", "malloc", "_initialize"]).unwrap();
        assert_eq!(allowed_imports(&allowed), ["proxy_log", "fd_write"]);
        for callback in Callback::ALL {
            assert_eq!(
                allowed.allows_callback(*callback),
                *callback == Callback::Tick,
                "{callback}"
            );
        }
    }

    #[test]
    fn a_list_of_nothing_but_the_allocator_allows_nothing_else() {
        let allowed = allow(["proxy_on_memory_allocate"]).unwrap();
        assert_eq!(allowed_imports(&allowed), [""; 0]);
        assert!(!allowed.allows_callback(Callback::Log));
    }

    #[test]
    fn unknown_names_are_named() {
        let error = allow(["proxy_log", "proxy_lgo", "fd_wirte"]).unwrap_err();
        assert_eq!(error.to_string(), "unknown capabilities: proxy_lgo, fd_wirte");
    }

    #[test]
    fn every_name_that_is_listed_is_taken() {
        let names: Vec<_> = Capabilities::names(ImportSets::standard()).collect();
        assert_eq!(names.len(), 43 + 3 + 46 + Callback::ALL.len() + 6);
        assert!(allow(names).is_ok());
    }

    proptest! {
        #[test]
        fn a_list_allows_the_functions_that_it_names(
            imports in prop::sample::subsequence(
                ImportSets::standard().capability_names().collect::<Vec<_>>(),
                1..ImportSets::standard().capability_names().count(),
            ),
            callbacks in prop::sample::subsequence(Callback::ALL.to_vec(), 0..Callback::ALL.len()),
        ) {
            let names = imports.iter().copied().chain(callbacks.iter().map(|callback| callback.name()));
            let allowed = allow(names).unwrap();
            prop_assert_eq!(allowed_imports(&allowed), imports);
            for callback in Callback::ALL {
                prop_assert_eq!(allowed.allows_callback(*callback), callbacks.contains(callback));
            }
        }
    }
}
