//! WASI preview 1: what language runtimes import beside the hostcalls.

use crate::Signature;
use crate::signature::signature;

/// The module names under which toolchains import WASI. Both stand for the same functions.
pub const WASI_MODULES: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];

/// A function of WASI preview 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WasiFunction {
    /// Such as `fd_write`.
    pub name: &'static str,
    /// Parameters and result; the result is an [`Errno`].
    pub signature: Signature,
}

impl WasiFunction {
    /// The function of this name in [`WASI`].
    pub fn named(name: &str) -> Option<&'static Self> {
        WASI.iter().find(|function| function.name == name)
    }

    const fn new(name: &'static str, signature: Signature) -> Self {
        Self { name, signature }
    }
}

/// All 46 functions, in the order of the specification. Go links most of them into every module.
pub const WASI: &[WasiFunction] = &[
    WasiFunction::new("args_get", signature!([I32, I32] -> I32)),
    WasiFunction::new("args_sizes_get", signature!([I32, I32] -> I32)),
    WasiFunction::new("environ_get", signature!([I32, I32] -> I32)),
    WasiFunction::new("environ_sizes_get", signature!([I32, I32] -> I32)),
    WasiFunction::new("clock_res_get", signature!([I32, I32] -> I32)),
    WasiFunction::new("clock_time_get", signature!([I32, I64, I32] -> I32)),
    WasiFunction::new("fd_advise", signature!([I32, I64, I64, I32] -> I32)),
    WasiFunction::new("fd_allocate", signature!([I32, I64, I64] -> I32)),
    WasiFunction::new("fd_close", signature!([I32] -> I32)),
    WasiFunction::new("fd_datasync", signature!([I32] -> I32)),
    WasiFunction::new("fd_fdstat_get", signature!([I32, I32] -> I32)),
    WasiFunction::new("fd_fdstat_set_flags", signature!([I32, I32] -> I32)),
    WasiFunction::new("fd_fdstat_set_rights", signature!([I32, I64, I64] -> I32)),
    WasiFunction::new("fd_filestat_get", signature!([I32, I32] -> I32)),
    WasiFunction::new("fd_filestat_set_size", signature!([I32, I64] -> I32)),
    WasiFunction::new("fd_filestat_set_times", signature!([I32, I64, I64, I32] -> I32)),
    WasiFunction::new("fd_pread", signature!([I32, I32, I32, I64, I32] -> I32)),
    WasiFunction::new("fd_prestat_get", signature!([I32, I32] -> I32)),
    WasiFunction::new("fd_prestat_dir_name", signature!([I32, I32, I32] -> I32)),
    WasiFunction::new("fd_pwrite", signature!([I32, I32, I32, I64, I32] -> I32)),
    WasiFunction::new("fd_read", signature!([I32, I32, I32, I32] -> I32)),
    WasiFunction::new("fd_readdir", signature!([I32, I32, I32, I64, I32] -> I32)),
    WasiFunction::new("fd_renumber", signature!([I32, I32] -> I32)),
    WasiFunction::new("fd_seek", signature!([I32, I64, I32, I32] -> I32)),
    WasiFunction::new("fd_sync", signature!([I32] -> I32)),
    WasiFunction::new("fd_tell", signature!([I32, I32] -> I32)),
    WasiFunction::new("fd_write", signature!([I32, I32, I32, I32] -> I32)),
    WasiFunction::new("path_create_directory", signature!([I32, I32, I32] -> I32)),
    WasiFunction::new("path_filestat_get", signature!([I32, I32, I32, I32, I32] -> I32)),
    WasiFunction::new(
        "path_filestat_set_times",
        signature!([I32, I32, I32, I32, I64, I64, I32] -> I32),
    ),
    WasiFunction::new(
        "path_link",
        signature!([I32, I32, I32, I32, I32, I32, I32] -> I32),
    ),
    WasiFunction::new(
        "path_open",
        signature!([I32, I32, I32, I32, I32, I64, I64, I32, I32] -> I32),
    ),
    WasiFunction::new("path_readlink", signature!([I32, I32, I32, I32, I32, I32] -> I32)),
    WasiFunction::new("path_remove_directory", signature!([I32, I32, I32] -> I32)),
    WasiFunction::new("path_rename", signature!([I32, I32, I32, I32, I32, I32] -> I32)),
    WasiFunction::new("path_symlink", signature!([I32, I32, I32, I32, I32] -> I32)),
    WasiFunction::new("path_unlink_file", signature!([I32, I32, I32] -> I32)),
    WasiFunction::new("poll_oneoff", signature!([I32, I32, I32, I32] -> I32)),
    WasiFunction::new("proc_exit", signature!([I32])),
    WasiFunction::new("proc_raise", signature!([I32] -> I32)),
    WasiFunction::new("sched_yield", signature!([] -> I32)),
    WasiFunction::new("random_get", signature!([I32, I32] -> I32)),
    WasiFunction::new("sock_accept", signature!([I32, I32, I32] -> I32)),
    WasiFunction::new("sock_recv", signature!([I32, I32, I32, I32, I32, I32] -> I32)),
    WasiFunction::new("sock_send", signature!([I32, I32, I32, I32, I32] -> I32)),
    WasiFunction::new("sock_shutdown", signature!([I32, I32] -> I32)),
];

/// The errors of WASI preview 1 that the host answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Errno {
    /// Done.
    Success = 0,
    /// Not a file descriptor that this host knows.
    BadF = 8,
    /// A pointer and length lie outside the guest's memory.
    Fault = 21,
    /// An argument is out of range.
    Inval = 28,
    /// No such file.
    NoEnt = 44,
    /// Not offered by this host.
    NoSys = 52,
    /// Not a directory.
    NotDir = 54,
    /// Not possible on this object.
    NotSup = 58,
    /// A stream has no position.
    SPipe = 70,
    /// Not among the allowed capabilities.
    NotCapable = 76,
}

impl Errno {
    /// Every error.
    pub const ALL: &'static [Self] = &[
        Self::Success,
        Self::BadF,
        Self::Fault,
        Self::Inval,
        Self::NoEnt,
        Self::NoSys,
        Self::NotDir,
        Self::NotSup,
        Self::SPipe,
        Self::NotCapable,
    ];

    /// The error for a number; `None` where the host does not use it.
    pub fn from_wire(value: u32) -> Option<Self> {
        Self::ALL.iter().copied().find(|errno| errno.wire() == value)
    }

    /// The number that the guest gets.
    pub const fn wire(self) -> u32 {
        self as u32
    }

    /// The name that C libraries give it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "SUCCESS",
            Self::BadF => "EBADF",
            Self::Fault => "EFAULT",
            Self::Inval => "EINVAL",
            Self::NoEnt => "ENOENT",
            Self::NoSys => "ENOSYS",
            Self::NotDir => "ENOTDIR",
            Self::NotSup => "ENOTSUP",
            Self::SPipe => "ESPIPE",
            Self::NotCapable => "ENOTCAPABLE",
        }
    }
}

impl std::fmt::Display for Errno {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::ValType;

    #[test]
    fn the_table_is_whole() {
        assert_eq!(WASI.len(), 46);
        let names: HashSet<_> = WASI.iter().map(|function| function.name).collect();
        assert_eq!(names.len(), WASI.len(), "a name stands twice");
        for function in WASI {
            let result = (function.name != "proc_exit").then_some(ValType::I32);
            assert_eq!(function.signature.result, result, "{}", function.name);
        }
    }

    #[test]
    fn the_functions_that_other_hosts_register_with_too_few_parameters() {
        let parameters = |name| WasiFunction::named(name).map(|function| function.signature.params.len());
        assert_eq!(parameters("path_link"), Some(7));
        assert_eq!(parameters("path_symlink"), Some(5));
        assert_eq!(parameters("path_open"), Some(9));
    }

    #[test]
    fn errors_survive_the_wire() {
        for errno in Errno::ALL {
            assert_eq!(Errno::from_wire(errno.wire()), Some(*errno));
        }
        assert_eq!(Errno::from_wire(1), None);
    }
}
