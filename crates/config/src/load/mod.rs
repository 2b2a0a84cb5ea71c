//! From documents to types: one function for each struct.

mod bytes;
mod documents;
mod filter;
mod headers;
mod names;
mod process;
mod proxy;
mod route;
mod runtime;
mod snapshot;
mod upstream;
mod vm;

use std::path::Path;

pub use documents::FilterDocuments;

use crate::read::{Document, Field, Session};
use crate::{Config, ConfigError, Environment, FilterConfig, ProcessConfig, ProxyConfig};

/// Reads the text of a document that can be read only once, such as a pipe, for the `parse` of its kind.
///
/// # Errors
///
/// The file cannot be read or is too large.
pub fn read_text(path: &Path) -> Result<Vec<u8>, ConfigError> {
    let environment = Environment::empty();
    let session = Session::new(&environment);
    let text = Document::text(&session, path);
    session.finish(text)
}

impl FilterConfig {
    /// Reads a document of the Traffic Server plugin: a `config:` block.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the document, and files that it names but that cannot be read.
    pub fn load(path: &Path, environment: &Environment) -> Result<Self, ConfigError> {
        let session = Session::new(environment);
        let filter = Document::open(&session, path).and_then(|document| standalone(&document));
        session.finish(filter)
    }

    /// The stand-in for a document that [`FilterConfig::load`] refuses: a filter without a module, whose fail policy,
    /// name and conditions are those of the document as far as they can be read.
    pub fn stand_in(path: &Path, environment: &Environment) -> Self {
        let session = Session::new(environment);
        let read = Document::open(&session, path).map(|document| {
            let stem = document.path.file_stem().unwrap_or_default().to_string_lossy();
            filter::stand_in(&document.root(), &filter::Defaults::named(&stem))
        });
        read.unwrap_or_else(|| {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            filter::without_module(path.to_owned(), &filter::Defaults::named(&stem))
        })
    }

    /// As [`FilterConfig::load`], from text that stands for the file `path`.
    ///
    /// # Errors
    ///
    /// As [`FilterConfig::load`].
    pub fn parse(text: &[u8], path: &Path, environment: &Environment) -> Result<Self, ConfigError> {
        let session = Session::new(environment);
        let filter = Document::parse(&session, path, text).and_then(|document| standalone(&document));
        session.finish(filter)
    }
}

impl ProxyConfig {
    /// Reads a document of `weir serve` and the filter files that it names.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the documents, and files that they name but that cannot be read.
    pub fn load(path: &Path, environment: &Environment) -> Result<Self, ConfigError> {
        let session = Session::new(environment);
        let proxy = Document::open(&session, path).and_then(|document| proxy::read(&document.root()));
        session.finish(proxy)
    }

    /// As [`ProxyConfig::load`], from text that stands for the file `path`.
    ///
    /// # Errors
    ///
    /// As [`ProxyConfig::load`].
    pub fn parse(text: &[u8], path: &Path, environment: &Environment) -> Result<Self, ConfigError> {
        let session = Session::new(environment);
        let proxy = Document::parse(&session, path, text).and_then(|document| proxy::read(&document.root()));
        session.finish(proxy)
    }
}

impl ProcessConfig {
    /// Reads a document that has nothing but the keys of the process: that of Traffic Server's plugin.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the document, keys of `weir serve` and of filters included.
    pub fn load(path: &Path, environment: &Environment) -> Result<Self, ConfigError> {
        let session = Session::new(environment);
        let process = Document::open(&session, path).and_then(|document| process::document(&document.root()));
        session.finish(process)
    }

    /// As [`ProcessConfig::load`], from text that stands for the file `path`.
    ///
    /// # Errors
    ///
    /// As [`ProcessConfig::load`].
    pub fn parse(text: &[u8], path: &Path, environment: &Environment) -> Result<Self, ConfigError> {
        let session = Session::new(environment);
        let process =
            Document::parse(&session, path, text).and_then(|document| process::document(&document.root()));
        session.finish(process)
    }
}

impl Config {
    /// Reads a document of either kind: with a `config:` block at the top it is one of the Traffic Server plugin.
    ///
    /// # Errors
    ///
    /// As [`ProxyConfig::load`] and [`FilterConfig::load`].
    pub fn load(path: &Path, environment: &Environment) -> Result<Self, ConfigError> {
        let session = Session::new(environment);
        let config = Document::open(&session, path).and_then(|document| {
            let root = document.root();
            if root.is_map() && root.keys()?.has("config") {
                standalone(&document).map(Box::new).map(Self::Filter)
            } else {
                proxy::read(&root).map(Box::new).map(Self::Proxy)
            }
        });
        session.finish(config)
    }

    /// Checks that every runtime is one of `built_in`.
    ///
    /// # Errors
    ///
    /// As [`ProxyConfig::check_runtimes`].
    pub fn check_runtimes(&self, built_in: &[&str]) -> Result<(), ConfigError> {
        match self {
            Self::Proxy(proxy) => proxy.check_runtimes(built_in),
            Self::Filter(filter) => filter.check_runtime(built_in),
        }
    }
}

fn standalone(document: &Document<'_>) -> Option<FilterConfig> {
    let stem = document.path.file_stem().unwrap_or_default().to_string_lossy();
    filter::read(&document.root(), &filter::Defaults::named(&stem))
}

/// The value that `read` makes of a field, or `default` where the field is absent. Where it is there but wrong, the
/// problem has been noted and what is returned does not matter.
fn or<'d, T>(field: Option<Field<'d>>, default: T, read: impl FnOnce(&Field<'d>) -> Option<T>) -> T {
    field.and_then(|field| read(&field)).unwrap_or(default)
}
