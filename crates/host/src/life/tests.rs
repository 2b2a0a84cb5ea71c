use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use weir_engine::TrapKind;
use weir_meters::Meters;

use super::*;

/// A guest without an engine: its life is all that is tested.
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn tell(&self, line: impl Into<String>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line.into());
    }
}

impl Guest for Told {
    type Call = &'static str;

    const START: &'static str = "boot";

    const LAST_STEPS: &'static [fn(&mut Self, &VmError)] = &[
        |_, _| panic!("a step panics"),
        |guest, _| guest.tell("after the panic"),
    ];

    fn tell_of_death(&mut self, error: &VmError) {
        self.tell(format!("died: {error}"));
    }

    fn name(call: &'static str) -> &'static str {
        call
    }

    fn charge(&mut self, call: &'static str, nanoseconds: u64) {
        assert!(nanoseconds > 0);
        self.tell(format!("charged for {call}"));
    }

    fn called_plugin(&mut self) -> Option<&str> {
        Some("plugin")
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.tell("dropped");
    }
}

fn life(meters: &Meters) -> (Life<Told>, Arc<Mutex<Vec<String>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let guest = Told(Arc::clone(&told));
    let budgets = Budgets::new(Duration::from_secs(2), Duration::from_secs(1));
    let life = Life::begin(
        "test.wasm",
        budgets,
        meters.vm(&weir_account::Account::new(
            1000,
            &weir_account::Ceiling::default(),
        )),
        |_| Ok(guest),
    )
    .unwrap();
    life.meter().started(["plugin"]);
    (life, told)
}

#[test]
fn calls_get_the_budget_of_their_kind() {
    let (mut life, told) = life(&Meters::default());
    let seconds = |_: &mut Told, budget: CpuBudget| Ok(budget.0.as_secs());
    assert_eq!(life.call("callback", seconds).unwrap(), 1);
    assert_eq!(life.call_at_start("start", seconds).unwrap(), 2);
    life.take_time();
    assert_eq!(life.call("callback", seconds).unwrap(), 2);
    assert_eq!(*told.lock().unwrap(), [""; 0], "nothing is measured unasked");
}

#[test]
fn a_call_is_charged_whether_or_not_the_guest_survives_it() {
    let meters = Meters::default();
    meters.time_callbacks();
    let (mut life, told) = life(&meters);
    let work = || {
        let since = Instant::now();
        while since.elapsed() < Duration::from_micros(50) {}
    };
    life.call("on_x", |_, _| {
        work();
        Ok(())
    })
    .unwrap();
    let trapped = life.call("on_y", |_, _| {
        work();
        Err::<(), _>(Trap::new(TrapKind::Deadline))
    });
    assert!(trapped.is_err());
    assert_eq!(
        told.lock().unwrap()[..2],
        ["charged for on_x", "charged for on_y"]
    );
}

#[test]
fn a_trap_ends_the_guest_step_by_step() {
    let meters = Meters::default();
    let (mut life, told) = life(&meters);
    let trapped = life.call("on_x", |_, _| Err::<(), _>(Trap::new(TrapKind::Deadline)));
    assert_eq!(
        trapped.unwrap_err().to_string(),
        "on_x trapped: CPU time exceeded (at least 1000 ms used, limits.callback_deadline is 1000 ms)"
    );
    assert!(life.is_dead());
    assert_eq!(
        *told.lock().unwrap(),
        [
            "after the panic",
            "died: on_x trapped: CPU time exceeded (at least 1000 ms used, limits.callback_deadline is 1000 ms)",
            "dropped"
        ]
    );
    assert!(matches!(life.call("on_x", |_, _| Ok(())), Err(VmError::Dead)));
    let deaths = meters.deaths();
    assert_eq!(
        (&*deaths[0].plugin, deaths[0].cause, deaths[0].count),
        ("plugin", "deadline", 1)
    );
}

#[test]
fn a_death_at_the_start_is_told_by_the_error_alone() {
    let (mut life, told) = life(&Meters::default());
    let trapped = life.call_at_start("on_start", |_, _| Err::<(), _>(Trap::new(TrapKind::Deadline)));
    assert_eq!(
        trapped.unwrap_err().to_string(),
        "on_start trapped: CPU time exceeded (at least 2000 ms used, limits.start_deadline is 2000 ms)"
    );
    assert_eq!(*told.lock().unwrap(), ["after the panic", "dropped"]);
}

#[test]
fn a_panic_ends_the_guest_and_not_the_process() {
    let meters = Meters::default();
    let (mut life, told) = life(&meters);
    let panicked = life.call("on_x", |_, _| -> Result<(), Trap> { panic!("a bug") });
    assert_eq!(
        panicked.unwrap_err().to_string(),
        "internal error in on_x (please report): a bug"
    );
    assert_eq!(told.lock().unwrap().last().unwrap(), "dropped");
    let budgets = Budgets::new(Duration::ZERO, Duration::ZERO);
    let begun = Life::<Told>::begin(
        "test.wasm",
        budgets,
        meters.vm(&weir_account::Account::new(
            1000,
            &weir_account::Ceiling::default(),
        )),
        |_| panic!("at once"),
    );
    assert_eq!(
        begun.err().unwrap().to_string(),
        "module test.wasm: internal error in boot (please report): at once"
    );
}
