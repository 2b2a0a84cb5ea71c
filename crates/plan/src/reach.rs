//! What a guest may reach of the world.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use weir_abi::LogLevel;
use weir_outbound::{CallLimits, Caller, LoadedUpstream};

/// What a guest may reach, and how loudly it may talk.
pub struct Reach {
    /// Upstreams by the names that the guest uses.
    pub upstreams: HashMap<String, Arc<LoadedUpstream>>,
    /// The longest that a call may take.
    pub call_timeout: Duration,
    /// The lowest level that any plugin of the VM logs.
    pub log_level: LogLevel,
    /// The lowest level of each plugin, by name.
    pub log_levels: HashMap<String, LogLevel>,
    /// Whether a call whose upstream is not known may go to its authority.
    pub by_authority: bool,
    /// File name of the module, for the log.
    pub module: String,
}

impl Reach {
    /// Whether a guest may call the upstream of this name.
    pub fn knows(&self, upstream: &[u8]) -> bool {
        std::str::from_utf8(upstream).is_ok_and(|name| self.upstreams.contains_key(name))
    }

    /// Whether a call whose upstream is not known may go to this authority: the document lists it and wants that.
    pub fn knows_by_authority(&self, authority: &[u8]) -> bool {
        self.by_authority && self.knows(authority)
    }

    /// What makes the calls of a VM.
    pub fn caller(&self) -> Caller {
        // What the guest may name directly stands among the upstreams, under its `host:port`.
        let upstreams = self.upstreams.iter();
        let upstreams = upstreams.map(|(name, upstream)| (name.clone(), Arc::clone(upstream)));
        let mut limits = CallLimits::default();
        limits.timeout = self.call_timeout;
        Caller::new(upstreams, limits)
    }

    /// Writes a guest's line to the log, unless its plugin is to be quieter than that.
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
