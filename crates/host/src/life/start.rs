//! The start of a life: account, meter, import sets, instance.

use std::sync::Arc;

use weir_account::Account;
use weir_engine::{Snapshot, SnapshotModule};

use super::{Budgets, Guest, GuestInstance, Life, instance_limits};
use crate::sets::{GuestKind, SetStates};
use crate::{Shared, StartError, VmSpec};

/// The beginning of a guest.
pub enum Origin<'a> {
    /// Its module.
    Module,
    /// Its module, for a guest that is to be frozen.
    Freezable(&'a dyn SnapshotModule),
    /// A snapshot ([`GuestSnapshot::origin`](crate::GuestSnapshot::origin)), with the states of the import sets.
    Snapshot(&'a dyn Snapshot, SetStates),
}

impl<G: Guest> Life<G> {
    /// Starts a guest of a module. The guest is bounded by the limits of `spec`; what the host holds for the guest is
    /// charged to an account under the ceiling of `shared`, and the meters of `shared` count the guest.
    ///
    /// `kind` makes the state that the host keeps for the guest; `guest` resolves the exports of the instance and runs its
    /// start functions, each within [`Budgets::start`].
    ///
    /// # Errors
    ///
    /// There is no instance, the error of `guest`, or [`StartError::Panicked`].
    pub fn start<K: GuestKind>(
        spec: &Arc<VmSpec>,
        origin: Origin<'_>,
        shared: &Shared,
        kind: impl FnOnce(&Arc<Account>) -> K,
        guest: impl FnOnce(GuestInstance<K>, &Budgets) -> Result<G, StartError>,
    ) -> Result<Self, StartError> {
        let limits = instance_limits(&spec.limits);
        let account = Account::new(spec.limits.host_memory, shared.stores().ceiling());
        let meter = shared.meters().vm(&account);
        let name = spec.module.name();
        Self::begin(name, Budgets::of(&spec.limits), meter, |budgets| {
            let kind = kind(&account);
            let instance = match origin {
                Origin::Module => {
                    let compiled = spec.module.compiled();
                    GuestInstance::new(spec, SetStates::prepare(spec), &account, kind, |state| {
                        compiled.instantiate(state, &limits)
                    })
                }
                Origin::Freezable(compiled) => {
                    GuestInstance::new(spec, SetStates::prepare(spec), &account, kind, |state| {
                        compiled.instantiate_freezable(state, &limits)
                    })
                }
                Origin::Snapshot(frozen, sets) => GuestInstance::new(spec, sets, &account, kind, |state| {
                    frozen.instantiate(state, &limits)
                }),
            };
            guest(instance?, budgets)
        })
    }
}
