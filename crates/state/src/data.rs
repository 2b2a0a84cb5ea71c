//! Shared data: values under keys, shared by all VMs of a vm_id, on all threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use dashmap::{DashMap, Entry};
use weir_abi::Status;
use weir_abi::limits::{MAX_KEY, MAX_SHARED_DATA_BYTES, MAX_SHARED_DATA_KEYS};

use super::key::{Scoped, ScopedKey};

/// The shared data of a process.
///
/// Every value has a number that is never 0 and changes with each write: who writes with the number that he read is
/// told if somebody wrote in between.
#[derive(Debug, Default)]
pub struct SharedData {
    values: DashMap<ScopedKey, Value>,
    usage: DashMap<Box<str>, Arc<Usage>>,
    last_cas: AtomicU32,
}

#[derive(Clone, Debug)]
struct Value {
    bytes: Vec<u8>,
    cas: u32,
    usage: Arc<Usage>,
}

/// What a vm_id holds.
#[derive(Debug, Default)]
struct Usage {
    keys: AtomicUsize,
    bytes: AtomicUsize,
}

impl SharedData {
    /// Appends the value of a key to `out` and returns its number; `None` where there is no such key.
    pub fn get(&self, vm_id: &str, key: &[u8], out: &mut Vec<u8>) -> Option<u32> {
        let value = self.values.get(&(vm_id, key) as &dyn Scoped)?;
        out.extend_from_slice(&value.bytes);
        Some(value.cas)
    }

    /// Sets the value of a key: always if `cas` is 0, else only if it is the value's present number.
    ///
    /// `CasMismatch` where it is not, or where the key does not exist. The same status is given for a value that cannot
    /// be kept because a limit of the vm_id is reached: it is the one refusal that SDKs take without a panic.
    pub fn set(&self, vm_id: &str, key: &[u8], bytes: &[u8], cas: u32) -> Result<(), Status> {
        if let Some(mut value) = self.values.get_mut(&(vm_id, key) as &dyn Scoped) {
            return self.replace(&mut value, bytes, cas);
        }
        if cas != 0 || key.len() > MAX_KEY {
            return Err(Status::CasMismatch);
        }
        match self.values.entry(ScopedKey::new(vm_id, key)) {
            // Another thread came first.
            Entry::Occupied(mut entry) => self.replace(entry.get_mut(), bytes, cas),
            Entry::Vacant(entry) => {
                let usage = Arc::clone(&self.usage.entry(vm_id.into()).or_default());
                usage.reserve_key(key.len() + bytes.len())?;
                entry.insert(Value {
                    bytes: bytes.to_vec(),
                    cas: self.next_cas(),
                    usage,
                });
                Ok(())
            }
        }
    }

    /// Forgets a key. `NotFound` where there is none.
    pub fn delete(&self, vm_id: &str, key: &[u8]) -> Result<(), Status> {
        let (_, value) = self
            .values
            .remove(&(vm_id, key) as &dyn Scoped)
            .ok_or(Status::NotFound)?;
        value.usage.keys.fetch_sub(1, Ordering::Relaxed);
        value
            .usage
            .bytes
            .fetch_sub(key.len() + value.bytes.len(), Ordering::Relaxed);
        Ok(())
    }

    /// Number of keys that a vm_id holds, and bytes of them and their values.
    pub fn usage(&self, vm_id: &str) -> (usize, usize) {
        let usage = self.usage.get(vm_id);
        usage.map_or((0, 0), |usage| {
            (
                usage.keys.load(Ordering::Relaxed),
                usage.bytes.load(Ordering::Relaxed),
            )
        })
    }

    /// The same data, independent from now on.
    pub fn copy(&self) -> Self {
        let copy = Self::default();
        copy.last_cas
            .store(self.last_cas.load(Ordering::Relaxed), Ordering::Relaxed);
        for entry in &self.values {
            let (key, value) = entry.pair();
            let usage = Arc::clone(&copy.usage.entry(key.vm_id.clone()).or_default());
            usage.keys.fetch_add(1, Ordering::Relaxed);
            usage
                .bytes
                .fetch_add(key.name.len() + value.bytes.len(), Ordering::Relaxed);
            copy.values.insert(
                key.clone(),
                Value {
                    bytes: value.bytes.clone(),
                    cas: value.cas,
                    usage,
                },
            );
        }
        copy
    }

    fn replace(&self, value: &mut Value, bytes: &[u8], cas: u32) -> Result<(), Status> {
        if cas != 0 && cas != value.cas {
            return Err(Status::CasMismatch);
        }
        let (old, new) = (value.bytes.len(), bytes.len());
        if new > old {
            value.usage.reserve_bytes(new - old)?;
        } else if new < old {
            value.usage.bytes.fetch_sub(old - new, Ordering::Relaxed);
        }
        // Values mostly keep their size; then nothing is allocated. What shrank for good gives its memory back.
        value.bytes.clear();
        value.bytes.extend_from_slice(bytes);
        if value.bytes.capacity() > 64 && value.bytes.capacity() / 4 > new {
            value.bytes.shrink_to_fit();
        }
        value.cas = self.next_cas();
        Ok(())
    }

    fn next_cas(&self) -> u32 {
        loop {
            // The numbers are for the whole process, so that a key that was deleted and set again never shows an old one.
            let cas = self.last_cas.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            if cas != 0 {
                return cas;
            }
        }
    }
}

impl Usage {
    fn reserve_key(&self, bytes: usize) -> Result<(), Status> {
        add_below(&self.keys, 1, MAX_SHARED_DATA_KEYS)?;
        self.reserve_bytes(bytes).inspect_err(|_| {
            self.keys.fetch_sub(1, Ordering::Relaxed);
        })
    }

    fn reserve_bytes(&self, bytes: usize) -> Result<(), Status> {
        add_below(&self.bytes, bytes, MAX_SHARED_DATA_BYTES)
    }
}

/// Adds to `counter` unless that would take it over `limit`.
fn add_below(counter: &AtomicUsize, more: usize, limit: usize) -> Result<(), Status> {
    let add = |held: usize| held.checked_add(more).filter(|sum| *sum <= limit);
    match counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add) {
        Ok(_) => Ok(()),
        Err(_) => Err(Status::CasMismatch),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn read(data: &SharedData, vm_id: &str, key: &[u8]) -> Option<(Vec<u8>, u32)> {
        let mut out = Vec::new();
        data.get(vm_id, key, &mut out).map(|cas| (out, cas))
    }

    #[test]
    fn a_stale_number_is_refused() {
        let data = SharedData::default();
        data.set("vm", b"key", b"1", 0).unwrap();
        let (value, first) = read(&data, "vm", b"key").unwrap();
        assert_eq!(value, b"1");
        assert_ne!(first, 0);
        data.set("vm", b"key", b"2", first).unwrap();
        assert_eq!(data.set("vm", b"key", b"3", first), Err(Status::CasMismatch));
        assert_eq!(read(&data, "vm", b"key").unwrap().0, b"2");
        data.set("vm", b"key", b"4", 0).unwrap();
        assert_eq!(read(&data, "vm", b"key").unwrap().0, b"4");
    }

    #[test]
    fn a_number_for_a_key_that_is_gone_is_refused() {
        let data = SharedData::default();
        data.set("vm", b"key", b"1", 0).unwrap();
        let (_, cas) = read(&data, "vm", b"key").unwrap();
        data.delete("vm", b"key").unwrap();
        assert_eq!(data.set("vm", b"key", b"2", cas), Err(Status::CasMismatch));
        data.set("vm", b"key", b"3", 0).unwrap();
        assert_eq!(
            data.set("vm", b"key", b"4", cas),
            Err(Status::CasMismatch),
            "the number came back"
        );
        assert_eq!(data.delete("vm", b"other"), Err(Status::NotFound));
    }

    #[test]
    fn vm_ids_are_apart_and_empty_values_are_values() {
        let data = SharedData::default();
        data.set("a", b"key", b"", 0).unwrap();
        assert_eq!(read(&data, "a", b"key").unwrap().0, b"");
        assert_eq!(read(&data, "b", b"key"), None);
        // The border between vm_id and key counts.
        assert_eq!(read(&data, "ak", b"ey"), None);
    }

    #[test]
    fn numbers_skip_zero() {
        let data = SharedData {
            last_cas: AtomicU32::new(u32::MAX - 1),
            ..SharedData::default()
        };
        data.set("vm", b"key", b"", 0).unwrap();
        assert_eq!(read(&data, "vm", b"key").unwrap().1, u32::MAX);
        data.set("vm", b"key", b"", 0).unwrap();
        assert_eq!(read(&data, "vm", b"key").unwrap().1, 1);
    }

    #[test]
    fn limits_hold_and_what_is_deleted_makes_room() {
        let data = SharedData::default();
        let half = vec![0; MAX_SHARED_DATA_BYTES / 2];
        data.set("vm", b"1", &half[1..], 0).unwrap();
        data.set("vm", b"2", &half[1..], 0).unwrap();
        assert_eq!(data.set("vm", b"3", b"", 0), Err(Status::CasMismatch));
        assert_eq!(data.set("vm", b"2", &half, 0), Err(Status::CasMismatch));
        assert_eq!(data.usage("vm"), (2, MAX_SHARED_DATA_BYTES));
        data.set("other", b"3", b"", 0).unwrap();
        data.delete("vm", b"1").unwrap();
        data.set("vm", b"2", &half, 0).unwrap();
        assert_eq!(
            data.set("vm", &[0; MAX_KEY + 1], b"", 0),
            Err(Status::CasMismatch)
        );

        for key in 0..u32::try_from(MAX_SHARED_DATA_KEYS).unwrap() {
            data.set("many", &key.to_le_bytes(), b"", 0).unwrap();
        }
        assert_eq!(data.set("many", b"one more", b"", 0), Err(Status::CasMismatch));
        data.set("many", &7u32.to_le_bytes(), b"x", 0).unwrap();
    }

    #[test]
    fn no_increment_is_lost_between_threads() {
        let data = SharedData::default();
        data.set("vm", b"n", &0u32.to_le_bytes(), 0).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        loop {
                            let (value, cas) = read(&data, "vm", b"n").unwrap();
                            let next = u32::from_le_bytes(value.try_into().unwrap()) + 1;
                            if data.set("vm", b"n", &next.to_le_bytes(), cas).is_ok() {
                                break;
                            }
                        }
                    }
                });
            }
        });
        assert_eq!(read(&data, "vm", b"n").unwrap().0, 2000u32.to_le_bytes());
    }

    #[test]
    fn a_copy_is_independent() {
        let data = SharedData::default();
        data.set("vm", b"key", b"1", 0).unwrap();
        let copy = data.copy();
        assert_eq!(read(&copy, "vm", b"key"), read(&data, "vm", b"key"));
        assert_eq!(copy.usage("vm"), data.usage("vm"));
        copy.set("vm", b"key", b"22", 0).unwrap();
        assert_eq!(read(&data, "vm", b"key").unwrap().0, b"1");
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
            let data = SharedData::default();
            let mut model: HashMap<u8, Vec<u8>> = HashMap::new();
            for step in steps {
                match step {
                    Step::Set(key, value) => {
                        data.set("vm", &[key], &value, 0).unwrap();
                        model.insert(key, value);
                    }
                    Step::SetWithCas(key, value) => {
                        let cas = read(&data, "vm", &[key]).map_or(1, |(_, cas)| cas);
                        let done = data.set("vm", &[key], &value, cas).is_ok();
                        prop_assert_eq!(done, model.contains_key(&key));
                        model.entry(key).and_modify(|old| *old = value);
                    }
                    Step::Delete(key) => {
                        prop_assert_eq!(data.delete("vm", &[key]).is_ok(), model.remove(&key).is_some());
                    }
                }
                for key in 0..4u8 {
                    prop_assert_eq!(read(&data, "vm", &[key]).map(|(value, _)| value), model.get(&key).cloned());
                }
                let bytes = model.values().map(|value| value.len() + 1).sum();
                prop_assert_eq!(data.usage("vm"), (model.len(), bytes));
            }
        }
    }
}
