//! Life of an HTTP stream in a VM.

use std::time::Instant;

use weir_abi::{Callback, limits};

use super::Vm;
use super::guest::Entry;
use super::state::StreamContext;
use crate::sets::StreamStates;
use crate::{BodyAction, ContextId, Finish, HeadersAction, Stream, StreamAction, VmError};

impl Vm {
    /// Creates the stream context of a new stream (`proxy_on_context_create`) for the plugin context that
    /// [`Vm::add_plugin`] returned. The VM owns the handle from now on. A proxy calls this before the first callback of the
    /// stream, and [`Vm::finish_stream`] after the last.
    ///
    /// # Errors
    ///
    /// [`VmError::NoSuchContext`], [`VmError::TooManyContexts`] beyond [`MAX_CONTEXTS`](weir_abi::limits::MAX_CONTEXTS), or
    /// the VM has died. The handle is dropped.
    pub fn create_stream(
        &mut self,
        plugin: ContextId,
        stream: Box<dyn Stream>,
    ) -> Result<ContextId, VmError> {
        let state = self.state().ok_or(VmError::Dead)?;
        if !state.plugins.contains_key(&plugin) {
            return Err(VmError::NoSuchContext(plugin));
        }
        if state.streams.len() >= limits::MAX_CONTEXTS {
            return Err(VmError::TooManyContexts(limits::MAX_CONTEXTS));
        }
        let id = state.next_context();
        state.streams.insert(
            id,
            StreamContext {
                plugin,
                stream,
                sets: StreamStates::default(),
            },
        );
        self.enter(Callback::ContextCreate, id, &[id.wire(), plugin.wire()])?;
        Ok(id)
    }

    /// Request headers, once for each stream, before every other callback of the request. `count` is the number of field
    /// lines, pseudo-headers included. `end_of_stream` tells that neither body nor trailers follow.
    ///
    /// # Errors
    ///
    /// [`VmError::NoSuchContext`], or the VM has died: the stream gets the fail policy. So for every callback of a stream.
    pub fn on_request_headers(
        &mut self,
        id: ContextId,
        count: usize,
        end_of_stream: bool,
    ) -> Result<HeadersAction, VmError> {
        self.headers(Callback::RequestHeaders, id, count, end_of_stream)
    }

    /// A chunk of the request body. `size` is the number of bytes that [`Stream::buffer`] shows: the chunk, or everything that
    /// was held back so far. `end_of_stream` tells that no more of the body and no trailers follow.
    ///
    /// # Errors
    ///
    /// As [`Vm::on_request_headers`].
    pub fn on_request_body(
        &mut self,
        id: ContextId,
        size: usize,
        end_of_stream: bool,
    ) -> Result<BodyAction, VmError> {
        self.body(Callback::RequestBody, id, size, end_of_stream)
    }

    /// Request trailers, after the body. `count` is the number of field lines.
    ///
    /// # Errors
    ///
    /// As [`Vm::on_request_headers`].
    pub fn on_request_trailers(&mut self, id: ContextId, count: usize) -> Result<StreamAction, VmError> {
        self.stream_callback(Callback::RequestTrailers, id, &[id.wire(), wire(count)])
    }

    /// Response headers: as [`Vm::on_request_headers`].
    ///
    /// # Errors
    ///
    /// As [`Vm::on_request_headers`].
    pub fn on_response_headers(
        &mut self,
        id: ContextId,
        count: usize,
        end_of_stream: bool,
    ) -> Result<HeadersAction, VmError> {
        self.headers(Callback::ResponseHeaders, id, count, end_of_stream)
    }

    /// A chunk of the response body: as [`Vm::on_request_body`].
    ///
    /// # Errors
    ///
    /// As [`Vm::on_request_headers`].
    pub fn on_response_body(
        &mut self,
        id: ContextId,
        size: usize,
        end_of_stream: bool,
    ) -> Result<BodyAction, VmError> {
        self.body(Callback::ResponseBody, id, size, end_of_stream)
    }

    /// Response trailers: as [`Vm::on_request_trailers`].
    ///
    /// # Errors
    ///
    /// As [`Vm::on_request_headers`].
    pub fn on_response_trailers(&mut self, id: ContextId, count: usize) -> Result<StreamAction, VmError> {
        self.stream_callback(Callback::ResponseTrailers, id, &[id.wire(), wire(count)])
    }

    /// Ends the stream context, once both directions have ended or the client has gone: `proxy_on_done`, `proxy_on_log`,
    /// `proxy_on_delete`. Maps and properties stay readable until the handle is dropped, which is now or, after
    /// [`Finish::Deferred`], when the guest calls `proxy_done`.
    ///
    /// # Errors
    ///
    /// As [`Vm::on_request_headers`]. The handle is dropped.
    pub fn finish_stream(&mut self, id: ContextId) -> Result<Finish, VmError> {
        if !self.has_stream(id)? {
            return Err(VmError::NoSuchContext(id));
        }
        let finish = self.end(id)?;
        if let Some(guest) = self.life.guest_mut() {
            guest.untried_snapshot = None;
        }
        self.meter().set_memory(self.memory_size());
        Ok(finish)
    }

    /// Ends a stream or plugin context, or notes that it wants to live on until `proxy_done`.
    pub(super) fn end(&mut self, id: ContextId) -> Result<Finish, VmError> {
        let answer = self.enter(Callback::Done, id, &[id.wire()])?;
        let state = self.state().ok_or(VmError::Dead)?;
        if answer == Some(0) {
            state.done_waits.begin(id, Instant::now());
            self.settle()?;
            // The guest may have called `proxy_done` before it said that it would.
            let state = self.state().ok_or(VmError::Dead)?;
            return Ok(if state.done_waits.contains(id) {
                Finish::Deferred
            } else {
                Finish::Complete
            });
        }
        let others_wait = !state.done_waits.is_empty();
        state.done_waits.forget(id);
        self.log_and_delete(id)?;
        if others_wait {
            self.settle()?;
        }
        Ok(Finish::Complete)
    }

    /// The rest of the life of a stream or plugin context whose `proxy_on_done` is complete.
    pub(super) fn log_and_delete(&mut self, id: ContextId) -> Result<(), VmError> {
        self.enter(Callback::Log, id, &[id.wire()])?;
        self.enter(Callback::Delete, id, &[id.wire()])?;
        let state = self.state().ok_or(VmError::Dead)?;
        let is_plugin = state.streams.remove(&id).is_none();
        if is_plugin {
            state.plugins.remove(&id);
        }
        // Results that the context still waits for have nobody to go to. A stream's calls are given up; those of a plugin, which
        // may be its last report, are made.
        if !state.http_calls.is_empty() {
            let services = &mut state.services;
            state.http_calls.retain(|token, owner| {
                let keep = owner.context != id;
                if !keep && !is_plugin {
                    services.http_cancel(*token);
                }
                keep
            });
        }
        if !state.grpc_calls.is_empty() {
            let services = &mut state.services;
            state.grpc_calls.retain(|token, call| {
                let keep = call.owner.context != id;
                if !keep {
                    // Nothing is lost if it has ended by itself meanwhile.
                    let _ = services.grpc_cancel(*token);
                }
                keep
            });
        }
        Ok(())
    }

    fn headers(
        &mut self,
        callback: Callback,
        id: ContextId,
        count: usize,
        end_of_stream: bool,
    ) -> Result<HeadersAction, VmError> {
        let args = [id.wire(), wire(count), u32::from(end_of_stream)];
        let Some((value, stopped)) = self.enter_stream(callback, id, &args)? else {
            return Ok(HeadersAction::Continue);
        };
        if stopped {
            return Ok(HeadersAction::StopAllAndWatermark);
        }
        if value == 0 {
            return Ok(HeadersAction::Continue);
        }
        let allow = self
            .plugin_of(id)
            .is_some_and(|plugin| plugin.allow_on_headers_stop_iteration);
        Ok(HeadersAction::from_wire(value, allow))
    }

    fn body(
        &mut self,
        callback: Callback,
        id: ContextId,
        size: usize,
        end_of_stream: bool,
    ) -> Result<BodyAction, VmError> {
        let args = [id.wire(), wire(size), u32::from(end_of_stream)];
        let Some((value, stopped)) = self.enter_stream(callback, id, &args)? else {
            return Ok(BodyAction::Continue);
        };
        Ok(if stopped {
            BodyAction::StopNoBuffer
        } else {
            BodyAction::from_wire(value)
        })
    }

    pub(super) fn stream_callback(
        &mut self,
        callback: Callback,
        id: ContextId,
        args: &[u32],
    ) -> Result<StreamAction, VmError> {
        let Some((value, stopped)) = self.enter_stream(callback, id, args)? else {
            return Ok(StreamAction::Continue);
        };
        Ok(if stopped {
            StreamAction::Stop
        } else {
            StreamAction::from_wire(value)
        })
    }

    /// Calls a callback of a stream, if it is exported, and carries out what was completed in it. Gives what it answered,
    /// and whether the guest asked in it for a local response or a reset of the stream.
    fn enter_stream(
        &mut self,
        callback: Callback,
        id: ContextId,
        args: &[u32],
    ) -> Result<Option<(u32, bool)>, VmError> {
        let guest = self.life.guest_mut().ok_or(VmError::Dead)?;
        let func = guest.exports.func(callback);
        let state = guest.state();
        if !state.kind.streams.contains_key(&id) {
            return Err(VmError::NoSuchContext(id));
        }
        let Some(func) = func else {
            return Ok(None);
        };
        state.enter(callback, id);
        let entry = Entry {
            callback,
            context: id,
        };
        let value = self.run(func, entry, args)?;
        let state = self.state().ok_or(VmError::Dead)?;
        let stopped = state.stopped == Some(id);
        if !state.done_waits.is_empty() {
            self.settle()?;
        }
        Ok(Some((value, stopped)))
    }

    pub(super) fn has_stream(&mut self, id: ContextId) -> Result<bool, VmError> {
        Ok(self.state().ok_or(VmError::Dead)?.streams.contains_key(&id))
    }

    fn plugin_of(&mut self, stream: ContextId) -> Option<&crate::PluginSpec> {
        let state = self.state()?;
        let plugin = state.streams.get(&stream)?.plugin;
        Some(&state.plugins.get(&plugin)?.spec)
    }
}

pub(super) fn wire(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
