//! The choice of the code cache's folder.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use weir_config::CodeCacheFolder;
use weir_loader::{CachedEngine, CodeCache, MAX_CODE_CACHE_BYTES};
use weir_plan::RuntimeSource;

/// Environment variable with the code cache's folder, or `off`.
pub const CODE_CACHE_VARIABLE: &str = "WEIR_CODE_CACHE";

/// The word for no code cache.
const OFF: &str = "off";

/// Which code cache a process has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodeCacheChoice {
    /// None.
    Off,
    /// A folder that the operator has named: the log has a warning if it cannot be used.
    Named(PathBuf),
    /// A folder that nobody has named.
    Default(PathBuf),
}

impl CodeCacheChoice {
    /// The choice of the first that makes one: the flag, the environment, the document (`code_cache`); else `default`.
    pub fn new(flag: Option<&OsStr>, document: Option<&CodeCacheFolder>, default: Option<PathBuf>) -> Self {
        let variable = env::var_os(CODE_CACHE_VARIABLE).filter(|value| !value.is_empty());
        match (flag.or(variable.as_deref()), document) {
            (Some(off), _) if off == OFF => Self::Off,
            (Some(folder), _) => Self::Named(folder.into()),
            (None, Some(CodeCacheFolder::Off)) => Self::Off,
            (None, Some(CodeCacheFolder::At(folder))) => Self::Named(folder.clone()),
            (None, None) => default.map_or(Self::Off, Self::Default),
        }
    }

    /// The folder of a user: `$XDG_CACHE_HOME/weir`, or `~/.cache/weir`.
    pub fn of_user() -> Option<PathBuf> {
        let absolute = |name: &str| {
            env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let caches =
            absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
        Some(caches.join("weir"))
    }

    /// Says which code cache is in use, or why there is none. For the line of a log; touches the folder as opening does.
    pub fn describe(&self) -> String {
        let folder = match self {
            Self::Off => return "no code cache (it is off)".to_owned(),
            Self::Named(folder) | Self::Default(folder) => folder,
        };
        match CodeCache::open(folder, MAX_CODE_CACHE_BYTES) {
            Ok(_) => format!("code cache in {}", folder.display()),
            Err(error) => format!("no code cache ({error})"),
        }
    }

    /// The code cache, opened; `None` where there is none or its folder cannot be used.
    fn open(&self) -> Option<Arc<CodeCache>> {
        let open = |folder: &Path| CodeCache::open(folder, MAX_CODE_CACHE_BYTES);
        let opened = match self {
            Self::Off => return None,
            Self::Named(folder) => open(folder).inspect_err(|error| tracing::warn!("{error}")),
            Self::Default(folder) => open(folder).inspect_err(|error| tracing::debug!("{error}")),
        };
        opened.ok().map(Arc::new)
    }
}

/// The sources, each with the code cache of `choice`, which is asked when the first runtime is opened.
pub fn with_code_cache(
    sources: Vec<RuntimeSource>,
    choice: impl Fn() -> CodeCacheChoice + Send + Sync + 'static,
) -> Vec<RuntimeSource> {
    let cache = Arc::new(LazyLock::new(move || choice().open()));
    let wrap = |source: RuntimeSource| {
        let cache = Arc::clone(&cache);
        source.map(move |engine| match &**cache {
            Some(cache) => Arc::new(CachedEngine::new(engine, Arc::clone(cache))),
            None => engine,
        })
    };
    sources.into_iter().map(wrap).collect()
}

#[cfg(test)]
mod tests {
    use weir_plan::Runtimes;

    use super::*;

    #[test]
    fn the_flag_comes_before_document_and_default() {
        let default = Some(PathBuf::from("/default"));
        let document = CodeCacheFolder::At("/document".into());
        let choice =
            |named: &str| CodeCacheChoice::new(Some(OsStr::new(named)), Some(&document), default.clone());
        assert_eq!(choice("/named"), CodeCacheChoice::Named("/named".into()));
        assert_eq!(choice("off"), CodeCacheChoice::Off);
    }

    #[test]
    fn a_choice_says_what_is_in_use_or_why_nothing_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let kept = CodeCacheChoice::Default(folder.path().join("weir")).describe();
        assert_eq!(kept, format!("code cache in {}/weir", folder.path().display()));
        let refused = CodeCacheChoice::Named(file.path().to_owned()).describe();
        assert!(
            refused.starts_with(&format!("no code cache ({}: ", file.path().display())),
            "{refused}"
        );
        assert_eq!(CodeCacheChoice::Off.describe(), "no code cache (it is off)");
    }

    #[test]
    fn a_folder_that_cannot_be_used_is_done_without() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let choice = CodeCacheChoice::Named(file.path().to_owned());
        let runtimes =
            Runtimes::from_sources(with_code_cache(crate::runtimes(Default::default), move || {
                choice.clone()
            }));
        let engine = runtimes.open("wasmtime").unwrap().unwrap();
        engine
            .compile(&b"\0asm\x01\0\0\0".as_slice().into(), &[])
            .unwrap();
    }

    #[test]
    fn code_is_kept_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let choice = CodeCacheChoice::Default(folder.path().join("weir"));
        let runtimes =
            Runtimes::from_sources(with_code_cache(crate::runtimes(Default::default), move || {
                choice.clone()
            }));
        let engine = runtimes.open("wasmtime").unwrap().unwrap();
        engine
            .compile(&b"\0asm\x01\0\0\0".as_slice().into(), &[])
            .unwrap();
        let kept = std::fs::read_dir(folder.path().join("weir")).unwrap();
        assert_eq!(
            kept.filter(|entry| entry.as_ref().unwrap().path().extension().is_some())
                .count(),
            1
        );
    }
}
