//! The tour of Proxy-Wasm, in Rust: what each part does is in `filters/examples/README.md`.
#![forbid(unsafe_code)]

use std::rc::Rc;
use std::time::Duration;

use log::{error, warn};
use proxy_wasm::hostcalls::{define_metric, get_metric, increment_metric};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel, MetricType, Status};

const LANGUAGE: &str = "rust";
const TICKS: &str = "tour.ticks";

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root::default()));
}}

#[derive(Default)]
struct Root {
    config: Rc<Config>,
}

#[derive(Default)]
struct Config {
    /// The upstream that `/ask` asks.
    upstream: String,
    /// The counter of requests.
    requests: u32,
}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        let upstream = String::from_utf8(self.get_plugin_configuration().unwrap_or_default());
        let Some(upstream) = upstream.ok().filter(|name| !name.is_empty()) else {
            error!("configuration refused: it must be the name of an upstream");
            return false;
        };
        let requests = match define_metric(MetricType::Counter, "tour.requests") {
            Ok(requests) => requests,
            Err(status) => {
                error!("the counter cannot be defined: {status:?}");
                return false;
            }
        };
        self.config = Rc::new(Config { upstream, requests });
        self.set_tick_period(Duration::from_millis(100));
        true
    }

    fn on_tick(&mut self) {
        let (value, cas) = self.get_shared_data(TICKS);
        let ticks = value.and_then(|value| String::from_utf8(value).ok()?.parse::<u64>().ok());
        let next = (ticks.unwrap_or(0) + 1).to_string();
        match self.set_shared_data(TICKS, Some(next.as_bytes()), cas) {
            // Another VM was faster: its tick counts.
            Ok(()) | Err(Status::CasMismatch) => {}
            Err(status) => warn!("the tick cannot be counted: {status:?}"),
        }
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream {
            config: Rc::clone(&self.config),
        }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Context for Root {}

struct Stream {
    config: Rc<Config>,
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let _ = increment_metric(self.config.requests, 1);
        self.set_http_request_header("x-tour", Some(LANGUAGE));
        // Text in a compressed body cannot be found.
        self.set_http_request_header("accept-encoding", None);
        let path = self.get_http_request_header_bytes(":path").unwrap_or_default();
        if path.starts_with(b"/private") {
            self.send_http_response(403, vec![("x-tour", LANGUAGE)], Some(b"private\n"));
            return Action::Pause;
        }
        if path.starts_with(b"/ask") {
            return self.ask();
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        self.set_http_response_header("x-tour", Some(LANGUAGE));
        let requests = get_metric(self.config.requests).unwrap_or(0);
        self.set_http_response_header("x-tour-requests", Some(&requests.to_string()));
        if let (Some(ticks), _) = self.get_shared_data(TICKS) {
            self.set_http_response_header_bytes("x-tour-ticks", Some(&ticks));
        }
        // The body may get another length.
        self.set_http_response_header("content-length", None);
        Action::Continue
    }

    fn on_http_response_body(&mut self, _: usize, end_of_stream: bool) -> Action {
        if !end_of_stream {
            return Action::Pause;
        }
        self.rewrite();
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        // With trailers, it is they that end the message; the body held back is still there.
        self.rewrite();
        Action::Continue
    }
}

impl Context for Stream {
    fn on_http_call_response(&mut self, _: u32, _: usize, _: usize, _: usize) {
        // A call that failed has no headers at all.
        let status = self.get_http_call_response_header_bytes(":status");
        let answer = status.unwrap_or_else(|| b"none".to_vec());
        self.set_http_request_header_bytes("x-tour-answer", Some(&answer));
        self.resume_http_request();
    }
}

impl Stream {
    /// Asks the upstream and holds the request back until it has answered.
    fn ask(&self) -> Action {
        let headers = vec![
            (":method", "GET"),
            (":path", "/asked"),
            (":authority", "tour"),
            ("x-tour", LANGUAGE),
        ];
        let timeout = Duration::from_secs(5);
        match self.dispatch_http_call(&self.config.upstream, headers, None, vec![], timeout) {
            Ok(_) => Action::Pause,
            Err(status) => {
                warn!("upstream {:?} cannot be asked: {status:?}", self.config.upstream);
                Action::Continue
            }
        }
    }

    fn rewrite(&self) {
        let Some(body) = self.get_http_response_body(0, usize::MAX) else {
            return;
        };
        let mut rewritten = Vec::with_capacity(body.len());
        let mut rest = body.as_slice();
        while let Some((&first, tail)) = rest.split_first() {
            if let Some(tail) = rest.strip_prefix(b"hedgehog") {
                rewritten.extend_from_slice(b"porcupine");
                rest = tail;
            } else {
                rewritten.push(first);
                rest = tail;
            }
        }
        self.set_http_response_body(0, body.len(), &rewritten);
    }
}
