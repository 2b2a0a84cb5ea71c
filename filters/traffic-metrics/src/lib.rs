//! Counts requests and measures responses, in metrics that the proxy exports, and logs a summary now and then.
#![forbid(unsafe_code)]

mod metrics;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use log::{error, info};
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};
use serde::Deserialize;

use metrics::Metrics;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root::default()));
}}

/// The configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// Seconds between two summaries in the log; 0 for none.
    summary_seconds: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { summary_seconds: 10 }
    }
}

#[derive(Default)]
struct Root {
    metrics: Rc<RefCell<Metrics>>,
    summarised: u64,
}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        let text = self.get_plugin_configuration().unwrap_or_default();
        let config = match text.trim_ascii() {
            b"" => Config::default(),
            text => match serde_json::from_slice(text) {
                Ok(config) => config,
                Err(reason) => {
                    error!("configuration refused: {reason}");
                    return false;
                }
            },
        };
        self.metrics = Rc::new(RefCell::new(Metrics::define()));
        self.set_tick_period(Duration::from_secs(config.summary_seconds.into()));
        true
    }

    fn on_tick(&mut self) {
        let metrics = self.metrics.borrow();
        // Every worker has a VM that ticks: those without news keep quiet.
        let finished = metrics.finished_here();
        if finished != self.summarised {
            info!(
                "{} new in this VM; in the whole proxy: {}",
                finished - self.summarised,
                metrics.summary()
            );
            self.summarised = finished;
        }
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream {
            metrics: Rc::clone(&self.metrics),
            method: None,
        }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Context for Root {}

struct Stream {
    metrics: Rc<RefCell<Metrics>>,
    /// The request's method, once it has been counted as in flight.
    method: Option<Vec<u8>>,
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        // The SDK exports every callback; a proxy that knows this function need not show this filter the bodies.
        let _ = hostcalls::call_foreign_function("decline_body", None);
        self.method = Some(self.get_http_request_header_bytes(":method").unwrap_or_default());
        self.metrics.borrow().begin();
        Action::Continue
    }

    fn on_log(&mut self) {
        let Some(method) = self.method.take() else {
            return;
        };
        let status = self.get_http_response_header_bytes(":status");
        let size = number(&["response", "size"]);
        let duration = number(&["request", "duration"]).map(Duration::from_nanos);
        self.metrics
            .borrow_mut()
            .end(&method, status.as_deref(), size, duration);
    }
}

impl Context for Stream {}

/// A property that is an integer: 8 bytes, little-endian. Not every host knows every property.
fn number(path: &[&str]) -> Option<u64> {
    let value = hostcalls::get_property(path.to_vec()).ok()??;
    Some(u64::from_le_bytes(value.try_into().ok()?))
}
