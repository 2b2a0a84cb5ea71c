//! Callbacks of plugin contexts that belong to no stream.

use weir_abi::Callback;

use super::Vm;
use super::state::Delivery;
use super::stream::wire;
use crate::{ContextId, VmError};

impl Vm {
    /// The period set by `proxy_set_tick_period_milliseconds` has passed.
    pub fn on_tick(&mut self, plugin: ContextId) -> Result<(), VmError> {
        self.plugin_callback(Callback::Tick, plugin, &[plugin.wire()])
    }

    /// A queue that the plugin context has registered has something: what a proxy calls for each
    /// [`QueueWaker::wake`](crate::QueueWaker::wake).
    pub fn on_queue_ready(&mut self, plugin: ContextId, queue: u32) -> Result<(), VmError> {
        let state = self.state().ok_or(VmError::Dead)?;
        if !state.store.begin_call(queue, plugin) {
            return Ok(());
        }
        self.plugin_callback(Callback::QueueReady, plugin, &[plugin.wire(), queue])?;
        if let Some(state) = self.state() {
            state.store.end_call(queue, plugin);
        }
        Ok(())
    }

    /// An embedder calls into the guest. Modules of ABI 0.1.0 do not know this callback.
    pub fn on_foreign_function(
        &mut self,
        plugin: ContextId,
        function: u32,
        arguments: Vec<u8>,
    ) -> Result<(), VmError> {
        let size = wire(arguments.len());
        let delivery = Delivery::ForeignArguments(arguments);
        self.deliver(
            Callback::ForeignFunction,
            plugin,
            &[plugin.wire(), function, size],
            delivery,
        )
    }

    /// Ends the plugin contexts: `proxy_on_done`, `proxy_on_log`, `proxy_on_delete` for each. A context that answers
    /// false from `proxy_on_done` and does not call `proxy_done` at once is waited for as a stream is; then
    /// [`Vm::has_pending_done`] is true, and [`Vm::housekeep`] ends the wait.
    pub fn shutdown(&mut self) -> Result<(), VmError> {
        let Some(state) = self.state() else {
            return Ok(());
        };
        let mut plugins: Vec<_> = state.plugins.keys().copied().collect();
        plugins.sort_unstable();
        for id in plugins {
            self.end(id)?;
        }
        Ok(())
    }

    /// Whether a context still waits for `proxy_done`.
    pub fn has_pending_done(&mut self) -> bool {
        self.state().is_some_and(|state| !state.deferred.is_empty())
    }

    /// Calls a callback of a plugin context while `delivery` is readable.
    pub(super) fn deliver(
        &mut self,
        callback: Callback,
        plugin: ContextId,
        args: &[u32],
        delivery: Delivery,
    ) -> Result<(), VmError> {
        self.state().ok_or(VmError::Dead)?.delivery = delivery;
        let result = self.plugin_callback(callback, plugin, args);
        if let Some(state) = self.state() {
            state.delivery = Delivery::None;
        }
        result
    }

    fn plugin_callback(
        &mut self,
        callback: Callback,
        plugin: ContextId,
        args: &[u32],
    ) -> Result<(), VmError> {
        if !self.state().ok_or(VmError::Dead)?.plugins.contains_key(&plugin) {
            return Err(VmError::NoSuchContext(plugin));
        }
        self.enter(callback, plugin, args)?;
        self.settle()
    }
}
