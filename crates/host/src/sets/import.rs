//! An import as its set states it: names, type, when it answers, and the function behind it.

use weir_engine::{HostFn, Signature};

/// Phases of a VM in which an import answers. In any other the guest is stopped, because it breaks the life cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phases(u8);

impl Phases {
    /// No phase: the import is not allowed at all.
    pub(crate) const NONE: Self = Self(0);

    /// Callbacks, from `proxy_on_context_create` to `proxy_on_delete`. Every import answers in them.
    pub const CALLBACKS: Self = Self(1);

    /// The start section, `_initialize`, `main` and `_start`: no context exists yet.
    pub const START: Self = Self(1 << 1);

    /// The guest's allocator, which runs inside of another hostcall. Imports that change nothing may answer.
    pub const ALLOCATION: Self = Self(1 << 2);

    /// Every phase.
    pub const ALL: Self = Self(Self::CALLBACKS.0 | Self::START.0 | Self::ALLOCATION.0);

    /// The mark of callbacks in a VM without restriction: every import answers. No import has it.
    pub(crate) const UNRESTRICTED: Self = Self(1 << 7);

    /// These phases and those.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// True if the two have a phase in common.
    #[inline]
    pub(crate) const fn meet(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }
}

/// A function that guests may import. [`import!`](crate::import) makes one.
#[derive(Clone, Copy, Debug)]
pub struct Import {
    modules: &'static [&'static str],
    name: &'static str,
    capability: &'static str,
    signature: Signature,
    without_result: bool,
    phases: Phases,
    always: bool,
    call: HostFn,
}

impl Import {
    /// An import called `name` of each of these modules. It answers in callbacks, and its capability has its own name.
    #[doc(hidden)]
    pub const fn new(
        modules: &'static [&'static str],
        name: &'static str,
        signature: Signature,
        call: HostFn,
    ) -> Self {
        Self {
            modules,
            name,
            capability: name,
            signature,
            without_result: false,
            phases: Phases::CALLBACKS,
            always: false,
            call,
        }
    }

    /// Gives the import another name in `allowed_capabilities` than its own. Imports of one set may share one.
    #[must_use]
    pub const fn with_capability(self, capability: &'static str) -> Self {
        Self { capability, ..self }
    }

    /// Lets the import answer in `phases` too.
    #[must_use]
    pub const fn also_in(self, phases: Phases) -> Self {
        Self {
            phases: self.phases.and(phases),
            ..self
        }
    }

    /// Lets the import answer in every phase, whatever the capabilities are: for functions that give a guest nothing, and
    /// for those that end it.
    #[must_use]
    pub const fn always(self) -> Self {
        Self {
            phases: Phases::ALL,
            always: true,
            ..self
        }
    }

    /// Offers the import with no result, too: a module gets the type that it imports.
    #[must_use]
    pub const fn also_without_result(self) -> Self {
        Self {
            without_result: true,
            ..self
        }
    }

    /// Import modules, such as `env`. The function is the same under each.
    pub const fn modules(&self) -> &'static [&'static str] {
        self.modules
    }

    /// Import name, such as `proxy_log`.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Name in `allowed_capabilities`.
    pub const fn capability(&self) -> &'static str {
        self.capability
    }

    /// Parameters and result.
    pub const fn signature(&self) -> Signature {
        self.signature
    }

    /// Every type under which a module may import the function.
    pub fn signatures(&self) -> impl Iterator<Item = Signature> + use<> {
        let other = Signature {
            result: None,
            ..self.signature
        };
        [self.signature]
            .into_iter()
            .chain(self.without_result.then_some(other))
    }

    pub(crate) const fn phases(&self) -> Phases {
        self.phases
    }

    pub(crate) const fn is_always_allowed(&self) -> bool {
        self.always
    }

    pub(crate) const fn call(&self) -> HostFn {
        self.call
    }
}

/// States an [`Import`] of a set: `import!(SET, MODULES, "name", function)`.
///
/// `function` is a plain function whose first parameter is [`&mut SetCall<'_, SET>`](crate::sets::SetCall). Its other
/// parameters, `u32` and `u64`, are the import's; its result implements [`Answer`](crate::sets::Answer). The import's
/// signature is derived from them.
#[macro_export]
macro_rules! import {
    ($set:ty, $modules:expr, $name:literal, $function:expr) => {
        $crate::sets::Import::new(
            $modules,
            $name,
            $crate::sets::signature_of::<$crate::sets::SetCall<'static, $set>, _, _>(&$function),
            |caller, id, slots| {
                $crate::sets::serve::<$crate::sets::SetCall<'_, $set>, _, _>(caller, id, slots, $function)
            },
        )
    };
}
