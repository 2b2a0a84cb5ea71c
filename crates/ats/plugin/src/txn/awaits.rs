//! The next event that moves a body on.

/// The next event that moves on a body which is with the filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaits {
    /// More of the body comes, for which a filter has asked.
    Input,
    /// The output gets room.
    Room,
    /// A filter lets go of the body.
    Filters,
}

impl Awaits {
    /// Says what a body awaits once its filters have been polled. `full`: the output takes no more. `asked`: a filter has asked
    /// for more than was there.
    pub fn of(full: bool, asked: bool) -> Self {
        match (full, asked) {
            (true, _) => Self::Room,
            (false, true) => Self::Input,
            (false, false) => Self::Filters,
        }
    }
}
