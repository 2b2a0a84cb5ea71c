//! The gate in front of every import: whether it answers now.

use super::{ImportSets, Phases};
use crate::Capabilities;

/// The gate of one VM.
pub(crate) struct Gate {
    /// By number of the capability.
    access: Box<[Access]>,
    phase: Phases,
    /// The phase of callbacks, in this VM.
    callbacks: Phases,
}

#[derive(Clone, Copy)]
struct Access {
    /// Phases in which the capability answers; none where it is not allowed.
    phases: Phases,
    /// The one warning about it has been logged.
    warned: bool,
}

impl Gate {
    /// The gate of a VM that is about to start.
    pub fn new(sets: &ImportSets, capabilities: &Capabilities) -> Self {
        let access = sets
            .capabilities()
            .enumerate()
            .map(|(number, capability)| Access {
                phases: if capability.always || capabilities.allows_import(number) {
                    capability.phases
                } else {
                    Phases::NONE
                },
                warned: false,
            });
        let unrestricted = *capabilities == Capabilities::ALL;
        Self {
            access: access.collect(),
            phase: Phases::START,
            callbacks: if unrestricted {
                Phases::CALLBACKS.and(Phases::UNRESTRICTED)
            } else {
                Phases::CALLBACKS
            },
        }
    }

    /// A callback begins.
    #[inline]
    pub const fn enter_callback(&mut self) {
        self.phase = self.callbacks;
    }

    /// A phase begins; gives the one before.
    #[inline]
    pub const fn enter(&mut self, phase: Phases) -> Phases {
        std::mem::replace(&mut self.phase, phase)
    }

    /// True if the capability answers in this phase.
    #[inline]
    pub fn is_open(&self, number: usize) -> bool {
        // Nearly every call comes here in a callback of a VM without restriction.
        self.phase.meet(Phases::UNRESTRICTED)
            || self
                .access
                .get(number)
                .is_some_and(|access| access.phases.meet(self.phase))
    }

    /// True if the capability answers in any phase.
    pub fn is_allowed(&self, number: usize) -> bool {
        self.access
            .get(number)
            .is_some_and(|access| access.phases != Phases::NONE)
    }

    /// True the first time that a warning about the capability is due.
    pub fn is_first_warning(&mut self, number: usize) -> bool {
        let access = self.access.get_mut(number);
        access.is_some_and(|access| !std::mem::replace(&mut access.warned, true))
    }
}
