//! The guest of a VM: an instance, its callbacks, and the end of both.

use std::sync::Arc;

use weir_abi::{ALLOCATORS, Callback, LogLevel};
use weir_engine::{CpuBudget, FuncId, Trap};

use super::exports::Exports;
use super::snapshot::VmSnapshot;
use super::state::ProxyWasmState;
use crate::life::{Bound, Guest, GuestInstance};
use crate::sets::GuestState;
use crate::{ContextId, Fact, FactValue, VmError, VmSpec};

/// An instance of a Proxy-Wasm module.
pub(crate) struct WasmGuest {
    instance: GuestInstance<ProxyWasmState>,
    pub(super) exports: Exports,
    /// The snapshot that the guest continues from, until it has finished a stream.
    pub(super) untried_snapshot: Option<Arc<VmSnapshot>>,
    /// The log has been told that a callback came near its deadline.
    has_come_near: bool,
}

/// A callback for a context.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub callback: Callback,
    pub context: ContextId,
}

impl Guest for WasmGuest {
    type Call = Entry;

    const START: &'static str = weir_abi::START.0;

    const LAST_STEPS: &'static [fn(&mut Self, &VmError)] = &[
        |guest, _| guest.instance.log_last_words(),
        |guest, _| {
            if let Some(snapshot) = guest.untried_snapshot.take() {
                snapshot.died_early();
            }
        },
        |guest, _| guest.leave_queues(),
        |guest, _| {
            let streams = guest.vm_state().streams.values_mut();
            streams.for_each(|context| context.stream.vm_died());
        },
    ];

    fn tell_of_death(&mut self, error: &VmError) {
        let text = obituary(self.vm_state(), error);
        self.vm_state().log_about(LogLevel::Critical, &text);
    }

    fn name(call: Entry) -> &'static str {
        call.callback.name()
    }

    fn charge(&mut self, call: Entry, nanoseconds: u64) {
        // Gone where the guest has ended the context.
        if let Some(meter) = self.vm_state().meter_of(call.context) {
            meter.callback_took(call.callback, nanoseconds);
        }
    }

    #[cold]
    fn came_near(&mut self, call: Entry, nanoseconds: u64, bound: &Bound) {
        if std::mem::replace(&mut self.has_come_near, true) {
            return;
        }
        let vm = self.vm_state();
        let name = vm.plugin().map_or("?", |plugin| plugin.spec.name.as_str());
        let text = format!(
            "filter {name}: {} took {} ms by the clock, and {} ends a VM after {} ms of CPU time; raise the key, or bound what the \
             filter sees (`limits.body`) (said once for each VM)",
            call.callback.name(),
            nanoseconds / 1_000_000,
            bound.key(),
            bound.budget.0.as_millis()
        );
        vm.log_about(LogLevel::Warn, &text);
    }

    fn called_plugin(&mut self) -> Option<&str> {
        let plugin = self.vm_state().plugin()?;
        Some(plugin.spec.name.as_str())
    }
}

/// The log's line about a death: filter, route, module, callback, and the limit that was exceeded.
fn obituary(vm: &mut ProxyWasmState, error: &VmError) -> String {
    let mut text = String::new();
    if let Some(plugin) = vm.plugin() {
        text = format!("filter {}: ", plugin.spec.name);
    }
    if let Some(FactValue::Bytes(route)) = vm.stream().and_then(|stream| stream.fact(Fact::RouteName))
        && !route.is_empty()
    {
        text += &format!("route {}: ", String::from_utf8_lossy(&route));
    }
    text + &format!("module {}: the VM has died: {error}", vm.spec.module.name())
}

impl WasmGuest {
    /// The guest of an instance that has just been made.
    pub fn new(spec: &Arc<VmSpec>, mut instance: GuestInstance<ProxyWasmState>) -> Self {
        let find = |(name, signature): &(&str, _)| instance.func(name, *signature);
        if let Some(allocator) = ALLOCATORS.iter().find_map(find) {
            instance.set_allocator(allocator);
        }
        Self {
            exports: Exports::resolve(&mut instance, spec),
            instance,
            untried_snapshot: None,
            has_come_near: false,
        }
    }

    /// The state of the instance.
    #[inline]
    pub fn state(&mut self) -> &mut GuestState<ProxyWasmState> {
        self.instance.state()
    }

    /// The state of Proxy-Wasm.
    #[inline]
    pub fn vm_state(&mut self) -> &mut ProxyWasmState {
        &mut self.state().kind
    }

    /// True if the module exports `callback` and its capabilities allow it.
    pub const fn has(&self, callback: Callback) -> bool {
        self.exports.has(callback)
    }

    /// Enters the instance, and logs what the guest has written by then.
    #[inline]
    pub fn call(&mut self, func: FuncId, args: &[u32], budget: CpuBudget) -> Result<u32, Trap> {
        self.instance.call(func, args, budget)
    }

    /// The instance, to be entered.
    #[inline]
    pub fn instance(&mut self) -> &mut GuestInstance<ProxyWasmState> {
        &mut self.instance
    }

    /// Takes the instance out.
    pub fn into_instance(self) -> GuestInstance<ProxyWasmState> {
        self.instance
    }

    /// Bytes of linear memory in use.
    pub fn memory_size(&self) -> usize {
        self.instance.memory_size()
    }

    /// Consumes no queue any more.
    pub fn leave_queues(&mut self) {
        self.vm_state().store.forget_consumers();
    }
}
