//! The states of a slot, and every way from one to the next.
//!
//! ```text
//!            begin            arrived             died
//!  Empty ───────────▶ Starting ──────▶ Live ─────────────▶ BackOff
//!                        │ ▲                                 │ ▲
//!                        │ └─────────────────────────────────┘ │ failed
//!                        └─────────────────────────────────────┘
//! ```
//!
//! A VM that died within the budget of restarts leaves BackOff at once: a spare takes over on the thread on which the VM
//! died, or a start begins.
//!
//! A retired slot starts nothing more: a VM that arrives late is not let in, one that dies leaves the slot empty. A VM that
//! lives in it serves the streams that still hold the slot.

use std::sync::PoisonError;
use std::time::Instant;

use weir_host::RestartBackoff;

use super::sync::{Mutex, MutexGuard};

/// The phase of a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Nothing: no VM has been started, or the slot is retired and its VM has gone.
    #[default]
    Empty,
    /// A VM is being started.
    Starting,
    /// The VM with this number lives.
    Live(u64),
    /// A VM has died or could not be started; the next is started at once or after a pause.
    BackOff,
}

/// The state of a slot. All changes are made under one lock, so that a VM which dies while a reload retires its slot gets no
/// successor, and a VM that arrives then is not let in.
#[derive(Default)]
pub(crate) struct SlotState {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    phase: Phase,
    retired: bool,
    backoff: RestartBackoff,
}

impl SlotState {
    /// Begins a start, of the first VM or after a pause. `false`: a start is under way, a VM lives, or the slot is retired.
    pub fn begin(&self) -> bool {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Starting | Phase::Live(_)) {
            return false;
        }
        if state.retired {
            state.phase = Phase::Empty;
            return false;
        }
        state.phase = Phase::Starting;
        true
    }

    /// A VM has been started: `fill` shows it to streams. `false`: nobody wants it any more, and `fill` has not run.
    pub fn arrived(&self, number: u64, fill: impl FnOnce()) -> bool {
        let mut state = self.lock();
        if state.retired || state.phase != Phase::Starting {
            state.phase = if state.retired { Phase::Empty } else { state.phase };
            return false;
        }
        state.phase = Phase::Live(number);
        fill();
        true
    }

    /// The VM with this number has died: `empty` hides it from streams. Returns when the next is to be started: `now` where
    /// `at_once` grants that, else after a pause; `None` where none is to be.
    pub fn died(
        &self,
        number: u64,
        now: Instant,
        at_once: impl FnOnce() -> bool,
        empty: impl FnOnce(),
    ) -> Option<Instant> {
        let mut state = self.lock();
        if state.phase != Phase::Live(number) {
            return None;
        }
        empty();
        if !state.retired && at_once() {
            state.phase = Phase::BackOff;
            return Some(now);
        }
        state.back_off(now)
    }

    /// A VM could not be started. Returns when to try again; `None` where nobody wants one any more.
    pub fn failed(&self, now: Instant) -> Option<Instant> {
        let mut state = self.lock();
        if state.phase != Phase::Starting {
            return None;
        }
        state.back_off(now)
    }

    /// Starts nothing more in this slot.
    pub fn retire(&self) {
        self.lock().retired = true;
    }

    /// True once the slot starts nothing more.
    pub fn is_retired(&self) -> bool {
        self.lock().retired
    }

    /// Returns what the slot does now.
    pub fn phase(&self) -> Phase {
        self.lock().phase
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn back_off(&mut self, now: Instant) -> Option<Instant> {
        if self.retired {
            self.phase = Phase::Empty;
            return None;
        }
        self.phase = Phase::BackOff;
        Some(self.backoff.died(now))
    }
}
