//! The verbs.

pub mod check;
pub mod compile;
pub mod compiler_process;
pub mod engines;
pub mod inspect;
pub mod serve;

use weir_config::Environment;
use weir_engine::ByteSize;

/// Returns a measured size for people, such as `103.7 KiB`.
pub(crate) fn size(bytes: u64) -> String {
    format!("{:.1}", ByteSize(bytes))
}

/// The surroundings that a configuration is read in: this process, and the import sets of this build.
fn environment() -> Environment {
    Environment::process().with_capabilities(weir_plan::capability_names())
}
