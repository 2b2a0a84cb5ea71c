//! The host counts what VMs do: states, deaths, callback times, failed hostcalls, memory.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use support::{TestStream, guest, on_every_engine, running};
use weir_abi::{Callback, Status};
use weir_meters::{Death, Meters, VmState};

/// A guest that fails a hostcall, grows its memory by a page, and traps if the stream is the third.
const BODY: &str = r#"
    (func (export "proxy_on_request_headers") (param $context i32) (param i32 i32) (result i32)
      (drop (call $proxy_log (i32.const 2) (i32.const -4) (i32.const 8)))
      (drop (memory.grow (i32.const 1)))
      (if (i32.eq (local.get $context) (i32.const 4)) (then unreachable))
      (i32.const 0))"#;

fn states(meters: &Meters) -> Vec<VmState> {
    meters.vm_readings().iter().map(|vm| vm.state).collect()
}

on_every_engine! {
    fn a_vm_is_counted_from_its_start_to_its_end(engine: &dyn Engine) {
        let (mut vm, plugin, _) = running(engine, &guest("", BODY));
        let meters = vm.meter().meters().clone();
        assert_eq!(states(&meters), [VmState::Starting]);
        vm.mark_live();
        meters.time_callbacks();
        for _ in 0..2 {
            let id = vm.create_stream(plugin, TestStream::recorded().0).unwrap();
            vm.on_request_headers(id, 1, true).unwrap();
            vm.finish_stream(id).unwrap();
        }
        let reading = &meters.vm_readings()[0];
        assert_eq!((&*reading.plugins, reading.state), ("test", VmState::Live));
        assert_eq!(reading.memory, 4 * 65536);

        let id = vm.create_stream(plugin, TestStream::recorded().0).unwrap();
        vm.on_request_headers(id, 1, true).unwrap_err();
        assert_eq!(states(&meters), [VmState::Dead]);
        drop(vm);
        assert_eq!(states(&meters), []);
        let counts = [&meters.vm_started, &meters.vm_died, &meters.vm_ended];
        assert_eq!(counts.map(weir_meters::Counter::value), [1, 1, 1]);
        assert_eq!(meters.deaths(), [Death { plugin: "test".into(), cause: "trap", count: 1 }]);

        let plugins = meters.plugin_readings();
        assert_eq!(plugins.len(), 1);
        let [headers] = &plugins[0].callbacks[..] else { panic!("{plugins:?}") };
        assert_eq!((headers.callback, headers.times.count()), (Callback::RequestHeaders, 3));
        let [error] = &plugins[0].errors[..] else { panic!("{plugins:?}") };
        assert_eq!((error.hostcall, error.status, error.count), ("proxy_log", Status::InvalidMemoryAccess, 3));
    }

    fn a_deadline_is_a_cause_of_its_own(engine: &dyn Engine) {
        let body = r#"(func (export "proxy_on_tick") (param i32) (loop (br 0)))"#;
        let (mut vm, plugin, _) = running(engine, &guest("", body));
        vm.mark_live();
        vm.on_tick(plugin).unwrap_err();
        assert_eq!(vm.meter().meters().deaths()[0].cause, "deadline");
    }

    fn a_start_that_fails_is_no_death(engine: &dyn Engine) {
        let body = r#"(func (export "proxy_on_tick") (param i32) unreachable)"#;
        let (mut vm, plugin, _) = running(engine, &guest("", body));
        vm.on_tick(plugin).unwrap_err();
        assert_eq!(vm.meter().meters().vm_died.value(), 0);
    }
}
