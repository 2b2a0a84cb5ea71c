//! Proxy-Wasm as an import set.

use std::sync::{Arc, LazyLock};

use super::hostcalls;
use crate::VmSpec;
use crate::sets::{Composer, Import, ImportSet, ImportSets};

impl ImportSets {
    /// The sets of every composition for Proxy-Wasm and no other: Proxy-Wasm, toolchains and WASI preview 1.
    pub fn standard() -> &'static Self {
        static STANDARD: LazyLock<&'static ImportSets> =
            LazyLock::new(|| match ImportSets::composer().compose() {
                Ok(sets) => sets,
                Err(conflict) => unreachable!("{conflict}"),
            });
        &STANDARD
    }

    /// Begins a composition with the standard sets in it.
    pub fn composer() -> Composer {
        Composer::empty().with(ProxyWasm).with_runtimes()
    }
}

/// The hostcalls of Proxy-Wasm. The set keeps nothing of its own: its state is that of Proxy-Wasm's guests, which
/// their hostcalls have at hand.
pub(crate) struct ProxyWasm;

impl ImportSet for ProxyWasm {
    type Vm = ();
    type Stream = ();

    const NAME: &'static str = "Proxy-Wasm";
    const GROUP: &'static str = "hostcalls";
    const IMPORTS: &'static [Import] = hostcalls::IMPORTS;

    fn vm(&self, _: &Arc<VmSpec>) {}

    fn stream(&self, (): &mut ()) {}

    fn vm_from_snapshot(&self, (): &()) -> Option<()> {
        Some(())
    }
}
