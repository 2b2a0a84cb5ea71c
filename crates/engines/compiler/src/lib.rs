//! Compiling in a process of its own, so that no module takes a server's memory or the time of its threads.
//!
//! [`OutOfProcess`] is an engine that has its modules compiled by a program: `weir-compiler`, or `weir` itself. Both call
//! [`work`], which is the other side.
#![forbid(unsafe_code)]

mod in_process;
mod out_of_process;
mod program;
mod protocol;
mod worker;

pub use in_process::InProcess;
pub use out_of_process::{Compiling, OutOfProcess};
pub use program::Program;
pub use weir_engine_support::CompilerBounds;
pub use worker::work;
