//! The configuration of `cargo xtask serve`, turned into one for Traffic Server and its origin.
//!
//! Read line by line: the file is ours, and every line of it that matters is of a known form.

use std::path::Path;

/// The address of the configuration.
const WRITTEN: &str = "127.0.0.1:8080";

/// The examples: routes with filters, and the upstreams that the filters may call.
#[derive(Debug)]
pub struct Demo {
    routes: Vec<Route>,
    /// Lines of the section `upstreams`.
    upstreams: String,
    /// The same configuration, without filters.
    origin: String,
}

#[derive(Debug, Default)]
struct Route {
    prefix: String,
    filters: Vec<String>,
}

impl Demo {
    /// Reads the text of the configuration, for a server that listens on `listen`.
    pub fn read(config: &str, listen: &str) -> Self {
        let (mut routes, mut upstreams, mut origin) = (Vec::new(), String::new(), String::new());
        let mut section = "";
        for line in config.lines() {
            if let Some((key, _)) = line
                .split_once(':')
                .filter(|_| line.starts_with(char::is_alphabetic))
            {
                section = key;
            }
            let line = line.replace(WRITTEN, listen) + "\n";
            match section {
                "upstreams" if line.starts_with(' ') => upstreams.push_str(&line),
                "routes" => {
                    let of_filters = route(&mut routes, line.trim());
                    if !of_filters {
                        origin.push_str(&line);
                    }
                }
                _ => {}
            }
        }
        Self {
            routes,
            upstreams,
            origin,
        }
    }

    /// The filters that routes use, each once.
    pub fn filters(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.routes.iter().flat_map(|route| &route.filters).collect();
        names.sort();
        names.dedup();
        names.into_iter().map(String::as_str).collect()
    }

    /// A filter's document with everything in it that it leaves to its surroundings: the upstreams, and where modules are.
    pub fn filter(&self, document: &str, filters: &Path) -> String {
        let document = document.replace("filename: ..", &format!("filename: {}", filters.display()));
        let upstreams: String = self.upstreams.lines().map(|line| format!("  {line}\n")).collect();
        // The block under `config` is the last thing in it.
        format!("{}\n  upstreams:\n{upstreams}", document.trim_end())
    }

    /// The remap rules: each route at an origin that knows the same paths.
    pub fn remap(&self, origin: &str) -> Vec<String> {
        let rules = self.routes.iter().map(|route| {
            let Route { prefix, filters } = route;
            let mut rule = format!("map {prefix} http://{origin}{prefix}");
            if !filters.is_empty() {
                rule.push_str(" @plugin=wasm.so");
            }
            for filter in filters {
                rule.push_str(&format!(" @pparam={filter}.yaml"));
            }
            rule
        });
        rules.collect()
    }

    /// The configuration of the origin; where it listens is said when it is started.
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

/// Takes note of what a line says of a route; whether it is about filters, which the origin has no use for.
fn route(routes: &mut Vec<Route>, line: &str) -> bool {
    if line.starts_with("- name:") {
        routes.push(Route::default());
    }
    let Some(route) = routes.last_mut() else {
        return false;
    };
    if let Some(prefix) = between(line, "match: { path_prefix: ", " }") {
        route.prefix = prefix.to_owned();
    }
    let filters = between(line, "filters: [", "]");
    if let Some(filters) = filters {
        route.filters = filters.split(',').map(|name| name.trim().to_owned()).collect();
    }
    filters.is_some()
}

fn between<'a>(line: &'a str, before: &str, after: &str) -> Option<&'a str> {
    line.strip_prefix(before)?.strip_suffix(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demo() -> Demo {
        let config = crate::sh::root().join(crate::serve::CONFIG);
        Demo::read(&std::fs::read_to_string(config).unwrap(), "127.0.0.1:9")
    }

    #[test]
    fn routes_become_rules() {
        let rules = demo().remap("127.0.0.1:1");
        let rule = "map /prime-token http://127.0.0.1:1/prime-token @plugin=wasm.so @pparam=prime-token.yaml";
        assert!(rules.contains(&rule.to_owned()), "{rules:#?}");
        assert_eq!(rules.last().unwrap(), "map / http://127.0.0.1:1/");
        assert!(demo().filters().contains(&"ext-auth"));
    }

    #[test]
    fn documents_stand_alone() {
        let document = "config:\n  name: x\n  code:\n    filename: ../target/x.wasm\n";
        assert_eq!(
            demo()
                .filter(document, Path::new("/filters"))
                .lines()
                .take(5)
                .collect::<Vec<_>>(),
            [
                "config:",
                "  name: x",
                "  code:",
                "    filename: /filters/target/x.wasm",
                "  upstreams:"
            ]
        );
        assert!(
            demo()
                .filter(document, Path::new("/filters"))
                .contains("\n    auth: http://127.0.0.1:9\n")
        );
    }

    #[test]
    fn the_origin_has_no_filters() {
        let demo = demo();
        assert!(demo.origin().starts_with("routes:\n") && demo.origin().contains("body: \"allowed\\n\""));
        assert!(!demo.origin().contains("filters:") && !demo.origin().contains(WRITTEN));
    }
}
