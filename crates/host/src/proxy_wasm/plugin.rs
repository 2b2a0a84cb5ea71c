//! Callbacks of plugin contexts that belong to no stream.

use weir_abi::Callback;

use super::Vm;
use super::state::CallbackData;
use super::stream::wire;
use crate::{ContextId, VmError};

impl Vm {
    /// A tick of a plugin context. A proxy calls this in the period that
    /// [`Services::set_tick_period`](crate::Services::set_tick_period) gave last.
    ///
    /// # Errors
    ///
    /// [`VmError::NoSuchContext`], or the VM has died. So for every callback of a plugin context.
    pub fn on_tick(&mut self, plugin: ContextId) -> Result<(), VmError> {
        self.plugin_callback(Callback::Tick, plugin, &[plugin.wire()])
    }

    /// Something lies in a queue that the plugin context has registered. A proxy calls this for each
    /// [`QueueWaker::wake`](crate::QueueWaker::wake), on the VM's thread.
    ///
    /// # Errors
    ///
    /// As [`Vm::on_tick`].
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

    /// Calls the guest for the proxy: with the answer of a foreign function that comes late
    /// ([`Later`](crate::Later), whose token is `function`), or with a function of the proxy's own. Nothing happens in modules
    /// of ABI 0.1.0, which lack the callback.
    ///
    /// # Errors
    ///
    /// As [`Vm::on_tick`].
    pub fn on_foreign_function(
        &mut self,
        plugin: ContextId,
        function: u32,
        arguments: Vec<u8>,
    ) -> Result<(), VmError> {
        let size = wire(arguments.len());
        let data = CallbackData::ForeignArguments(arguments);
        self.deliver(
            Callback::ForeignFunction,
            plugin,
            &[plugin.wire(), function, size],
            data,
        )
    }

    /// Ends the plugin contexts: `proxy_on_done`, `proxy_on_log`, `proxy_on_delete` for each. A proxy calls this once, after
    /// the last stream of a retired VM. A context that answers false from `proxy_on_done` lives until it calls `proxy_done`;
    /// then [`Vm::has_pending_done`] is true, and [`Vm::housekeep`] ends the wait.
    ///
    /// # Errors
    ///
    /// The VM died of a callback.
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

    /// True while a context waits for `proxy_done`.
    pub fn has_pending_done(&mut self) -> bool {
        self.state().is_some_and(|state| !state.done_waits.is_empty())
    }

    /// Calls a callback of a plugin context while `data` is readable.
    pub(super) fn deliver(
        &mut self,
        callback: Callback,
        plugin: ContextId,
        args: &[u32],
        data: CallbackData,
    ) -> Result<(), VmError> {
        self.state().ok_or(VmError::Dead)?.callback_data = data;
        let result = self.plugin_callback(callback, plugin, args);
        if let Some(state) = self.state() {
            state.callback_data = CallbackData::None;
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
