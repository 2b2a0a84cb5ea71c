//! What the benches share: guests in WebAssembly text, and a stream that costs next to nothing.
//!
//! A bench panics where something fails: a number that was measured on a broken guest is worse than none.
#![forbid(unsafe_code)]
#![allow(clippy::expect_used)]

mod guest;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use weir_engine::Engine;
use weir_host::{Capabilities, ContextId, HostModule, PluginSpec, Shared, Vm, VmLimits, VmSpec};

pub use guest::{EMPTY, GET_PAIRS, GET_VALUE, SET_SHARED_DATA};
pub use stream::HEADERS;

/// The runtimes, each once.
pub fn engines() -> Vec<Arc<dyn Engine>> {
    vec![
        Arc::new(weir_engine_wasmtime::WasmtimeEngine::new(&Default::default()).expect("Wasmtime starts")),
        Arc::new(weir_engine_wamr::WamrEngine::new().expect("WAMR starts")),
        Arc::new(weir_engine_wasmi::WasmiEngine::new()),
    ]
}

/// A VM with one stream in it.
pub struct Bench {
    vm: Vm,
    stream: ContextId,
}

impl Bench {
    /// Starts `guest`, WebAssembly text. VMs with the same `shared` share their data.
    pub fn start(engine: &dyn Engine, guest: &str, shared: &Shared) -> Self {
        let wasm = wat::parse_str(guest).expect("the guest is valid text");
        let module = HostModule::compile(engine, "bench.wasm", &wasm).expect("the guest compiles");
        // One callback makes as many hostcalls as criterion asks for: no deadline may end it.
        let limits = VmLimits {
            callback_budget: Duration::from_secs(3600),
            ..VmLimits::default()
        };
        let spec = VmSpec {
            module,
            vm_id: "bench".into(),
            configuration: Vec::new(),
            environment: Vec::new(),
            capabilities: Capabilities::ALL,
            limits,
            strict: false,
        };
        let mut vm = Vm::start(
            Arc::new(spec),
            shared,
            Box::new(stream::NoServices),
            Arc::new(stream::NoServices),
        )
        .expect("the VM starts");
        let plugin = vm
            .add_plugin(Arc::new(plugin()))
            .expect("the plugin is configured");
        let stream = vm
            .create_stream(plugin, Box::new(stream::TwentyHeaders))
            .expect("the stream begins");
        Self { vm, stream }
    }

    /// Enters the guest once; the guests above do what they are for `times` times.
    pub fn callback(&mut self, times: u64) {
        let times = usize::try_from(times).expect("a count fits");
        self.vm
            .on_request_headers(self.stream, times, false)
            .expect("the guest returns");
    }
}

fn plugin() -> PluginSpec {
    PluginSpec {
        name: "bench".into(),
        root_id: String::new(),
        configuration: Vec::new(),
        fail_policy: Default::default(),
        allow_on_headers_stop_iteration: false,
        http_call_failure: Default::default(),
    }
}
