//! "Did you mean".

use super::text::{listed, quoted};

/// The message for a name that is not one of `known`: the nearest of them, or all if none is near. `kind` such as
/// `upstream`.
pub(crate) fn unknown(kind: &str, name: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|candidate| (distance(&plain(name), &plain(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count() / 3).max(1))
        .min_by_key(|(distance, _)| *distance);
    let name = quoted(name);
    match near {
        Some((_, candidate)) => format!(
            "unknown {kind} {name}; did you mean \"{candidate}\"? Known: {}",
            listed(known.iter().copied())
        ),
        None => format!("unknown {kind} {name}; known: {}", listed(known.iter().copied())),
    }
}

/// The spelling without what people mix up most: case and separators.
fn plain(name: &str) -> Vec<char> {
    name.chars()
        .filter(|letter| !matches!(letter, '_' | '-' | ' '))
        .flat_map(char::to_lowercase)
        .take(64)
        .collect()
}

/// How many letters must be added, removed, replaced or swapped with their neighbour.
fn distance(from: &[char], to: &[char]) -> usize {
    let mut before_last = vec![0; to.len() + 1];
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (row, letter) in from.iter().enumerate() {
        let mut current = vec![row + 1; to.len() + 1];
        for (column, other) in to.iter().enumerate() {
            let replaced = last[column] + usize::from(letter != other);
            let mut best = replaced.min(last[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && from[row - 1] == *other && *letter == to[column - 1] {
                best = best.min(before_last[column - 1] + 1);
            }
            current[column + 1] = best;
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested() {
        let known = ["runtime", "vm_id", "configuration"];
        assert_eq!(
            unknown("key", "runtme", &known),
            r#"unknown key "runtme"; did you mean "runtime"? Known: runtime, vm_id, configuration"#
        );
        assert!(unknown("key", "rutnime", &known).contains(r#"did you mean "runtime"?"#));
        assert!(unknown("key", "VM-ID", &known).contains(r#"did you mean "vm_id"?"#));
    }

    #[test]
    fn nothing_is_suggested_for_a_name_that_is_far_from_all() {
        assert_eq!(
            unknown("upstream", "x", &[]),
            r#"unknown upstream "x"; known: none"#
        );
        assert_eq!(
            unknown("upstream", "x", &["backend"]),
            r#"unknown upstream "x"; known: backend"#
        );
    }

    #[test]
    fn distances_count_edits_and_swaps() {
        let letters = |text: &str| text.chars().collect::<Vec<_>>();
        for (from, to, edits) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "abd", 1),
            ("abc", "acb", 1),
            ("abc", "ab", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(&letters(from), &letters(to)), edits, "{from} {to}");
            assert_eq!(distance(&letters(to), &letters(from)), edits, "{to} {from}");
        }
    }
}
