//! The reach of a guest: upstreams that it may call, and levels at which it may log.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use weir_abi::{LogLevel, log_target};
use weir_host::TrialServices;
use weir_outbound::{CallLimits, HttpCaller, LoadedUpstream};

/// An event of a guest's plugin and module. Targets and levels of events are constants.
macro_rules! event {
    ($target:expr, $level:expr, $plugin:expr, $module:expr, $text:expr) => {{
        let (plugin, module, text) = ($plugin.unwrap_or_default(), $module.as_str(), $text);
        match $level {
            LogLevel::Trace => tracing::trace!(target: $target, plugin, module, "{text}"),
            LogLevel::Debug => tracing::debug!(target: $target, plugin, module, "{text}"),
            LogLevel::Info => tracing::info!(target: $target, plugin, module, "{text}"),
            LogLevel::Warn => tracing::warn!(target: $target, plugin, module, "{text}"),
            LogLevel::Error => tracing::error!(target: $target, plugin, module, "{text}"),
            LogLevel::Critical => tracing::error!(target: $target, plugin, module, critical = true, "{text}"),
        }
    }};
}

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
    pub fn caller(&self) -> HttpCaller {
        // Authorities that the guest may name directly stand among the upstreams, under its `host:port`.
        let upstreams = self.upstreams.iter();
        let upstreams = upstreams.map(|(name, upstream)| (name.clone(), Arc::clone(upstream)));
        let mut limits = CallLimits::default();
        limits.timeout = self.call_timeout;
        HttpCaller::new(upstreams, limits)
    }

    /// Returns true if the log keeps lines of a plugin at this level.
    pub fn keeps(&self, level: LogLevel, plugin: Option<&str>) -> bool {
        let own = plugin.and_then(|plugin| self.log_levels.get(plugin));
        level >= *own.unwrap_or(&self.log_level)
    }

    /// Writes a guest's line to the log.
    pub fn log(&self, level: LogLevel, plugin: Option<&str>, message: &[u8]) {
        let text = String::from_utf8_lossy(message);
        event!(log_target::GUEST, level, plugin, self.module, text);
    }

    /// Writes a line about the guest to the log.
    pub fn log_about(&self, level: LogLevel, plugin: Option<&str>, message: &str) {
        event!(log_target::ABOUT_GUEST, level, plugin, self.module, message);
    }
}

/// The reach of a VM that is tried or frozen is that of the VMs that serve.
impl TrialServices for Reach {
    fn knows(&self, upstream: &[u8]) -> bool {
        self.knows(upstream)
    }

    fn log_level(&self) -> LogLevel {
        self.log_level
    }

    fn keeps(&self, level: LogLevel, plugin: Option<&str>) -> bool {
        self.keeps(level, plugin)
    }

    fn log(&self, level: LogLevel, plugin: Option<&str>, message: &[u8]) {
        self.log(level, plugin, message);
    }

    fn log_about(&self, level: LogLevel, plugin: Option<&str>, message: &str) {
        self.log_about(level, plugin, message);
    }
}
