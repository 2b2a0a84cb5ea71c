//! Documents of filters that are read again and again, known by their digest.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::read_text;
use crate::{CodeSource, ConfigError, Environment, FilterConfig};

/// Documents of filters, each parsed anew only when its bytes have changed. A reload with thousands of documents parses those
/// that have changed, and compares the filters of the others by address.
pub struct FilterDocuments {
    environment: Environment,
    known: HashMap<PathBuf, Known>,
}

struct Known {
    digest: [u8; 32],
    filter: Arc<FilterConfig>,
}

impl FilterDocuments {
    /// No documents so far. All are read in this environment.
    pub fn new(environment: Environment) -> Self {
        Self {
            environment,
            known: HashMap::new(),
        }
    }

    /// Returns the environment.
    pub const fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Reads a document, as [`FilterConfig::load`] does. Returns the same filter as the time before where the document has the
    /// same bytes and its module's file still exists.
    ///
    /// # Errors
    ///
    /// As [`FilterConfig::load`].
    pub fn load(&mut self, path: &Path) -> Result<Arc<FilterConfig>, ConfigError> {
        let text = read_text(path)?;
        let digest = Sha256::digest(&text).into();
        if let Some(known) = self.known.get(path)
            && known.digest == digest
            && known.filter.vm.code.as_ref().is_none_or(exists)
        {
            return Ok(Arc::clone(&known.filter));
        }
        let filter = Arc::new(FilterConfig::parse(&text, path, &self.environment)?);
        let known = Known {
            digest,
            filter: Arc::clone(&filter),
        };
        self.known.insert(path.to_owned(), known);
        Ok(filter)
    }

    /// Forgets the documents whose filters nothing else holds.
    pub fn forget_unused(&mut self) {
        self.known.retain(|_, known| Arc::strong_count(&known.filter) > 1);
    }
}

/// Parsing looks for a module in several folders: one that is gone may be in another now.
fn exists(code: &CodeSource) -> bool {
    code.file().is_none_or(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_document_is_parsed_again_only_when_its_bytes_change() {
        let folder = tempfile::tempdir().unwrap();
        let (path, module) = (
            folder.path().join("filter.yaml"),
            folder.path().join("module.wasm"),
        );
        let write = |value: &str| {
            let text = format!(
                "config:\n  configuration: {value}\n  vm_config:\n    code:\n      local:\n        filename: module.wasm\n"
            );
            fs::write(&path, text).unwrap();
        };
        fs::write(&module, "").unwrap();
        write("one");
        let mut documents = FilterDocuments::new(Environment::empty());
        let first = documents.load(&path).unwrap();
        // The same bytes in another file.
        fs::remove_file(&path).unwrap();
        write("one");
        assert!(Arc::ptr_eq(&first, &documents.load(&path).unwrap()));
        // As long as before.
        write("two");
        let second = documents.load(&path).unwrap();
        assert_eq!(second.configuration, b"two");
        // A document without its module is as wrong as it was at first.
        fs::remove_file(&module).unwrap();
        assert!(documents.load(&path).is_err());
        fs::write(&module, "").unwrap();
        assert!(Arc::ptr_eq(&second, &documents.load(&path).unwrap()));
        drop(second);
        documents.forget_unused();
        assert!(documents.known.is_empty());
    }

    #[test]
    fn a_wrong_document_says_which_files_it_was_made_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("filter.yaml");
        let mut documents = FilterDocuments::new(Environment::empty());
        let files = |error: ConfigError| error.files().to_vec();
        let alone = |path: &Path| files(FilterConfig::load(path, &Environment::empty()).unwrap_err());
        assert_eq!(files(documents.load(&path).unwrap_err()), alone(&path));
        fs::write(
            &path,
            "config:\n  vm_config:\n    code:\n      local:\n        filename: none.wasm\n",
        )
        .unwrap();
        assert_eq!(files(documents.load(&path).unwrap_err()), alone(&path));
    }
}
