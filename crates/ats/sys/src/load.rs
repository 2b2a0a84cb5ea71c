//! Filling the table, once for a process.

use std::ffi::{CStr, c_int, c_void};
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use crate::functions::{self, process};
use crate::table::Entry;
use crate::{Line, Version, debug, log, memory};

/// Why the functions of the server cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The process exports nothing of the plugin API.
    #[error(
        "this process is no Traffic Server: it exports TSTrafficServerVersionGetMajor neither as a C function (9.2) \
         nor as a C++ function (10.x)"
    )]
    NoTrafficServer,
    /// Hook numbers and structures of this version are not known.
    #[error("Traffic Server {0} is not supported: 9.2 and 10.x are")]
    Unsupported(Version),
    /// Functions that the plugin cannot do without are absent.
    #[error("Traffic Server {version} lacks functions that are needed: {}", functions.join(", "))]
    Missing {
        /// The server that was found.
        version: Version,
        /// C names of what it lacks.
        functions: Vec<&'static str>,
    },
}

static LOADED: OnceLock<Result<Version, LoadError>> = OnceLock::new();

/// Looks every function up in the running server; what the first call found is what every later one answers.
///
/// # Errors
///
/// The process is no Traffic Server, one of a version that is not supported, or lacks functions. No function may be
/// called then.
pub fn load() -> Result<&'static Version, LoadError> {
    LOADED.get_or_init(fill).as_ref().map_err(Clone::clone)
}

/// True if [`load`] has succeeded.
#[inline]
pub fn is_loaded() -> bool {
    matches!(LOADED.get(), Some(Ok(_)))
}

/// The server's version. Ends the process if [`load`] has not succeeded, like every function of the server does.
#[inline]
pub fn version() -> &'static Version {
    match LOADED.get() {
        Some(Ok(version)) => version,
        _ => crate::table::not_loaded(),
    }
}

/// Every entry of the crate.
pub(crate) fn entries() -> impl Iterator<Item = &'static Entry> {
    let others = [
        memory::TRACKED_ENTRIES,
        memory::ENTRIES,
        log::ENTRIES,
        debug::ENTRIES,
    ];
    functions::ENTRIES.iter().copied().chain(others).flatten()
}

fn fill() -> Result<Version, LoadError> {
    let version = find_version()?;
    let mut missing = Vec::new();
    let mut found = Vec::new();
    for entry in entries() {
        let symbol = entry.symbol(version.line);
        if symbol.is_empty() {
            continue;
        }
        match lookup(symbol) {
            Some(address) => found.push((entry, address)),
            None if entry.required => missing.push(entry.label()),
            None => {}
        }
    }
    if !missing.is_empty() {
        return Err(LoadError::Missing {
            version,
            functions: missing,
        });
    }
    for (entry, address) in found {
        entry.address.store(address, Ordering::Relaxed);
    }
    Ok(version)
}

/// The form of the name under which the version is exported tells the line, the numbers confirm it.
fn find_version() -> Result<Version, LoadError> {
    let line = [Line::V9, Line::V10]
        .into_iter()
        .find(|line| number(c"TSTrafficServerVersionGetMajor", *line).is_some());
    let line = line.ok_or(LoadError::NoTrafficServer)?;
    let version = Version {
        line,
        major: number(c"TSTrafficServerVersionGetMajor", line).unwrap_or(-1),
        minor: number(c"TSTrafficServerVersionGetMinor", line).unwrap_or(-1),
        patch: number(c"TSTrafficServerVersionGetPatch", line).unwrap_or(-1),
    };
    match (line, version.major, version.minor) {
        (Line::V9, 9, 2..) | (Line::V10, 10, _) => Ok(version),
        _ => Err(LoadError::Unsupported(version)),
    }
}

/// Asks one of the three version functions, if the process exports it in the form of this line.
fn number(c_name: &CStr, line: Line) -> Option<i32> {
    let entry = process::ENTRIES.iter().find(|entry| entry.c_name == c_name)?;
    let address = lookup(entry.symbol(line))?;
    // SAFETY: the three functions take nothing and return an int, in every version.
    let call = unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn() -> c_int>(address) };
    // SAFETY: they may be called from any thread at any time.
    Some(unsafe { call() })
}

/// The address of a symbol of the executable or a library that is loaded globally.
fn lookup(symbol: &CStr) -> Option<*mut c_void> {
    if symbol.is_empty() {
        return None;
    }
    // SAFETY: the name ends with NUL and the handle is one that dlsym defines.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, symbol.as_ptr()) };
    (!address.is_null()).then_some(address)
}
