//! What a runtime can do, declared.

/// One thing that some runtimes can do and others cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
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
    /// Makes instances that are copies of one that has been configured.
    Clone,
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
        Self::Clone,
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
            Self::Clone => "clone",
        }
    }
}

/// A set of abilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities(u8);

impl Abilities {
    /// No ability.
    pub const NONE: Self = Self(0);

    /// This set and `ability`.
    #[must_use]
    pub const fn with(self, ability: Ability) -> Self {
        Self(self.0 | 1 << ability as u8)
    }

    /// Whether the set holds `ability`.
    pub const fn has(self, ability: Ability) -> bool {
        self.0 & 1 << ability as u8 != 0
    }

    /// The abilities in the set.
    pub fn iter(self) -> impl Iterator<Item = Ability> {
        Ability::ALL
            .iter()
            .copied()
            .filter(move |ability| self.has(*ability))
    }
}
