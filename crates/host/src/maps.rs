//! Header maps as hostcalls see them: those of the stream, and those that a callback delivers.

use weir_abi::MapType;

use crate::state::{Delivery, VmState};
use crate::{Lookup, Pairs};

/// Each byte in lower case: names are short, and one look each beats the comparisons.
static LOWER: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = (byte as u8).to_ascii_lowercase();
        byte += 1;
    }
    table
};

impl VmState {
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
        match (map, &self.delivery) {
            (MapType::HttpCallResponseHeaders, Delivery::HttpCall(response)) => Some(&response.headers),
            (MapType::HttpCallResponseTrailers, Delivery::HttpCall(response)) => Some(&response.trailers),
            (MapType::GrpcReceiveInitialMetadata, Delivery::GrpcInitialMetadata(pairs))
            | (MapType::GrpcReceiveTrailingMetadata, Delivery::GrpcTrailingMetadata(pairs)) => Some(pairs),
            _ => None,
        }
    }

    /// Puts `name` in lower case into `self.name`; `host` of a request becomes `:authority`, of which it is an alias.
    pub fn set_name(name: &mut Vec<u8>, map: MapType, from: &[u8]) {
        name.clear();
        if map == MapType::HttpRequestHeaders && from.eq_ignore_ascii_case(b"host") {
            name.extend_from_slice(b":authority");
        } else {
            name.extend(from.iter().map(|byte| LOWER[usize::from(*byte)]));
        }
    }
}
