//! A proxy made of memory: streams and services that record what guests ask for, and guests as short texts.
#![allow(
    dead_code,
    unused_macros,
    unused_imports,
    reason = "each test file uses its part"
)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use weir_abi::{BufferType, LogLevel, MapType, Status, StreamType};
use weir_engine::Engine;
use weir_host::{
    BufferStatus, CallTicket, Capabilities, ContextId, Edit, Fact, FactValue, ForeignFunctions, GrpcCall,
    HeaderEdit, HostModule, HttpCall, HttpCallFailure, ImportSets, Later, LocalResponse, Lookup, Pairs,
    PluginSpec, QueueWaker, Services, Shared, StartError, Stream, TrialServices, Vm, VmLimits, VmSpec,
};

/// Runs each test on every engine.
macro_rules! on_every_engine {
    ($($(#[$meta:meta])* fn $name:ident($engine:ident: &dyn Engine) $body:block)+) => {
        $(
            mod $name {
                #[allow(unused_imports)]
                use super::*;

                $(#[$meta])*
                fn run($engine: &dyn weir_engine::Engine) $body

                #[test]
                fn wasmtime() {
                    run(&crate::support::wasmtime());
                }

                #[test]
                fn v8() {
                    match crate::support::v8() {
                        Ok(engine) => run(&engine),
                        Err(error) => eprintln!("not tested: {error}"),
                    }
                }

                #[test]
                fn wamr() {
                    run(&crate::support::wamr());
                }

                #[test]
                fn wasmedge() {
                    match crate::support::wasmedge() {
                        Ok(engine) => run(&engine),
                        Err(error) => eprintln!("not tested: {error}"),
                    }
                }

                #[test]
                fn wamr_jit() {
                    match crate::support::wamr_jit() {
                        Ok(engine) => run(&engine),
                        Err(error) => eprintln!("not tested: {error}"),
                    }
                }

                #[test]
                fn wasmi() {
                    run(&crate::support::wasmi());
                }
            }
        )+
    };
}
pub(crate) use on_every_engine;

pub fn wasmtime() -> impl Engine {
    weir_engine_wasmtime::WasmtimeEngine::new(&weir_engine_wasmtime::WasmtimeConfig::default()).unwrap()
}

pub fn v8() -> Result<impl Engine, weir_engine::Unavailable> {
    weir_engine_v8::V8Engine::open()
}

/// The library that `WEIR_WASMEDGE_LIB` names, or else the one of the workspace that has WasmEdge's interface.
pub fn wasmedge() -> Result<impl Engine, weir_engine::Unavailable> {
    if std::env::var_os("WEIR_WASMEDGE_LIB").is_some() {
        return weir_engine_wasmedge::WasmEdgeEngine::open();
    }
    let program = std::env::current_exe().unwrap();
    let folder = program.parent().and_then(std::path::Path::parent).unwrap();
    weir_engine_wasmedge::WasmEdgeEngine::open_at(&folder.join("libweir_wasmedge_stand_in.so"))
}

pub fn wamr() -> impl Engine {
    weir_engine_wamr::WamrEngine::new(Default::default()).unwrap()
}

pub fn wamr_jit() -> Result<impl Engine, weir_engine::Unavailable> {
    weir_engine_wamr::WamrEngine::jit(Default::default())
}

pub fn wasmi() -> impl Engine {
    weir_engine_wasmi::WasmiEngine::new()
}

/// A guest: ABI 0.2.1, two pages of memory, a bump allocator, `$say ptr len` and `$number i32` to log.
pub fn guest(imports: &str, body: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
        (import "env" "proxy_log" (func $proxy_log (param i32 i32 i32) (result i32)))
        {imports}
        (memory (export "memory") 2)
        (global $heap (mut i32) (i32.const 65536))
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
          (global.get $heap)
          (global.set $heap (i32.add (global.get $heap) (local.get $size))))
        (func $say (param $pointer i32) (param $len i32)
          (drop (call $proxy_log (i32.const 2) (local.get $pointer) (local.get $len))))
        (func $number (param $value i32)
          (i32.store (i32.const 60000) (local.get $value))
          (call $say (i32.const 60000) (i32.const 4)))
        {body})"#
    );
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// What the guest asked the proxy for.
#[derive(Default)]
pub struct Record {
    pub logs: Vec<(LogLevel, Option<String>, Vec<u8>)>,
    pub http_calls: Vec<(u32, HttpCall)>,
    /// Upstreams that a VM asked for which serves no stream.
    pub asked: Vec<Vec<u8>>,
    /// Calls that have not ended.
    pub tickets: Vec<CallTicket>,
    pub cancelled: Vec<u32>,
    pub grpc: Vec<String>,
    pub ticks: Vec<(ContextId, Option<Duration>)>,
    pub woken: Vec<(ContextId, u32)>,
    pub answers: Vec<(ContextId, u32, Vec<u8>)>,
    pub panic_on_log: bool,
    /// How long the log takes for a line.
    pub log_takes: Duration,
}

/// Shared handle to a [`Record`].
#[derive(Clone, Default)]
pub struct Recorder(pub Arc<Mutex<Record>>);

impl Recorder {
    pub fn with<T>(&self, f: impl FnOnce(&mut Record) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// The lines logged by guests so far, taken.
    pub fn lines(&self) -> Vec<String> {
        let logs = self.with(|record| std::mem::take(&mut record.logs));
        logs.into_iter()
            .map(|(_, _, message)| String::from_utf8_lossy(&message).into_owned())
            .collect()
    }

    /// The lines of 4 bytes logged by `$number`, taken.
    pub fn numbers(&self) -> Vec<u32> {
        let logs = self.with(|record| std::mem::take(&mut record.logs));
        logs.iter()
            .filter_map(|(_, _, message)| Some(u32::from_le_bytes(message.as_slice().try_into().ok()?)))
            .collect()
    }
}

impl TrialServices for Recorder {
    fn knows(&self, upstream: &[u8]) -> bool {
        self.with(|record| record.asked.push(upstream.to_vec()));
        upstream == b"known"
    }

    fn log_level(&self) -> LogLevel {
        Services::log_level(self)
    }

    fn keeps(&self, level: LogLevel, plugin: Option<&str>) -> bool {
        Services::keeps(self, level, plugin)
    }

    fn log(&self, level: LogLevel, plugin: Option<&str>, message: &[u8]) {
        Services::log(self, level, plugin, message);
    }

    fn log_about(&self, level: LogLevel, plugin: Option<&str>, message: &str) {
        Services::log_about(self, level, plugin, message);
    }
}

impl Services for Recorder {
    fn http_call(&mut self, token: u32, call: HttpCall, ticket: CallTicket) -> Result<(), Status> {
        if call.upstream != b"known" {
            return Err(Status::BadArgument);
        }
        self.with(|record| {
            record.http_calls.push((token, call));
            record.tickets.push(ticket);
        });
        Ok(())
    }

    fn http_cancel(&mut self, token: u32) {
        self.with(|record| record.cancelled.push(token));
    }

    fn grpc_call(&mut self, token: u32, call: GrpcCall) -> Result<(), Status> {
        let text = format!("call {token} {}", String::from_utf8_lossy(&call.message));
        self.with(|record| record.grpc.push(text));
        Ok(())
    }

    fn grpc_stream(&mut self, token: u32, call: GrpcCall) -> Result<(), Status> {
        let text = format!("stream {token} {}", String::from_utf8_lossy(&call.method));
        self.with(|record| record.grpc.push(text));
        Ok(())
    }

    fn grpc_send(&mut self, token: u32, message: &[u8], end_of_stream: bool) -> Result<(), Status> {
        let text = format!(
            "send {token} {} {end_of_stream}",
            String::from_utf8_lossy(message)
        );
        self.with(|record| record.grpc.push(text));
        Ok(())
    }

    fn grpc_cancel(&mut self, token: u32) -> Result<(), Status> {
        self.with(|record| record.grpc.push(format!("cancel {token}")));
        Ok(())
    }

    fn grpc_close(&mut self, token: u32) -> Result<(), Status> {
        self.with(|record| record.grpc.push(format!("close {token}")));
        Ok(())
    }

    fn deferred_answer(&mut self, plugin: ContextId) -> Option<Later> {
        let (recorder, token) = (self.clone(), 77);
        Some(Later::new(token, move |answer, _| {
            recorder.with(|record| record.answers.push((plugin, token, answer)));
        }))
    }

    fn set_tick_period(&mut self, plugin: ContextId, period: Option<Duration>) {
        self.with(|record| record.ticks.push((plugin, period)));
    }

    fn log_level(&self) -> LogLevel {
        LogLevel::Trace
    }

    fn log(&self, level: LogLevel, plugin: Option<&str>, message: &[u8]) {
        self.with(|record| {
            assert!(!record.panic_on_log, "the log is on fire");
            #[expect(
                clippy::disallowed_methods,
                reason = "the test's own thread, which serves nothing"
            )]
            std::thread::sleep(record.log_takes);
            record
                .logs
                .push((level, plugin.map(str::to_owned), message.to_vec()));
        });
    }
}

impl QueueWaker for Recorder {
    fn wake(&self, plugin: ContextId, queue: u32) {
        self.with(|record| record.woken.push((plugin, queue)));
    }
}

/// What became of a stream.
#[derive(Default)]
pub struct StreamRecord {
    pub maps: HashMap<MapType, Pairs>,
    pub buffers: HashMap<BufferType, Vec<u8>>,
    pub state: HashMap<Vec<u8>, Vec<u8>>,
    pub resumed: Vec<StreamType>,
    pub closed: Vec<StreamType>,
    pub responses: Vec<LocalResponse>,
    pub died: bool,
    pub dropped: bool,
    pub route_cleared: bool,
    /// Somebody else is at work on the stream.
    pub busy: bool,
}

/// A stream of memory.
pub struct TestStream(pub Arc<Mutex<StreamRecord>>);

impl TestStream {
    pub fn recorded() -> (Box<dyn Stream>, Arc<Mutex<StreamRecord>>) {
        let record = Arc::new(Mutex::new(StreamRecord::default()));
        (Box::new(Self(Arc::clone(&record))), record)
    }
}

impl Drop for TestStream {
    fn drop(&mut self) {
        self.0.lock().unwrap().dropped = true;
    }
}

impl Stream for TestStream {
    fn header(&self, map: MapType, name: &[u8], out: &mut Vec<u8>) -> Lookup {
        let record = self.0.lock().unwrap();
        if record.busy {
            return Lookup::Busy;
        }
        let Some(pairs) = record.maps.get(&map) else {
            return Lookup::NoMap;
        };
        match pairs.iter().find(|(key, _)| key == name) {
            Some((_, value)) => {
                out.extend_from_slice(value);
                Lookup::Found
            }
            None => Lookup::Missing,
        }
    }

    fn headers(&self, map: MapType, visit: &mut dyn FnMut(&[u8], &[u8])) -> Lookup {
        let record = self.0.lock().unwrap();
        if record.busy {
            return Lookup::Busy;
        }
        let Some(pairs) = record.maps.get(&map) else {
            return Lookup::NoMap;
        };
        pairs.iter().for_each(|(name, value)| visit(name, value));
        Lookup::Found
    }

    fn edit_headers(&mut self, map: MapType, edit: HeaderEdit<'_>) -> Edit {
        let mut record = self.0.lock().unwrap();
        if record.busy {
            return Edit::Busy;
        }
        let Some(pairs) = record.maps.get_mut(&map) else {
            return Edit::Absent;
        };
        match edit {
            HeaderEdit::Add(name, value) => pairs.push((name.to_vec(), value.to_vec())),
            HeaderEdit::Replace(name, value) => {
                pairs.retain(|(key, _)| key != name);
                pairs.push((name.to_vec(), value.to_vec()));
            }
            HeaderEdit::Remove(name) => pairs.retain(|(key, _)| key != name),
            HeaderEdit::SetAll(all) => {
                *pairs = all
                    .iter()
                    .map(|(name, value)| (name.to_vec(), value.to_vec()))
                    .collect()
            }
        }
        Edit::Done
    }

    fn buffer(&self, buffer: BufferType) -> Option<BufferStatus> {
        let record = self.0.lock().unwrap();
        record.buffers.get(&buffer).map(|bytes| BufferStatus {
            len: bytes.len(),
            end_of_stream: true,
        })
    }

    fn read_buffer(&self, buffer: BufferType, start: usize, out: &mut [u8]) {
        let record = self.0.lock().unwrap();
        out.copy_from_slice(&record.buffers[&buffer][start..start + out.len()]);
    }

    fn splice_buffer(&mut self, buffer: BufferType, start: usize, len: usize, data: &[u8]) -> Edit {
        let mut record = self.0.lock().unwrap();
        let bytes = record.buffers.get_mut(&buffer).unwrap();
        bytes.splice(start..start + len, data.iter().copied());
        Edit::Done
    }

    fn fact(&self, _: Fact) -> Option<FactValue> {
        None
    }

    fn filter_state(&self, path: &[u8], out: &mut Vec<u8>) -> bool {
        let record = self.0.lock().unwrap();
        record.state.get(path).is_some_and(|value| {
            out.extend_from_slice(value);
            true
        })
    }

    fn set_filter_state(&mut self, path: &[u8], value: &[u8]) -> bool {
        self.0.lock().unwrap().state.insert(path.to_vec(), value.to_vec());
        true
    }

    fn resume(&mut self, direction: StreamType) {
        self.0.lock().unwrap().resumed.push(direction);
    }

    fn close(&mut self, direction: StreamType) {
        self.0.lock().unwrap().closed.push(direction);
    }

    fn send_local_response(&mut self, response: LocalResponse) -> bool {
        let mut record = self.0.lock().unwrap();
        record.responses.push(response);
        record.responses.len() == 1
    }

    fn clear_route_cache(&mut self) {
        self.0.lock().unwrap().route_cleared = true;
    }

    fn vm_died(&mut self) {
        self.0.lock().unwrap().died = true;
    }
}

/// A VM specification with short budgets.
pub fn spec(engine: &dyn Engine, wasm: &[u8]) -> VmSpec {
    VmSpec {
        module: HostModule::compile(engine, ImportSets::standard(), "test.wasm", &wasm.into()).unwrap(),
        vm_id: "vm".into(),
        configuration: b"vm configuration".to_vec(),
        environment: vec![("KEY".into(), "value".into())],
        capabilities: Capabilities::default(),
        limits: VmLimits {
            memory: 16 << 20,
            callback_deadline: Duration::from_millis(50),
            start_deadline: Duration::from_millis(200),
            ..VmLimits::default()
        },
        strict: false,
    }
}

pub fn plugin(name: &str) -> Arc<PluginSpec> {
    Arc::new(PluginSpec {
        name: name.into(),
        root_id: "root".into(),
        configuration: b"plugin configuration".to_vec(),
        fail_policy: weir_host::FailPolicy::Closed,
        allow_on_headers_stop_iteration: false,
        http_call_failure: HttpCallFailure::Zeros,
    })
}

pub fn shared() -> Shared {
    Shared::new(ForeignFunctions::default())
}

/// A VM with its recorder.
pub fn start(spec: VmSpec) -> Result<(Vm, Recorder), StartError> {
    let recorder = Recorder::default();
    let vm = Vm::start(
        Arc::new(spec),
        &shared(),
        Box::new(recorder.clone()),
        Arc::new(recorder.clone()),
    )?;
    Ok((vm, recorder))
}

/// A VM of `wasm` with one plugin called `test`.
pub fn running(engine: &dyn Engine, wasm: &[u8]) -> (Vm, ContextId, Recorder) {
    let (mut vm, recorder) = start(spec(engine, wasm)).unwrap();
    let plugin = vm.add_plugin(plugin("test")).unwrap();
    (vm, plugin, recorder)
}
