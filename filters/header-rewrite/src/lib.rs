//! Adds, sets and removes headers of requests and responses, as the configuration says.
#![forbid(unsafe_code)]

mod rules;

use std::rc::Rc;

use log::error;
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel, MapType};

use rules::{Rules, Side};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root::default()));
}}

#[derive(Default)]
struct Root {
    rules: Rc<Rules>,
}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        match Rules::parse(&self.get_plugin_configuration().unwrap_or_default()) {
            Ok(rules) => {
                self.rules = Rc::new(rules);
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
            rules: Rc::clone(&self.rules),
        }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Context for Root {}

struct Stream {
    rules: Rc<Rules>,
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        // The SDK exports every callback; a proxy that knows this function need not show this filter the bodies.
        let _ = hostcalls::call_foreign_function("decline_body", None);
        apply(MapType::HttpRequestHeaders, &self.rules.request);
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        apply(MapType::HttpResponseHeaders, &self.rules.response);
        Action::Continue
    }
}

impl Context for Stream {}

/// Removes, then sets, then adds: what is set or added is never taken away again.
fn apply(map: MapType, side: &Side) {
    for name in &side.remove {
        report(name, hostcalls::remove_map_value(map, name));
    }
    for (name, value) in side.set.lines() {
        report(name, hostcalls::set_map_value(map, name, Some(value)));
    }
    for (name, value) in side.add.lines() {
        report(name, hostcalls::add_map_value(map, name, value));
    }
}

fn report(name: &str, result: Result<(), proxy_wasm::types::Status>) {
    if let Err(status) = result {
        error!("header {name} was not changed: {status:?}");
    }
}
