//! Types of functions that cross the boundary.

/// A WebAssembly value type. The ABI and WASI preview 1 use no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValType {
    /// 32-bit integer; every pointer, size, id and status.
    I32,
    /// 64-bit integer; metric values, WASI times, offsets and rights.
    I64,
}

/// Parameters and result of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Signature {
    /// Parameters in order.
    pub params: &'static [ValType],
    /// The result, if any.
    pub result: Option<ValType>,
}
