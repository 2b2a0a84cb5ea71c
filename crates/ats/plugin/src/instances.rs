//! The instances of the plugin: that of `plugin.config`, and one for each list of documents that remap rules name.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use weir_config::FilterConfig;

use crate::plugin::GLOBAL;

/// Instances by number. The first is that of `plugin.config`; remap rules with the same files share one.
pub(crate) struct PluginInstances {
    all: Vec<PluginInstance>,
    /// The instances of rules, by their files.
    of_rules: HashMap<Vec<PathBuf>, usize>,
    /// Numbers that no rule uses.
    free: Vec<usize>,
}

/// The documents of `plugin.config`, or of remap rules.
#[derive(Default)]
struct PluginInstance {
    files: Vec<PathBuf>,
    /// The filters of the documents, in the order of the files; a document that could not be read has a stand-in, which is
    /// refused.
    filters: Vec<Arc<FilterConfig>>,
    /// Rules that use it.
    users: usize,
}

impl Default for PluginInstances {
    fn default() -> Self {
        Self {
            all: vec![PluginInstance::default()],
            of_rules: HashMap::new(),
            free: Vec::new(),
        }
    }
}

impl PluginInstances {
    /// Adds documents to the instance of `plugin.config`.
    pub fn extend_global(&mut self, files: Vec<PathBuf>, filters: Vec<Arc<FilterConfig>>) {
        let global = &mut self.all[GLOBAL];
        global.files.extend(files);
        global.filters.extend(filters);
    }

    /// A rule names these files. Returns the number of the instance that has them already, which is then the rule's too.
    pub fn join(&mut self, files: &[PathBuf]) -> Option<usize> {
        let number = *self.of_rules.get(files)?;
        self.all[number].users += 1;
        Some(number)
    }

    /// Adds the instance of a rule, and returns its number.
    pub fn add(&mut self, files: Vec<PathBuf>, filters: Vec<Arc<FilterConfig>>) -> usize {
        let number = self.free.pop().unwrap_or(self.all.len());
        self.of_rules.insert(files.clone(), number);
        let instance = PluginInstance {
            files,
            filters,
            users: 1,
        };
        match self.all.get_mut(number) {
            Some(place) => *place = instance,
            None => self.all.push(instance),
        }
        number
    }

    /// A rule has no use for its instance any more. Returns true if no rule has.
    pub fn leave(&mut self, number: usize) -> bool {
        let Some(instance) = self.all.get_mut(number).filter(|instance| instance.users > 0) else {
            // The instance of `plugin.config`, or none.
            return false;
        };
        instance.users -= 1;
        if instance.users > 0 {
            return false;
        }
        self.of_rules.remove(&instance.files);
        *instance = PluginInstance::default();
        self.free.push(number);
        true
    }

    /// Returns the files of each instance.
    pub fn files(&self) -> Vec<Vec<PathBuf>> {
        self.all.iter().map(|instance| instance.files.clone()).collect()
    }

    /// Returns the filters of each instance.
    pub fn chains(&self) -> Vec<Vec<Arc<FilterConfig>>> {
        self.all.iter().map(|instance| instance.filters.clone()).collect()
    }

    /// Replaces the filters of each instance.
    pub fn set_chains(&mut self, chains: Vec<Vec<Arc<FilterConfig>>>) {
        for (instance, filters) in self.all.iter_mut().zip(chains) {
            instance.filters = filters;
        }
    }

    /// Returns all filters of all instances.
    pub fn filters(&self) -> impl Iterator<Item = &Arc<FilterConfig>> {
        self.all.iter().flat_map(|instance| &instance.filters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(name: &str) -> Vec<PathBuf> {
        vec![PathBuf::from(name)]
    }

    #[test]
    fn rules_with_the_same_files_share_an_instance_until_the_last_leaves() {
        let mut instances = PluginInstances::default();
        assert_eq!(instances.join(&files("a")), None);
        let a = instances.add(files("a"), Vec::new());
        let b = instances.add(files("b"), Vec::new());
        assert_eq!((a, b), (1, 2));
        assert_eq!(instances.join(&files("a")), Some(a));
        assert!(!instances.leave(a) && instances.leave(a));
        // Nobody's any more, so that a rule cannot leave it twice.
        assert!(!instances.leave(a));
        assert_eq!(instances.join(&files("a")), None);
        assert_eq!(instances.add(files("c"), Vec::new()), a, "its number is free");
        assert_eq!(instances.join(&files("c")), Some(a));
        assert_eq!(instances.files(), [vec![], files("c"), files("b")]);
    }

    #[test]
    fn no_rule_leaves_the_instance_of_plugin_config() {
        let mut instances = PluginInstances::default();
        instances.extend_global(files("g"), Vec::new());
        assert!(!instances.leave(GLOBAL) && !instances.leave(7));
        assert_eq!(instances.files(), [files("g")]);
        assert_eq!(instances.join(&files("g")), None, "a rule has one of its own");
    }
}
