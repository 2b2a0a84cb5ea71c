//! The reach of a guest: upstreams that it may call, and levels at which it may log.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use weir_abi::LogLevel;
use weir_outbound::{CallLimits, Caller, LoadedUpstream};

/// The upstreams that a guest may call, and the levels at which it may log. All VMs of a plan share one; their services ask
/// it at each call and each line.
pub struct Reach {
    /// Upstreams by the names that the guest uses.
    pub upstreams: HashMap<String, Arc<LoadedUpstream>>,
    /// The longest that a call may take, from the hostcall to the end of the response; `limits.http_call_timeout`.
    pub call_timeout: Duration,
    /// The lowest level that the log keeps of any plugin of the VM. Guests read it (`proxy_get_log_level`).
    pub log_level: LogLevel,
    /// The lowest level that the log keeps of each plugin, by the plugin's name.
    pub log_levels: HashMap<String, LogLevel>,
    /// True if a call to an unknown upstream may go to its `:authority`: all filters of the VM have `call_by_authority`.
    pub by_authority: bool,
    /// File name of the module, for the log.
    pub module: String,
}

impl Reach {
    /// Returns true if a guest may call the upstream of this name.
    pub fn knows(&self, upstream: &[u8]) -> bool {
        std::str::from_utf8(upstream).is_ok_and(|name| self.upstreams.contains_key(name))
    }

    /// Returns true if a call to an unknown upstream may go to this authority: the document lists the authority under
    /// `direct_upstreams` and sets `call_by_authority`.
    pub fn knows_by_authority(&self, authority: &[u8]) -> bool {
        self.by_authority && self.knows(authority)
    }

    /// Returns a client for the calls of one VM, with connections of its own. The supervisor makes one for each VM.
    pub fn caller(&self) -> Caller {
        // What the guest may name directly stands among the upstreams, under its `host:port`.
        let upstreams = self.upstreams.iter();
        let upstreams = upstreams.map(|(name, upstream)| (name.clone(), Arc::clone(upstream)));
        let mut limits = CallLimits::default();
        limits.timeout = self.call_timeout;
        Caller::new(upstreams, limits)
    }

    /// Writes a guest's line to the log, unless the line is below the level of its plugin.
    pub fn log(&self, level: LogLevel, plugin: Option<&str>, message: &[u8]) {
        let kept = plugin.and_then(|plugin| self.log_levels.get(plugin));
        if kept.is_some_and(|kept| level < *kept) {
            return;
        }
        let (plugin, module) = (plugin.unwrap_or_default(), self.module.as_str());
        let text = String::from_utf8_lossy(message);
        match level {
            LogLevel::Trace => tracing::trace!(target: "guest", plugin, module, "{text}"),
            LogLevel::Debug => tracing::debug!(target: "guest", plugin, module, "{text}"),
            LogLevel::Info => tracing::info!(target: "guest", plugin, module, "{text}"),
            LogLevel::Warn => tracing::warn!(target: "guest", plugin, module, "{text}"),
            LogLevel::Error => tracing::error!(target: "guest", plugin, module, "{text}"),
            LogLevel::Critical => tracing::error!(target: "guest", plugin, module, critical = true, "{text}"),
        }
    }
}
