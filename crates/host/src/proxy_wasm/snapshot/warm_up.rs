//! Made-up requests for a VM to freeze, so that VMs from the snapshot have what a guest makes at its first requests.

use std::collections::HashMap;

use weir_abi::{BufferType, MapType, StreamType, WarmUp};

use crate::Vm;
use crate::{
    BufferStatus, ContextId, Edit, Fact, FactValue, HeaderEdit, LocalResponse, Lookup, Pairs, Stream, VmError,
};

/// Shows a request to a plugin, with an answer. What the guest asks for is done to the made-up stream; a pause ends by
/// itself.
pub(super) fn run(vm: &mut Vm, plugin: ContextId, request: &WarmUp) -> Result<(), VmError> {
    vm.set_metrics_still(true);
    let stream = MadeUp {
        request: request.headers.clone(),
        body: request.body.clone(),
        response: vec![(b":status".to_vec(), b"200".to_vec())],
        state: HashMap::new(),
        answered: false,
    };
    let id = vm.create_stream(plugin, Box::new(stream))?;
    let size = request.body.len();
    vm.on_request_headers(id, request.headers.len(), size == 0)?;
    if size > 0 && !vm.is_answered(id) {
        vm.on_request_body(id, size, true)?;
    }
    if !vm.is_answered(id) {
        vm.on_response_headers(id, 1, true)?;
    }
    vm.finish_stream(id)?;
    vm.set_metrics_still(false);
    Ok(())
}

impl Vm {
    /// Returns true if the guest has answered a made-up request.
    fn is_answered(&mut self, id: ContextId) -> bool {
        let stream: Option<&mut dyn std::any::Any> = self.stream(id).map(|stream| stream as _);
        stream
            .and_then(|stream| stream.downcast_mut::<MadeUp>())
            .is_some_and(|stream| stream.answered)
    }
}

/// The stream of such a request.
struct MadeUp {
    request: Pairs,
    body: Vec<u8>,
    response: Pairs,
    state: HashMap<Vec<u8>, Vec<u8>>,
    answered: bool,
}

impl MadeUp {
    const fn map(&self, map: MapType) -> Option<&Pairs> {
        match map {
            MapType::HttpRequestHeaders => Some(&self.request),
            MapType::HttpResponseHeaders => Some(&self.response),
            _ => None,
        }
    }

    const fn map_mut(&mut self, map: MapType) -> Option<&mut Pairs> {
        match map {
            MapType::HttpRequestHeaders => Some(&mut self.request),
            MapType::HttpResponseHeaders => Some(&mut self.response),
            _ => None,
        }
    }
}

impl Stream for MadeUp {
    fn header(&self, map: MapType, name: &[u8], out: &mut Vec<u8>) -> Lookup {
        let Some(lines) = self.map(map) else {
            return Lookup::NoMap;
        };
        match lines.iter().find(|(known, _)| known == name) {
            Some((_, value)) => {
                out.extend_from_slice(value);
                Lookup::Found
            }
            None => Lookup::Missing,
        }
    }

    fn headers(&self, map: MapType, visit: &mut dyn FnMut(&[u8], &[u8])) -> Lookup {
        let Some(lines) = self.map(map) else {
            return Lookup::NoMap;
        };
        lines.iter().for_each(|(name, value)| visit(name, value));
        Lookup::Found
    }

    fn edit_headers(&mut self, map: MapType, edit: HeaderEdit<'_>) -> Edit {
        let Some(lines) = self.map_mut(map) else {
            return Edit::Absent;
        };
        let owned = |name: &[u8], value: &[u8]| (name.to_vec(), value.to_vec());
        match edit {
            HeaderEdit::Add(name, value) => lines.push(owned(name, value)),
            HeaderEdit::Replace(name, value) => {
                lines.retain(|(known, _)| known != name);
                lines.push(owned(name, value));
            }
            HeaderEdit::Remove(name) => lines.retain(|(known, _)| known != name),
            HeaderEdit::SetAll(all) => *lines = all.iter().map(|(name, value)| owned(name, value)).collect(),
        }
        Edit::Done
    }

    fn buffer(&self, buffer: BufferType) -> Option<BufferStatus> {
        (buffer == BufferType::HttpRequestBody).then_some(BufferStatus {
            len: self.body.len(),
            end_of_stream: true,
        })
    }

    fn read_buffer(&self, _: BufferType, start: usize, out: &mut [u8]) {
        if let Some(bytes) = self.body.get(start..start + out.len()) {
            out.copy_from_slice(bytes);
        }
    }

    fn splice_buffer(&mut self, buffer: BufferType, start: usize, len: usize, data: &[u8]) -> Edit {
        if buffer != BufferType::HttpRequestBody || start + len > self.body.len() {
            return Edit::Absent;
        }
        self.body.splice(start..start + len, data.iter().copied());
        Edit::Done
    }

    fn fact(&self, _: Fact) -> Option<FactValue> {
        None
    }

    fn filter_state(&self, path: &[u8], out: &mut Vec<u8>) -> bool {
        let value = self.state.get(path);
        value.map(|value| out.extend_from_slice(value)).is_some()
    }

    fn set_filter_state(&mut self, path: &[u8], value: &[u8]) -> bool {
        self.state.insert(path.to_vec(), value.to_vec());
        true
    }

    fn resume(&mut self, _: StreamType) {}

    fn close(&mut self, _: StreamType) {
        self.answered = true;
    }

    fn send_local_response(&mut self, _: LocalResponse) -> bool {
        !std::mem::replace(&mut self.answered, true)
    }

    fn vm_died(&mut self) {}
}
