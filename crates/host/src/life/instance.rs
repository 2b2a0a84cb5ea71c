//! A guest's instance with the host's state of it.

use std::marker::PhantomData;
use std::sync::Arc;

use weir_abi::Signature;
use weir_account::Account;
use weir_engine::{CpuBudget, Freezable, FuncId, Instance, InstantiateError, Trap};

use crate::sets::{GuestKind, GuestState, SetStates, of};
use crate::{StartError, VmSpec};

/// An instance of a guest of the kind `K`, to be entered.
pub struct GuestInstance<K> {
    instance: Box<dyn Instance>,
    kind: PhantomData<fn() -> K>,
}

impl<K: GuestKind> GuestInstance<K> {
    /// Makes an instance, whose state `instantiate` gets.
    pub(super) fn new(
        spec: &Arc<VmSpec>,
        sets: SetStates,
        account: &Arc<Account>,
        kind: K,
        instantiate: impl FnOnce(Box<GuestState<K>>) -> Result<Box<dyn Instance>, InstantiateError>,
    ) -> Result<Self, StartError> {
        let made = instantiate(Box::new(GuestState::new(spec, sets, Arc::clone(account), kind)));
        let instance = made.map_err(|source| StartError::Instantiate {
            module: spec.module.name().into(),
            source,
        })?;
        Ok(Self {
            instance,
            kind: PhantomData,
        })
    }

    /// Resolves an exported function; see [`Instance::func`].
    pub fn func(&mut self, name: &str, signature: Signature) -> Option<FuncId> {
        self.instance.func(name, signature)
    }

    /// Names the guest's allocator; see [`Instance::set_allocator`].
    pub fn set_allocator(&mut self, func: FuncId) {
        self.instance.set_allocator(func);
    }

    /// Opens the imports that answer in callbacks only. The owner of the guest calls this once its start functions have
    /// returned, before each entry or once for all.
    #[inline]
    pub fn open_imports(&mut self) {
        self.state().common.gate.enter_callback();
    }

    /// Enters the guest, and logs what it has written by then. Called within [`Life::call`](super::Life::call), or while a
    /// life starts, with the budget that is given there.
    ///
    /// # Errors
    ///
    /// The guest trapped, used its budget up, or was stopped by the host. It must not be entered again.
    #[inline]
    pub fn call(&mut self, func: FuncId, args: &[u32], budget: CpuBudget) -> Result<u32, Trap> {
        let answer = self.instance.call(func, args, budget)?;
        self.state().call_returned();
        Ok(answer)
    }

    /// Logs what a guest that has died wrote in its last call. For [`Guest::LAST_STEPS`](super::Guest::LAST_STEPS), and for
    /// a start that fails.
    pub fn log_last_words(&mut self) {
        self.state().log_last_words();
    }

    /// The state that the host keeps for the guest.
    #[inline]
    pub fn kind(&mut self) -> &mut K {
        &mut self.state().kind
    }

    /// Bytes of linear memory in use.
    pub fn memory_size(&self) -> usize {
        self.instance.memory_size()
    }

    #[inline]
    pub(crate) fn state(&mut self) -> &mut GuestState<K> {
        of(self.instance.state())
    }

    /// The instance, to be frozen; `None` unless it was started for that.
    pub(crate) fn into_freezable(self) -> Option<Box<dyn Freezable>> {
        self.instance.into_freezable()
    }
}
