//! The host's state of an instance.

use std::any::Any;

/// State of the host that an instance carries. Its type is the host's own; a host function that knows the type gets at it
/// with [`downcast_mut`](#method.downcast_mut).
pub trait HostState: Any + Send {
    /// The part of the state that host functions reach which know nothing of the rest: those that serve guests of every
    /// kind. The whole state where it has no such part.
    fn common(&mut self) -> &mut dyn Any;
}

impl dyn HostState {
    /// The state by its type; `None` for another type.
    #[inline]
    pub fn downcast_mut<T: HostState>(&mut self) -> Option<&mut T> {
        let state: &mut dyn Any = self;
        state.downcast_mut()
    }
}

/// No state.
impl HostState for () {
    fn common(&mut self) -> &mut dyn Any {
        self
    }
}
