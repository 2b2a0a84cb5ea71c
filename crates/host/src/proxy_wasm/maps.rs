//! Header maps as hostcalls see them: those of the stream, and those that a callback delivers.

use weir_abi::MapType;

use super::state::{CallbackData, ProxyWasmState};
use crate::{Lookup, Pairs};

impl ProxyWasmState {
    /// Appends the value of the first field line called `self.name` to `self.scratch`.
    pub fn header(&mut self, map: MapType) -> Lookup {
        self.scratch.clear();
        if let Some(pairs) = self.delivered(map) {
            return match pairs
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(&self.name))
            {
                Some((_, value)) => {
                    // The pairs lie in the state as well, so the value has to be found and copied in two steps.
                    let value = value.clone();
                    self.scratch = value;
                    Lookup::Found
                }
                None => Lookup::Missing,
            };
        }
        let Some(stream) = self.effective.and_then(|id| self.streams.get(&id)) else {
            return Lookup::NoMap;
        };
        stream.stream.header(map, &self.name, &mut self.scratch)
    }

    /// Calls `visit` with each field line.
    pub fn headers(&self, map: MapType, visit: &mut dyn FnMut(&[u8], &[u8])) -> Lookup {
        if let Some(pairs) = self.delivered(map) {
            for (name, value) in pairs {
                visit(name, value);
            }
            return Lookup::Found;
        }
        match self.effective.and_then(|id| self.streams.get(&id)) {
            Some(context) => context.stream.headers(map, visit),
            None => Lookup::NoMap,
        }
    }

    /// A map that belongs to the callback that runs and to no stream.
    fn delivered(&self, map: MapType) -> Option<&Pairs> {
        match (map, &self.callback_data) {
            (MapType::HttpCallResponseHeaders, CallbackData::HttpCall(response)) => Some(&response.headers),
            (MapType::HttpCallResponseTrailers, CallbackData::HttpCall(response)) => Some(&response.trailers),
            (MapType::GrpcReceiveInitialMetadata, CallbackData::GrpcInitialMetadata(pairs))
            | (MapType::GrpcReceiveTrailingMetadata, CallbackData::GrpcTrailingMetadata(pairs)) => {
                Some(pairs)
            }
            _ => None,
        }
    }
}
