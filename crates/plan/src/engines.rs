//! The runtimes of a process.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use weir_engine::Engine;

/// The runtimes that configurations may name.
#[derive(Clone)]
pub struct Engines(HashMap<&'static str, Arc<dyn Engine>>);

impl Engines {
    /// These runtimes, each under its own name.
    pub fn new(engines: impl IntoIterator<Item = Arc<dyn Engine>>) -> Self {
        Self(
            engines
                .into_iter()
                .map(|engine| (engine.name(), engine))
                .collect(),
        )
    }

    /// The runtime of this name.
    pub(crate) fn find(&self, name: &str) -> Option<&Arc<dyn Engine>> {
        self.0.get(name)
    }

    /// What there is, for an error.
    pub(crate) fn names(&self) -> String {
        let mut names: Vec<_> = self.0.keys().copied().collect();
        names.sort_unstable();
        names.join(", ")
    }
}

impl fmt::Debug for Engines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Engines").field(&self.names()).finish()
    }
}
