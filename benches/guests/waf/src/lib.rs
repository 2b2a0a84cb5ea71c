//! A web application firewall: its configuration is a set of rules in ModSecurity's language, which requests are held
//! against. It is there to be measured.

use std::rc::Rc;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};
use zentinel_modsec::ModSecurity;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root { rules: None }));
}}

struct Root {
    rules: Option<Rc<ModSecurity>>,
}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        let text = self.get_plugin_configuration().unwrap_or_default();
        match ModSecurity::from_string(&String::from_utf8_lossy(&text)) {
            Ok(rules) => {
                let _ = hostcalls::log(LogLevel::Info, &format!("{} rules", rules.rule_count()));
                self.rules = Some(Rc::new(rules));
                true
            }
            Err(reason) => {
                let _ = hostcalls::log(LogLevel::Error, &format!("the rules cannot be used: {reason}"));
                false
            }
        }
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream {
            rules: Rc::clone(self.rules.as_ref()?),
        }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Context for Root {}

struct Stream {
    rules: Rc<ModSecurity>,
}

impl Stream {
    /// The status with which the rules refuse the request.
    fn refusal(&self) -> Option<u32> {
        let header = |name: &str| self.get_http_request_header(name).unwrap_or_default();
        let mut transaction = self.rules.new_transaction();
        transaction
            .process_uri(&header(":path"), &header(":method"), "HTTP/1.1")
            .ok()?;
        for (name, value) in self.get_http_request_headers() {
            let name = if name == ":authority" { "host" } else { &name };
            if !name.starts_with(':') {
                transaction.add_request_header(name, &value).ok()?;
            }
        }
        transaction.process_request_headers().ok()?;
        transaction.process_request_body().ok()?;
        Some(u32::from(transaction.intervention()?.status))
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        match self.refusal() {
            Some(status) => {
                self.send_http_response(status, vec![], None);
                Action::Pause
            }
            None => Action::Continue,
        }
    }
}

impl Context for Stream {}
