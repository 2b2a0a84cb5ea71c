//! A guest that has the host keep as much for it as the host will. The path's last segment names what: `replies`, `headers`,
//! `bodies`, `properties`, `calls`, `queues`, `data`, `metrics`, `metric`, `ticks`. It logs `kept WHAT: ...` when it has had enough. `count`
//! answers with the number of requests that the VM has seen, so that a test finds out whether the VM is the same.
//!
//! Every hostcall goes through the SDK, which panics on a status that it does not expect.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use log::info;
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, BufferType, ContextType, LogLevel, MapType, MetricType};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root::default()));
}}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

#[derive(Default)]
struct Root {
    requests: Rc<Cell<usize>>,
}

impl Context for Root {}

impl RootContext for Root {
    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        self.requests.set(self.requests.get() + 1);
        Some(Box::new(Stream {
            requests: Rc::clone(&self.requests),
            bodies: false,
        }))
    }
}

struct Stream {
    requests: Rc<Cell<usize>>,
    bodies: bool,
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let path = self.get_http_request_header(":path").unwrap_or_default();
        let what = path.rsplit('/').next().unwrap_or_default();
        match what {
            "replies" => {
                self.send_http_response(403, vec![], Some(&vec![b'r'; 8 * MIB]));
                info!("kept replies: one");
                Action::Pause
            }
            "headers" => {
                for line in 0..300 {
                    let name = format!("x-line-{line}");
                    hold(hostcalls::add_map_value(MapType::HttpRequestHeaders, &name, &"h".repeat(60 * KIB)));
                }
                info!("kept headers: 300");
                Action::Pause
            }
            "bodies" => {
                self.bodies = true;
                Action::Continue
            }
            "properties" => {
                for property in 0..20 {
                    let name = format!("property-{property}");
                    hold(hostcalls::set_property(vec![&name], Some(&vec![b'p'; 100 * KIB])));
                }
                hold(hostcalls::set_property(vec![&"long".repeat(3 * KIB)], Some(b"value")));
                info!("kept properties: 20");
                Action::Pause
            }
            "calls" => {
                let begun = self.dispatch_http_call(
                    "silent",
                    vec![(":method", "POST"), (":path", "/"), (":authority", "silent")],
                    Some(&vec![b'c'; 4 * MIB]),
                    vec![],
                    Duration::from_secs(60),
                );
                self.send_http_response(200, vec![], Some(format!("{:?}", begun.is_ok()).as_bytes()));
                Action::Pause
            }
            "queues" => {
                let mut entries = 0;
                for queue in 0..1100 {
                    let queue = hold(hostcalls::register_shared_queue(&format!("queue-{queue}")));
                    entries += usize::from(hostcalls::enqueue_shared_queue(queue, Some(&vec![b'q'; MIB])).is_ok());
                }
                let long = hold(hostcalls::register_shared_queue(&"long".repeat(3 * KIB)));
                let taken = hostcalls::dequeue_shared_queue(long);
                info!("kept queues: {entries} entries, {taken:?} of the one with the long name");
                self.send_http_response(200, vec![], Some(format!("{}", entries > 0).as_bytes()));
                Action::Pause
            }
            "data" => {
                let value = vec![b'd'; MIB];
                let kept = (0..300).filter(|key| hostcalls::set_shared_data(&format!("key-{key}"), Some(&value), None).is_ok());
                self.send_http_response(200, vec![], Some(format!("{}", kept.count()).as_bytes()));
                Action::Pause
            }
            "metrics" => {
                let scope = self.get_property(vec!["plugin_name"]).unwrap_or_default();
                let scope = String::from_utf8_lossy(&scope).into_owned();
                let mut last = 0;
                for metric in 0..10_100 {
                    last = hold(hostcalls::define_metric(MetricType::Counter, &format!("{scope}.{metric}")));
                }
                hold(hostcalls::increment_metric(last, 2));
                hold(hostcalls::record_metric(last, 3));
                let value = hold(hostcalls::get_metric(last));
                hold(hostcalls::define_metric(MetricType::Gauge, &format!("{scope}.0")));
                hold(hostcalls::define_metric(MetricType::Gauge, &"long".repeat(KIB)));
                self.send_http_response(200, vec![], Some(value.to_string().as_bytes()));
                Action::Pause
            }
            "metric" => {
                let scope = self.get_property(vec!["plugin_name"]).unwrap_or_default();
                let name = format!("{}.only", String::from_utf8_lossy(&scope));
                let metric = hold(hostcalls::define_metric(MetricType::Counter, &name));
                hold(hostcalls::increment_metric(metric, 2));
                let value = hold(hostcalls::get_metric(metric));
                self.send_http_response(200, vec![], Some(value.to_string().as_bytes()));
                Action::Pause
            }
            "ticks" => {
                for period in 0..200_000 {
                    hold(hostcalls::set_tick_period(Duration::from_millis(100_000 + period)));
                }
                self.send_http_response(200, vec![], Some(b"set"));
                Action::Pause
            }
            _ => {
                self.send_http_response(200, vec![], Some(self.requests.get().to_string().as_bytes()));
                Action::Pause
            }
        }
    }

    fn on_http_request_body(&mut self, size: usize, _: bool) -> Action {
        if self.bodies {
            for _ in 0..20 {
                hold(hostcalls::set_buffer(BufferType::HttpRequestBody, size, 0, &vec![b'b'; MIB]));
            }
            info!("kept bodies: 20");
        }
        Action::Pause
    }
}

/// The SDK has taken the status of the hostcall, so this cannot fail.
fn hold<T: Default>(result: Result<T, proxy_wasm::types::Status>) -> T {
    result.unwrap_or_default()
}
