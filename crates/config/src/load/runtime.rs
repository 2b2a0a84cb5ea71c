//! `runtime:`, and whether it is built in.

use crate::read::{Field, listed, quoted};
use crate::{ConfigError, FilterConfig, Problem, ProxyConfig, Runtime};

/// The namespaces in which Envoy and Traffic Server name their runtimes.
const PREFIXES: [&str; 2] = ["envoy.wasm.runtime.", "ats.wasm.runtime."];

pub(super) fn read(field: &Field<'_>) -> Option<Runtime> {
    let written = field.scalar("the name of a runtime such as wasmtime")?;
    let name = PREFIXES
        .iter()
        .find_map(|prefix| written.strip_prefix(prefix))
        .unwrap_or(written);
    Some(Runtime {
        name: name.to_owned(),
        written: written.to_owned(),
        location: Some(field.location()),
    })
}

impl FilterConfig {
    /// Checks that the filter's runtime is one of `built_in`.
    ///
    /// # Errors
    ///
    /// If it is not: names it and lists those that are.
    pub fn check_runtime(&self, built_in: &[&str]) -> Result<(), ConfigError> {
        let problems: Vec<Problem> = self.runtime_problem(built_in).into_iter().collect();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(ConfigError::new(problems, self.files()))
        }
    }

    fn runtime_problem(&self, built_in: &[&str]) -> Option<Problem> {
        let Runtime {
            name,
            written,
            location,
        } = &self.vm.runtime;
        if built_in.contains(&name.as_str()) {
            return None;
        }
        let location = location
            .clone()
            .unwrap_or_else(|| crate::Location::whole(&self.source));
        let list = listed(built_in.iter().copied());
        let message = format!(
            "the runtime {} is not built in; built in: {list}",
            quoted(written)
        );
        Some(Problem { location, message })
    }
}

impl ProxyConfig {
    /// Checks that the runtime of every filter is one of `built_in`.
    ///
    /// # Errors
    ///
    /// For each one that is not: names it and lists those that are.
    pub fn check_runtimes(&self, built_in: &[&str]) -> Result<(), ConfigError> {
        let mut problems: Vec<Problem> = Vec::new();
        for problem in self
            .filters
            .values()
            .filter_map(|filter| filter.runtime_problem(built_in))
        {
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(ConfigError::new(problems, self.files()))
        }
    }
}
