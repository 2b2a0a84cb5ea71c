//! A proxy's part of a stream, as unit tests need it.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use weir_abi::{LogLevel, MapType, Status};
use weir_engine_wasmi::WasmiEngine;
use weir_host::{
    CallTicket, Capabilities, ContextId, Edit, Fact, FactValue, ForeignFunctions, HeaderEdit, HostModule,
    HttpCall, ImportSets, LiveVm, Lookup, QueueWaker, Services, Shared, Vm, VmKeeper, VmLimits, VmSpec,
};

use crate::head::FieldLines;
use crate::messages::Messages;
use crate::state::{Direction, SharedState, StreamState};

/// Maps and nothing else.
#[derive(Default)]
pub(crate) struct Maps {
    pub request: HeaderMap,
    pub request_trailers: Option<HeaderMap>,
    pub response: Option<HeaderMap>,
    pub response_trailers: Option<HeaderMap>,
    /// The directions whose sender broke off.
    pub failed: Vec<Direction>,
}

/// The state of a stream that has just begun, with so many filters.
pub(crate) fn state(filters: usize) -> SharedState<Maps> {
    let mut maps = Maps::default();
    maps.request.insert("x-first", HeaderValue::from_static("1"));
    StreamState::new(maps, filters).share()
}

/// A VM without any plugin, so that it knows no stream.
pub(crate) fn vm() -> Arc<LiveVm> {
    let text = r#"(module
        (memory (export "memory") 1)
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param i32) (result i32) (i32.const 0)))"#;
    let module = wat::parse_str(text).expect("a module");
    let spec = VmSpec {
        module: HostModule::compile(
            &WasmiEngine::new(),
            ImportSets::standard(),
            "test.wasm",
            &(&module).into(),
        )
        .expect("compiles"),
        vm_id: String::new(),
        configuration: Vec::new(),
        environment: Vec::new(),
        capabilities: Capabilities::default(),
        limits: VmLimits::default(),
        strict: false,
    };
    let shared = Shared::new(ForeignFunctions::default());
    let vm = Vm::start(Arc::new(spec), &shared, Box::new(NoProxy), Arc::new(NoProxy));
    LiveVm::new(vm.expect("starts"), Vec::new(), Arc::new(NoProxy))
}

/// Around the VM there is nothing.
struct NoProxy;

impl Services for NoProxy {
    fn http_call(&mut self, _: u32, _: HttpCall, _: CallTicket) -> Result<(), Status> {
        Err(Status::InternalFailure)
    }

    fn set_tick_period(&mut self, _: ContextId, _: Option<Duration>) {}

    fn log_level(&self) -> LogLevel {
        LogLevel::Critical
    }

    fn log(&self, _: LogLevel, _: Option<&str>, _: &[u8]) {}
}

impl QueueWaker for NoProxy {
    fn wake(&self, _: ContextId, _: u32) {}
}

impl VmKeeper for NoProxy {
    fn module(&self) -> &str {
        "test.wasm"
    }

    fn stream_waits(&self) {}

    fn died(&self) {}

    fn await_done(&self, _: &Arc<LiveVm>) {}

    fn ended(&self, _: Vm, _: Vec<ContextId>) {}
}

impl Maps {
    fn lines(&self, map: MapType) -> Option<&HeaderMap> {
        match map {
            MapType::HttpRequestHeaders => Some(&self.request),
            MapType::HttpResponseHeaders => self.response.as_ref(),
            MapType::HttpRequestTrailers => self.request_trailers.as_ref(),
            MapType::HttpResponseTrailers => self.response_trailers.as_ref(),
            _ => None,
        }
    }
}

impl Messages for Maps {
    fn head_count(&self, direction: Direction) -> usize {
        match direction {
            Direction::Request => self.request.len(),
            Direction::Response => self.response.as_ref().map_or(0, HeaderMap::len),
        }
    }

    fn trailers_count(&self, direction: Direction) -> Option<usize> {
        match direction {
            Direction::Request => self.request_trailers.as_ref().map(HeaderMap::len),
            Direction::Response => self.response_trailers.as_ref().map(HeaderMap::len),
        }
    }

    fn header(&self, map: MapType, name: &[u8], out: &mut Vec<u8>) -> Lookup {
        self.lines(map)
            .map_or(Lookup::NoMap, |lines| lines.value(name, out))
    }

    fn headers(&self, map: MapType, visit: &mut dyn FnMut(&[u8], &[u8])) -> Lookup {
        self.lines(map).map_or(Lookup::NoMap, |lines| {
            lines.visit(visit);
            Lookup::Found
        })
    }

    fn edit(&mut self, map: MapType, edit: HeaderEdit<'_>, may_add: bool) -> Edit {
        let lines = match map {
            MapType::HttpRequestHeaders => return FieldLines::edit(&mut self.request, edit),
            MapType::HttpResponseHeaders => self.response.as_mut(),
            MapType::HttpRequestTrailers if may_add => Some(self.request_trailers.get_or_insert_default()),
            MapType::HttpRequestTrailers => self.request_trailers.as_mut(),
            MapType::HttpResponseTrailers if may_add => Some(self.response_trailers.get_or_insert_default()),
            MapType::HttpResponseTrailers => self.response_trailers.as_mut(),
            _ => None,
        };
        lines.map_or(Edit::Absent, |lines| FieldLines::edit(lines, edit))
    }

    fn fact(&self, _: Fact) -> Option<FactValue> {
        None
    }

    fn source_failed(&mut self, direction: Direction) {
        self.failed.push(direction);
    }
}
