//! The targets of log lines about guests, by which a log filter tells them apart.

/// The target of the lines that guests write.
pub const GUEST: &str = "guest";

/// The target of Weir's own lines about guests: deaths, restarts, refused hostcalls, lost lines.
pub const ABOUT_GUEST: &str = "weir::guest";
