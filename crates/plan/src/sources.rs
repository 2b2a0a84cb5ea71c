//! From the `code` of a configuration to the source of a module.

use std::sync::Arc;

use weir_config::CodeSource;
use weir_loader::{FileSource, ModuleSource};

/// Opens the sources of modules that configurations name. A proxy that has more than [`LocalSources`] gives its own to
/// [`Planner::with_sources`](crate::Planner::with_sources).
pub trait Sources: Send + Sync {
    /// The source that `code` describes. Called for each module whenever a configuration is planned, by the threads that
    /// plan; a source that cannot be used says so when it is read.
    fn open(&self, code: &CodeSource) -> Arc<dyn ModuleSource>;
}

/// Modules in files.
#[derive(Clone, Copy, Debug)]
pub struct LocalSources;

impl Sources for LocalSources {
    fn open(&self, code: &CodeSource) -> Arc<dyn ModuleSource> {
        match code {
            CodeSource::Local(file) => Arc::new(FileSource::new(file)),
        }
    }
}
