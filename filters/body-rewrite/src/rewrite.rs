//! Replacing in bytes: a body need not be UTF-8.

use memchr::memmem;

use crate::config::Replacement;

/// The body after all replacements, and how many there were; `None` where nothing was found.
pub fn replace_all(body: &[u8], replacements: &[Replacement]) -> Option<(Vec<u8>, usize)> {
    let mut current: Option<Vec<u8>> = None;
    let mut total = 0;
    for Replacement { find, replace } in replacements {
        let text = current.as_deref().unwrap_or(body);
        if let Some((replaced, count)) = replace_one(text, find.as_bytes(), replace.as_bytes()) {
            current = Some(replaced);
            total += count;
        }
    }
    current.map(|text| (text, total))
}

fn replace_one(text: &[u8], find: &[u8], replace: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut result = Vec::new();
    let (mut copied, mut count) = (0, 0);
    for position in memmem::find_iter(text, find) {
        if count == 0 {
            result.reserve(text.len() + replace.len());
        }
        result.extend_from_slice(&text[copied..position]);
        result.extend_from_slice(replace);
        copied = position + find.len();
        count += 1;
    }
    if count == 0 {
        return None;
    }
    result.extend_from_slice(&text[copied..]);
    Some((result, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(body: &str, pairs: &[(&str, &str)]) -> Option<(String, usize)> {
        let replacements: Vec<_> = pairs
            .iter()
            .map(|(find, replace)| Replacement {
                find: (*find).to_owned(),
                replace: (*replace).to_owned(),
            })
            .collect();
        let (body, count) = replace_all(body.as_bytes(), &replacements)?;
        Some((String::from_utf8(body).expect("UTF-8"), count))
    }

    #[test]
    fn each_on_the_result_of_the_one_before() {
        assert_eq!(
            replaced("a-a", &[("a", "bb"), ("bb", "c")]),
            Some(("c-c".to_owned(), 4))
        );
    }

    #[test]
    fn ends_overlaps_and_nothing() {
        assert_eq!(replaced("xaax", &[("x", "")]), Some(("aa".to_owned(), 2)));
        assert_eq!(replaced("aaa", &[("aa", "b")]), Some(("ba".to_owned(), 1)));
        assert_eq!(replaced("abc", &[("d", "e")]), None);
        assert_eq!(replaced("", &[("d", "e")]), None);
    }

    #[test]
    fn bytes_that_are_not_utf_8_stay() {
        let replacements = [Replacement {
            find: "a".to_owned(),
            replace: "b".to_owned(),
        }];
        assert_eq!(
            replace_all(b"\xff a \xfe", &replacements),
            Some((b"\xff b \xfe".to_vec(), 1))
        );
    }
}
