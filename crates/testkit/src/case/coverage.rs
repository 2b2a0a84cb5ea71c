//! Which case covers what, and the page that says so.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use anyhow::{Result, bail};
use weir_abi::Callback;
use weir_plan::import_sets;

use super::Case;

/// Callbacks that no HTTP request can bring about: those of TCP and gRPC, of the trial, of foreign functions. The host's
/// own tests drive them, and are searched for their names.
const HOST_TESTS: [&str; 11] = [
    "proxy_validate_configuration",
    "proxy_on_new_connection",
    "proxy_on_downstream_data",
    "proxy_on_downstream_connection_close",
    "proxy_on_upstream_data",
    "proxy_on_upstream_connection_close",
    "proxy_on_grpc_receive_initial_metadata",
    "proxy_on_grpc_receive",
    "proxy_on_grpc_receive_trailing_metadata",
    "proxy_on_grpc_close",
    "proxy_on_foreign_function",
];

/// Callbacks that Weir never calls, and why.
const NEVER: [(&str, &str); 2] = [
    (
        "proxy_on_request_metadata",
        "never called: HTTP/2 METADATA frames exist in Envoy only",
    ),
    (
        "proxy_on_response_metadata",
        "never called: HTTP/2 METADATA frames exist in Envoy only",
    ),
];

/// Facts that a reader needs beside the cases, by the beginning of the names that they are about.
const REMARKS: [(&str, &str); 6] = [
    ("proxy_grpc_", "refused: no proxy has a transport for gRPC yet"),
    ("proxy_on_grpc_", "no proxy has a transport for gRPC yet"),
    ("proxy_on_new_connection", "no proxy serves TCP yet"),
    ("proxy_on_downstream_", "no proxy serves TCP yet"),
    ("proxy_on_upstream_", "no proxy serves TCP yet"),
    (
        "proxy_validate_configuration",
        "called in the trial, before `proxy_on_configure`",
    ),
];

/// The outcome of a case with a proxy and an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All was as the case says.
    Passed,
    /// The case did not pass.
    Failed,
    /// All was as the case says, but requests were left out for lack of this.
    PassedWithout(String),
    /// The engine or the proxy lacks this ability.
    Lacks(String),
    /// The case is not for this proxy.
    Elsewhere,
}

/// The coverage of the cases, and their outcomes.
#[derive(Clone, Debug)]
pub struct Coverage {
    cases: Vec<Case>,
    columns: Vec<String>,
    verdicts: BTreeMap<(String, String), Verdict>,
}

impl Coverage {
    /// Of these cases with these engines and proxies, each pair a column; no verdict yet.
    pub fn new(cases: &[Case], columns: &[String]) -> Self {
        Self {
            cases: cases.to_vec(),
            columns: columns.to_vec(),
            verdicts: BTreeMap::new(),
        }
    }

    /// Notes what became of a case.
    pub fn note(&mut self, column: &str, case: &str, verdict: Verdict) {
        self.verdicts
            .insert((case.to_owned(), column.to_owned()), verdict);
    }

    /// Returns true if every case has a verdict in every column.
    pub fn is_whole(&self) -> bool {
        self.verdicts.len() == self.cases.len() * self.columns.len()
    }

    /// Checks that everything is covered, and that cases cover what exists.
    ///
    /// # Errors
    ///
    /// Something is not; all of it is in the message.
    pub fn check(&self) -> Result<()> {
        let names = names();
        let mut problems = Vec::new();
        for name in names.iter().flat_map(|(_, names)| names) {
            if self.covered_by(name).is_empty() {
                problems.push(format!("no case covers {name}"));
            }
        }
        for case in &self.cases {
            for covered in &case.covers {
                if !names.iter().any(|(_, names)| names.contains(covered)) {
                    problems.push(format!("{} covers {covered}, which does not exist", case.name));
                }
            }
        }
        if !problems.is_empty() {
            bail!("{}", problems.join("\n"));
        }
        Ok(())
    }

    /// The page `docs/conformance.md`.
    pub fn page(&self) -> String {
        let mut page = INTRODUCTION.to_owned();
        for (title, names) in names() {
            // Writing to a string does not fail.
            let _ = write!(page, "\n## {title}\n\n| name | covered by |\n|---|---|\n");
            for name in names {
                let by = self.covered_by(&name).join(", ");
                let _ = writeln!(page, "| `{name}` | {by}{} |", remark(&name));
            }
        }
        let _ = write!(
            page,
            "\n## Cases\n\n| case | {} | what |\n",
            self.columns.join(" | ")
        );
        let _ = writeln!(page, "|---|{}---|", "---|".repeat(self.columns.len()));
        for case in &self.cases {
            let verdicts = self.columns.iter().map(|column| self.verdict(&case.name, column));
            let verdicts: Vec<String> = verdicts.collect();
            let _ = writeln!(
                page,
                "| `{}` | {} | {} |",
                case.name,
                verdicts.join(" | "),
                case.description
            );
        }
        page
    }

    fn verdict(&self, case: &str, column: &str) -> String {
        match self.verdicts.get(&(case.to_owned(), column.to_owned())) {
            Some(Verdict::Passed) => "yes".to_owned(),
            Some(Verdict::Failed) => "**no**".to_owned(),
            Some(Verdict::PassedWithout(ability)) => format!("yes, without {ability}"),
            Some(Verdict::Elsewhere) => "–".to_owned(),
            Some(Verdict::Lacks(ability)) => format!("skipped: no {ability}"),
            None => "not run".to_owned(),
        }
    }

    fn covered_by(&self, name: &str) -> Vec<String> {
        let covers = |case: &&Case| case.covers.iter().any(|covered| covered == name);
        let mut by: Vec<String> = self
            .cases
            .iter()
            .filter(covers)
            .map(|case| format!("`{}`", case.name))
            .collect();
        if HOST_TESTS.contains(&name) {
            by.extend(host_test(name).map(|file| format!("the host's tests (`{file}`)")));
        }
        by.extend(
            NEVER
                .iter()
                .filter(|(never, _)| *never == name)
                .map(|(_, why)| (*why).to_owned()),
        );
        by
    }
}

/// Notes about a hostcall or callback beside the cases that cover it.
fn remark(name: &str) -> String {
    let remark = REMARKS.iter().find(|(start, _)| name.starts_with(start));
    remark
        .map(|(_, remark)| format!("; {remark}"))
        .unwrap_or_default()
}

const INTRODUCTION: &str = "\
# Conformance

What of the ABI is tested, on which engines and in which proxies. Made by `cargo xtask conformance`: do not edit.

Each case is a file of `filters/conformance/examples`: a guest on the raw ABI, and in its head the requests that are
sent through the proxy and what must come back. Its name here is its name there. The columns that name an engine alone are
`weir serve`, the others Traffic Server with the plugin; what either cannot do is in the case, too. A runtime has no column
where its library could not be had when this page was made, nor have ways to use one: Wasmtime with fuel, `wamr-jit`.
";

/// Everything that can be covered, under its titles: the imports of all sets, and the callbacks.
fn names() -> Vec<(String, Vec<String>)> {
    let mut titles: Vec<(String, Vec<String>)> = Vec::new();
    for set in import_sets().iter() {
        let names = set.imports.iter().map(|import| import.name().to_owned());
        let title = title(set.group);
        match titles.iter_mut().find(|(known, _)| *known == title) {
            Some((_, known)) => known.extend(names),
            None => titles.push((title, names.collect())),
        }
    }
    let callbacks = Callback::ALL.iter().map(|callback| callback.name());
    let others = [
        "proxy_on_memory_allocate",
        "proxy_on_request_headers/0.1.0",
        "proxy_on_response_headers/0.1.0",
    ];
    let callbacks = callbacks.chain(others).map(str::to_owned).collect();
    titles.insert(1, ("Callbacks".to_owned(), callbacks));
    titles
}

/// A set's heading, with a capital letter.
fn title(group: &str) -> String {
    let mut letters = group.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// The file of the host's tests that has a name in it.
fn host_test(name: &str) -> Option<String> {
    let folder = fs::read_dir(crate::repository().join("crates/host/tests")).ok()?;
    let mut files: Vec<_> = folder
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    let quoted = [format!("\"{name}\""), format!("{name}\\\"")];
    let holds = |text: &str| quoted.iter().any(|quoted| text.contains(quoted));
    let found = files
        .iter()
        .find(|path| fs::read_to_string(path).is_ok_and(|text| holds(&text)))?;
    Some(found.file_name()?.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Proxy;

    #[test]
    fn everything_is_covered() {
        Coverage::new(&Case::all(Proxy::Embedded).unwrap(), &[])
            .check()
            .unwrap();
    }

    #[test]
    fn an_uncovered_function_is_an_error() {
        let mut cases = Case::all(Proxy::Embedded).unwrap();
        cases.retain(|case| case.name != "abort");
        cases[0].covers.push("proxy_no_such_call".to_owned());
        let error = Coverage::new(&cases, &[]).check().unwrap_err().to_string();
        assert!(error.contains("no case covers abort"), "{error}");
        assert!(error.contains("proxy_no_such_call"), "{error}");
    }

    #[test]
    fn the_page_tells_what_no_proxy_brings_about() {
        let page = Coverage::new(&Case::all(Proxy::Embedded).unwrap(), &[]).page();
        for line in [
            "| `proxy_validate_configuration` | the host's tests (`lifecycle.rs`); called in the trial, before `proxy_on_configure` |",
            "| `proxy_grpc_cancel` | `grpc`; refused: no proxy has a transport for gRPC yet |",
            "| `proxy_on_grpc_close` | the host's tests (`calls.rs`); no proxy has a transport for gRPC yet |",
            "| `proxy_on_upstream_data` | the host's tests (`tcp.rs`); no proxy serves TCP yet |",
            "| `proxy_on_request_headers/0.1.0` | `get_header_map_value_0_1_0` |",
        ] {
            assert!(
                page.lines().any(|found| found == line),
                "{line}\nis not in\n{page}"
            );
        }
    }

    #[test]
    fn the_page_in_the_documentation_has_these_tables() {
        let page = Coverage::new(&Case::all(Proxy::Embedded).unwrap(), &[]).page();
        let tables = |page: &str| page.split("\n## Cases").next().unwrap_or_default().to_owned();
        let written = fs::read_to_string(crate::repository().join("docs/conformance.md")).unwrap();
        assert_eq!(tables(&page), tables(&written), "run `cargo xtask conformance`");
    }
}
