//! Errors of WASI preview 1.

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
    use super::*;

    #[test]
    fn errors_survive_the_wire() {
        for errno in Errno::ALL {
            assert_eq!(Errno::from_wire(errno.wire()), Some(*errno));
        }
        assert_eq!(Errno::from_wire(1), None);
    }
}
