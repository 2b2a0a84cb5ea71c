//! Import sets: the functions that guests may import, in sets that know nothing of each other.
//!
//! A set brings its imports, what is configured once, its state for each VM and its state for each stream
//! ([`ImportSet`]). [`ImportSets`] composes sets: toolchains and WASI preview 1 are in every composition, guests of a kind
//! have the sets of that kind, a proxy adds its own. Names, signatures, capabilities and phases are those that the sets state; nothing else lists them.

mod call;
mod composition;
mod gate;
mod guest;
mod handler;
mod import;
mod output;
mod states;
#[cfg(test)]
mod tests;
mod toolchain;
mod wasi;

pub use self::call::{Fault, Frame, RawCall, SetCall};
pub(crate) use self::call::{GuestCall, slice};
pub use self::composition::{Composer, ImportConflict, ImportSets, SetInfo};
use self::gate::Gate;
pub use self::guest::GuestKind;
pub(crate) use self::guest::{GuestState, of};
pub use self::handler::{Answer, Code, Handler, Param, serve, signature_of};
pub use self::import::{Import, Phases};
pub use self::states::{SetStates, StreamStates};
use std::sync::Arc;

use crate::VmSpec;

/// A set of functions that guests may import. The value itself is what is configured once in a process: models, say.
///
/// ```
/// use std::sync::Arc;
///
/// use weir_host::sets::{Code, Fault, Import, ImportSet, SetCall};
/// use weir_host::{VmSpec, import};
///
/// /// Offers `example.count`: how many times the VM has called it.
/// struct Counting;
///
/// impl ImportSet for Counting {
///     type Vm = u32;
///     type Stream = ();
///     const NAME: &'static str = "counting";
///     const GROUP: &'static str = "hostcalls";
///     const IMPORTS: &'static [Import] = &[import!(Self, &["example"], "count", count)];
///
///     fn vm(&self, _: &Arc<VmSpec>) -> u32 {
///         0
///     }
///
///     fn stream(&self, _: &mut u32) {}
/// }
///
/// fn count(call: &mut SetCall<'_, Counting>, out: u32) -> Result<(), Fault> {
///     *call.vm() += 1;
///     let count = *call.vm();
///     Ok(call.write(out, &count.to_le_bytes())?)
/// }
///
/// let sets = weir_host::ImportSets::composer().with(Counting).compose()?;
/// assert!(sets.capability_names().any(|name| name == "count"));
/// # Ok::<_, weir_host::sets::ImportConflict>(())
/// ```
pub trait ImportSet: Send + Sync + Sized + 'static {
    /// State in each VM whose module imports from the set.
    type Vm: Send + 'static;

    /// State in each stream context in which the guest uses the set.
    type Stream: Send + 'static;

    /// Name of the set, for messages; unique in a composition.
    const NAME: &'static str;

    /// Heading under which tools list the imports of the set, such as `hostcalls`. Sets may share one.
    const GROUP: &'static str;

    /// The imports.
    const IMPORTS: &'static [Import];

    /// Prepares a VM: called once for each start, before any code of the guest runs.
    fn vm(&self, spec: &Arc<VmSpec>) -> Self::Vm;

    /// Builds the state of a stream context, when the guest first asks for it there. The state is dropped with the context.
    fn stream(&self, vm: &mut Self::Vm) -> Self::Stream;

    /// Prepares a VM that continues from a snapshot of a VM with the state `frozen`, whose guest knows what that guest knew.
    /// Called once when the snapshot is taken, and once for each VM. `None` where that cannot be: then there is no snapshot,
    /// and VMs start from their module.
    fn vm_from_snapshot(&self, frozen: &Self::Vm) -> Option<Self::Vm> {
        let _ = frozen;
        None
    }
}
