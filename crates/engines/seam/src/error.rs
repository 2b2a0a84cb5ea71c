//! Errors between the host and a runtime.

use std::fmt;

/// Why a runtime whose library is not built in cannot be used, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; {remedy}")]
pub struct Unavailable {
    /// The part that is missing, too old or broken.
    pub problem: String,
    /// The package to install, or the variable to set.
    pub remedy: String,
}

/// Why a module cannot be compiled or loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The runtime refuses the bytes: not WebAssembly, invalid, or a feature it lacks.
    #[error("{0}")]
    Invalid(String),
    /// The runtime's compiler, a program or library apart, has failed, which need not be the module's fault. Another time it may
    /// not fail.
    #[error("{0}")]
    Compiler(String),
    /// Compiling the module takes more CPU time or memory than it may, this time and the next.
    #[error("{0}")]
    Bound(String),
    /// Imports that the host does not have, each as `module.name: why`.
    #[error("imports that the host does not have: {}", .0.join(", "))]
    Imports(Vec<String>),
    /// The module needs WebAssembly proposals that the runtime lacks.
    #[error(
        "the module needs what the runtime {engine} lacks: {}; choose another runtime (`weir engines` says what each takes) \
         or build the module without", .names.join(", ")
    )]
    Proposals {
        /// Name of the runtime.
        engine: &'static str,
        /// The proposals.
        names: Vec<&'static str>,
    },
}

impl From<Unavailable> for CompileError {
    /// The compiler is not installed.
    fn from(error: Unavailable) -> Self {
        Self::Compiler(error.to_string())
    }
}

/// Why a module cannot be instantiated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstantiateError {
    /// The module's initial memory is over the limit.
    #[error("the module needs {needed} bytes of memory at start, the limit is {limit}")]
    Memory {
        /// Bytes the module declares.
        needed: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The start section trapped.
    #[error("the start section failed: {0}")]
    Start(#[source] Trap),
    /// The runtime has no room or failed otherwise.
    #[error("{0}")]
    Other(String),
}

/// Why a guest stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrapKind {
    /// The guest did something that WebAssembly forbids, in the runtime's words.
    Guest(String),
    /// The CPU budget is used up.
    Deadline,
    /// The stack is used up.
    StackOverflow,
    /// The guest called `proc_exit` with this code.
    Exit(u32),
    /// A host function ended the guest, with the reason.
    Host(String),
}

/// A function on the guest's stack when it stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Demangled name where the module has one.
    pub function: Option<String>,
    /// Index of the function in the module.
    pub index: u32,
    /// Offset of the instruction in the module's bytes.
    pub offset: Option<usize>,
}

/// A guest that stopped, with its stack where the runtime can tell (innermost function first).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trap {
    /// Why.
    pub kind: TrapKind,
    /// The guest's stack, innermost first; empty where the runtime cannot tell.
    pub backtrace: Vec<Frame>,
}

impl Trap {
    /// A trap without a backtrace.
    pub const fn new(kind: TrapKind) -> Self {
        Self {
            kind,
            backtrace: Vec::new(),
        }
    }

    /// A trap that a host function asks for.
    pub fn host(reason: impl Into<String>) -> Self {
        Self::new(TrapKind::Host(reason.into()))
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            TrapKind::Guest(reason) | TrapKind::Host(reason) => f.write_str(reason)?,
            TrapKind::Deadline => f.write_str("CPU budget used up")?,
            TrapKind::StackOverflow => f.write_str("stack overflow")?,
            TrapKind::Exit(code) => write!(f, "proc_exit({code})")?,
        }
        for frame in &self.backtrace {
            match &frame.function {
                Some(name) => write!(f, "\n    at {name}")?,
                None => write!(f, "\n    at function {}", frame.index)?,
            }
            if let Some(offset) = frame.offset {
                write!(f, " (+{offset:#x})")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Trap {}
