//! The import sets of a build.

use weir_host::{Capabilities, ImportSets};

/// The functions that filters may import, in both proxies. A set that a crate of its own brings is added here and nowhere else:
/// `ImportSets::composer().with(..).compose()`.
pub fn import_sets() -> &'static ImportSets {
    ImportSets::standard()
}

/// Every name that `allowed_capabilities` may have, for the reader of configurations.
pub fn capability_names() -> impl Iterator<Item = &'static str> {
    Capabilities::names(import_sets())
}
