//! The runtimes of a process.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use weir_engine::{Engine, Unavailable};

/// The runtimes that configurations may name. Each is opened when one first does.
#[derive(Clone)]
pub struct Runtimes(Arc<[Entry]>);

struct Entry {
    source: RuntimeSource,
    /// Empty while it could not be opened: what is missing may be installed before the next reload.
    opened: Mutex<Option<Arc<dyn Engine>>>,
}

/// Opens a runtime.
pub struct RuntimeSource {
    name: &'static str,
    open: Box<dyn Fn() -> Result<Arc<dyn Engine>, Unavailable> + Send + Sync>,
}

impl RuntimeSource {
    /// A runtime of this name, which `open` opens.
    pub fn new(
        name: &'static str,
        open: impl Fn() -> Result<Arc<dyn Engine>, Unavailable> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            open: Box::new(open),
        }
    }

    /// A runtime that has been opened, for a source to give.
    pub fn opened(engine: impl Engine + 'static) -> Arc<dyn Engine> {
        Arc::new(engine)
    }

    /// The same, and what `wrap` makes of the runtime.
    #[must_use]
    pub fn map(self, wrap: impl Fn(Arc<dyn Engine>) -> Arc<dyn Engine> + Send + Sync + 'static) -> Self {
        let open = self.open;
        Self::new(self.name, move || open().map(&wrap))
    }
}

impl Runtimes {
    /// These runtimes, none opened yet.
    pub fn from_sources(sources: impl IntoIterator<Item = RuntimeSource>) -> Self {
        let entry = |source| Entry {
            source,
            opened: Mutex::default(),
        };
        Self(sources.into_iter().map(entry).collect())
    }

    /// These runtimes, each under its own name.
    pub fn new(runtimes: impl IntoIterator<Item = Arc<dyn Engine>>) -> Self {
        let source =
            |engine: Arc<dyn Engine>| RuntimeSource::new(engine.name(), move || Ok(Arc::clone(&engine)));
        Self::from_sources(runtimes.into_iter().map(source))
    }

    /// Their names.
    pub fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|entry| entry.source.name).collect()
    }

    /// The runtime of this name, opened; `None` where there is none of the name.
    ///
    /// # Errors
    ///
    /// Its library is missing or of no use.
    pub fn open(&self, name: &str) -> Option<Result<Arc<dyn Engine>, Unavailable>> {
        let entry = self.0.iter().find(|entry| entry.source.name == name)?;
        let mut opened = entry.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = &*opened {
            return Some(Ok(Arc::clone(engine)));
        }
        let engine = (entry.source.open)();
        *opened = engine.as_ref().ok().cloned();
        Some(engine)
    }
}

impl fmt::Debug for Runtimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Runtimes").field(&self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use weir_engine_wasmi::WasmiEngine;

    use super::*;

    #[test]
    fn an_engine_is_opened_once_and_when_first_asked_for() {
        static OPENED: AtomicUsize = AtomicUsize::new(0);
        let source = RuntimeSource::new("wasmi", || {
            OPENED.fetch_add(1, Ordering::Relaxed);
            Ok(RuntimeSource::opened(WasmiEngine::new()))
        });
        let runtimes = Runtimes::from_sources([source]);
        assert_eq!(OPENED.load(Ordering::Relaxed), 0);
        for _ in 0..2 {
            assert_eq!(runtimes.open("wasmi").unwrap().unwrap().name(), "wasmi");
        }
        assert_eq!(OPENED.load(Ordering::Relaxed), 1);
        assert!(runtimes.open("other").is_none());
    }

    #[test]
    fn an_engine_whose_library_was_missing_may_come_later() {
        static TRIED: AtomicUsize = AtomicUsize::new(0);
        let source = RuntimeSource::new("wasmi", || {
            if TRIED.fetch_add(1, Ordering::Relaxed) == 0 {
                return Err(Unavailable {
                    problem: "no library".into(),
                    remedy: "install it".into(),
                });
            }
            Ok(RuntimeSource::opened(WasmiEngine::new()))
        });
        let runtimes = Runtimes::from_sources([source]);
        let error = runtimes.open("wasmi").unwrap().err().unwrap();
        assert_eq!(error.to_string(), "no library; install it");
        assert!(runtimes.open("wasmi").unwrap().is_ok());
    }
}
