//! Replaces text in response bodies. The whole body is held back until it is complete.
#![forbid(unsafe_code)]

mod config;
mod rewrite;

use std::rc::Rc;

use log::{error, info};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};

use config::Config;

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
            rewriting: false,
        }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Context for Root {}

struct Stream {
    config: Rc<Config>,
    /// Whether this response is one to rewrite and has not been rewritten yet.
    rewriting: bool,
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        // Text in a compressed body cannot be found.
        self.set_http_request_header("accept-encoding", Some("identity"));
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        let rewrites = self.is_plain_text();
        if rewrites {
            // Of a response without a body, too: HEAD says what GET would.
            self.weaken_etag();
        }
        self.rewriting = rewrites && !end_of_stream;
        Action::Continue
    }

    fn on_http_response_body(&mut self, body_size: usize, end_of_stream: bool) -> Action {
        if !self.rewriting {
            return Action::Continue;
        }
        if !end_of_stream {
            // The host keeps what has come and calls again with all of it and more.
            return Action::Pause;
        }
        self.rewrite(body_size);
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        // With trailers, it is they that end the message; the body held back is still there.
        if self.rewriting {
            self.rewrite(usize::MAX);
        }
        Action::Continue
    }
}

impl Context for Stream {}

impl Stream {
    /// Whether the body is text as it is: not an image, not compressed, not a part of something.
    fn is_plain_text(&self) -> bool {
        let header = |name| self.get_http_response_header_bytes(name);
        let encoded =
            header("content-encoding").is_some_and(|value| !value.eq_ignore_ascii_case(b"identity"));
        let partial = header(":status").is_some_and(|status| status == b"206");
        !encoded && !partial && header("content-type").is_some_and(|value| self.config.takes(&value))
    }

    /// A strong validator promises the upstream's bytes, which the client will not get.
    fn weaken_etag(&self) {
        if let Some(etag) = self.get_http_response_header_bytes("etag")
            && !etag.starts_with(b"W/")
        {
            self.set_http_response_header_bytes("etag", Some(&[b"W/", etag.as_slice()].concat()));
        }
    }

    fn rewrite(&mut self, body_size: usize) {
        self.rewriting = false;
        let Some(body) = self.get_http_response_body(0, body_size) else {
            return;
        };
        if let Some((rewritten, count)) = rewrite::replace_all(&body, &self.config.replacements) {
            info!(
                "replaced {count} times: {} bytes became {}",
                body.len(),
                rewritten.len()
            );
            self.set_http_response_body(0, body.len(), &rewritten);
        }
    }
}
