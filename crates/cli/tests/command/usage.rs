//! Command lines and help.

use super::support::{assert_ends, folder, weir};

#[test]
fn a_wrong_command_line_is_told_apart() {
    let folder = folder(&[]);
    assert_ends(&weir(folder.path(), &["serve"]), 2);
    assert_ends(&weir(folder.path(), &["no-such-verb"]), 2);
}

#[test]
fn help_teaches_with_examples() {
    let folder = folder(&[]);
    let verbs = [
        ("serve", "upstream: echo"),
        ("check", "throw-away"),
        ("inspect", "The module is not run"),
        ("compile", "custom section"),
        ("engines", "proposals"),
    ];
    for (verb, words) in verbs {
        let (text, _) = assert_ends(&weir(folder.path(), &[verb, "--help"]), 0);
        for expected in [words, "Examples:", "Exit codes:"] {
            assert!(text.contains(expected), "{verb}: {expected:?} in\n{text}");
        }
    }
}
