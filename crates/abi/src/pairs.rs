//! The pairs codec: how header maps and other maps cross the boundary (specification, "Serialized map").
//!
//! ```text
//! u32 count
//! count × { u32 key length, u32 value length }      without the NULs
//! count × { key, NUL, value, NUL }
//! ```
//!
//! All numbers are little-endian. An empty map is written as the four bytes of its count.

use crate::limits::{MAX_PAIRS, MAX_PAIRS_BYTES};

const COUNT_BYTES: usize = 4;
const LENGTHS_BYTES: usize = 8;

/// Why bytes are not a serialised map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PairsError {
    /// More bytes than [`MAX_PAIRS_BYTES`].
    #[error("{0} bytes are too many, the limit is {MAX_PAIRS_BYTES}")]
    TooLong(usize),
    /// More entries than [`MAX_PAIRS`].
    #[error("{0} entries are too many, the limit is {MAX_PAIRS}")]
    TooMany(u32),
    /// The bytes end before the map does.
    #[error("the bytes end at {0}, before the map does")]
    Truncated(usize),
    /// There is no NUL behind a key or value.
    #[error("no NUL at byte {0}, where a key or value ends")]
    NoTerminator(usize),
    /// Bytes follow the map.
    #[error("{0} bytes follow the map")]
    Trailing(usize),
    /// The output is not as long as [`Size::bytes`] says, or the pairs changed after they were measured.
    #[error("the output is too short for the map")]
    NoRoom,
}

impl PairsError {
    /// True if `bytes` may well be a map, but one beyond the limits: a guest has no other way to say what it wants. Anything else
    /// is no map.
    pub fn is_limit(&self, bytes: &[u8]) -> bool {
        // An entry has two lengths and two NULs.
        const LEAST: usize = LENGTHS_BYTES + 2;
        match self {
            Self::TooLong(_) => true,
            Self::TooMany(count) => bytes.len().saturating_sub(COUNT_BYTES) / LEAST >= *count as usize,
            _ => false,
        }
    }
}

/// Bytes that [`encode_into`] will write for `pairs`.
pub fn encoded_len<'a>(pairs: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> usize {
    Size::of(pairs).bytes()
}

/// Writes `pairs` to the front of `out`, which has room for [`encoded_len`] bytes, and returns how many were written.
/// Nothing is allocated.
pub fn encode_into<'a, I>(out: &mut [u8], pairs: I) -> Result<usize, PairsError>
where
    I: IntoIterator<Item = (&'a [u8], &'a [u8])>,
    I::IntoIter: Clone,
{
    let pairs = pairs.into_iter();
    let size = Size::of(pairs.clone());
    let out = out.get_mut(..size.bytes()).ok_or(PairsError::NoRoom)?;
    let mut writer = Writer::new(out, size)?;
    for (key, value) in pairs {
        writer.add(key, value)?;
    }
    writer.finish()?;
    Ok(size.bytes())
}

/// `pairs` as bytes of their own.
pub fn encode<'a, I>(pairs: I) -> Result<Vec<u8>, PairsError>
where
    I: IntoIterator<Item = (&'a [u8], &'a [u8])>,
    I::IntoIter: Clone,
{
    let pairs = pairs.into_iter();
    let mut out = vec![0; encoded_len(pairs.clone())];
    encode_into(&mut out, pairs)?;
    Ok(out)
}

/// Reads a serialised map; keys and values are parts of `bytes`.
///
/// Anything but exactly one well-formed map within the limits is an error; no bytes at all, four zero bytes and a
/// single zero byte are the empty map.
#[allow(clippy::type_complexity, reason = "an alias would hide what a caller gets")]
pub fn decode(bytes: &[u8]) -> Result<Vec<(&[u8], &[u8])>, PairsError> {
    if matches!(bytes, [] | [0]) {
        return Ok(Vec::new());
    }
    if bytes.len() > MAX_PAIRS_BYTES {
        return Err(PairsError::TooLong(bytes.len()));
    }
    let truncated = PairsError::Truncated(bytes.len());
    let (count, rest) = bytes.split_first_chunk::<COUNT_BYTES>().ok_or(truncated)?;
    let count = u32::from_le_bytes(*count);
    if count as usize > MAX_PAIRS {
        return Err(PairsError::TooMany(count));
    }
    // No overflow: the count has just been bounded.
    let (mut lengths, mut data) = rest
        .split_at_checked(count as usize * LENGTHS_BYTES)
        .ok_or(truncated)?;

    let mut pairs = Vec::with_capacity(count as usize);
    let mut take = |len: [u8; 4]| {
        let len = u32::from_le_bytes(len) as usize;
        let (text, rest) = data.split_at_checked(len).ok_or(truncated)?;
        let (nul, rest) = rest.split_first().ok_or(truncated)?;
        if *nul != 0 {
            return Err(PairsError::NoTerminator(bytes.len() - rest.len() - 1));
        }
        data = rest;
        Ok(text)
    };
    while let Some((&[a, b, c, d, e, f, g, h], rest)) = lengths.split_first_chunk::<LENGTHS_BYTES>() {
        pairs.push((take([a, b, c, d])?, take([e, f, g, h])?));
        lengths = rest;
    }
    match data.len() {
        0 => Ok(pairs),
        trailing => Err(PairsError::Trailing(trailing)),
    }
}

/// Measures a map before it is written, pair by pair: for sources that are visited and not iterated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    count: usize,
    data: usize,
}

impl Size {
    fn of<'a>(pairs: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut size = Self::default();
        for (key, value) in pairs {
            size.add(key, value);
        }
        size
    }

    /// Counts a pair in.
    #[inline]
    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        self.count += 1;
        self.data += key.len() + value.len() + 2;
    }

    /// Number of pairs.
    pub const fn count(self) -> usize {
        self.count
    }

    /// Bytes of the serialised map.
    pub const fn bytes(self) -> usize {
        COUNT_BYTES + LENGTHS_BYTES * self.count + self.data
    }
}

/// Writes a map that has been measured, pair by pair. Nothing is allocated.
#[derive(Debug)]
pub struct Writer<'a> {
    lengths: &'a mut [u8],
    data: &'a mut [u8],
}

impl<'a> Writer<'a> {
    /// A writer of a map of this size to `out`, which must have exactly [`Size::bytes`].
    pub fn new(out: &'a mut [u8], size: Size) -> Result<Self, PairsError> {
        let count = u32::try_from(size.count).map_err(|_| PairsError::NoRoom)?;
        if out.len() != size.bytes() {
            return Err(PairsError::NoRoom);
        }
        let (head, rest) = out
            .split_first_chunk_mut::<COUNT_BYTES>()
            .ok_or(PairsError::NoRoom)?;
        *head = count.to_le_bytes();
        let (lengths, data) = rest
            .split_at_mut_checked(LENGTHS_BYTES * size.count)
            .ok_or(PairsError::NoRoom)?;
        Ok(Self { lengths, data })
    }

    /// Writes the next pair.
    #[inline]
    pub fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), PairsError> {
        self.text(key)?;
        self.text(value)
    }

    /// Checks that all pairs that were measured have been written.
    pub fn finish(self) -> Result<(), PairsError> {
        if self.lengths.is_empty() && self.data.is_empty() {
            Ok(())
        } else {
            Err(PairsError::NoRoom)
        }
    }

    #[inline]
    fn text(&mut self, text: &[u8]) -> Result<(), PairsError> {
        let len = u32::try_from(text.len()).map_err(|_| PairsError::NoRoom)?;
        let lengths = std::mem::take(&mut self.lengths);
        let (head, lengths) = lengths.split_first_chunk_mut::<4>().ok_or(PairsError::NoRoom)?;
        *head = len.to_le_bytes();
        self.lengths = lengths;

        let data = std::mem::take(&mut self.data);
        let (target, data) = data.split_at_mut_checked(text.len()).ok_or(PairsError::NoRoom)?;
        target.copy_from_slice(text);
        let (nul, data) = data.split_first_mut().ok_or(PairsError::NoRoom)?;
        *nul = 0;
        self.data = data;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn borrowed(pairs: &[(Vec<u8>, Vec<u8>)]) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        pairs
            .iter()
            .map(|(key, value)| (key.as_slice(), value.as_slice()))
    }

    #[test]
    fn the_specifications_example() {
        let bytes = [
            2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, b':', b'a', 0, b'b', 0, b'c', 0, 0,
        ];
        let pairs: [(&[u8], &[u8]); 2] = [(b":a", b"b"), (b"c", b"")];
        assert_eq!(encode(pairs), Ok(bytes.to_vec()));
        assert_eq!(decode(&bytes), Ok(pairs.to_vec()));
    }

    #[test]
    fn empty_maps_are_decoded_and_encoded() {
        for bytes in [&[][..], &[0], &[0; 4]] {
            assert_eq!(decode(bytes), Ok(vec![]));
        }
        assert_eq!(encode([]), Ok(vec![0; 4]));
        assert_eq!(decode(&[0; 2]), Err(PairsError::Truncated(2)));
        assert_eq!(decode(&[0; 5]), Err(PairsError::Trailing(1)));
        assert_eq!(decode(&[1]), Err(PairsError::Truncated(1)));
    }

    #[test]
    fn malformed_maps_are_refused() {
        let good = encode([(&b"key"[..], &b"value"[..])]).unwrap();
        for len in 1..good.len() {
            assert!(decode(&good[..len]).is_err(), "cut to {len}");
        }
        let mut no_nul = good.clone();
        no_nul[15] = b'x';
        assert_eq!(decode(&no_nul), Err(PairsError::NoTerminator(15)));
        let mut huge = good.clone();
        huge[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(decode(&huge), Err(PairsError::Truncated(good.len())));
        let mut many = good;
        many[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(decode(&many), Err(PairsError::TooMany(u32::MAX)));
    }

    #[test]
    fn limits_hold_to_the_byte() {
        let most = vec![(&b"k"[..], &b"v"[..]); MAX_PAIRS];
        assert_eq!(decode(&encode(most.iter().copied()).unwrap()), Ok(most.clone()));
        let over = encode(most.iter().copied().chain([(&b""[..], &b""[..])])).unwrap();
        assert_eq!(decode(&over), Err(PairsError::TooMany(1025)));
        assert!(PairsError::TooMany(1025).is_limit(&over));
        assert!(!PairsError::TooMany(u32::MAX).is_limit(&over));

        let value = vec![b'v'; MAX_PAIRS_BYTES - 15];
        let longest = encode([(&b"k"[..], value.as_slice())]).unwrap();
        assert_eq!(longest.len(), MAX_PAIRS_BYTES);
        assert!(decode(&longest).is_ok());
        let longer = encode([(&b"kk"[..], value.as_slice())]).unwrap();
        assert_eq!(decode(&longer), Err(PairsError::TooLong(MAX_PAIRS_BYTES + 1)));
        assert!(PairsError::TooLong(longer.len()).is_limit(&longer));
    }

    #[test]
    fn a_writer_notices_pairs_that_changed_after_they_were_measured() {
        let size = Size::of([(&b"a"[..], &b"bc"[..])]);
        let mut out = vec![0; size.bytes()];
        assert_eq!(Writer::new(&mut out[1..], size).err(), Some(PairsError::NoRoom));
        let mut writer = Writer::new(&mut out, size).unwrap();
        assert_eq!(writer.add(b"a", b"bcd"), Err(PairsError::NoRoom));
        let mut writer = Writer::new(&mut out, size).unwrap();
        writer.add(b"a", b"b").unwrap();
        assert_eq!(writer.finish(), Err(PairsError::NoRoom));
        assert_eq!(encode_into(&mut [0; 3], []), Err(PairsError::NoRoom));
    }

    proptest! {
        #[test]
        fn encoding_and_decoding_give_the_map_back(pairs in vec((vec(any::<u8>(), 0..40), vec(any::<u8>(), 0..80)), 0..40)) {
            let bytes = encode(borrowed(&pairs)).unwrap();
            prop_assert_eq!(bytes.len(), encoded_len(borrowed(&pairs)));
            prop_assert_eq!(decode(&bytes).unwrap(), borrowed(&pairs).collect::<Vec<_>>());
        }

        #[test]
        fn bytes_that_decode_are_the_one_encoding_of_their_map(bytes in vec(prop_oneof![4 => 0u8..4, 1 => any::<u8>()], 0..60)) {
            if let Ok(pairs) = decode(&bytes) {
                let again = encode(pairs.iter().copied()).unwrap();
                prop_assert!(again == bytes || (pairs.is_empty() && bytes.len() <= 1));
            }
        }

        #[test]
        fn nearly_well_formed_bytes_never_panic(
            pairs in vec((vec(any::<u8>(), 0..9), vec(any::<u8>(), 0..9)), 1..5),
            at: prop::sample::Index,
            byte: u8,
        ) {
            let mut bytes = encode(borrowed(&pairs)).unwrap();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(pairs) = decode(&bytes) {
                prop_assert_eq!(encode(pairs).unwrap(), bytes);
            }
        }
    }
}
