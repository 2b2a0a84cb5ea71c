//! Lets a request pass whose header `token` is a prime number, and answers any other with 403.
#![forbid(unsafe_code)]

mod prime;

use log::info;
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_http_context(|context_id, _| Box::new(PrimeToken { context_id }));
}}

struct PrimeToken {
    context_id: u32,
}

impl HttpContext for PrimeToken {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        // The SDK exports every callback; a proxy that knows this function need not show this filter the bodies.
        let _ = hostcalls::call_foreign_function("decline_body", None);
        self.log_request();
        match self.token() {
            Some(token) if prime::is_prime(token) => Action::Continue,
            token => {
                match token {
                    Some(token) => info!("#{} refused: {token} is not prime", self.context_id),
                    None => info!("#{} refused: the token is no number", self.context_id),
                }
                self.send_http_response(
                    403,
                    vec![("Powered-By", "proxy-wasm")],
                    Some(b"Access forbidden.\n"),
                );
                Action::Pause
            }
        }
    }
}

impl Context for PrimeToken {}

impl PrimeToken {
    fn log_request(&self) {
        let id = self.context_id;
        // As bytes: header values need not be UTF-8, and the String variants of the SDK panic if they are not.
        for (name, value) in self.get_http_request_headers_bytes() {
            info!("#{id} {name}: {}", String::from_utf8_lossy(&value));
        }
        match self.get_http_request_header_bytes("user-agent") {
            Some(agent) => info!("#{id} user agent {}", String::from_utf8_lossy(&agent)),
            None => info!("#{id} no user agent"),
        }
    }

    /// The token, if there is one and it is a number.
    fn token(&self) -> Option<u64> {
        let value = self.get_http_request_header_bytes("token")?;
        std::str::from_utf8(&value).ok()?.trim().parse().ok()
    }
}
