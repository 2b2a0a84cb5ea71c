//! Failures of a start, and deaths.

use std::fmt;
use std::time::Duration;

use weir_engine::{InstantiateError, Trap, TrapKind};

/// The limit of CPU time that a guest has exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// The key of the filter's document that sets the limit.
    pub key: &'static str,
    /// The limit.
    pub limit: Duration,
    /// CPU time that the guest had used at least.
    pub used: Duration,
}

/// A trap, with the limit that the guest has exceeded.
struct Told<'a>(&'a Trap, &'a Option<Box<Exceeded>>);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(exceeded) = self.1 else {
            return self.0.fmt(f);
        };
        write!(
            f,
            "CPU time exceeded (at least {} ms used, {} is {} ms)",
            exceeded.used.as_millis(),
            exceeded.key,
            exceeded.limit.as_millis()
        )?;
        // The trap's own first line says no more than that; the guest's stack follows.
        let trap = self.0.to_string();
        f.write_str(
            trap.find('\n')
                .and_then(|end| trap.get(end..))
                .unwrap_or_default(),
        )
    }
}

/// Why a VM or plugin could not be started. The VM is of no use afterwards.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The module cannot be instantiated.
    #[error("module {module}: cannot be instantiated: {source}")]
    Instantiate {
        /// File name of the module.
        module: String,
        /// Why.
        source: InstantiateError,
    },
    /// The guest trapped in a start function or in `callback`.
    #[error("module {module}: {callback} failed: {}", Told(trap, limit))]
    Trapped {
        /// File name of the module.
        module: String,
        /// Name of the entry point.
        callback: &'static str,
        /// The trap.
        trap: Trap,
        /// The limit that the guest has exceeded, if the trap is about one.
        limit: Option<Box<Exceeded>>,
    },
    /// The guest answered false to its configuration.
    #[error("module {module}: {callback} returned false: the {} is refused", configuration(plugin.as_deref()))]
    Refused {
        /// File name of the module.
        module: String,
        /// Name of the callback, such as `proxy_on_configure`.
        callback: &'static str,
        /// Name of the plugin whose configuration it was; `None` for the configuration of the VM.
        plugin: Option<String>,
    },
    /// The module exports no marker of the ABI by which the host would call it.
    #[error(
        "module {module}: it was compiled for guests of another kind, and speaks no version of Proxy-Wasm"
    )]
    NoAbi {
        /// File name of the module.
        module: String,
    },
    /// Our own code panicked; the VM is given up.
    #[error("module {module}: internal error in {callback} (please report): {message}")]
    Panicked {
        /// File name of the module.
        module: String,
        /// Name of the entry point.
        callback: &'static str,
        /// The panic's message.
        message: String,
    },
    /// The VM has died before.
    #[error("module {module}: the VM is dead")]
    Dead {
        /// File name of the module.
        module: String,
    },
}

fn configuration(plugin: Option<&str>) -> String {
    match plugin {
        Some(plugin) => format!("configuration of plugin {plugin:?}"),
        None => "VM configuration".to_owned(),
    }
}

/// Why a callback did not return. The VM is dead: it must be replaced, and all its streams have been told.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VmError {
    /// The guest stopped: a trap, a deadline, a limit.
    #[error("{callback} trapped: {}", Told(trap, limit))]
    Trapped {
        /// Callback that ran.
        callback: &'static str,
        /// The trap.
        trap: Trap,
        /// The limit that the guest has exceeded, if the trap is about one.
        limit: Option<Box<Exceeded>>,
    },
    /// Our own code panicked.
    #[error("internal error in {callback} (please report): {message}")]
    Panicked {
        /// Callback that ran.
        callback: &'static str,
        /// The panic's message.
        message: String,
    },
    /// The VM died earlier.
    #[error("the VM is dead")]
    Dead,
    /// The VM holds as many contexts as it may.
    #[error("the VM holds {0} contexts, which is the limit")]
    TooManyContexts(usize),
    /// The context named does not exist in this VM, or is of the other kind.
    #[error("there is no such context: {0}")]
    NoSuchContext(crate::ContextId),
}

impl VmError {
    /// The cause of a VM's death in one word, as metrics name it.
    pub const fn cause(&self) -> &'static str {
        match self {
            Self::Trapped { trap, .. } => match trap.kind {
                TrapKind::Guest(_) => "trap",
                TrapKind::Deadline => "deadline",
                TrapKind::StackOverflow => "stack_overflow",
                TrapKind::Exit(_) => "exit",
                TrapKind::Host(_) => "refused",
                _ => "other",
            },
            Self::Panicked { .. } => "internal_error",
            Self::Dead | Self::TooManyContexts(_) | Self::NoSuchContext(_) => "other",
        }
    }
}
