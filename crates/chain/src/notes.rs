//! The values that filters stored on a stream with `proxy_set_property`.

use std::sync::Arc;

use weir_abi::limits::MAX_STREAM_STATE_BYTES;
use weir_account::{Account, Charges, HOST_MEMORY_ITEM, line_cost};

/// Paths and values, few enough that a list beats a map. One bound for all filters of a stream.
#[derive(Debug, Default)]
pub struct Notes {
    entries: Vec<(Vec<u8>, Vec<u8>)>,
    bytes: usize,
    charges: Charges,
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

    /// Stores a value for a VM with this account; `false` where the stream or the VM would hold too much.
    pub fn write(&mut self, path: &[u8], value: &[u8], account: Option<&Arc<Account>>) -> bool {
        let place = self.entries.iter().position(|(name, _)| name == path);
        let old = place.map_or(0, |index| path.len() + self.entries[index].1.len());
        let bytes = self.bytes - old + path.len() + value.len();
        if bytes > MAX_STREAM_STATE_BYTES {
            return false;
        }
        let cost = line_cost(path.len(), value.len());
        // The old value counts until the new value has been stored.
        if account.is_some_and(|account| self.charges.charge(account, cost).is_err()) {
            return false;
        }
        self.bytes = bytes;
        match place {
            Some(index) => self.entries[index].1 = value.to_vec(),
            None => self.entries.push((path.to_vec(), value.to_vec())),
        }
        self.charges
            .shrink_to(self.bytes + self.entries.len() * HOST_MEMORY_ITEM);
        true
    }
}

#[cfg(test)]
mod tests {
    use weir_account::Ceiling;

    use super::*;

    #[test]
    fn values_are_replaced_and_bounded() {
        let mut notes = Notes::default();
        let mut out = Vec::new();
        assert!(!notes.read(b"a", &mut out));
        assert!(notes.write(b"a", b"1", None));
        assert!(notes.write(b"a", b"22", None));
        assert!(notes.read(b"a", &mut out));
        assert_eq!(out, b"22");
        assert_eq!(notes.bytes, 3);
        assert!(!notes.write(b"b", &vec![0; MAX_STREAM_STATE_BYTES], None));
        assert!(notes.write(b"a", &vec![0; MAX_STREAM_STATE_BYTES - 1], None));
        assert!(!notes.write(b"b", b"", None));
    }

    #[test]
    fn values_are_paid_for_as_long_as_they_are_kept() {
        let account = Account::new(1000, &Ceiling::default());
        let mut notes = Notes::default();
        for _ in 0..100 {
            assert!(notes.write(b"a", &[0; 300], Some(&account)));
        }
        assert_eq!(account.held(), 1 + 300 + HOST_MEMORY_ITEM);
        assert!(!notes.write(b"b", &[0; 600], Some(&account)));
        assert!(notes.write(b"a", b"", Some(&account)));
        assert!(notes.write(b"b", &[0; 600], Some(&account)));
        drop(notes);
        assert_eq!(account.held(), 0);
    }
}
