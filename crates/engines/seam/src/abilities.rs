//! The abilities of a runtime.

use crate::Engine;

/// One thing that some runtimes can do and others cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ability {
    /// Stops a guest by CPU time.
    Interrupt,
    /// Stops a guest by counted instructions.
    Fuel,
    /// Bounds the guest's linear memory.
    MemoryLimit,
    /// Compiles ahead of time to bytes.
    Precompile,
    /// Names the guest's functions when it traps.
    Backtrace,
    /// Makes the guest visible to a profiler.
    Profiling,
    /// Makes the guest visible to a debugger.
    DebugInfo,
    /// Makes instances that continue from a snapshot of another.
    Snapshot,
}

impl Ability {
    /// Every ability.
    pub const ALL: &'static [Self] = &[
        Self::Interrupt,
        Self::Fuel,
        Self::MemoryLimit,
        Self::Precompile,
        Self::Backtrace,
        Self::Profiling,
        Self::DebugInfo,
        Self::Snapshot,
    ];

    /// The name used in messages and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "interrupt",
            Self::Fuel => "fuel",
            Self::MemoryLimit => "memory limit",
            Self::Precompile => "precompile",
            Self::Backtrace => "backtrace",
            Self::Profiling => "profiling",
            Self::DebugInfo => "debug info",
            Self::Snapshot => "snapshot",
        }
    }
}

/// The abilities that a backend declares ([`Engine::declared`](crate::Engine::declared)), because no object stands for
/// them: they show in how calls and traps behave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// [`Ability::Interrupt`].
    pub interrupt: bool,
    /// [`Ability::Fuel`].
    pub fuel: bool,
    /// [`Ability::MemoryLimit`].
    pub memory_limit: bool,
    /// [`Ability::Backtrace`].
    pub backtrace: bool,
    /// [`Ability::Profiling`].
    pub profiling: bool,
    /// [`Ability::DebugInfo`].
    pub debug_info: bool,
}

/// A set of abilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities([bool; Ability::ALL.len()]);

impl Abilities {
    /// The abilities of an engine: those that it declares, and those that it hands out objects for.
    pub fn of(engine: &dyn Engine) -> Self {
        let declared = engine.declared();
        let compiles = || {
            let code = engine.ahead_of_time();
            code.is_some_and(|code| code.compiler().is_ok())
        };
        let has = |ability: &Ability| match ability {
            Ability::Interrupt => declared.interrupt,
            Ability::Fuel => declared.fuel,
            Ability::MemoryLimit => declared.memory_limit,
            Ability::Backtrace => declared.backtrace,
            Ability::Profiling => declared.profiling,
            Ability::DebugInfo => declared.debug_info,
            Ability::Precompile => compiles(),
            Ability::Snapshot => engine.snapshots().is_some(),
        };
        let mut abilities = Self::default();
        for ability in Ability::ALL {
            abilities.0[*ability as usize] = has(ability);
        }
        abilities
    }

    /// True if the set holds `ability`.
    pub const fn has(self, ability: Ability) -> bool {
        self.0[ability as usize]
    }

    /// The abilities in the set.
    pub fn iter(self) -> impl Iterator<Item = Ability> {
        Ability::ALL
            .iter()
            .copied()
            .filter(move |ability| self.has(*ability))
    }
}
