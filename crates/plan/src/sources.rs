//! From the `code` of a configuration to the source of a module.

use std::sync::Arc;

use weir_config::CodeSource;
use weir_loader::{FileSource, ModuleSource};

/// Opens the sources of modules that configurations name. The default opens files.
pub struct Sources(Box<dyn Fn(&CodeSource) -> Arc<dyn ModuleSource> + Send + Sync>);

impl Sources {
    /// Sources that `open` opens; called for each module whenever a configuration is planned. A source that cannot be
    /// used says so when it is read.
    pub fn new(open: impl Fn(&CodeSource) -> Arc<dyn ModuleSource> + Send + Sync + 'static) -> Self {
        Self(Box::new(open))
    }

    pub(crate) fn open(&self, code: &CodeSource) -> Arc<dyn ModuleSource> {
        (self.0)(code)
    }
}

impl Default for Sources {
    fn default() -> Self {
        Self::new(|code| match code {
            CodeSource::Local(file) => Arc::new(FileSource::new(file)),
        })
    }
}
