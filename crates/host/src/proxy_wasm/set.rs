//! Proxy-Wasm as an import set.

use std::sync::Arc;

use super::hostcalls;
use crate::VmSpec;
use crate::sets::{Import, ImportSet};

/// The hostcalls of Proxy-Wasm. The set keeps nothing of its own: its state is that of the VM and of the VM's contexts,
/// which the host has at hand in every hostcall.
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
