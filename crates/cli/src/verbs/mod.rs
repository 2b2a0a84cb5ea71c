//! The verbs.

pub mod check;
pub mod inspect;
pub mod serve;
