//! A checker of pages, written from the formats' specifications and not from the writer.

use std::collections::{BTreeMap, BTreeSet};

/// A family as it was read.
#[derive(Debug, Default)]
pub struct Family {
    pub kind: String,
    pub help: String,
    /// Name, labels and value of each sample.
    pub samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

/// Reads a page in text format 0.0.4. Panics where it is not well-formed.
pub fn read_text(page: &str) -> BTreeMap<String, Family> {
    let families = read(page, |kind| match kind {
        "histogram" => &["_bucket", "_sum", "_count"],
        "counter" | "gauge" => &[""],
        other => panic!("no such type: {other}"),
    });
    let mut names = BTreeSet::new();
    for (name, family) in &families {
        let suffixes: &[&str] = match family.kind.as_str() {
            "histogram" => &["", "_bucket", "_sum", "_count"],
            _ => &[""],
        };
        for suffix in suffixes {
            assert!(names.insert(format!("{name}{suffix}")), "{name}{suffix} twice");
        }
    }
    families
}

/// Reads a page in OpenMetrics 1.0. Panics where it is not well-formed.
pub fn read_open_metrics(page: &str) -> BTreeMap<String, Family> {
    let body = page.strip_suffix("# EOF\n").expect("an end");
    assert!(!body.contains("# EOF"));
    let families = read(body, |kind| match kind {
        "histogram" => &["_bucket", "_sum", "_count"],
        "counter" => &["_total"],
        "gauge" | "unknown" => &[""],
        other => panic!("no such type: {other}"),
    });
    // Names that a type could have are kept from all other families.
    let mut names = BTreeSet::new();
    for (name, family) in &families {
        let suffixes: &[&str] = match family.kind.as_str() {
            "histogram" => &["", "_bucket", "_sum", "_count", "_created"],
            "counter" => &["", "_total", "_created"],
            _ => &[""],
        };
        for suffix in suffixes {
            assert!(names.insert(format!("{name}{suffix}")), "{name}{suffix} twice");
        }
        for (sample, labels, _) in &family.samples {
            if sample.ends_with("_bucket") && family.kind == "histogram" {
                let bound = &labels["le"];
                assert!(
                    bound == "+Inf" || bound.contains(['.', 'e']),
                    "{bound} is not spelled as a float"
                );
            }
        }
    }
    families
}

fn read(page: &str, suffixes: impl Fn(&str) -> &'static [&'static str]) -> BTreeMap<String, Family> {
    assert!(page.ends_with('\n') && !page.contains("\n\n"));
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    let mut seen = BTreeSet::new();
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect("a text");
            is_name(name);
            current = name.to_owned();
            let family = Family {
                help: unescape(help),
                ..Family::default()
            };
            assert!(families.insert(name.to_owned(), family).is_none(), "{name} twice");
            continue;
        }
        let family = families.get_mut(&current).expect("HELP comes first");
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a type");
            assert!(name == current && family.kind.is_empty() && family.samples.is_empty());
            kind.clone_into(&mut family.kind);
            continue;
        }
        assert!(!line.starts_with('#'), "{line}");
        let sample = read_sample(line);
        let belongs = |suffix: &&str| sample.0 == format!("{current}{suffix}");
        assert!(suffixes(&family.kind).iter().any(belongs), "{line} in {current}");
        assert!(seen.insert((sample.0.clone(), sample.1.clone())), "{line} twice");
        family.samples.push(sample);
    }
    for (name, family) in &families {
        match family.kind.as_str() {
            "histogram" => check_histogram(name, family),
            "counter" => assert!(family.samples.iter().all(|(.., value)| *value >= 0.0)),
            _ => {}
        }
    }
    families
}

fn check_histogram(name: &str, family: &Family) {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (sample, labels, value) in &family.samples {
        let mut labels = labels.clone();
        let bound = labels.remove("le");
        let bound = bound.map_or(f64::NAN, |bound| bound.parse().expect("a bound"));
        let suffix = sample.strip_prefix(name).expect("its own");
        groups.entry(labels).or_default().push((suffix, bound, *value));
    }
    for (labels, samples) in groups {
        let buckets: Vec<_> = samples
            .iter()
            .filter(|(suffix, ..)| *suffix == "_bucket")
            .collect();
        assert!(
            buckets.is_sorted_by(|a, b| a.1 < b.1 && a.2 <= b.2),
            "{name} {labels:?}"
        );
        let last = buckets.last().expect("a bucket");
        let total = |wanted| {
            samples
                .iter()
                .find(|(suffix, ..)| *suffix == wanted)
                .expect("a total")
                .2
        };
        assert!(
            last.1.is_infinite() && last.2 == total("_count"),
            "{name} {labels:?}"
        );
        assert!(total("_sum") >= 0.0);
    }
}

fn read_sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let end = line.find(['{', ' ']).expect("a value");
    let (name, mut rest) = line.split_at(end);
    is_name(name);
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"").expect("a label");
            assert!(
                !label.is_empty() && label.chars().all(|c| c.is_ascii_lowercase() || c == '_'),
                "{line}"
            );
            let mut escaped = false;
            let end = after
                .find(|c| {
                    let ends = c == '"' && !escaped;
                    escaped = c == '\\' && !escaped;
                    ends
                })
                .expect("an end");
            assert!(
                labels.insert(label.to_owned(), unescape(&after[..end])).is_none(),
                "{line}"
            );
            rest = &after[end + 1..];
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').expect("one space");
    (name.to_owned(), labels, value.parse().expect("a number"))
}

fn is_name(name: &str) {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    assert!(
        name.chars().all(legal) && !name.starts_with(|c: char| c.is_ascii_digit()),
        "{name}"
    );
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        out.push(match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some(same @ ('\\' | '"')) => same,
                other => panic!("\\{other:?} in {text:?}"),
            },
            plain => plain,
        });
    }
    out
}
