//! What filters stored on a stream with `proxy_set_property`.

use weir_abi::limits::MAX_STREAM_STATE_BYTES;

/// Paths and values, few enough that a list beats a map. One bound for all filters of a stream.
#[derive(Debug, Default)]
pub struct Notes {
    entries: Vec<(Vec<u8>, Vec<u8>)>,
    bytes: usize,
}

impl Notes {
    /// Appends the value of a path to `out`.
    pub fn read(&self, path: &[u8], out: &mut Vec<u8>) -> bool {
        match self.entries.iter().find(|(name, _)| name == path) {
            Some((_, value)) => {
                out.extend_from_slice(value);
                true
            }
            None => false,
        }
    }

    /// Stores a value; `false` where the stream would hold too much.
    pub fn write(&mut self, path: &[u8], value: &[u8]) -> bool {
        let place = self.entries.iter().position(|(name, _)| name == path);
        let old = place.map_or(0, |index| path.len() + self.entries[index].1.len());
        let bytes = self.bytes - old + path.len() + value.len();
        if bytes > MAX_STREAM_STATE_BYTES {
            return false;
        }
        self.bytes = bytes;
        match place {
            Some(index) => self.entries[index].1 = value.to_vec(),
            None => self.entries.push((path.to_vec(), value.to_vec())),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_replaced_and_bounded() {
        let mut notes = Notes::default();
        let mut out = Vec::new();
        assert!(!notes.read(b"a", &mut out));
        assert!(notes.write(b"a", b"1"));
        assert!(notes.write(b"a", b"22"));
        assert!(notes.read(b"a", &mut out));
        assert_eq!(out, b"22");
        assert_eq!(notes.bytes, 3);
        assert!(!notes.write(b"b", &vec![0; MAX_STREAM_STATE_BYTES]));
        assert!(notes.write(b"a", &vec![0; MAX_STREAM_STATE_BYTES - 1]));
        assert!(!notes.write(b"b", b""));
    }
}
