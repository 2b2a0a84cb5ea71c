//! Sets put together: one table for the engines, one list of capabilities.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use weir_engine::{HostFunc, HostFuncs};

use super::states::Prepared;
use super::toolchain::Toolchains;
use super::wasi::Wasi;
use super::{Import, ImportSet, Phases};
use crate::VmSpec;

/// Import sets put together, once in a process. Modules are compiled against a composition, and VMs of a module find the
/// states of its sets by their place in it.
pub struct ImportSets {
    sets: Box<[Box<dyn AnySet>]>,
    funcs: Box<[HostFunc]>,
    capabilities: Box<[Capability]>,
}

/// A set of a composition, for tools that list what guests may import.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SetInfo {
    /// Name of the set: [`ImportSet::NAME`].
    pub name: &'static str,
    /// Heading under which tools list the imports: [`ImportSet::GROUP`].
    pub group: &'static str,
    /// The imports: [`ImportSet::IMPORTS`].
    pub imports: &'static [Import],
}

/// One name of `allowed_capabilities`, and the imports that it stands for.
pub(crate) struct Capability {
    pub name: &'static str,
    /// The first import of the name, for messages.
    pub import: &'static str,
    pub phases: Phases,
    pub always: bool,
    set: usize,
}

/// Why sets cannot be put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the import sets {first} and {second} both have {name}")]
pub struct ImportConflict {
    /// An import, a capability or the name of the sets.
    pub name: &'static str,
    /// The set that came first.
    pub first: &'static str,
    /// The set that was added to it.
    pub second: &'static str,
}

/// Puts sets together.
pub struct Composer(Vec<Box<dyn AnySet>>);

impl Composer {
    /// Begins a composition without any set, for guests of a kind of one's own.
    pub const fn empty() -> Self {
        Self(Vec::new())
    }

    /// Adds the sets that serve guests of every kind: toolchains and WASI preview 1.
    #[must_use]
    pub fn with_runtimes(self) -> Self {
        self.with(Toolchains).with(Wasi)
    }

    /// Adds a set.
    #[must_use]
    pub fn with<S: ImportSet>(mut self, set: S) -> Self {
        self.0.push(Box::new(set));
        self
    }

    /// Puts the sets together. The composition lives as long as the process: engines keep references to its table.
    ///
    /// # Errors
    ///
    /// Two sets have the same import, the same capability or the same name.
    pub fn compose(self) -> Result<&'static ImportSets, ImportConflict> {
        let mut composition = ImportSets {
            sets: Box::default(),
            funcs: Box::default(),
            capabilities: Box::default(),
        };
        let (mut funcs, mut capabilities) = (Vec::new(), Vec::new());
        for (index, set) in self.0.iter().enumerate() {
            let conflict = |name, first: usize| ImportConflict {
                name,
                first: self.0[first].name(),
                second: set.name(),
            };
            if let Some(first) = self.0[..index]
                .iter()
                .position(|other| other.name() == set.name())
            {
                return Err(conflict(set.name(), first));
            }
            for import in set.imports() {
                let number = number_of(&mut capabilities, index, import)
                    .map_err(|first| conflict(import.capability(), first))?;
                for row in rows(import, id(index, number)) {
                    let other = funcs.iter().find(|other| is_in_way(other, &row));
                    if let Some(other) = other {
                        return Err(conflict(import.name(), set_of(other.id)));
                    }
                    funcs.push(row);
                }
            }
        }
        composition.sets = self.0.into();
        composition.funcs = funcs.into();
        composition.capabilities = capabilities.into();
        Ok(Box::leak(Box::new(composition)))
    }
}

/// The number of an import's capability, which is new or of the same set. The error is the set that has it already.
fn number_of(capabilities: &mut Vec<Capability>, set: usize, import: &Import) -> Result<usize, usize> {
    let known = capabilities
        .iter()
        .position(|known| known.name == import.capability());
    if let Some(number) = known {
        let known = &mut capabilities[number];
        known.phases = known.phases.and(import.phases());
        known.always |= import.is_always_allowed();
        return if known.set == set {
            Ok(number)
        } else {
            Err(known.set)
        };
    }
    capabilities.push(Capability {
        name: import.capability(),
        import: import.name(),
        phases: import.phases(),
        always: import.is_always_allowed(),
        set,
    });
    Ok(capabilities.len() - 1)
}

/// The rows of an import in the engines' table: one for each module and type.
fn rows(import: &Import, id: u32) -> impl Iterator<Item = HostFunc> {
    import.modules().iter().flat_map(move |module| {
        let row = move |signature| HostFunc {
            module,
            name: import.name(),
            signature,
            id,
            call: import.call(),
        };
        import.signatures().map(row)
    })
}

/// True if two rows cannot stand in one table: a name may have two types in one set only.
fn is_in_way(a: &HostFunc, b: &HostFunc) -> bool {
    (a.module, a.name) == (b.module, b.name) && (a.signature == b.signature || set_of(a.id) != set_of(b.id))
}

/// Number by which the host knows an import: the index of its set, and the number of its capability.
const fn id(set: usize, number: usize) -> u32 {
    (set << 16 | number) as u32
}

/// The index of the set, from an import's number.
#[inline]
pub(super) const fn set_of(id: u32) -> usize {
    (id >> 16) as usize
}

/// The number of the capability, from an import's number.
#[inline]
pub(super) const fn capability_of(id: u32) -> usize {
    (id & 0xffff) as usize
}

impl ImportSets {
    /// The sets, in the order of the composition.
    pub fn iter(&self) -> impl Iterator<Item = SetInfo> {
        self.sets.iter().map(|set| SetInfo {
            name: set.name(),
            group: set.group(),
            imports: set.imports(),
        })
    }

    /// The import of this module and name, and its set.
    pub fn find(&self, module: &str, name: &str) -> Option<(SetInfo, &'static Import)> {
        self.iter().find_map(|set| {
            let mut imports = set.imports.iter();
            let found = imports.find(|import| import.name() == name && import.modules().contains(&module))?;
            Some((set, found))
        })
    }

    /// Names that `allowed_capabilities` may have for imports. [`Capabilities::names`](crate::Capabilities::names) has
    /// those of callbacks, too.
    pub fn capability_names(&self) -> impl Iterator<Item = &'static str> {
        self.capabilities.iter().map(|capability| capability.name)
    }

    /// The table that engines bind.
    pub(crate) fn funcs(&'static self) -> HostFuncs {
        &self.funcs
    }

    pub(crate) fn capabilities(&self) -> impl ExactSizeIterator<Item = &Capability> {
        self.capabilities.iter()
    }

    pub(crate) fn capability(&self, number: usize) -> Option<&Capability> {
        self.capabilities.get(number)
    }

    pub(super) fn sets(&self) -> impl Iterator<Item = &dyn AnySet> {
        self.sets.iter().map(AsRef::as_ref)
    }
}

impl fmt::Debug for ImportSets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.sets.iter().map(|set| set.name()))
            .finish()
    }
}

/// An [`ImportSet`] whose types are not known.
pub(super) trait AnySet: Send + Sync {
    fn name(&self) -> &'static str;
    fn group(&self) -> &'static str;
    fn imports(&self) -> &'static [Import];
    fn prepare(&'static self, spec: &Arc<VmSpec>) -> Box<dyn Any + Send>;
    fn vm_from_snapshot(&'static self, vm: &(dyn Any + Send)) -> Option<Box<dyn Any + Send>>;
}

impl<S: ImportSet> AnySet for S {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn group(&self) -> &'static str {
        S::GROUP
    }

    fn imports(&self) -> &'static [Import] {
        S::IMPORTS
    }

    fn prepare(&'static self, spec: &Arc<VmSpec>) -> Box<dyn Any + Send> {
        Box::new(Prepared {
            set: self,
            vm: self.vm(spec),
        })
    }

    fn vm_from_snapshot(&'static self, frozen: &(dyn Any + Send)) -> Option<Box<dyn Any + Send>> {
        let frozen: &Prepared<S> = frozen.downcast_ref()?;
        let vm = ImportSet::vm_from_snapshot(self, &frozen.vm)?;
        Some(Box::new(Prepared { set: self, vm }))
    }
}
