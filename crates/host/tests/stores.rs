//! Shared data and queues: the store of a vm_id, and the overlay of a trial.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use support::{Recorder, guest, on_every_engine, plugin, spec};
use weir_abi::{MetricType, Status};
use weir_engine::Engine;
use weir_host::{ForeignFunctions, MetricValue, Shared, Store, Stores, Vm};
use weir_state::{Consumer, Queue, Subscription, Usage};

/// A store that is not the in-process one. It says what it was asked, and keeps values backwards, so that a value that
/// came past it is seen.
#[derive(Clone, Default)]
struct Mirror(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    asked: Vec<String>,
    values: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    entries: VecDeque<Vec<u8>>,
    consumers: Vec<Subscription>,
    last_cas: u32,
}

impl Mirror {
    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().unwrap())
    }

    fn asked(&self) -> Vec<String> {
        self.with(|state| std::mem::take(&mut state.asked))
    }

    fn note(&self, what: &str, bytes: &[u8]) {
        self.with(|state| {
            state
                .asked
                .push(format!("{what} {}", String::from_utf8_lossy(bytes)));
        });
    }
}

fn backwards(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().rev().copied().collect()
}

impl Store for Mirror {
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> Option<u32> {
        self.note("get", key);
        self.with(|state| {
            let (value, cas) = state.values.get(key)?;
            out.extend_from_slice(value);
            Some(*cas)
        })
    }

    fn set(&self, key: &[u8], value: &[u8], cas: u32) -> Result<(), Status> {
        self.note("set", key);
        let next = self.next_cas();
        self.with(|state| {
            let present = state.values.get(key).map_or(0, |(_, cas)| *cas);
            if cas != 0 && cas != present {
                return Err(Status::CasMismatch);
            }
            state.values.insert(key.to_vec(), (backwards(value), next));
            Ok(())
        })
    }

    fn delete(&self, key: &[u8]) -> Result<(), Status> {
        self.note("delete", key);
        let removed = self.with(|state| state.values.remove(key));
        removed.map(|_| ()).ok_or(Status::NotFound)
    }

    fn next_cas(&self) -> u32 {
        self.with(|state| {
            state.last_cas += 100;
            state.last_cas
        })
    }

    fn open_queue(&self, name: &[u8]) -> Result<Arc<dyn Queue>, Status> {
        self.note("open", name);
        Ok(Arc::new(self.clone()))
    }

    fn find_queue(&self, _: &[u8]) -> Option<Arc<dyn Queue>> {
        None
    }

    fn usage(&self) -> Usage {
        Usage::default()
    }
}

/// Its only queue.
impl Queue for Mirror {
    fn enqueue(&self, entry: &[u8]) -> Result<(), Status> {
        self.note("enqueue", entry);
        self.with(|state| state.entries.push_back(backwards(entry)));
        Ok(())
    }

    fn dequeue(&self) -> Result<Vec<u8>, Status> {
        self.note("dequeue", b"");
        self.with(|state| state.entries.pop_front()).ok_or(Status::Empty)
    }

    fn subscribe(&self, subscription: Subscription) {
        self.note("subscribe", b"");
        self.with(|state| state.consumers.push(subscription));
    }

    fn begin_call(&self, consumer: Consumer) -> bool {
        self.note("begin", b"");
        self.with(|state| state.consumers.iter().any(|known| known.consumer == consumer))
    }

    fn end_call(&self, _: Consumer) {
        self.note("end", b"");
    }

    fn unsubscribe(&self, vm: u64) {
        self.note("unsubscribe", b"");
        self.with(|state| state.consumers.retain(|known| known.consumer.vm != vm));
    }
}

const IMPORTS: &str = r#"
    (import "env" "proxy_get_shared_data" (func $get (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_set_shared_data" (func $set (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_register_shared_queue" (func $register (param i32 i32 i32) (result i32)))
    (import "env" "proxy_enqueue_shared_queue" (func $enqueue (param i32 i32 i32) (result i32)))
    (import "env" "proxy_dequeue_shared_queue" (func $dequeue (param i32 i32 i32) (result i32)))
    (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_increment_metric" (func $increment (param i32 i64) (result i32)))
    (import "env" "proxy_get_metric" (func $metric (param i32 i32) (result i32)))"#;

/// The key `key`, the value and entry `abc`, the queue `q`, the counter `c`.
const TEXTS: &str = r#"(data (i32.const 16) "key") (data (i32.const 20) "abc") (data (i32.const 24) "q") (data (i32.const 28) "c")
    (func $read (drop (call $get (i32.const 16) (i32.const 3) (i32.const 100) (i32.const 104) (i32.const 108)))
      (call $say (i32.load (i32.const 100)) (i32.load (i32.const 104))))
    (func $write (param $cas i32)
      (call $number (call $set (i32.const 16) (i32.const 3) (i32.const 20) (i32.const 3) (local.get $cas))))
    (func $open (drop (call $register (i32.const 24) (i32.const 1) (i32.const 112))))
    (func $put (drop (call $enqueue (i32.load (i32.const 112)) (i32.const 20) (i32.const 3))))
    (func $take (call $number (call $dequeue (i32.load (i32.const 112)) (i32.const 100) (i32.const 104)))
      (call $say (i32.load (i32.const 100)) (i32.load (i32.const 104))))"#;

/// Sets with no number, with that of the value, and with a stale one; opens the queue and takes what it has put in.
const USES_BOTH: &str = r#"
    (func (export "proxy_on_configure") (param i32 i32) (result i32)
      (call $write (i32.const 0)) (call $read)
      (call $write (i32.load (i32.const 108))) (call $write (i32.load (i32.const 108)))
      (call $open) (call $put) (call $take)
      (i32.const 1))
    (func (export "proxy_on_queue_ready") (param i32 i32) (call $number (local.get 1)))
    (func (export "proxy_on_tick") (param i32) unreachable)"#;

/// What a guest has logged: numbers of `$number`, and texts, which must not have four bytes.
fn said(recorder: &Recorder) -> Vec<String> {
    let logs = recorder.with(|record| std::mem::take(&mut record.logs));
    let text = |message: Vec<u8>| match <[u8; 4]>::try_from(message.as_slice()) {
        Ok(number) => u32::from_le_bytes(number).to_string(),
        Err(_) => String::from_utf8(message).unwrap(),
    };
    logs.into_iter().map(|(_, _, message)| text(message)).collect()
}

fn status(status: Status) -> String {
    status.wire().to_string()
}

fn running(engine: &dyn Engine, shared: &Shared, vm_id: &str) -> (Vm, weir_host::ContextId, Recorder) {
    let spec = weir_host::VmSpec {
        vm_id: vm_id.into(),
        ..spec(engine, &guest(IMPORTS, &format!("{TEXTS}{USES_BOTH}")))
    };
    let recorder = Recorder::default();
    let (services, waker) = (Box::new(recorder.clone()), Arc::new(recorder.clone()));
    let mut vm = Vm::start(Arc::new(spec), shared, services, waker).unwrap();
    let plugin = vm.add_plugin(plugin("test")).unwrap();
    (vm, plugin, recorder)
}

on_every_engine! {
    fn a_vm_uses_the_store_of_its_vm_id(engine: &dyn Engine) {
        let (stores, mirror) = (Stores::default(), Mirror::default());
        stores.map("mapped", Arc::new(mirror.clone()));
        let shared = Shared::with_stores(ForeignFunctions::default(), stores);

        let (mut vm, plugin, recorder) = running(engine, &shared, "mapped");
        assert_eq!(said(&recorder), ["0", "cba", "0", &status(Status::CasMismatch), "0", "cba"]);
        assert_eq!(
            mirror.asked(),
            ["set key", "get key", "set key", "set key", "open q", "subscribe ", "enqueue abc", "dequeue "]
        );
        let queue = shared.stores().resolve_queue("mapped", b"q").unwrap();
        mirror.with(|state| state.consumers[0].waker.wake(plugin, queue));
        assert_eq!(recorder.with(|record| record.woken.clone()), [(plugin, queue)]);
        vm.on_queue_ready(plugin, queue).unwrap();
        assert_eq!(recorder.numbers(), [queue]);
        assert_eq!(mirror.asked(), ["begin ", "end "]);

        let (mut other, other_plugin, recorder) = running(engine, &shared, "vm");
        assert_eq!(said(&recorder), ["0", "abc", "0", &status(Status::CasMismatch), "0", "abc"]);
        assert_eq!(mirror.asked(), [""; 0], "another vm_id has another store");
        other.on_tick(other_plugin).unwrap_err();

        vm.on_tick(plugin).unwrap_err();
        assert_eq!(mirror.asked(), ["unsubscribe "], "a VM that died consumes nothing");
        drop(running(engine, &shared, "mapped"));
        assert_eq!(mirror.asked().last().unwrap(), "unsubscribe ", "nor does one that ended");
    }

    fn a_trial_sees_what_exists_and_changes_nothing(engine: &dyn Engine) {
        let body = r#"
            (func (export "proxy_on_configure") (param i32 i32) (result i32)
              (call $read)
              (call $write (i32.load (i32.const 108))) (call $write (i32.load (i32.const 108)))
              (call $open) (call $take) (call $put) (call $take)
              (drop (call $define (i32.const 0) (i32.const 28) (i32.const 1) (i32.const 116)))
              (drop (call $increment (i32.load (i32.const 116)) (i64.const 1)))
              (drop (call $metric (i32.load (i32.const 116)) (i32.const 120)))
              (call $number (i32.load (i32.const 120)))
              (i32.const 1))"#;
        let spec = Arc::new(spec(engine, &guest(IMPORTS, &format!("{TEXTS}{body}"))));
        let (shared, consumer) = (support::shared(), Recorder::default());
        let stores = shared.stores();
        stores.of("vm").set(b"key", b"genuine", 0).unwrap();
        let mut handle = stores.handle("vm", 1000, Arc::new(consumer.clone()));
        let queue = handle.register(b"q", weir_host::ContextId::new(1).unwrap()).unwrap();
        handle.enqueue(queue, b"entry").unwrap();
        consumer.with(|record| record.woken.clear());
        let mut metrics = shared.metrics().cache();
        let counter = metrics.define(MetricType::Counter, b"c").unwrap();
        metrics.increment(counter, 5).unwrap();

        let recorder = Recorder::default();
        Vm::try_out(&spec, &[plugin("a")], &shared, Arc::new(recorder.clone())).unwrap();
        let seen = said(&recorder);
        assert_eq!(
            seen,
            ["genuine", "0", &status(Status::CasMismatch), &status(Status::Empty), "genuine", "0", "abc", "1"],
            "dequeuing from an empty queue leaves the guest's variables as they were"
        );
        let mut value = Vec::new();
        assert!(stores.of("vm").get(b"key", &mut value).is_some());
        assert_eq!(value, b"genuine");
        assert_eq!(handle.dequeue(queue), Ok(b"entry".to_vec()));
        assert_eq!(handle.dequeue(queue), Err(Status::Empty));
        assert_eq!(consumer.with(|record| record.woken.len()), 0);
        assert_eq!(shared.metrics().snapshot()[0].value, MetricValue::Counter(5));
    }
}
