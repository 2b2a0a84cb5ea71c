//! The life of a guest: its start, calls within a budget, the account of its time, its death. Nothing here knows what the
//! guest is called for, so that guests of every kind (Proxy-Wasm modules, components) are started, bounded, charged and
//! dropped by the same code.

mod instance;
mod limits;
mod panics;
mod start;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use weir_engine::{CpuBudget, Trap};
use weir_meters::VmMeter;

pub use self::instance::GuestInstance;
pub use self::limits::{Bound, Budgets, instance_limits};
use self::panics::{drop_step, panic_message};
pub use self::start::Origin;
use crate::{StartError, VmError};

/// A guest, as far as its life needs to know it.
pub trait Guest: Send + Sized + 'static {
    /// One call into the guest: a callback for one of its contexts, say.
    type Call: Copy;

    /// Name of the start in messages, such as `_start`.
    const START: &'static str;

    /// Steps that the guest's owner takes when the guest has died, in order, before it is dropped. A panic in one step does not
    /// keep the next from running.
    const LAST_STEPS: &'static [fn(&mut Self, &VmError)];

    /// Tells the log of the guest's death, as the last of the steps. Not called for a death in [`Life::call_at_start`]: whoever
    /// starts a guest says why it did not start.
    fn tell_of_death(&mut self, error: &VmError);

    /// The call's name in messages, such as `proxy_on_request_headers`.
    fn name(call: Self::Call) -> &'static str;

    /// Charges the time of a call, in nanoseconds, to whom it was made for. Called after each call, also one that the guest
    /// did not survive, in a process that measures calls.
    fn charge(&mut self, call: Self::Call, nanoseconds: u64);

    /// A call that has returned took nearly as long as `bound` allows, or longer by the clock. Called in a process that measures
    /// calls.
    fn came_near(&mut self, call: Self::Call, nanoseconds: u64, bound: &Bound) {
        let _ = (call, nanoseconds, bound);
    }

    /// The plugin to which the guest's death during a call is counted; `None` outside of any.
    fn called_plugin(&mut self) -> Option<&str>;
}

/// The life of one guest. One thread at a time enters the guest; the life may move between threads.
///
/// The guest dies of a trap, of a used-up budget, or of a panic in host code that it called; then it is dropped at once
/// and every further call answers [`VmError::Dead`].
pub struct Life<G: Guest> {
    /// `None` once the guest is dead.
    guest: Option<G>,
    /// File name of the module, for messages.
    module: String,
    budgets: Budgets,
    meter: Arc<VmMeter>,
}

impl<G: Guest> Life<G> {
    /// Starts a guest. `module` is the file name of its module, for messages, and `meter` counts the guest from now on.
    /// `start` makes the guest and runs its start functions, each within the start budget.
    ///
    /// # Errors
    ///
    /// The error of `start`, or [`StartError::Panicked`].
    pub fn begin(
        module: impl Into<String>,
        budgets: Budgets,
        meter: VmMeter,
        start: impl FnOnce(&Budgets) -> Result<G, StartError>,
    ) -> Result<Self, StartError> {
        let module = module.into();
        let started = catch_unwind(AssertUnwindSafe(|| start(&budgets)));
        let guest = started.unwrap_or_else(|panic| {
            Err(StartError::Panicked {
                module: module.clone(),
                callback: G::START,
                message: panic_message(&*panic),
            })
        })?;
        Ok(Self {
            guest: Some(guest),
            module,
            budgets,
            meter: Arc::new(meter),
        })
    }

    /// Calls the guest within the budget of a callback. `run` gets the guest and the budget, and answers with what the
    /// guest returned or with its trap.
    ///
    /// # Errors
    ///
    /// The guest has died, now ([`VmError::Trapped`], [`VmError::Panicked`]) or before ([`VmError::Dead`]).
    #[inline]
    pub fn call<T>(
        &mut self,
        call: G::Call,
        run: impl FnOnce(&mut G, CpuBudget) -> Result<T, Trap>,
    ) -> Result<T, VmError> {
        self.call_within(self.budgets.callback, call, run, G::tell_of_death)
    }

    /// As [`Life::call`], within the budget of a start function: for callbacks that set a guest up.
    ///
    /// # Errors
    ///
    /// As [`Life::call`].
    pub fn call_at_start<T>(
        &mut self,
        call: G::Call,
        run: impl FnOnce(&mut G, CpuBudget) -> Result<T, Trap>,
    ) -> Result<T, VmError> {
        self.call_within(self.budgets.start, call, run, |_, _| {})
    }

    #[inline]
    fn call_within<T>(
        &mut self,
        bound: Bound,
        call: G::Call,
        run: impl FnOnce(&mut G, CpuBudget) -> Result<T, Trap>,
        tell: fn(&mut G, &VmError),
    ) -> Result<T, VmError> {
        let Some(guest) = &mut self.guest else {
            return Err(VmError::Dead);
        };
        let clock = self.meter.meters().clock();
        let since = clock.map(|clock| (clock, clock.raw()));
        // The guest is dropped after a panic, so nobody sees what the panic left behind.
        let outcome = catch_unwind(AssertUnwindSafe(|| run(guest, bound.budget)));
        let took = since.map_or(0, |(clock, since)| {
            let took = clock.delta_as_nanos(since, clock.raw());
            guest.charge(call, took);
            took
        });
        match outcome {
            Ok(Ok(value)) => {
                if bound.is_near(took) {
                    guest.came_near(call, took, &bound);
                }
                Ok(value)
            }
            Ok(Err(trap)) => Err(self.die(bound, call, Ok(trap), tell)),
            Err(panic) => Err(self.die(bound, call, Err(panic), tell)),
        }
    }

    /// Ends the guest, which trapped or panicked: counts the death, takes the last steps, then drops the guest.
    #[cold]
    fn die(
        &mut self,
        bound: Bound,
        call: G::Call,
        end: Result<Trap, Box<dyn Any + Send>>,
        tell: fn(&mut G, &VmError),
    ) -> VmError {
        let callback = G::name(call);
        let error = match end {
            Ok(trap) => VmError::Trapped {
                callback,
                limit: bound.exceeded(&trap),
                trap,
            },
            Err(panic) => VmError::Panicked {
                callback,
                message: panic_message(&*panic),
            },
        };
        if let Some(mut guest) = self.guest.take() {
            // One by one, since the proxy's code runs in all of them.
            drop_step(&self.module, || {
                self.meter.died(guest.called_plugin(), error.cause());
            });
            for step in G::LAST_STEPS {
                drop_step(&self.module, || step(&mut guest, &error));
            }
            drop_step(&self.module, || tell(&mut guest, &error));
            drop_step(&self.module, || drop(guest));
        }
        error
    }

    /// True once the guest has died.
    pub const fn is_dead(&self) -> bool {
        self.guest.is_none()
    }

    /// The guest, unless it is dead. [`Life::call`] enters the guest; this way only leads to what the owner keeps there.
    #[inline]
    pub const fn guest(&self) -> Option<&G> {
        self.guest.as_ref()
    }

    /// As [`Life::guest`], to be changed.
    #[inline]
    pub const fn guest_mut(&mut self) -> Option<&mut G> {
        self.guest.as_mut()
    }

    /// Takes the guest out, alive, to be frozen. No step is taken and no death counted.
    pub const fn take(&mut self) -> Option<G> {
        self.guest.take()
    }

    /// File name of the guest's module.
    pub fn module(&self) -> &str {
        &self.module
    }

    /// The meter that counts the guest.
    pub const fn meter(&self) -> &Arc<VmMeter> {
        &self.meter
    }

    /// Gives callbacks the budget of start functions: for a guest that is started to be frozen, which no request waits for.
    pub const fn take_time(&mut self) {
        self.budgets.callback = self.budgets.start;
    }
}
