//! Limits the requests of each client with token buckets in shared data, so that all workers count together.
#![forbid(unsafe_code)]

mod bucket;
mod config;
mod store;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use log::{error, info};
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};

use bucket::Decision;
use config::{Config, Key};
use store::Store;

/// How often buckets that are full again are thrown away.
const SWEEP: Duration = Duration::from_secs(10);

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root::default()));
}}

#[derive(Default)]
struct Root {
    config: Rc<Config>,
    store: Rc<RefCell<Store>>,
}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        match Config::parse(&self.get_plugin_configuration().unwrap_or_default()) {
            Ok(config) => {
                // Plugins that share a VM share its data too; the name keeps their buckets apart.
                let name = hostcalls::get_property(vec!["plugin_name"])
                    .ok()
                    .flatten()
                    .unwrap_or_default();
                self.store = Rc::new(RefCell::new(Store::new(&String::from_utf8_lossy(&name))));
                self.config = Rc::new(config);
                self.set_tick_period(SWEEP);
                true
            }
            Err(reason) => {
                error!("configuration refused: {reason}");
                false
            }
        }
    }

    fn on_tick(&mut self) {
        let now = nanoseconds(self.get_current_time());
        self.store.borrow_mut().sweep(now);
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream {
            config: Rc::clone(&self.config),
            store: Rc::clone(&self.store),
            remaining: None,
        }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Context for Root {}

struct Stream {
    config: Rc<Config>,
    store: Rc<RefCell<Store>>,
    /// What the client has left, to be told with the response.
    remaining: Option<u64>,
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        // The SDK exports every callback; a proxy that knows this function need not show this filter the bodies.
        let _ = hostcalls::call_foreign_function("decline_body", None);
        let client = self.client();
        let now = nanoseconds(self.get_current_time());
        match self.store.borrow_mut().take(&client, &self.config.limit(), now) {
            Decision::Pass { remaining } => {
                self.remaining = Some(remaining);
                Action::Continue
            }
            Decision::Refuse { wait } => {
                info!("{client} has no requests left");
                let seconds = wait.as_nanos().div_ceil(1_000_000_000).max(1).to_string();
                self.remaining = Some(0);
                self.send_http_response(
                    429,
                    vec![("retry-after", seconds.as_str())],
                    Some(b"Too many requests.\n"),
                );
                Action::Pause
            }
        }
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        if let Some(remaining) = self.remaining {
            self.set_http_response_header("x-ratelimit-limit", Some(&self.config.burst.to_string()));
            self.set_http_response_header("x-ratelimit-remaining", Some(&remaining.to_string()));
        }
        Action::Continue
    }
}

impl Context for Stream {}

impl Stream {
    /// Whose bucket the request is taken from. Without the header that the configuration names, it is the address, so
    /// that leaving the header away is no way around the limit.
    fn client(&self) -> String {
        if let Key::Header(name) = &self.config.key
            && let Some(value) = self.get_http_request_header_bytes(name)
        {
            return format!("header {}", String::from_utf8_lossy(&value));
        }
        let address = hostcalls::get_property(vec!["source", "address"])
            .ok()
            .flatten()
            .unwrap_or_default();
        format!("address {}", without_port(&String::from_utf8_lossy(&address)))
    }
}

/// Every connection has another port; the client is the address.
fn without_port(address: &str) -> &str {
    match address.rsplit_once(':') {
        Some((host, _)) if !host.contains(':') || host.ends_with(']') => host,
        _ => address,
    }
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::without_port;

    #[test]
    fn ports_are_taken_off() {
        assert_eq!(without_port("127.0.0.1:80"), "127.0.0.1");
        assert_eq!(without_port("127.0.0.1"), "127.0.0.1");
        assert_eq!(without_port("[::1]:80"), "[::1]");
        assert_eq!(without_port("::1"), "::1");
        assert_eq!(without_port(""), "");
    }
}
