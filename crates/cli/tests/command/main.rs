//! The command as a user runs it: exit codes, and what stands on standard output and standard error.
#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

mod check;
mod compile;
mod inspect;
mod log;
mod runtimes;
mod serve;
mod serving;
mod support;
mod usage;
