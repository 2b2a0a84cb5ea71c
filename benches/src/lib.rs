//! What the benches share: guests in WebAssembly text, and a stream that costs next to nothing.
//!
//! A bench panics where something fails: a number that was measured on a broken guest is worse than none.
#![forbid(unsafe_code)]
#![allow(clippy::expect_used)]

mod crs;
mod guest;
mod message;
mod sampling;
mod stream;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use weir_abi::limits::MAX_MODULE_FILE_BYTES;
use weir_builtin::RuntimeOptions;
use weir_config::WasmtimeOptions;
use weir_engine::Engine;
use weir_host::{
    Capabilities, ContextId, ForeignFunctions, HostModule, PluginSpec, Shared, Vm, VmLimits, VmSnapshot,
    VmSpec, WarmUp,
};
use weir_loader::{FileSource, fetch};
use weir_plan::{Runtimes, import_sets};

pub use crs::core_rule_set;
pub use guest::{EMPTY, GET_PAIRS, GET_VALUE, SET_SHARED_DATA};
pub use message::Message;
pub use sampling::{mean, median, print, private, timed};
pub use stream::HEADERS;

/// The runtimes that are here, each once.
pub fn engines() -> Vec<Arc<dyn Engine>> {
    let engines = Runtimes::from_sources(weir_builtin::runtimes(Default::default));
    let names = engines.names().into_iter();
    names.filter_map(|name| engines.open(name)?.ok()).collect()
}

/// A runtime by its name; Wasmtime perhaps with `fuel`.
pub fn engine(name: &str, ways: &[String]) -> Arc<dyn Engine> {
    let fuel = ways.iter().any(|way| way == "fuel");
    let options = move || RuntimeOptions {
        wasmtime: WasmtimeOptions {
            fuel,
            ..WasmtimeOptions::default()
        },
        ..RuntimeOptions::default()
    };
    let engines = Runtimes::from_sources(weir_builtin::runtimes(options));
    let engine = engines.open(name).expect("there is such an engine");
    engine.expect("its library is here")
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
        let (mut vm, plugin) = started(Arc::new(spec(engine, &wasm)), shared, "");
        let stream = vm
            .create_stream(plugin, Box::new(Message::new(Vec::new())))
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

/// A filter as it is built from source, for VMs that serve whole requests.
pub struct Filter {
    spec: Arc<VmSpec>,
    configuration: String,
    shared: Shared,
}

/// A VM of a [`Filter`].
pub struct Serving {
    vm: Vm,
    plugin: ContextId,
}

impl Filter {
    /// Compiles the module of a file.
    pub fn load(engine: &dyn Engine, file: &Path, configuration: &str) -> Self {
        let wasm = fetch(&FileSource::new(file), MAX_MODULE_FILE_BYTES)
            .expect("the filter is built")
            .bytes;
        Self {
            spec: Arc::new(spec(engine, &wasm)),
            configuration: configuration.to_owned(),
            shared: Shared::new(ForeignFunctions::default()),
        }
    }

    /// As [`Filter::load`], of a module whose VMs can be frozen.
    pub fn load_for_snapshots(engine: &dyn Engine, file: &Path, configuration: &str) -> Self {
        let wasm = fetch(&FileSource::new(file), MAX_MODULE_FILE_BYTES)
            .expect("the filter is built")
            .bytes;
        let module = HostModule::compile_for_snapshots(engine, import_sets(), "bench.wasm", &(&wasm).into())
            .expect("the guest compiles");
        module.snapshots().map(drop).expect("its VMs can be frozen");
        let mut spec = spec_of(module);
        spec.limits.memory = 256 << 20;
        spec.limits.start_deadline = Duration::from_secs(60);
        Self {
            spec: Arc::new(spec),
            configuration: configuration.to_owned(),
            shared: Shared::new(ForeignFunctions::default()),
        }
    }

    /// Starts and configures a VM.
    pub fn start(&self) -> Serving {
        let (vm, plugin) = started(Arc::clone(&self.spec), &self.shared, &self.configuration);
        Serving { vm, plugin }
    }

    /// Starts and configures a VM, shows it some requests, and takes a snapshot of it.
    pub fn snapshot(&self, requests: usize) -> Arc<VmSnapshot> {
        let line = |(name, value): &(&[u8], &[u8])| (name.to_vec(), value.to_vec());
        let request = WarmUp {
            headers: HEADERS.iter().map(line).collect(),
            body: Vec::new(),
        };
        let requests = vec![request; requests];
        let plugins = [plugin(&self.configuration)];
        let services = Arc::new(stream::NoServices);
        VmSnapshot::take(&self.spec, &plugins, &requests, &self.shared, services).expect("it can be frozen")
    }

    /// Starts a VM from a snapshot.
    pub fn continue_from(&self, snapshot: &Arc<VmSnapshot>) -> Serving {
        let services = (Box::new(stream::NoServices), Arc::new(stream::NoServices));
        let started = snapshot.start(&self.shared, services.0, services.1);
        let (vm, plugins) = started.expect("the VM starts");
        let plugin = *plugins.first().expect("there is one plugin");
        Serving { vm, plugin }
    }
}

impl Serving {
    /// A request from its headers to its end; its body is shown where the filter is to see it.
    pub fn request(&mut self, body: &[u8], shows_body: bool) {
        let count = HEADERS.len();
        let message = Box::new(Message::new(body.to_vec()));
        let stream = self
            .vm
            .create_stream(self.plugin, message)
            .expect("the stream begins");
        let vm = &mut self.vm;
        vm.on_request_headers(stream, count, !shows_body)
            .expect("the guest returns");
        if shows_body {
            vm.on_request_body(stream, body.len(), true)
                .expect("the guest returns");
        }
        vm.on_response_headers(stream, count, true)
            .expect("the guest returns");
        vm.finish_stream(stream).expect("the guest returns");
    }
}

fn spec(engine: &dyn Engine, wasm: &[u8]) -> VmSpec {
    spec_of(
        HostModule::compile(engine, import_sets(), "bench.wasm", &wasm.into()).expect("the guest compiles"),
    )
}

fn spec_of(module: Arc<HostModule>) -> VmSpec {
    // One callback makes as many hostcalls as it is asked for: no deadline may end it.
    let limits = VmLimits {
        callback_deadline: Duration::from_secs(3600),
        ..VmLimits::default()
    };
    VmSpec {
        module,
        vm_id: "bench".into(),
        configuration: Vec::new(),
        environment: Vec::new(),
        capabilities: Capabilities::ALL,
        limits,
        strict: false,
    }
}

fn started(spec: Arc<VmSpec>, shared: &Shared, configuration: &str) -> (Vm, ContextId) {
    let services = (Box::new(stream::NoServices), Arc::new(stream::NoServices));
    let mut vm = Vm::start(spec, shared, services.0, services.1).expect("the VM starts");
    let plugin = vm
        .add_plugin(plugin(configuration))
        .expect("the plugin is configured");
    (vm, plugin)
}

fn plugin(configuration: &str) -> Arc<PluginSpec> {
    Arc::new(PluginSpec {
        name: "bench".into(),
        root_id: String::new(),
        configuration: configuration.into(),
        fail_policy: Default::default(),
        allow_on_headers_stop_iteration: false,
        http_call_failure: Default::default(),
    })
}
