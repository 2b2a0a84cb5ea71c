//! The verbs.

pub mod check;
pub mod compile;
pub mod engines;
pub mod inspect;
pub mod serve;

use weir_config::Environment;

/// Such as `103.7 KiB`.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} bytes"),
        1_024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1_024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// The surroundings that a configuration is read in: this process, and the import sets of this build.
fn environment() -> Environment {
    Environment::process().with_capabilities(weir_plan::capability_names())
}
