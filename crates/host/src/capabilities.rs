//! Capability restriction: which hostcalls and WASI functions answer, and which callbacks are called.

use weir_abi::{ALLOCATORS, Callback, IMPORTS, INITIALIZE, MAINS, START, WASI};

/// First bit of the WASI functions; the functions of `env` come before, each at its place in [`IMPORTS`].
const FIRST_WASI: usize = 64;

const _: () =
    assert!(IMPORTS.len() <= FIRST_WASI && WASI.len() <= 128 - FIRST_WASI && Callback::ALL.len() <= 64);

/// What a module may use, compiled to bit sets.
///
/// A hostcall outside of it answers `InternalFailure`, a WASI function `ENOTCAPABLE`, and a callback is not called, as
/// if it were not exported. Functions of toolchains, start functions and the allocator are always allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Capabilities {
    imports: u128,
    callbacks: u64,
}

/// Names in an allow-list that are neither hostcalls, WASI functions nor callbacks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown capabilities: {}", .0.join(", "))]
pub struct UnknownCapability(pub Vec<String>);

impl Capabilities {
    /// No restriction.
    pub const ALL: Self = Self {
        imports: u128::MAX,
        callbacks: u64::MAX,
    };

    /// Allows what is named, as it is named in imports and exports, without module: `proxy_log`, `fd_write`,
    /// `proxy_on_request_headers`. As in Envoy's `allowed_capabilities`, an empty list means no restriction.
    pub fn allow<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Result<Self, UnknownCapability> {
        let mut allowed = Self {
            imports: 0,
            callbacks: 0,
        };
        let mut unknown = Vec::new();
        let mut empty = true;
        for name in names {
            empty = false;
            if !allowed.add(name.as_ref()) {
                unknown.push(name.as_ref().to_owned());
            }
        }
        match (empty, unknown.is_empty()) {
            (true, _) => Ok(Self::ALL),
            (false, true) => Ok(allowed),
            (false, false) => Err(UnknownCapability(unknown)),
        }
    }

    /// The allowed imports: bit `i` is `IMPORTS[i]`, bit `64 + i` is `WASI[i]`.
    pub const fn imports(&self) -> u128 {
        self.imports
    }

    /// Whether this callback is called.
    pub const fn allows_callback(&self, callback: Callback) -> bool {
        self.callbacks >> callback.index() & 1 == 1
    }

    fn add(&mut self, name: &str) -> bool {
        if let Some(index) = IMPORTS.iter().position(|import| import.name == name) {
            self.imports |= 1 << index;
        } else if let Some(index) = WASI.iter().position(|function| function.name == name) {
            self.imports |= 1 << (FIRST_WASI + index);
        } else if let Some(callback) = Callback::named(name) {
            self.callbacks |= 1 << callback.index();
        } else {
            return always_allowed(name);
        }
        true
    }
}

impl Default for Capabilities {
    fn default() -> Self {
        Self::ALL
    }
}

/// Lists written for other hosts name these too; to allow them changes nothing.
fn always_allowed(name: &str) -> bool {
    let start_functions = MAINS.iter().chain([&INITIALIZE, &START]).map(|(name, _)| *name);
    ALLOCATORS
        .iter()
        .map(|(name, _)| *name)
        .chain(start_functions)
        .any(|known| known == name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use weir_abi::{Import, WasiFunction};

    use super::*;

    fn import_bit(name: &str) -> u128 {
        1 << IMPORTS
            .iter()
            .position(|import| import.name == name)
            .expect("a hostcall")
    }

    #[test]
    fn an_empty_list_restricts_nothing() {
        let none: [&str; 0] = [];
        assert_eq!(Capabilities::allow(none), Ok(Capabilities::ALL));
        assert!(
            Callback::ALL
                .iter()
                .all(|callback| Capabilities::ALL.allows_callback(*callback))
        );
    }

    #[test]
    fn one_list_holds_hostcalls_callbacks_and_wasi() {
        let allowed =
            Capabilities::allow(["proxy_log", "fd_write", "proxy_on_tick", "malloc", "_initialize"]).unwrap();
        let fd_write = 1
            << (64
                + WASI
                    .iter()
                    .position(|function| function.name == "fd_write")
                    .expect("in WASI"));
        assert_eq!(allowed.imports(), import_bit("proxy_log") | fd_write);
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
        let allowed = Capabilities::allow(["proxy_on_memory_allocate"]).unwrap();
        assert_eq!(allowed.imports(), 0);
        assert!(!allowed.allows_callback(Callback::Log));
    }

    #[test]
    fn unknown_names_are_named() {
        let error = Capabilities::allow(["proxy_log", "proxy_lgo", "fd_wirte"]).unwrap_err();
        assert_eq!(error.to_string(), "unknown capabilities: proxy_lgo, fd_wirte");
    }

    proptest! {
        #[test]
        fn a_list_allows_as_many_functions_as_it_names(
            imports in prop::sample::subsequence(IMPORTS.to_vec(), 1..IMPORTS.len()),
            wasi in prop::sample::subsequence(WASI.to_vec(), 0..WASI.len()),
            callbacks in prop::sample::subsequence(Callback::ALL.to_vec(), 0..Callback::ALL.len()),
        ) {
            let names = imports.iter().map(|import: &Import| import.name)
                .chain(wasi.iter().map(|function: &WasiFunction| function.name))
                .chain(callbacks.iter().map(|callback| callback.name()));
            let allowed = Capabilities::allow(names).unwrap();
            prop_assert_eq!(allowed.imports().count_ones() as usize, imports.len() + wasi.len());
            for callback in Callback::ALL {
                prop_assert_eq!(allowed.allows_callback(*callback), callbacks.contains(callback));
            }
        }
    }
}
