//! Looks through path, query, headers and bodies of requests with some hundred regular expressions, as a web application
//! firewall does, and counts in a header how many match. It refuses nothing: it is there to be measured.
#![forbid(unsafe_code)]

use std::rc::Rc;

use log::error;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};
use regex::bytes::RegexSet;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root { rules: Rc::new(RegexSet::empty()) }));
}}

/// Words that stand together in what attackers send: any of the first with any of the second a little later.
const PAIRS: [(&[&str], &[&str]); 4] = [
    (
        &[
            "select", "union", "insert", "update", "delete", "drop", "alter", "exec",
        ],
        &[
            "from",
            "into",
            "table",
            "where",
            "having",
            "sleep",
            "benchmark",
            "information_schema",
        ],
    ),
    (
        &[
            "<script",
            "<iframe",
            "<object",
            "<embed",
            "<svg",
            "<img",
            "javascript:",
            "onerror",
        ],
        &[
            "alert",
            "document",
            "cookie",
            "eval",
            "fetch",
            "src",
            "fromcharcode",
            "onload",
        ],
    ),
    (
        &[";", "&&", "`", "$(", "cmd.exe", "powershell", "bash", "/bin/sh"],
        &["wget", "curl", "cat", "whoami", "nc", "chmod", "base64", "python"],
    ),
    (
        &[
            "../",
            "..%2f",
            "file://",
            "php://",
            "expect://",
            "data:",
            "zip://",
            "gopher://",
        ],
        &[
            "etc/passwd",
            "etc/shadow",
            "win.ini",
            "boot.ini",
            "proc/self",
            "input",
            "filter",
            "id_rsa",
        ],
    ),
];

fn rules() -> Result<RegexSet, regex::Error> {
    let pair = |first: &str, second: &str| {
        format!(
            "(?i-u){}[^\\n]{{0,40}}{}",
            regex::escape(first),
            regex::escape(second)
        )
    };
    let patterns: Vec<String> = PAIRS
        .iter()
        .flat_map(|(firsts, seconds)| {
            firsts
                .iter()
                .flat_map(|first| seconds.iter().map(|second| pair(first, second)))
        })
        .collect();
    regex::bytes::RegexSetBuilder::new(patterns)
        .size_limit(64 << 20)
        .build()
}

struct Root {
    rules: Rc<RegexSet>,
}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        match rules() {
            Ok(rules) => {
                self.rules = Rc::new(rules);
                true
            }
            Err(reason) => {
                error!("the rules cannot be used: {reason}");
                false
            }
        }
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream {
            rules: Rc::clone(&self.rules),
            matches: 0,
        }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Context for Root {}

struct Stream {
    rules: Rc<RegexSet>,
    matches: usize,
}

impl Stream {
    fn look(&mut self, text: &[u8]) {
        self.matches += self.rules.matches(text).iter().count();
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        for (_, value) in self.get_http_request_headers_bytes() {
            self.look(&value);
        }
        self.set_http_request_header("x-rules", Some(&self.matches.to_string()));
        Action::Continue
    }

    fn on_http_request_body(&mut self, size: usize, _: bool) -> Action {
        if let Some(body) = self.get_http_request_body(0, size) {
            self.look(&body);
        }
        Action::Continue
    }
}

impl Context for Stream {}
