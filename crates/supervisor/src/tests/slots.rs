//! Slots: deaths, spares, retirement, reloads.

use std::sync::Arc;

use weir_abi::limits::RESTARTS;
use weir_config::Ticks;
use weir_meters::VmState;

use super::{MORTAL, Proxy, TICKS, kill, milliseconds, run, spare_of};
use crate::{Fleet, OnFailure, Phase};

#[test]
fn the_first_death_brings_a_restart_and_a_spare_and_further_ones_the_spare_until_the_budget_is_used() {
    run(|| async {
        let proxy = Proxy::new(1);
        let fleet = proxy.fleet(&proxy.plan(MORTAL, ""), Ticks::EveryVm);
        proxy.wait_for(&["conf"]).await;
        let slot = fleet.slots().next().unwrap();
        assert!(!slot.has_spare(), "a filter that has never died needs none");
        kill(slot.vm());
        assert_eq!(proxy.meters.slots_restarting(), 1);
        assert!(slot.vm().live().is_none());
        proxy.wait_for(&["conf", "conf"]).await;
        for death in 2..=RESTARTS {
            spare_of(slot).await;
            kill(slot.vm());
            assert!(slot.vm().live().is_some(), "after death {death}");
            assert_eq!(proxy.meters.slots_restarting(), 0);
            proxy.wait_for(&["conf"]).await;
        }
        spare_of(slot).await;
        kill(slot.vm());
        assert_eq!(proxy.meters.slots_restarting(), 1);
        proxy.pass(milliseconds(500)).await;
        assert_eq!((slot.phase(), proxy.notes()), (Phase::BackOff, Vec::new()));
        // The spare that is ready, and one more.
        proxy.wait_for(&["conf"]).await;
        assert!(slot.vm().live().is_some());
        let restarts = u64::try_from(RESTARTS).unwrap() + 1;
        assert_eq!(
            (proxy.meters.slots_restarting(), proxy.meters.vm_restarts.value()),
            (0, restarts)
        );
        assert_eq!(
            proxy.meters.vm_started.value(),
            restarts + 1,
            "spares are not counted"
        );
    });
}

#[test]
fn one_spare_and_one_budget_serve_all_threads() {
    run(|| async {
        let proxy = Proxy::new(3);
        let fleet = proxy.fleet(&proxy.plan(MORTAL, ""), Ticks::EveryVm);
        let slots: Vec<_> = fleet.slots().collect();
        kill(slots[0].vm());
        spare_of(slots[0]).await;
        let spares = || {
            let readings = proxy.meters.vm_readings();
            readings.iter().filter(|vm| vm.state == VmState::Spare).count()
        };
        assert_eq!(spares(), 1);
        for death in 1..RESTARTS {
            spare_of(slots[0]).await;
            let slot = slots[death % 3];
            kill(slot.vm());
            assert!(slot.vm().live().is_some(), "after death {death}");
        }
        spare_of(slots[0]).await;
        kill(slots[1].vm());
        assert_eq!(slots[1].phase(), Phase::BackOff);
    });
}

#[test]
fn a_spare_takes_no_part_until_it_takes_over() {
    /// Ticks, consumes a queue, and dies or fills the queue when told.
    const BUSY: &str = r#"
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
            (drop (call $period (i32.const 20)))
            (drop (call $register (i32.const 100) (i32.const 4) (i32.const 300)))
            (i32.const 1))
        (func (export "proxy_on_tick") (param i32) (call $note (i32.const 204)))
        (func (export "proxy_on_queue_ready") (param i32 i32) (call $note (i32.const 208)))
        (func (export "proxy_on_foreign_function") (param i32 i32 i32)
            (local $i i32)
            (if (i32.eq (local.get 1) (i32.const 1)) (then unreachable))
            (loop $again
                (drop (call $enqueue (i32.load (i32.const 300)) (i32.const 100) (i32.const 4)))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $i) (i32.const 4)))))
    "#;
    run(|| async {
        let proxy = Proxy::new(1);
        let fleet = proxy.fleet(&proxy.plan(BUSY, ""), Ticks::EveryVm);
        let slot = fleet.slots().next().unwrap();
        kill(slot.vm());
        spare_of(slot).await;
        let told = |what: &str| {
            let notes = proxy.notes();
            notes.iter().filter(|note| *note == what).count()
        };
        let fill = || {
            let vm = slot.vm().live().unwrap();
            let plugin = vm.context(0).unwrap();
            vm.enter(|vm| vm.on_foreign_function(plugin, 2, Vec::new()))
                .unwrap();
        };
        // The second time the spare is the one that lives.
        for _ in 0..2 {
            told("queu");
            fill();
            let mut entries = 0;
            while entries < 4 {
                proxy.pass(milliseconds(10)).await;
                entries += told("queu");
            }
            while told("tick") == 0 {
                proxy.pass(milliseconds(10)).await;
            }
            kill(slot.vm());
            assert!(slot.vm().live().is_some());
            spare_of(slot).await;
        }
    });
}

#[test]
fn a_spare_ends_with_its_fleet() {
    /// Dies when told, and never says that its plugin context has ended.
    const SAYS: &str = r#"
        (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1))
        (func (export "proxy_on_done") (param i32) (result i32) (i32.const 0))
        (func (export "proxy_on_foreign_function") (param i32 i32 i32) unreachable)
    "#;
    run(|| async {
        let proxy = Proxy::new(1);
        let mut fleet = proxy.fleet(&proxy.plan(SAYS, ""), Ticks::EveryVm);
        let slot = Arc::clone(fleet.slots().next().unwrap());
        kill(slot.vm());
        spare_of(&slot).await;
        drop(slot);
        fleet.replace(Fleet::default());
        let is_spare = |vm: &weir_meters::VmReading| vm.state == VmState::Spare;
        while proxy.meters.vm_readings().iter().any(is_spare) {
            proxy.pass(milliseconds(10)).await;
        }
    });
}

#[test]
fn a_retired_slot_keeps_its_vm_for_its_streams_and_gets_no_other() {
    run(|| async {
        let proxy = Proxy::new(1);
        let mut fleet = proxy.fleet(&proxy.plan(MORTAL, ""), Ticks::EveryVm);
        let stream = Arc::clone(fleet.slot(0, 0).unwrap());
        fleet.replace(Fleet::default());
        assert!(stream.live().is_some());
        let states = || {
            proxy
                .meters
                .vm_readings()
                .iter()
                .map(|vm| vm.state)
                .collect::<Vec<_>>()
        };
        assert_eq!(states(), [VmState::Retired]);
        kill(&stream);
        assert_eq!(states(), [VmState::Dead]);
        proxy.notes();
        proxy.pass(milliseconds(1500)).await;
        assert_eq!(proxy.notes(), Vec::<String>::new());
    });
}

#[test]
fn a_reload_keeps_the_slots_of_equal_plans() {
    run(|| async {
        let proxy = Proxy::new(2);
        let first = proxy.fleet(&proxy.plan(TICKS, ""), Ticks::EveryVm);
        let next = |keys| {
            let plans = proxy.plan(TICKS, keys);
            first
                .next(&plans, &proxy.threads, Ticks::EveryVm, OnFailure::Keep)
                .unwrap()
        };
        let kept = |fleet: &Fleet| {
            let slot = |fleet: &Fleet| Arc::as_ptr(fleet.slot(0, 1).unwrap());
            slot(fleet) == slot(&first)
        };
        assert!(kept(&next("")));
        assert!(!kept(&next("  ticks: one_vm\n")));
    });
}

#[test]
fn a_reload_whose_vm_does_not_start_changes_nothing() {
    /// Starts in its trial, and once more.
    const TWICE: &str = r#"
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
            (if (i32.eqz (call $get (i32.const 100) (i32.const 4) (i32.const 300) (i32.const 304) (i32.const 308)))
                (then (return (i32.const 0))))
            (drop (call $set (i32.const 100) (i32.const 4) (i32.const 104) (i32.const 4) (i32.const 0)))
            (i32.const 1))
    "#;
    run(|| async {
        let proxy = Proxy::new(2);
        let served = proxy.fleet(&proxy.plan(TICKS, ""), Ticks::EveryVm);
        let plans = proxy.plan(TWICE, "");
        let next = |on_failure| served.next(&plans, &proxy.threads, Ticks::EveryVm, on_failure);
        let (started, ended) = (proxy.meters.vm_started.value(), proxy.meters.vm_ended.value());
        let errors = next(OnFailure::Keep).err().unwrap();
        assert_eq!(errors.len(), 1, "one of two starts");
        assert_eq!(proxy.meters.vm_started.value(), started + 1);
        for _ in 0..1000 {
            if proxy.meters.vm_ended.value() > ended {
                break;
            }
            proxy.pass(milliseconds(10)).await;
        }
        assert_eq!(
            proxy.meters.vm_ended.value(),
            ended + 1,
            "the VM that started ends"
        );
        assert!(served.slots().all(|slot| matches!(slot.phase(), Phase::Live(_))));
        assert!(served.slots().all(|slot| slot.vm().live().is_some()));
        assert_eq!(proxy.threads_that_tick().await, [0, 1]);
        let retried = next(OnFailure::Retry).unwrap();
        let phases: Vec<_> = retried.slots().map(|slot| slot.phase()).collect();
        assert_eq!(phases, [Phase::BackOff; 2]);
    });
}
