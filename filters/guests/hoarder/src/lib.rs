//! A guest that has the host keep as much for it as the host will. The path's last segment names what: `replies`, `headers`,
//! `bodies`, `properties`, `calls`, `queues`, `data`, `metrics`, `metric`, `ticks`, `pairs`, `pairs-reply`. It logs `kept WHAT: ...` when it has had enough. `count`
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
                    hold(hostcalls::add_map_value(
                        MapType::HttpRequestHeaders,
                        &name,
                        &"h".repeat(60 * KIB),
                    ));
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
                hold(hostcalls::set_property(
                    vec![&"long".repeat(3 * KIB)],
                    Some(b"value"),
                ));
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
                    entries +=
                        usize::from(hostcalls::enqueue_shared_queue(queue, Some(&vec![b'q'; MIB])).is_ok());
                }
                let long = hold(hostcalls::register_shared_queue(&"long".repeat(3 * KIB)));
                let taken = hostcalls::dequeue_shared_queue(long);
                info!("kept queues: {entries} entries, {taken:?} of the one with the long name");
                self.send_http_response(200, vec![], Some(format!("{}", entries > 0).as_bytes()));
                Action::Pause
            }
            "data" => {
                let value = vec![b'd'; MIB];
                let kept = (0..300).filter(|key| {
                    hostcalls::set_shared_data(&format!("key-{key}"), Some(&value), None).is_ok()
                });
                self.send_http_response(200, vec![], Some(format!("{}", kept.count()).as_bytes()));
                Action::Pause
            }
            "metrics" => {
                let scope = self.get_property(vec!["plugin_name"]).unwrap_or_default();
                let scope = String::from_utf8_lossy(&scope).into_owned();
                let mut last = 0;
                for metric in 0..10_100 {
                    last = hold(hostcalls::define_metric(
                        MetricType::Counter,
                        &format!("{scope}.{metric}"),
                    ));
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
            "pairs" => {
                let names = too_many_names();
                let lines: Vec<_> = names.iter().map(|name| (name.as_str(), "v")).collect();
                hold(hostcalls::set_map(MapType::HttpRequestHeaders, lines.clone()));
                hold(hostcalls::set_property(vec![], Some(b"nameless")));
                let mut call = vec![(":method", "GET"), (":path", "/"), (":authority", "silent")];
                call.extend(lines);
                let second = Duration::from_secs(1);
                let metadata: Vec<_> = names.iter().map(|name| (name.as_str(), &b"v"[..])).collect();
                let refused = [
                    self.dispatch_http_call("silent", call, None, vec![], second)
                        .is_err(),
                    self.dispatch_grpc_call("silent", "s", "m", metadata.clone(), None, second)
                        .is_err(),
                    self.dispatch_grpc_call("silent", "s", "m", vec![], None, Duration::from_secs(1 << 40))
                        .is_err(),
                    self.open_grpc_stream("silent", "s", "m", metadata).is_err(),
                    self.get_http_request_header("x-0").is_none(),
                ];
                self.send_http_response(200, vec![], Some(format!("{refused:?}").as_bytes()));
                Action::Pause
            }
            "pairs-reply" => {
                let names = too_many_names();
                let lines = names.iter().map(|name| (name.as_str(), "v")).collect();
                self.send_http_response(200, lines, Some(b"what must not be seen"));
                Action::Pause
            }
            "random" => self.random(),
            "ticks" => {
                for period in 0..200_000 {
                    hold(hostcalls::set_tick_period(Duration::from_millis(
                        100_000 + period,
                    )));
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
                hold(hostcalls::set_buffer(
                    BufferType::HttpRequestBody,
                    size,
                    0,
                    &vec![b'b'; MIB],
                ));
            }
            info!("kept bodies: 20");
        }
        Action::Pause
    }
}

impl Stream {
    /// Has the host keep things of every kind, in an order and of sizes that only the number of the request decides.
    fn random(&mut self) -> Action {
        let mut seed = self.requests.get() as u64;
        let mut next = move |below: usize| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % below
        };
        for _ in 0..100 {
            let size = [0, 1, 100, KIB, 60 * KIB, MIB][next(6)];
            let small = size.min(60 * KIB);
            let name = format!("x-{}", next(2000));
            let map = [MapType::HttpRequestHeaders, MapType::HttpRequestTrailers][next(2)];
            match next(13) {
                0 => hold(hostcalls::add_map_value(map, &name, &"v".repeat(small))),
                1 => hold(hostcalls::set_map_value(map, &name, Some(&"v".repeat(small)))),
                2 => hold(hostcalls::set_map_value(map, &name, None)),
                3 => hold(hostcalls::set_property(vec![&name], Some(&vec![b'p'; size]))),
                4 => {
                    let queue = hold(hostcalls::register_shared_queue(&name));
                    hold(hostcalls::enqueue_shared_queue(queue, Some(&vec![b'q'; size])));
                }
                5 => {
                    let queue = hold(hostcalls::register_shared_queue(&name));
                    hold(hostcalls::dequeue_shared_queue(queue));
                }
                6 => hold(hostcalls::set_shared_data(&name, Some(&vec![b'd'; size]), None)),
                7 => {
                    let metric = hold(hostcalls::define_metric(MetricType::Histogram, &name));
                    hold(hostcalls::record_metric(metric, size as u64));
                }
                8 => {
                    let lines = vec![(":method", "POST"), (":path", "/"), (":authority", "silent")];
                    let body = vec![b'c'; size];
                    let _ = self.dispatch_http_call(
                        "silent",
                        lines,
                        Some(&body),
                        vec![],
                        Duration::from_secs(60),
                    );
                }
                9 => hold(hostcalls::set_tick_period(Duration::from_millis(
                    100_000 + size as u64,
                ))),
                10 => hold(hostcalls::set_buffer(
                    BufferType::HttpRequestBody,
                    0,
                    size,
                    &vec![b'b'; size],
                )),
                11 => hold(hostcalls::set_effective_context(1)),
                _ => hold(hostcalls::set_property(vec![&name, &name], None)),
            }
        }
        self.bodies = next(2) == 0;
        info!("kept random: 100");
        match next(4) {
            0 => self.send_http_response(200, vec![], Some(&vec![b'r'; next(8 * MIB)])),
            1 => return Action::Continue,
            _ => {}
        }
        Action::Pause
    }
}

/// More than a map may have.
fn too_many_names() -> Vec<String> {
    (0..1100).map(|number| format!("x-{number}")).collect()
}

/// The SDK has taken the status of the hostcall, so this cannot fail.
fn hold<T: Default>(result: Result<T, proxy_wasm::types::Status>) -> T {
    result.unwrap_or_default()
}
