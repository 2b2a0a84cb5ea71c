//! The state of a Proxy-Wasm guest, which every hostcall of Proxy-Wasm reaches.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use weir_abi::{AbiVersion, Callback, LogLevel, START, Status};
use weir_account::{Account, Calls, Charge};
use weir_meters::PluginMeter;
use weir_state::StateHandle;

use super::context_map::ContextMap;
use super::done_waits::DoneWaits;
use super::output::Losses;
use crate::sets::{GuestKind, GuestState, StreamStates};
use crate::shared::LogAllowance;
use crate::{
    ContextId, HttpCallResponse, MetricCache, Pairs, PluginSpec, QueueWaker, Services, Shared, StartError,
    Stream, VmSpec,
};

/// The state of Proxy-Wasm in a VM.
pub(crate) struct ProxyWasmState {
    pub spec: Arc<VmSpec>,
    pub abi: AbiVersion,
    pub shared: Shared,
    pub services: Box<dyn Services>,
    /// Shared data and queues.
    pub store: StateHandle,

    /// Callback that runs, for messages.
    pub callback: &'static str,
    /// Context whose maps, buffers and properties hostcalls mean.
    pub effective: Option<ContextId>,
    /// The guest asked for a local response or a reset of this context in the callback that runs.
    pub stopped: Option<ContextId>,

    /// The VM continues from a snapshot.
    pub from_snapshot: bool,

    pub plugins: FxHashMap<ContextId, PluginContext>,
    pub streams: ContextMap<StreamContext>,
    pub next_context: u32,
    /// Numbers have come round: one that comes next may be in use.
    came_round: bool,
    /// Contexts that answered false from `on_done`.
    pub done_waits: DoneWaits,

    /// The bytes that the host holds for the VM.
    pub account: Arc<Account>,
    /// Pays for the properties that plugin contexts have stored.
    pub notes: Charge,
    /// HTTP calls that have not ended, awaited or not.
    pub calls: Calls,
    /// HTTP calls whose results are awaited.
    pub http_calls: FxHashMap<u32, CallOwner>,
    /// gRPC calls and streams in flight.
    pub grpc_calls: FxHashMap<u32, GrpcInFlight>,
    pub next_token: u32,
    /// Data that the callback which runs delivers.
    pub callback_data: CallbackData,
    /// The answer of `proxy_get_status`.
    pub status: (u32, String),

    /// Lines that were lost in the callback that runs.
    pub losses: Losses,
    /// The lines that the VM may log until it has a plugin.
    pub starting_log: Arc<LogAllowance>,
    pub metrics: MetricCache,
    /// True while nothing is counted that the guest counts.
    pub metrics_still: bool,
    /// Bytes on their way into the guest, kept to save allocations.
    pub scratch: Vec<u8>,
    /// A header name in lower case, kept to save allocations.
    pub name: Vec<u8>,
}

/// A plugin (root) context.
#[derive(Clone)]
pub(crate) struct PluginContext {
    pub spec: Arc<PluginSpec>,
    /// Values that `proxy_set_property` stored outside of any stream.
    pub notes: Vec<(Vec<u8>, Vec<u8>)>,
    /// Period of its ticks, where it has any.
    pub tick_period: Option<Duration>,
    /// Counts what the plugin does in this VM.
    pub meter: Arc<PluginMeter>,
    /// The lines that the plugin may log, in all of its VMs.
    pub log: Arc<LogAllowance>,
}

/// A stream context.
pub(crate) struct StreamContext {
    pub plugin: ContextId,
    pub stream: Box<dyn Stream>,
    /// State of import sets for the stream.
    pub sets: StreamStates,
}

/// The receiver of the result of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallOwner {
    pub plugin: ContextId,
    /// The context that was effective: when it is gone, so is the call.
    pub context: ContextId,
}

/// A gRPC call or stream in flight.
pub(crate) struct GrpcInFlight {
    pub owner: CallOwner,
    pub kind: GrpcToken,
    /// Pays for the request.
    pub _charge: Charge,
}

/// The work that a gRPC token names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GrpcToken {
    Call,
    Stream,
}

/// Data that exists for the length of one callback.
#[derive(Default)]
pub(crate) enum CallbackData {
    /// Nothing.
    #[default]
    None,
    /// `proxy_on_http_call_response`.
    HttpCall(HttpCallResponse),
    /// `proxy_on_grpc_receive_initial_metadata`.
    GrpcInitialMetadata(Pairs),
    /// `proxy_on_grpc_receive_trailing_metadata`.
    GrpcTrailingMetadata(Pairs),
    /// `proxy_on_grpc_receive`.
    GrpcMessage(Vec<u8>),
    /// `proxy_on_foreign_function`.
    ForeignArguments(Vec<u8>),
}

impl GuestKind for ProxyWasmState {
    fn running(&self) -> &'static str {
        self.callback
    }

    fn log(&mut self, level: LogLevel, line: &[u8]) {
        self.log(level, line);
    }

    fn log_about(&self, level: LogLevel, text: &str) {
        self.log_about(level, text);
    }

    fn log_last_words(&mut self, error: &[u8]) {
        self.log_last_words(error);
    }

    fn call_returned(&mut self) {
        self.losses.forget();
    }

    fn hostcall_failed(&mut self, import: &'static str, status: Status) {
        if let Some(plugin) = self.plugin() {
            plugin.meter.hostcall_failed(import, status);
        }
    }

    fn stream_states(&mut self) -> Option<&mut StreamStates> {
        let context = self.streams.get_mut(&self.effective?)?;
        Some(&mut context.sets)
    }
}

impl GuestState<ProxyWasmState> {
    /// Prepares for a callback.
    #[inline]
    pub fn enter(&mut self, callback: Callback, context: ContextId) {
        self.common.gate.enter_callback();
        self.kind.enter(callback, context);
    }
}

impl ProxyWasmState {
    /// Prepares the state of a VM that is about to start. What is returned makes it, once there is an account.
    ///
    /// # Errors
    ///
    /// The module speaks no version of Proxy-Wasm.
    pub fn maker<'a>(
        spec: &'a Arc<VmSpec>,
        shared: &'a Shared,
        services: Box<dyn Services>,
        waker: Arc<dyn QueueWaker>,
    ) -> Result<impl FnOnce(&Arc<Account>) -> Self + use<'a>, StartError> {
        let abi = spec.module.abi().ok_or_else(|| StartError::NoAbi {
            module: spec.module.name().into(),
        })?;
        Ok(move |account: &Arc<Account>| Self::new(abi, spec, shared, services, waker, account))
    }

    fn new(
        abi: AbiVersion,
        spec: &Arc<VmSpec>,
        shared: &Shared,
        services: Box<dyn Services>,
        waker: Arc<dyn QueueWaker>,
        account: &Arc<Account>,
    ) -> Self {
        let starting_log = shared.log_allowances().of_starting(spec.module.name());
        let store = shared.stores().handle(&spec.vm_id, shared.next_vm(), waker);
        store.store().allow_host_memory(spec.limits.host_memory);
        Self {
            abi,
            metrics: shared.metrics().cache_of(&spec.vm_id),
            metrics_still: false,
            from_snapshot: false,
            shared: shared.clone(),
            services,
            store,
            spec: Arc::clone(spec),
            callback: START.0,
            effective: None,
            stopped: None,
            plugins: FxHashMap::default(),
            streams: ContextMap::default(),
            next_context: 1,
            came_round: false,
            done_waits: DoneWaits::default(),
            notes: account.empty_charge(),
            account: Arc::clone(account),
            calls: Calls::default(),
            http_calls: FxHashMap::default(),
            grpc_calls: FxHashMap::default(),
            next_token: 1,
            callback_data: CallbackData::None,
            status: (0, String::new()),
            losses: Losses::default(),
            starting_log,
            scratch: Vec::new(),
            name: Vec::new(),
        }
    }

    /// A context number that is not in use. Numbers come round after 2^32 contexts.
    pub fn next_context(&mut self) -> ContextId {
        loop {
            let id = self.next_context;
            (self.next_context, self.came_round) = match id.checked_add(1) {
                Some(next) => (next, self.came_round),
                None => (0, true),
            };
            let in_use =
                |id| self.came_round && (self.streams.contains_key(&id) || self.plugins.contains_key(&id));
            if let Some(id) = ContextId::new(id)
                && !in_use(id)
            {
                return id;
            }
        }
    }

    /// A token for a call that is not in use, never 0.
    pub fn next_token(&mut self) -> u32 {
        loop {
            let token = self.next_token;
            self.next_token = self.next_token.wrapping_add(1);
            if token != 0 && !self.http_calls.contains_key(&token) && !self.grpc_calls.contains_key(&token) {
                return token;
            }
        }
    }

    /// The stream that hostcalls mean; `None` in a plugin context.
    pub fn stream(&mut self) -> Option<&mut (dyn Stream + 'static)> {
        let context = self.streams.get_mut(&self.effective?)?;
        Some(context.stream.as_mut())
    }

    /// The plugin context of the effective context.
    pub fn plugin_id(&self) -> Option<ContextId> {
        let id = self.effective?;
        match self.streams.get(&id) {
            Some(stream) => Some(stream.plugin),
            None => Some(id),
        }
    }

    /// The plugin whose context, or whose stream's context, is effective.
    pub fn plugin(&self) -> Option<&PluginContext> {
        self.plugins.get(&self.plugin_id()?)
    }

    /// The meter of the plugin that a context belongs to.
    pub fn meter_of(&self, context: ContextId) -> Option<&PluginMeter> {
        let plugin = match self.streams.get(&context) {
            Some(stream) => stream.plugin,
            None => context,
        };
        Some(&*self.plugins.get(&plugin)?.meter)
    }

    /// True if a stream of the plugin is held by it.
    pub fn holds_stream_of(&self, plugin: ContextId) -> bool {
        self.streams
            .values()
            .any(|stream| stream.plugin == plugin && stream.stream.is_held())
    }

    /// Returns the receiver of the result of a call begun now.
    pub fn call_owner(&self) -> Option<CallOwner> {
        Some(CallOwner {
            plugin: self.plugin_id()?,
            context: self.effective?,
        })
    }

    fn enter(&mut self, callback: Callback, context: ContextId) {
        self.callback = callback.name();
        self.effective = Some(context);
        self.stopped = None;
    }
}
