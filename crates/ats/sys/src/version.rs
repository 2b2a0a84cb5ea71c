//! Which server this is.

use std::fmt;

/// A line of releases that share symbol names, hook numbers and structures.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Line {
    /// 9.2: plain C names.
    V9,
    /// 10.x: mangled C++ names.
    V10,
}

/// The version that the running server reports.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Version {
    /// The line of releases it belongs to.
    pub line: Line,
    /// The first number.
    pub major: i32,
    /// The second number.
    pub minor: i32,
    /// The third number.
    pub patch: i32,
}

impl Version {
    /// True for this release or a later one.
    pub const fn at_least(&self, major: i32, minor: i32) -> bool {
        self.major > major || (self.major == major && self.minor >= minor)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}
