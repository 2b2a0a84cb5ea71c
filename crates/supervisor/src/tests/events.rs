//! Events: ticks, queues, answers that come later, and the wait for `proxy_done`.

use weir_config::Ticks;

use super::{Proxy, TICKS, milliseconds, run};
use crate::Fleet;

#[test]
fn ticks_run_in_every_vm_or_in_the_first() {
    run(|| async {
        for (keys, default, vms) in [
            ("", Ticks::EveryVm, vec![0, 1]),
            ("", Ticks::OneVm, vec![0]),
            ("  ticks: one_vm\n", Ticks::EveryVm, vec![0]),
            ("  ticks: every_vm\n", Ticks::OneVm, vec![0, 1]),
        ] {
            let proxy = Proxy::new(2);
            let _fleet = proxy.fleet(&proxy.plan(TICKS, keys), default);
            assert_eq!(proxy.threads_that_tick().await, vms, "{keys} {default:?}");
        }
    });
}

#[test]
fn ticks_of_one_vm_run_where_streams_wait() {
    run(|| async {
        let proxy = Proxy::new(3);
        let _fleet = proxy.fleet(&proxy.plan(TICKS, ""), Ticks::OneVm);
        proxy.threads_seen.waiting.borrow_mut().push(2);
        assert_eq!(proxy.threads_that_tick().await, [0, 2]);
    });
}

#[test]
fn the_last_period_of_many_counts() {
    const SETS_OFTEN: &str = r#"
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
            (local $i i32)
            (loop $again
                (drop (call $period (i32.const 5)))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $i) (i32.const 10000))))
            (drop (call $period (i32.const 500)))
            (i32.const 1))
        (func (export "proxy_on_tick") (param i32) (call $note (i32.const 204)))
    "#;
    run(|| async {
        let proxy = Proxy::new(1);
        let _fleet = proxy.fleet(&proxy.plan(SETS_OFTEN, ""), Ticks::EveryVm);
        proxy.pass(milliseconds(200)).await;
        assert_eq!(proxy.notes(), Vec::<String>::new());
        proxy.wait_for(&["tick"]).await;
    });
}

#[test]
fn queues_wake_their_consumer_for_each_entry() {
    const QUEUE: &str = r#"
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
            (drop (call $register (i32.const 100) (i32.const 4) (i32.const 300)))
            (drop (call $enqueue (i32.load (i32.const 300)) (i32.const 104) (i32.const 4)))
            (drop (call $enqueue (i32.load (i32.const 300)) (i32.const 216) (i32.const 4)))
            (i32.const 1))
        (func (export "proxy_on_queue_ready") (param i32) (param $queue i32)
            (if (call $dequeue (local.get $queue) (i32.const 304) (i32.const 308))
                (then (call $note (i32.const 208)))
                (else (call $note (i32.load (i32.const 304))))))
    "#;
    run(|| async {
        let proxy = Proxy::new(1);
        let _fleet = proxy.fleet(&proxy.plan(QUEUE, ""), Ticks::EveryVm);
        proxy.wait_for(&["late", "done"]).await;
        proxy.pass(milliseconds(100)).await;
        assert_eq!(proxy.notes(), Vec::<String>::new(), "a wake-up for each entry");
    });
}

#[test]
fn foreign_functions_answer_later() {
    const ASKS: &str = r#"
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
            (drop (call $call (i32.const 104) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 4)))
            (i32.const 1))
        (func (export "proxy_on_foreign_function") (param i32 i32 i32) (call $note (i32.const 212)))
    "#;
    run(|| async {
        let proxy = Proxy::new(1);
        let plans = proxy.plan(ASKS, "");
        proxy.answers.lock().unwrap().clear();
        let _fleet = proxy.fleet(&plans, Ticks::EveryVm);
        let later = proxy.answers.lock().unwrap().pop().unwrap();
        std::thread::spawn(|| later.deliver(b"answer".to_vec()))
            .join()
            .unwrap();
        proxy.wait_for(&["late"]).await;
    });
}

#[test]
fn answers_that_a_guest_may_await_are_bounded() {
    const ASKS_OFTEN: &str = r#"
        (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1))
        (func (export "proxy_on_foreign_function") (param i32 i32 i32)
            (local $i i32)
            (loop $again
                (drop (call $call (i32.const 104) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 4)))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $i) (i32.const 2000)))))
    "#;
    run(|| async {
        let proxy = Proxy::new(1);
        let fleet = proxy.fleet(&proxy.plan(ASKS_OFTEN, ""), Ticks::EveryVm);
        let vm = fleet.slot(0, 0).unwrap().live().unwrap();
        let plugin = vm.context(0).unwrap();
        let ask = || {
            vm.enter(|vm| vm.on_foreign_function(plugin, 1, Vec::new()))
                .unwrap()
        };
        let outstanding = || proxy.answers.lock().unwrap().len();
        ask();
        assert_eq!(outstanding(), 1024);
        // Answers that never come make room as well.
        proxy.answers.lock().unwrap().truncate(1000);
        ask();
        assert_eq!(outstanding(), 1024);
    });
}

/// Ends at a tick after it has been told to.
const WAITS: &str = r#"
    (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1))
    (func (export "proxy_on_done") (param i32) (result i32)
        (drop (call $period (i32.const 50)))
        (i32.const 0))
    (func (export "proxy_on_tick") (param i32) (call $note (i32.const 216)) (drop (call $done)))
    (func (export "proxy_on_delete") (param i32) (call $note (i32.const 224)))
"#;

#[test]
fn a_supervisor_that_ends_keeps_no_vm() {
    run(|| async {
        let proxy = Proxy::new(1);
        let mut fleet = proxy.fleet(&proxy.plan(WAITS, ""), Ticks::EveryVm);
        let ended = proxy.meters.vm_ended.value();
        fleet.replace(Fleet::default());
        proxy.task.abort();
        proxy.pass(milliseconds(10)).await;
        assert_eq!(proxy.meters.vm_ended.value(), ended + 1);
    });
}

#[test]
fn a_vm_that_ends_waits_for_proxy_done() {
    run(|| async {
        let proxy = Proxy::new(1);
        let mut fleet = proxy.fleet(&proxy.plan(WAITS, ""), Ticks::EveryVm);
        proxy.pass(milliseconds(100)).await;
        fleet.replace(Fleet::default());
        proxy.wait_for(&["done", "dele"]).await;
        proxy.pass(milliseconds(1000)).await;
        assert_eq!(proxy.notes(), Vec::<String>::new(), "the VM has gone");
    });
}
