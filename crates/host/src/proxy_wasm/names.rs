//! Names of fields as guests give them: the one place that puts them in lower case, for single edits and whole maps, calls
//! and local responses. Nothing behind the host sees another spelling, so rules about names compare bytes.

use weir_abi::{MapType, Pairs};

/// Puts `from` in lower case into `name`. `host` of a request becomes `:authority`, of which it is an alias.
#[inline]
pub(crate) fn set(name: &mut Vec<u8>, map: MapType, from: &[u8]) {
    name.clear();
    if is_alias(map, from) {
        name.extend_from_slice(AUTHORITY);
    } else {
        name.extend_from_slice(from);
        lower(name);
    }
}

/// Does as [`set`] for each name of a map that a guest sets as a whole. `buffer` holds the names that were spelled
/// otherwise; most guests spell none otherwise.
pub(crate) fn set_all<'a>(pairs: &mut [(&'a [u8], &'a [u8])], map: MapType, buffer: &'a mut Vec<u8>) {
    let differs = |name: &[u8]| name.iter().any(u8::is_ascii_uppercase);
    buffer.clear();
    for (name, _) in pairs.iter_mut() {
        if is_alias(map, name) {
            *name = AUTHORITY;
        } else if differs(name) {
            buffer.extend_from_slice(name);
        }
    }
    lower(buffer);
    let mut rest: &'a [u8] = buffer;
    for (name, _) in pairs {
        if differs(name) {
            (*name, rest) = rest.split_at(name.len());
        }
    }
}

/// Copies pairs, names in lower case.
pub(crate) fn owned(pairs: &[(&[u8], &[u8])]) -> Pairs {
    pairs
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_vec()))
        .collect()
}

const AUTHORITY: &[u8] = b":authority";

#[inline]
fn is_alias(map: MapType, name: &[u8]) -> bool {
    map == MapType::HttpRequestHeaders && name.eq_ignore_ascii_case(b"host")
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
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn a_whole_map_is_lowered_as_single_names_are(
            given in prop::collection::vec(prop_oneof!["[hH][oO][sS][tT]", "[A-Za-z-]{0,20}", any::<Vec<u8>>().prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())], 0..12),
            request in any::<bool>(),
        ) {
            let map = if request { MapType::HttpRequestHeaders } else { MapType::HttpResponseHeaders };
            let mut pairs: Vec<(&[u8], &[u8])> = given.iter().map(|name| (name.as_bytes(), name.as_bytes())).collect();
            let mut buffer = b"before".to_vec();
            set_all(&mut pairs, map, &mut buffer);
            for (name, given) in pairs {
                let mut single = Vec::new();
                set(&mut single, map, given);
                prop_assert_eq!(name, single.as_slice());
            }
        }
    }
}
