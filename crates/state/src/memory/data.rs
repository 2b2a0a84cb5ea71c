//! Shared data in memory: values under keys, on all threads.

use std::sync::atomic::{AtomicU32, Ordering};

use dashmap::{DashMap, Entry};
use weir_abi::Status;
use weir_abi::limits::MAX_KEY;
use weir_account::{Charge, HOST_MEMORY_ITEM};

use super::StoreAccount;

/// Values of this many bytes keep little room beyond their length.
const LARGE: usize = 4 << 10;

/// The shared data of a `vm_id`. What it holds is reserved in the account that each write brings along.
#[derive(Debug, Default)]
pub(super) struct Data {
    values: DashMap<Box<[u8]>, Value>,
    last_cas: AtomicU32,
}

#[derive(Debug)]
struct Value {
    bytes: Vec<u8>,
    cas: u32,
    charge: Charge,
}

impl Data {
    /// As [`Store::get`](crate::Store::get).
    pub fn get(&self, key: &[u8], out: &mut Vec<u8>) -> Option<u32> {
        let value = self.values.get(key)?;
        out.extend_from_slice(&value.bytes);
        Some(value.cas)
    }

    /// As [`Store::set`](crate::Store::set).
    pub fn set(&self, key: &[u8], bytes: &[u8], cas: u32, account: &StoreAccount) -> Result<(), Status> {
        if let Some(mut value) = self.values.get_mut(key) {
            return self.replace(&mut value, bytes, cas, account);
        }
        if cas != 0 || key.len() > MAX_KEY {
            return Err(Status::CasMismatch);
        }
        match self.values.entry(key.into()) {
            // Another thread came first.
            Entry::Occupied(mut entry) => self.replace(entry.get_mut(), bytes, cas, account),
            Entry::Vacant(entry) => {
                let size = key.len() + bytes.len();
                account.reserve_key(size)?;
                let charge = account.data_memory().charge(size + HOST_MEMORY_ITEM);
                let charge = charge.map_err(|_| {
                    account.free_key(size);
                    Status::CasMismatch
                })?;
                entry.insert(Value {
                    charge,
                    bytes: bytes.to_vec(),
                    cas: self.next_cas(),
                });
                Ok(())
            }
        }
    }

    /// As [`Store::delete`](crate::Store::delete).
    pub fn delete(&self, key: &[u8], account: &StoreAccount) -> Result<(), Status> {
        let (_, value) = self.values.remove(key).ok_or(Status::NotFound)?;
        account.free_key(key.len() + value.bytes.len());
        Ok(())
    }

    /// As [`Store::next_cas`](crate::Store::next_cas).
    pub fn next_cas(&self) -> u32 {
        loop {
            // One series for all keys, so that a key that was deleted and set again never shows an old number.
            let cas = self.last_cas.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            if cas != 0 {
                return cas;
            }
        }
    }

    fn replace(
        &self,
        value: &mut Value,
        bytes: &[u8],
        cas: u32,
        account: &StoreAccount,
    ) -> Result<(), Status> {
        if cas != 0 && cas != value.cas {
            return Err(Status::CasMismatch);
        }
        let (old, new) = (value.bytes.len(), bytes.len());
        if new > old {
            account.reserve_bytes(new - old)?;
            if value.charge.grow(new - old).is_err() {
                account.free_bytes(new - old);
                return Err(Status::CasMismatch);
            }
        } else if new < old {
            account.free_bytes(old - new);
            value.charge.shrink_to(value.charge.bytes() - (old - new));
        }
        // Values mostly keep their size; then nothing is allocated. What shrank for good gives its memory back, a large value
        // soon, because only its length is paid for.
        value.bytes.clear();
        value.bytes.reserve_exact(new);
        value.bytes.extend_from_slice(bytes);
        let capacity = value.bytes.capacity();
        if (capacity > 64 && capacity / 4 > new) || (capacity > LARGE && capacity - new > new / 4) {
            value.bytes.shrink_to_fit();
        }
        value.cas = self.next_cas();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use weir_abi::limits::{MAX_SHARED_DATA_BYTES, MAX_SHARED_DATA_KEYS};

    use super::*;
    use weir_account::Ceiling;

    use crate::{MemoryStore, Store, Usage};

    fn read(data: &MemoryStore, key: &[u8]) -> Option<(Vec<u8>, u32)> {
        let mut out = Vec::new();
        data.get(key, &mut out).map(|cas| (out, cas))
    }

    #[test]
    fn values_count_for_the_process() {
        let ceiling = Ceiling::new(1 << 20);
        let (data, other) = (MemoryStore::under(&ceiling), MemoryStore::under(&ceiling));
        data.set(b"a", &[0; 900_000], 0).unwrap();
        assert_eq!(other.set(b"b", &[0; 200_000], 0), Err(Status::CasMismatch));
        assert_eq!(data.set(b"a", &[0; 1_100_000], 0), Err(Status::CasMismatch));
        assert_eq!((other.usage(), data.usage().bytes), (Usage::default(), 900_001));
        data.set(b"a", &[0; 10], 0).unwrap();
        other.set(b"b", &[0; 200_000], 0).unwrap();
        other.delete(b"b").unwrap();
        drop((data, other));
        assert_eq!(ceiling.held(), 0);
    }

    #[test]
    fn a_stale_number_is_refused() {
        let data = MemoryStore::default();
        data.set(b"key", b"1", 0).unwrap();
        let (value, first) = read(&data, b"key").unwrap();
        assert_eq!(value, b"1");
        assert_ne!(first, 0);
        data.set(b"key", b"2", first).unwrap();
        assert_eq!(data.set(b"key", b"3", first), Err(Status::CasMismatch));
        assert_eq!(read(&data, b"key").unwrap().0, b"2");
        data.set(b"key", b"4", 0).unwrap();
        assert_eq!(read(&data, b"key").unwrap().0, b"4");
    }

    #[test]
    fn a_number_for_a_key_that_is_gone_is_refused() {
        let data = MemoryStore::default();
        data.set(b"key", b"1", 0).unwrap();
        let (_, cas) = read(&data, b"key").unwrap();
        data.delete(b"key").unwrap();
        assert_eq!(data.set(b"key", b"2", cas), Err(Status::CasMismatch));
        data.set(b"key", b"3", 0).unwrap();
        assert_eq!(
            data.set(b"key", b"4", cas),
            Err(Status::CasMismatch),
            "the number came back"
        );
        assert_eq!(data.delete(b"other"), Err(Status::NotFound));
    }

    #[test]
    fn empty_values_are_values() {
        let data = MemoryStore::default();
        data.set(b"key", b"", 0).unwrap();
        assert_eq!(read(&data, b"key").unwrap().0, b"");
    }

    #[test]
    fn numbers_skip_zero() {
        let data = MemoryStore::default();
        data.data.last_cas.store(u32::MAX - 1, Ordering::Relaxed);
        data.set(b"key", b"", 0).unwrap();
        assert_eq!(read(&data, b"key").unwrap().1, u32::MAX);
        data.set(b"key", b"", 0).unwrap();
        assert_eq!(read(&data, b"key").unwrap().1, 1);
    }

    #[test]
    fn limits_hold_and_what_is_deleted_makes_room() {
        let data = MemoryStore::default();
        let half = vec![0; MAX_SHARED_DATA_BYTES / 2];
        data.set(b"1", &half[1..], 0).unwrap();
        data.set(b"2", &half[1..], 0).unwrap();
        assert_eq!(data.set(b"3", b"", 0), Err(Status::CasMismatch));
        assert_eq!(data.set(b"2", &half, 0), Err(Status::CasMismatch));
        let usage = data.usage();
        assert_eq!((usage.keys, usage.bytes), (2, MAX_SHARED_DATA_BYTES));
        data.delete(b"1").unwrap();
        data.set(b"2", &half, 0).unwrap();
        assert_eq!(data.set(&[0; MAX_KEY + 1], b"", 0), Err(Status::CasMismatch));

        let many = MemoryStore::default();
        for key in 0..u32::try_from(MAX_SHARED_DATA_KEYS).unwrap() {
            many.set(&key.to_le_bytes(), b"", 0).unwrap();
        }
        assert_eq!(many.set(b"one more", b"", 0), Err(Status::CasMismatch));
        many.set(&7u32.to_le_bytes(), b"x", 0).unwrap();
    }

    #[test]
    fn no_increment_is_lost_between_threads() {
        let data = MemoryStore::default();
        data.set(b"n", &0u32.to_le_bytes(), 0).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        loop {
                            let (value, cas) = read(&data, b"n").unwrap();
                            let next = u32::from_le_bytes(value.try_into().unwrap()) + 1;
                            if data.set(b"n", &next.to_le_bytes(), cas).is_ok() {
                                break;
                            }
                        }
                    }
                });
            }
        });
        assert_eq!(read(&data, b"n").unwrap().0, 2000u32.to_le_bytes());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Set(u8, Vec<u8>),
        SetWithCas(u8, Vec<u8>),
        Delete(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        let value = prop::collection::vec(any::<u8>(), 0..200);
        prop_oneof![
            (0..4u8, value.clone()).prop_map(|(key, value)| Step::Set(key, value)),
            (0..4u8, value).prop_map(|(key, value)| Step::SetWithCas(key, value)),
            (0..4u8).prop_map(Step::Delete),
        ]
    }

    proptest! {
        #[test]
        fn behaves_like_a_map_and_counts_what_it_holds(steps in prop::collection::vec(step(), 0..60)) {
            let data = MemoryStore::default();
            let mut model: HashMap<u8, Vec<u8>> = HashMap::new();
            for step in steps {
                match step {
                    Step::Set(key, value) => {
                        data.set(&[key], &value, 0).unwrap();
                        model.insert(key, value);
                    }
                    Step::SetWithCas(key, value) => {
                        let cas = read(&data, &[key]).map_or(1, |(_, cas)| cas);
                        let done = data.set(&[key], &value, cas).is_ok();
                        prop_assert_eq!(done, model.contains_key(&key));
                        model.entry(key).and_modify(|old| *old = value);
                    }
                    Step::Delete(key) => {
                        prop_assert_eq!(data.delete(&[key]).is_ok(), model.remove(&key).is_some());
                    }
                }
                for key in 0..4u8 {
                    prop_assert_eq!(read(&data, &[key]).map(|(value, _)| value), model.get(&key).cloned());
                }
                let bytes = model.values().map(|value| value.len() + 1).sum();
                let usage = data.usage();
                prop_assert_eq!((usage.keys, usage.bytes), (model.len(), bytes));
            }
        }
    }
}
