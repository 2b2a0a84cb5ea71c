//! Heads of case files.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Case, Exchange, Expect, Filter, Proxy, Upstream, escape};
use crate::client::{Content, Request};

/// A line of a head that is not understood.
#[derive(Debug)]
pub struct ParseError {
    line: String,
    reason: String,
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in the line: {}", self.reason, self.line)
    }
}

impl std::error::Error for ParseError {}

/// The cases of a folder, by name.
pub(super) fn folder(folder: &Path, proxy: Proxy) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let text = fs::read_to_string(&path)?;
            cases.push(case(&name, &text, proxy).with_context(|| path.display().to_string())?);
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}

/// Reads the head of a case, for a proxy.
fn case(name: &str, text: &str, proxy: Proxy) -> Result<Case, ParseError> {
    let mut reader = Reader {
        case: Case {
            name: name.to_owned(),
            description: String::new(),
            covers: Vec::new(),
            needs: Vec::new(),
            proxies: Vec::new(),
            lacks: None,
            remap: false,
            filters: vec![Filter::default()],
            exchanges: Vec::new(),
            logs: Vec::new(),
            no_logs: Vec::new(),
        },
        proxy,
        elsewhere: None,
    };
    let mut lines = text
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(str::trim);
    let description: Vec<&str> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    reader.case.description = description.join(" ");
    for line in lines.filter(|line| !line.is_empty()) {
        reader.directive(line).map_err(|reason| ParseError {
            line: line.to_owned(),
            reason,
        })?;
    }
    Ok(reader.case)
}

struct Reader {
    case: Case,
    proxy: Proxy,
    /// The request that is being read is for other proxies.
    elsewhere: Option<Exchange>,
}

impl Reader {
    fn directive(&mut self, line: &str) -> Result<(), String> {
        let (key, value) = line.split_once(':').ok_or("no directive")?;
        let value = value.trim();
        let (proxy, key) = match key.split_once('/') {
            Some((name, key)) => (named(name)?, key),
            None => (self.proxy, key),
        };
        if key == "request" {
            return self.request(value, proxy);
        }
        if proxy != self.proxy {
            return Ok(());
        }
        match key {
            "covers" => self.case.covers.extend(words(value)),
            "needs" => self
                .case
                .needs
                .extend(value.split(',').map(|need| need.trim().to_owned())),
            "proxies" => {
                for name in value.split_whitespace() {
                    self.case.proxies.push(named(name)?);
                }
            }
            "lacks" => self.case.lacks = Some(value.to_owned()),
            "load" if value == "remap" => self.case.remap = true,
            "then" => self.case.filters.push(Filter::default()),
            "configuration" => self.filter()?.configuration = Some(value.to_owned()),
            "vm-configuration" => self.filter()?.vm_configuration = Some(value.to_owned()),
            "vm-id" => self.filter()?.vm_id = Some(value.to_owned()),
            "plugin-root-id" => self.filter()?.root_id = Some(value.to_owned()),
            "filter" => {
                let (path, json) = value.split_once('=').ok_or("no `=`")?;
                let json: Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
                self.filter()?.keys.push((path.trim().to_owned(), json));
            }
            "log" => {
                let (level, text) = value.split_once(": ").ok_or("no level")?;
                self.case.logs.push((level.to_owned(), text.to_owned()));
            }
            "no-log" => self.case.no_logs.push(value.to_owned()),
            _ => {
                let exchange = self.elsewhere.as_mut().or(self.case.exchanges.last_mut());
                exchange_directive(exchange.ok_or("no `request` before this")?, key, value)?;
            }
        }
        Ok(())
    }

    fn filter(&mut self) -> Result<&mut Filter, String> {
        self.case.filters.last_mut().ok_or_else(|| "no filter".to_owned())
    }

    fn request(&mut self, value: &str, proxy: Proxy) -> Result<(), String> {
        let mut words = value.split_whitespace();
        let (Some(method), Some(path)) = (words.next(), words.next()) else {
            return Err("expected a method and a path".to_owned());
        };
        let mut exchange = Exchange {
            request: Request::new(method, &format!("{}{path}", self.case.path())),
            http2: false,
            tls: false,
            skips: None,
            expect: Expect::default(),
            upstream: Upstream::default(),
        };
        for word in words {
            match word {
                "h2" => exchange.http2 = true,
                "tls" => exchange.tls = true,
                _ => return Err(format!("{word} is neither h2 nor tls")),
            }
        }
        if proxy == self.proxy {
            self.elsewhere = None;
            self.case.exchanges.push(exchange);
        } else {
            self.elsewhere = Some(exchange);
        }
        Ok(())
    }
}

fn named(name: &str) -> Result<Proxy, String> {
    Proxy::named(name).ok_or_else(|| format!("{name} is no proxy"))
}

fn exchange_directive(exchange: &mut Exchange, key: &str, value: &str) -> Result<(), String> {
    let (request, expect, upstream) = (
        &mut exchange.request,
        &mut exchange.expect,
        &mut exchange.upstream,
    );
    match key {
        "send-header" => request.headers.push(field(value)?),
        "send-body" => request.content = Content::Sized(bytes(value)?),
        "send-chunk" => match &mut request.content {
            Content::Chunks(chunks) => chunks.push(bytes(value)?),
            other => *other = Content::Chunks(vec![bytes(value)?]),
        },
        "send-trailer" => request.trailers.push(field(value)?),
        "skips" => exchange.skips = Some(value.to_owned()),
        "status" => expect.status = Some(value.parse().map_err(|_| "no status")?),
        "connection" if value == "reset" => expect.reset = true,
        "header" => expect.headers.push(field(value)?),
        "no-header" => expect.no_headers.push(value.to_owned()),
        "header-or-trailer" => expect.anywhere.push(field(value)?),
        "body" => append_line(&mut expect.body, bytes(value)?),
        "trailer" => expect.trailers.push(field(value)?),
        "no-trailer" => expect.no_trailers.push(value.to_owned()),
        "upstream" if value == "none" => upstream.none = true,
        "upstream" => {
            let (method, path) = value.split_once(' ').ok_or("expected a method and a path")?;
            upstream.request = Some((method.to_owned(), path.to_owned()));
        }
        "upstream-header" => upstream.headers.push(field(value)?),
        "upstream-no-header" => upstream.no_headers.push(value.to_owned()),
        "upstream-body" => append_line(&mut upstream.body, bytes(value)?),
        "upstream-trailer" => upstream.trailers.push(field(value)?),
        "upstream-no-trailer" => upstream.no_trailers.push(value.to_owned()),
        _ => return Err(format!("{key} is no directive")),
    }
    Ok(())
}

fn append_line(body: &mut Option<Vec<u8>>, line: Vec<u8>) {
    match body {
        Some(body) => {
            body.push(b'\n');
            body.extend(line);
        }
        None => *body = Some(line),
    }
}

fn field(text: &str) -> Result<(String, Vec<u8>), String> {
    let (name, value) = text.split_once(':').ok_or("expected `name: value`")?;
    Ok((name.trim().to_owned(), bytes(value.trim())?))
}

fn bytes(text: &str) -> Result<Vec<u8>, String> {
    escape::bytes(text).ok_or_else(|| "a backslash that begins no escape".to_owned())
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "\
//! What it is about,
//! in two lines.
//!
//! covers: proxy_log proxy_on_log
//! needs: backtrace, memory limit
//! filter: vm_config.limits = {\"memory\": \"1MiB\"}
//! then: another
//! configuration: b
//!
//! request: POST /x?y h2
//! send-header: X-A: caf\\xe9
//! send-chunk: one
//! send-chunk: two
//! send-trailer: x-t: 1
//! status: 200
//! header: x-b: 1
//! body: first: line
//! body: second \\\\ line
//! upstream: none
//! log: info: text: more

use conformance::*;
//! status: 500
";

    #[test]
    fn a_head_is_read() {
        let case = case("name", HEAD, Proxy::Embedded).unwrap();
        assert_eq!(case.description, "What it is about, in two lines.");
        assert_eq!(case.covers, ["proxy_log", "proxy_on_log"]);
        assert_eq!(case.needs, ["backtrace", "memory limit"]);
        assert_eq!(case.lacking(&["backtrace"]), Some("memory limit"));
        assert_eq!(case.filters.len(), 2);
        assert_eq!(case.filters[0].keys[0].1["memory"], "1MiB");
        assert_eq!(case.filters[1].configuration.as_deref(), Some("b"));
        let exchange = &case.exchanges[0];
        assert!(exchange.http2 && !exchange.tls);
        assert_eq!(exchange.request.path, "/c/name/x?y");
        assert_eq!(
            exchange.request.headers,
            [("X-A".to_owned(), b"caf\xe9".to_vec())]
        );
        assert_eq!(
            exchange.request.content,
            Content::Chunks(vec![b"one".to_vec(), b"two".to_vec()])
        );
        assert_eq!(exchange.expect.status, Some(200));
        assert_eq!(
            exchange.expect.body.as_deref(),
            Some(&b"first: line\nsecond \\ line"[..])
        );
        assert!(exchange.upstream.none && !exchange.upstream.some());
        assert_eq!(case.logs, [("info".to_owned(), "text: more".to_owned())]);
    }

    #[test]
    fn unknown_directives_are_an_error() {
        for line in [
            "statu: 200",
            "status: x",
            "nothing",
            "header: x",
            "send-body: \\q",
            "request: GET",
            "filter: a",
            "load: x",
            "nginx/status: 200",
        ] {
            let text = format!("//! About.\n//!\n//! request: GET /\n//! {line}\n");
            let error = case("name", &text, Proxy::Embedded).unwrap_err().to_string();
            assert!(error.contains(line), "{error}");
        }
        assert!(case("name", "//! About.\n//!\n//! status: 200\n", Proxy::Embedded).is_err());
    }

    #[test]
    fn the_cases_are_read() {
        for proxy in Proxy::ALL {
            let cases = Case::all(proxy).unwrap();
            assert!(
                cases
                    .iter()
                    .all(|case| !case.description.is_empty() && !case.exchanges.is_empty())
            );
            assert!(cases.len() > 70, "{}", cases.len());
        }
    }

    #[test]
    fn proxies_differ_only_in_lines_that_name_one() {
        let text = "\
//! About.
//!
//! ats/load: remap
//! request: GET /
//! status: 200
//! ats/header: x-a: 1
//! embedded/request: GET /trailers
//! status: 201
//! ats/request: GET /none
//! status: 202
//! ats/skips: trailers
//! request: GET /last
//! status: 203
";
        let statuses = |case: &Case| {
            let statuses = case.exchanges.iter().map(|exchange| exchange.expect.status);
            statuses.flatten().collect::<Vec<_>>()
        };
        let embedded = case("name", text, Proxy::Embedded).unwrap();
        assert_eq!(statuses(&embedded), [200, 201, 203]);
        assert!(!embedded.remap && embedded.exchanges[0].expect.headers.is_empty());
        assert!(embedded.skips().is_empty());
        let ats = case("name", text, Proxy::Ats).unwrap();
        assert_eq!(statuses(&ats), [200, 202, 203]);
        assert!(ats.remap && ats.exchanges[0].expect.headers.len() == 1);
        assert_eq!(ats.skips(), ["trailers"]);
    }
}
