//! The OWASP Core Rule Set as Debian has it, as one text without references to other files.

use std::fs;
use std::path::{Path, PathBuf};

/// Where Debian's package `modsecurity-crs` puts the rules, and their settings.
const RULES: &str = "/usr/share/modsecurity-crs/rules";
const SETTINGS: &str = "/etc/modsecurity/crs/crs-setup.conf";

/// Files that are about particular applications, addresses, counters that outlive a request, and responses.
const LEFT_OUT: [&str; 6] = ["903", "910", "912", "95", "98", "999"];

/// The rules about requests.
pub fn core_rule_set() -> String {
    let mut files: Vec<PathBuf> = fs::read_dir(RULES)
        .expect("Debian's modsecurity-crs is installed")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "conf") && is_wanted(path))
        .collect();
    files.sort();
    files.insert(0, PathBuf::from(SETTINGS));
    let read = |path: &PathBuf| fs::read_to_string(path).expect("a file of rules");
    let text: String = files.iter().map(read).collect();
    let lines = text.lines().map(with_phrases);
    format!(
        "SecRuleEngine On\nSecRequestBodyAccess On\n{}",
        lines.collect::<Vec<_>>().join("\n")
    )
}

/// Whether a file, such as `REQUEST-942-APPLICATION-ATTACK-SQLI.conf`, is taken.
fn is_wanted(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let number = name.split('-').nth(1).unwrap_or_default().to_owned();
    !LEFT_OUT.iter().any(|left| number.starts_with(left))
}

/// The line with the phrases of a file in the place of its name. Phrases of several words cannot be written in place.
fn with_phrases(line: &str) -> String {
    const OPERATOR: &str = "@pmFromFile ";
    let Some((before, rest)) = line.split_once(OPERATOR) else {
        return line.to_owned();
    };
    let Some((names, after)) = rest.split_once('"') else {
        return line.to_owned();
    };
    let mut phrases = Vec::new();
    for name in names.split_whitespace() {
        let text = fs::read_to_string(Path::new(RULES).join(name)).expect("a file of phrases");
        let usable = |phrase: &&str| {
            !phrase.is_empty() && !phrase.starts_with('#') && !phrase.contains([' ', '"', '\\'])
        };
        phrases.extend(text.lines().map(str::trim).filter(usable).map(str::to_owned));
    }
    format!("{before}@pm {}\"{after}", phrases.join(" "))
}
