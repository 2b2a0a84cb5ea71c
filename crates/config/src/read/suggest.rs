//! "Did you mean".

use super::text::{listed, quoted};

/// The message for a name that is not one of `known`, with the nearest and all of them. `kind` such as `upstream`.
pub(crate) fn unknown(kind: &str, name: &str, known: &[&str]) -> String {
    let all = listed(known.iter().copied());
    match nearest(name, known) {
        Some(near) => format!(
            "unknown {kind} {}; did you mean \"{near}\"? Known: {all}",
            quoted(name)
        ),
        None => format!("unknown {kind} {}; known: {all}", quoted(name)),
    }
}

/// As [`unknown`], for names that are too many to list; `expected` says what they are.
pub(crate) fn unknown_of_many(kind: &str, name: &str, known: &[&str], expected: &str) -> String {
    match nearest(name, known) {
        Some(near) => format!("unknown {kind} {}; did you mean \"{near}\"?", quoted(name)),
        None => format!("unknown {kind} {}; expected {expected}", quoted(name)),
    }
}

/// The message for a key that is not one of `known`; the key itself stands in the location.
pub(crate) fn unknown_key(key: &str, known: &[&str]) -> String {
    match nearest(key, known) {
        Some(near) => format!("unknown key; did you mean \"{near}\"?"),
        None => format!("unknown key; known here: {}", listed(known.iter().copied())),
    }
}

/// The name that is most likely meant: at most a third of its letters differ.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let name = plain(name);
    let distances = known
        .iter()
        .map(|candidate| (distance(&name, &plain(candidate)), *candidate));
    let near = distances.filter(|(distance, candidate)| *distance <= candidate.chars().count() / 3);
    near.min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The spelling without what people mix up most: case and separators.
fn plain(name: &str) -> Vec<char> {
    name.chars()
        .filter(|letter| !matches!(letter, '_' | '-' | ' '))
        .flat_map(char::to_lowercase)
        .take(64)
        .collect()
}

/// Counts the letters that must be added, removed, replaced or swapped with their neighbour.
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
            unknown("filter", "runtme", &known),
            r#"unknown filter "runtme"; did you mean "runtime"? Known: runtime, vm_id, configuration"#
        );
        assert_eq!(
            unknown_key("rutnime", &known),
            r#"unknown key; did you mean "runtime"?"#
        );
        assert_eq!(
            unknown_key("VM-ID", &known),
            r#"unknown key; did you mean "vm_id"?"#
        );
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
