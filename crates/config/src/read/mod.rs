//! Typed reading of a document, with every problem noted and none fatal: a reader that fails notes why and returns
//! `None`, so that one run finds them all.

mod field;
mod keys;
mod scalars;
mod session;
mod suggest;
mod text;

pub(crate) use field::Field;
pub(crate) use keys::Keys;
pub(crate) use session::{Document, Session};
pub(crate) use suggest::{unknown, unknown_of_many};
pub(crate) use text::{listed, quoted, shortened};
