//! Header maps as hostcalls see them: those of the stream, and those that a callback delivers.

use weir_abi::MapType;

use super::state::{Delivery, VmState};
use crate::{Lookup, Pairs};

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
            name.extend_from_slice(from);
            lower(name);
        }
    }
}

/// Puts a name in lower case, eight bytes at a time: most names have more than those, and none is long.
fn lower(name: &mut [u8]) {
    match name.last_chunk_mut() {
        // First: what it shares with the chunk before it is in lower case then, and stays so.
        Some(last) => lower_eight(last),
        None => return name.make_ascii_lowercase(),
    }
    let (chunks, _) = name.as_chunks_mut();
    chunks.iter_mut().for_each(lower_eight);
}

/// Adds to each byte the bit that tells a lower-case letter from its upper-case one, where the byte is one of `A` to `Z`.
fn lower_eight(bytes: &mut [u8; 8]) {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = EACH << 7;
    let word = u64::from_ne_bytes(*bytes);
    // Without their high bits, no sum carries into the next byte.
    let low = word & !HIGH;
    let from_a = low + EACH * (0x80 - b'A' as u64);
    let beyond_z = low + EACH * (0x7f - b'Z' as u64);
    let upper = from_a & !beyond_z & !word & HIGH;
    *bytes = (word | upper >> 2).to_ne_bytes();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_length_and_byte_are_put_in_lower_case() {
        for len in 0..40 {
            for byte in 0..=u8::MAX {
                let mut name: Vec<u8> = (0..len).map(|place| byte.wrapping_add(place)).collect();
                let expected = name.to_ascii_lowercase();
                lower(&mut name);
                assert_eq!(name, expected);
            }
        }
    }
}
