//! Puts a line about each request into a shared queue that another VM reads.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::rc::Rc;

use log::{debug, error};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{ContextType, LogLevel};
use serde::Deserialize;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root::default()));
}}

/// The configuration.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The `vm_id` of whoever registered the queue.
    vm_id: String,
    /// The queue's name.
    queue: String,
}

/// The queue, looked up when it is first needed: the consumer may start later than this VM.
#[derive(Default)]
struct Queue {
    config: Config,
    id: Cell<Option<u32>>,
}

#[derive(Default)]
struct Root {
    queue: Rc<Queue>,
}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        match serde_json::from_slice(&self.get_plugin_configuration().unwrap_or_default()) {
            Ok(config) => {
                self.queue = Rc::new(Queue {
                    config,
                    id: Cell::new(None),
                });
                true
            }
            Err(reason) => {
                error!(
                    "configuration refused: {reason}; expected a JSON object with \"vm_id\" and \"queue\""
                );
                false
            }
        }
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream {
            queue: Rc::clone(&self.queue),
        }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Context for Root {}

struct Stream {
    queue: Rc<Queue>,
}

impl HttpContext for Stream {
    fn on_log(&mut self) {
        self.enqueue(self.line().as_bytes());
    }
}

impl Context for Stream {}

impl Stream {
    /// Method, path, status and user agent; header values have no line breaks in them.
    fn line(&self) -> String {
        let text = |value: Option<Vec<u8>>| match value {
            Some(value) => String::from_utf8_lossy(&value).into_owned(),
            None => "-".to_owned(),
        };
        format!(
            "{} {} {} {}",
            text(self.get_http_request_header_bytes(":method")),
            text(self.get_http_request_header_bytes(":path")),
            text(self.get_http_response_header_bytes(":status")),
            text(self.get_http_request_header_bytes("user-agent")),
        )
    }

    fn enqueue(&self, line: &[u8]) {
        let Queue { config, id } = &*self.queue;
        // Twice, because a queue that is known may have gone with its consumer and come back with another id.
        for _ in 0..2 {
            let Some(queue) = id
                .get()
                .or_else(|| self.resolve_shared_queue(&config.vm_id, &config.queue))
            else {
                debug!(
                    "nobody has registered queue {:?} of VM {:?}",
                    config.queue, config.vm_id
                );
                return;
            };
            let sent = self.enqueue_shared_queue(queue, Some(line)).is_ok();
            id.set(sent.then_some(queue));
            if sent {
                return;
            }
        }
        debug!("queue {:?} of VM {:?} takes nothing", config.queue, config.vm_id);
    }
}
