//! The mark of what filters have made and the server's cache keeps.
//!
//! An object that was stored as filters made it carries a field whose name begins with `@`, which the server sends to nobody.
//! The field names the filters and what decides about their work, so that a chain knows its own results, and only these.

use sha2::{Digest, Sha256};
use weir_config::FilterConfig;
use weir_plan::ModuleDigest;

/// The name of the field.
pub(crate) const FIELD: &[u8] = b"@Weir-Made-By";

/// Bytes of a filter's digest that go into the mark.
const DIGEST: usize = 16;

/// Separates the filters of a mark.
const SEPARATOR: char = ' ';

/// Returns a filter's part of a mark: its name, and a digest of its module and of the configuration that the module sees.
/// `module`: the digest of its module, where there is one.
pub(crate) fn of_filter(filter: &FilterConfig, module: Option<&ModuleDigest>) -> String {
    let mut digest = Sha256::new();
    let mut add = |bytes: &[u8]| {
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(bytes);
    };
    add(module.map_or(&[][..], |module| &module.as_bytes()[..]));
    add(filter.name.as_bytes());
    add(filter.root_id.as_bytes());
    add(&filter.configuration);
    add(filter.vm.vm_id.as_bytes());
    add(&filter.vm.configuration);
    for (name, value) in &filter.vm.environment {
        add(name.as_bytes());
        add(value.as_bytes());
    }
    for capability in filter.vm.allowed_capabilities.iter().flatten() {
        add(capability.as_bytes());
    }
    let mut part = String::with_capacity(filter.name.len() + 1 + 2 * DIGEST);
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    part.extend(
        filter
            .name
            .chars()
            .map(|letter| if plain(letter) { letter } else { '_' }),
    );
    part.push('=');
    for byte in &digest.finalize()[..DIGEST] {
        part.push_str(&format!("{byte:02x}"));
    }
    part
}

/// Joins the parts of a chain's filters.
pub(crate) fn join<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    let mut mark = String::new();
    for part in parts {
        if !mark.is_empty() {
            mark.push(SEPARATOR);
        }
        mark.push_str(part);
    }
    mark
}

/// Returns true if a mark names a filter's part.
pub(crate) fn names(mark: &[u8], part: &str) -> bool {
    mark.split(|byte| *byte == SEPARATOR as u8)
        .any(|other| other == part.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(name: &str) -> FilterConfig {
        let environment = weir_config::Environment::process();
        FilterConfig::stand_in(std::path::Path::new(&format!("/{name}.yaml")), &environment)
    }

    #[test]
    fn a_part_tells_filters_modules_and_configurations_apart() {
        let part = |filter: &FilterConfig, module: u8| {
            of_filter(filter, Some(&ModuleDigest::from_bytes([module; 32])))
        };
        let first = filter("a");
        assert_eq!(part(&first, 1), part(&filter("a"), 1));
        assert_ne!(part(&first, 1), part(&first, 2));
        assert_ne!(part(&first, 1), part(&filter("b"), 1));
        let mut other = filter("a");
        other.configuration = b"{}".to_vec();
        assert_ne!(part(&first, 1), part(&other, 1));
        let mut other = filter("a");
        other.vm.configuration = b"{}".to_vec();
        assert_ne!(part(&first, 1), part(&other, 1));
        assert!(part(&first, 1).starts_with("a="));
    }

    #[test]
    fn names_hold_nothing_that_a_mark_separates_by() {
        let mut named = filter("a");
        named.name = "two words, a=b\r\n".to_owned();
        let part = of_filter(&named, None);
        assert!(part.starts_with("two_words__a_b__="), "{part}");
        assert!(!part.contains(SEPARATOR));
    }

    #[test]
    fn a_mark_names_the_filters_of_its_chain() {
        let mark = join(["a=1", "b=2"].into_iter());
        assert_eq!(mark, "a=1 b=2");
        assert!(names(mark.as_bytes(), "a=1") && names(mark.as_bytes(), "b=2"));
        assert!(!names(mark.as_bytes(), "a=") && !names(mark.as_bytes(), "b=22"));
    }
}
