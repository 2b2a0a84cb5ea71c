//! Registers a shared queue, reads whatever arrives in it, and answers requests with what it last read.
#![forbid(unsafe_code)]

mod recent;

use std::rc::Rc;

use log::{error, info, warn};
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel, Status};
use serde::Deserialize;

use recent::Recent;

/// Where the last items are kept. In shared data and not in this VM: every worker has a consumer, a queue wakes any of
/// them, and a request may come to any other.
const KEY: &str = "queue-consumer/recent";

/// Attempts to write them. Another worker wins each that is lost.
const ATTEMPTS: usize = 32;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root::default()));
}}

/// The configuration.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The queue's name.
    queue: String,
    /// How many items are kept; 20 unless given.
    #[serde(default = "default_keep")]
    keep: usize,
    /// The path on which they are shown.
    path: String,
}

fn default_keep() -> usize {
    20
}

#[derive(Default)]
struct Root {
    config: Rc<Config>,
}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        match serde_json::from_slice(&self.get_plugin_configuration().unwrap_or_default()) {
            Ok(config) => {
                self.config = Rc::new(config);
                let queue = self.register_shared_queue(&self.config.queue);
                info!("reading queue {:?} as #{queue}", self.config.queue);
                true
            }
            Err(reason) => {
                error!("configuration refused: {reason}; expected a JSON object with \"queue\" and \"path\"");
                false
            }
        }
    }

    fn on_queue_ready(&mut self, queue: u32) {
        let mut items = Vec::new();
        // One wake-up may stand for many items, and another worker may have taken them all.
        loop {
            match self.dequeue_shared_queue(queue) {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(status) => {
                    warn!("queue #{queue} cannot be read: {status:?}");
                    break;
                }
            }
        }
        if !items.is_empty() {
            let total = remember(&items, self.config.keep);
            info!(
                "{} from queue {:?}, {total} in all",
                items.len(),
                self.config.queue
            );
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
        let header = |name| self.get_http_request_header_bytes(name).unwrap_or_default();
        let target = header(":path");
        let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
        if path != self.config.path.as_bytes() {
            return Action::Continue;
        }
        let plain = ("content-type", "text/plain; charset=utf-8");
        match header(":method").as_slice() {
            b"GET" | b"HEAD" => {
                let (recent, _) = load();
                self.send_http_response(200, vec![plain], Some(recent.page().as_bytes()));
            }
            _ => self.send_http_response(405, vec![("allow", "GET, HEAD")], None),
        }
        Action::Pause
    }
}

impl Context for Stream {}

/// Adds items to those kept in shared data and returns how many there have been.
fn remember(items: &[Vec<u8>], keep: usize) -> u64 {
    let mut total = 0;
    for _ in 0..ATTEMPTS {
        let (mut recent, cas) = load();
        items.iter().for_each(|item| recent.add(item, keep));
        total = recent.total();
        match hostcalls::set_shared_data(KEY, Some(&recent.to_bytes()), cas) {
            Ok(()) => return total,
            Err(Status::CasMismatch) => {}
            Err(status) => {
                warn!("the items cannot be kept: {status:?}");
                return total;
            }
        }
    }
    warn!("the items were not kept: others wrote {ATTEMPTS} times in between");
    total
}

fn load() -> (Recent, Option<u32>) {
    let (value, cas) = hostcalls::get_shared_data(KEY).unwrap_or_default();
    (Recent::from_bytes(&value.unwrap_or_default()), cas)
}
