//! Documents that share a name.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use weir_config::FilterConfig;

use crate::plugin::GLOBAL;

/// Names that are warned about; the others are counted.
const MOST_WARNINGS: usize = 20;

/// Documents that share a name with another. In one chain the later document is refused; elsewhere it serves, and a warning says
/// what the name no longer tells apart. One document may serve in several places.
#[derive(Default)]
pub(crate) struct Namesakes {
    /// Instance and place of each filter that is refused.
    refused: HashSet<(usize, usize)>,
    /// A line for each of them.
    pub problems: Vec<String>,
    /// Lines about the others.
    pub warnings: Vec<String>,
}

impl Namesakes {
    /// Finds them among the filters of each instance. Those of `plugin.config` are in one chain with those of each rule.
    pub fn of(instances: &[Vec<Arc<FilterConfig>>]) -> Self {
        let mut found = Self::default();
        let mut global: HashMap<&str, &PathBuf> = HashMap::new();
        let mut sources: BTreeMap<&str, Vec<&PathBuf>> = BTreeMap::new();
        for (instance, chain) in instances.iter().enumerate() {
            let mut own: HashMap<&str, &PathBuf> = HashMap::new();
            for (place, filter) in chain
                .iter()
                .enumerate()
                .filter(|(_, filter)| !filter.is_stand_in())
            {
                let name = filter.name.as_str();
                let other = global.get(name).or_else(|| own.get(name)).copied();
                match other.filter(|other| **other != filter.source) {
                    Some(other) => {
                        found.refused.insert((instance, place));
                        found.problems.push(format!(
                            "{}: config.name: the name {name:?} is that of {} in the same chain, so this filter does not \
                             serve; give each filter document of a chain a name of its own",
                            filter.source.display(),
                            other.display(),
                        ));
                    }
                    None => {
                        let names = if instance == GLOBAL { &mut global } else { &mut own };
                        names.entry(name).or_insert(&filter.source);
                        let known = sources.entry(name).or_default();
                        if known.last() != Some(&&filter.source) {
                            known.push(&filter.source);
                        }
                    }
                }
            }
        }
        let mut names = 0;
        for (name, mut sources) in sources {
            sources.sort_unstable();
            sources.dedup();
            let [first, second, ..] = sources[..] else {
                continue;
            };
            names += 1;
            if names <= MOST_WARNINGS {
                found.warnings.push(format!(
                    "config.name: {} filter documents have the name {name:?}, {} and {} among them; log lines and metrics do \
                     not tell them apart",
                    sources.len(),
                    first.display(),
                    second.display(),
                ));
            }
        }
        if names > MOST_WARNINGS {
            found.warnings.push(format!(
                "config.name: {} more names are those of several filter documents",
                names - MOST_WARNINGS
            ));
        }
        found
    }

    /// Returns true if the filter at this place of this instance is refused.
    pub fn refuses(&self, instance: usize, place: usize) -> bool {
        self.refused.contains(&(instance, place))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use weir_config::Environment;

    use super::*;

    fn filter(file: &str, name: &str) -> Arc<FilterConfig> {
        let text = format!(
            "config:\n  name: {name}\n  vm_config:\n    code:\n      local:\n        filename: /proc/self/exe\n"
        );
        Arc::new(FilterConfig::parse(text.as_bytes(), Path::new(file), &Environment::empty()).unwrap())
    }

    #[test]
    fn a_name_is_refused_twice_in_a_chain_and_taken_twice_elsewhere() {
        let instances = [
            vec![filter("/global", "auth")],
            vec![filter("/a", "one"), filter("/b", "one")],
            vec![filter("/b", "one")],
            vec![filter("/c", "auth")],
        ];
        let found = Namesakes::of(&instances);
        let refused: Vec<_> = (0..4)
            .flat_map(|instance| [(instance, 0), (instance, 1)])
            .filter(|(instance, place)| found.refuses(*instance, *place))
            .collect();
        assert_eq!(refused, [(1, 1), (3, 0)]);
        assert_eq!(found.problems.len(), 2);
        assert!(found.problems[0].starts_with("/b: config.name: the name \"one\" is that of /a"));
        let [warning] = &found.warnings[..] else {
            panic!("{:?}", found.warnings)
        };
        assert!(warning.starts_with("config.name: 2 filter documents have the name \"one\", /a and /b"));
    }

    #[test]
    fn a_document_in_several_places_is_nobodys_namesake() {
        let shared = filter("/a", "one");
        let instances = [vec![Arc::clone(&shared), Arc::clone(&shared)], vec![shared]];
        let found = Namesakes::of(&instances);
        assert!(found.problems.is_empty() && found.warnings.is_empty());
    }
}
