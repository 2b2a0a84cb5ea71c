//! Holds a request back, asks a service over HTTP whether it may pass, and lets it go on or answers with what the
//! service said.
#![forbid(unsafe_code)]

mod config;
mod verdict;

use std::rc::Rc;

use log::{error, info, warn};
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};

use config::Config;
use verdict::Verdict;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root::default()));
}}

#[derive(Default)]
struct Root {
    config: Rc<Config>,
}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        match Config::parse(&self.get_plugin_configuration().unwrap_or_default()) {
            Ok(config) => {
                self.config = Rc::new(config);
                true
            }
            Err(reason) => {
                error!("configuration refused: {reason}");
                false
            }
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
        // The SDK exports every callback; a proxy that knows this function need not show this filter the bodies.
        let _ = hostcalls::call_foreign_function("decline_body", None);
        match self.ask() {
            // The host delivers the answer to `on_http_call_response`; until then nothing of the request moves.
            Ok(_token) => Action::Pause,
            Err(status) => {
                error!(
                    "the call to upstream {:?} was refused: {status:?}",
                    self.config.upstream
                );
                self.unreachable()
            }
        }
    }
}

impl Context for Stream {
    fn on_http_call_response(&mut self, _: u32, num_headers: usize, body_size: usize, _: usize) {
        // A call that failed has no headers at all.
        let status = match num_headers {
            0 => None,
            _ => self.get_http_call_response_header_bytes(":status"),
        };
        match Verdict::of(status.as_deref()) {
            Verdict::Allow => {
                self.copy_identity();
                self.resume_http_request();
            }
            Verdict::Deny(status) => self.deny(status, body_size),
            Verdict::Failed => {
                warn!(
                    "no verdict from upstream {:?}: {}",
                    self.config.upstream,
                    failure(status.as_deref())
                );
                if self.unreachable() == Action::Continue {
                    self.resume_http_request();
                }
            }
        }
    }
}

impl Stream {
    /// Sends the question: the request's method and target, and those of its headers that the configuration names.
    fn ask(&self) -> Result<u32, proxy_wasm::types::Status> {
        let config = &self.config;
        let mut headers = vec![
            (":method", "GET".to_owned()),
            (":scheme", "http".to_owned()),
            (":authority", config.authority.clone()),
            (":path", config.path.clone()),
        ];
        let facts = [
            ("x-forwarded-method", ":method"),
            ("x-forwarded-proto", ":scheme"),
            ("x-forwarded-host", ":authority"),
            ("x-forwarded-uri", ":path"),
        ];
        let chosen = config
            .request_headers
            .iter()
            .map(|name| (name.as_str(), name.as_str()));
        for (name, source) in facts.into_iter().chain(chosen) {
            // What is no UTF-8 cannot be sent through the SDK; the service then misses it and says no.
            if let Some(value) = self.get_http_request_header_bytes(source)
                && let Ok(value) = String::from_utf8(value)
            {
                headers.push((name, value));
            }
        }
        let headers = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        self.dispatch_http_call(&config.upstream, headers, None, vec![], config.timeout())
    }

    /// Gives the request the headers that the service answered with. What the client itself sent under these names is
    /// taken away in any case: it could claim to be anyone.
    fn copy_identity(&self) {
        for name in &self.config.identity_headers {
            let value = self.get_http_call_response_header_bytes(name);
            self.set_http_request_header_bytes(name, value.as_deref());
        }
    }

    /// Passes the service's refusal on to the client.
    fn deny(&self, status: u32, body_size: usize) {
        info!("request refused with {status}");
        let headers: Vec<_> = self
            .get_http_call_response_headers_bytes()
            .into_iter()
            .filter(|(name, _)| {
                self.config
                    .denial_headers
                    .iter()
                    .any(|allowed| allowed.eq_ignore_ascii_case(name))
            })
            .filter_map(|(name, value)| Some((name, String::from_utf8(value).ok()?)))
            .collect();
        let headers = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let body = self.get_http_call_response_body(0, body_size);
        self.send_http_response(status, headers, body.as_deref());
    }

    /// What happens to a request for which there is no verdict.
    fn unreachable(&self) -> Action {
        if self.config.fail_open {
            for name in &self.config.identity_headers {
                self.set_http_request_header(name, None);
            }
            return Action::Continue;
        }
        self.send_http_response(503, vec![], Some(b"Authorisation is not available.\n"));
        Action::Pause
    }
}

/// Why there is no verdict: the service's own status, or what happened to the call.
fn failure(status: Option<&[u8]>) -> String {
    if let Some(status) = status {
        return format!("it answered with status {}", String::from_utf8_lossy(status));
    }
    // Not for gRPC alone, whatever the SDK calls it: how the last call ended.
    let message = hostcalls::get_grpc_status().ok().and_then(|(_, message)| message);
    message.unwrap_or_else(|| "the call failed".to_owned())
}
