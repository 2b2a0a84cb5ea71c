//! Foreign functions: what guests may call beyond the specification, by name and with opaque bytes.

mod builtin;
mod later;
mod protobuf;

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use weir_abi::Status;
use weir_account::Account;

pub use self::later::Later;
use crate::{ContextId, Services, Store, Stream};

/// A foreign function: takes the guest's arguments, answers with bytes of its own.
///
/// The function runs inside a hostcall: it must be quick, must not block, and must not call into a VM. SDKs take `NotFound`,
/// `BadArgument`, `SerializationFailure` and `InternalFailure` from it; on any other status the Rust SDK panics.
pub type ForeignFunction = dyn Fn(&mut ForeignCall<'_>, &[u8]) -> Result<Vec<u8>, Status> + Send + Sync;

/// The foreign functions of a process, by name. A clone shares the functions.
#[derive(Clone)]
pub struct ForeignFunctions(HashMap<String, Arc<ForeignFunction>>);

impl ForeignFunctions {
    /// No functions at all.
    pub fn none() -> Self {
        Self(HashMap::new())
    }

    /// Adds a function, or replaces the one of this name.
    pub fn add(
        &mut self,
        name: impl Into<String>,
        function: impl Fn(&mut ForeignCall<'_>, &[u8]) -> Result<Vec<u8>, Status> + Send + Sync + 'static,
    ) {
        self.0.insert(name.into(), Arc::new(function));
    }

    /// The function of this name.
    pub fn find(&self, name: &str) -> Option<&ForeignFunction> {
        self.0.get(name).map(AsRef::as_ref)
    }

    /// Names of all functions, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.0.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }
}

/// The functions that Envoy's users know (`compress`, `uncompress`, `clear_route_cache`, `declare_property`,
/// `set_envoy_filter_state`), and some that the specification lacks: `decline_body`, `shared_data_delete` and `vm_cloned`.
impl Default for ForeignFunctions {
    fn default() -> Self {
        let mut functions = Self::none();
        builtin::add_to(&mut functions);
        functions
    }
}

impl fmt::Debug for ForeignFunctions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ForeignFunctions").field(&self.names()).finish()
    }
}

/// A call of a foreign function: what it may reach.
pub struct ForeignCall<'a> {
    // Spelled out, since the default would be no longer than the reference and could not be downcast.
    stream: Option<&'a mut (dyn Stream + 'static)>,
    /// The plugin that calls, and the way in which an answer reaches it later.
    caller: Option<(ContextId, &'a mut dyn Services, &'a Arc<Account>)>,
    store: &'a dyn Store,
    vm_id: &'a str,
    snapshot_vm: u64,
}

impl<'a> ForeignCall<'a> {
    pub(crate) fn new(
        stream: Option<&'a mut (dyn Stream + 'static)>,
        store: &'a dyn Store,
        vm_id: &'a str,
    ) -> Self {
        Self {
            stream,
            caller: None,
            store,
            vm_id,
            snapshot_vm: 0,
        }
    }

    /// The call of a VM that continues from a snapshot, with this number; 0 for any other VM.
    pub(crate) const fn with_snapshot_vm(mut self, number: u64) -> Self {
        self.snapshot_vm = number;
        self
    }

    /// The call of a plugin context that `services` can bring an answer to later.
    pub(crate) fn by(
        mut self,
        plugin: ContextId,
        services: &'a mut dyn Services,
        account: &'a Arc<Account>,
    ) -> Self {
        self.caller = Some((plugin, services, account));
        self
    }

    /// The stream whose context is effective; `None` in a plugin context.
    pub fn stream(&mut self) -> Option<&mut (dyn Stream + 'static)> {
        self.stream.as_deref_mut()
    }

    /// The stream, where it is a handle of this type: a function of a proxy reaches so what only that proxy
    /// knows.
    pub fn stream_as<T: Stream>(&mut self) -> Option<&mut T> {
        let stream: &mut dyn Any = self.stream.as_deref_mut()?;
        stream.downcast_mut()
    }

    /// A way to answer after the function has returned. `None` where the proxy has none: for a VM that is only being tried,
    /// and in proxies that do not offer it.
    pub fn later(&mut self) -> Option<Later> {
        let (plugin, services, account) = self.caller.as_mut()?;
        let later = services.deferred_answer(*plugin)?;
        Some(later.paid_by(account))
    }

    /// The shared data and queues of the calling VM's `vm_id`.
    pub const fn store(&self) -> &'a dyn Store {
        self.store
    }

    /// The `vm_id` of the calling VM.
    pub const fn vm_id(&self) -> &'a str {
        self.vm_id
    }

    /// Number of the calling VM, unique in the process, if it continues from a snapshot; else 0.
    pub const fn snapshot_vm(&self) -> u64 {
        self.snapshot_vm
    }
}
