//! Types of functions that cross the boundary.

use std::fmt;

/// A WebAssembly value type. The ABI and WASI preview 1 use no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValType {
    /// 32-bit integer; every pointer, size, id and status.
    I32,
    /// 64-bit integer; metric values, WASI times, offsets and rights.
    I64,
}

impl fmt::Display for ValType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::I32 => "i32",
            Self::I64 => "i64",
        })
    }
}

/// Parameters and result of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Signature {
    /// Parameters in order.
    pub params: &'static [ValType],
    /// The result, if any.
    pub result: Option<ValType>,
}

/// Written as in the specification: `(i32,i64) -> i32`, `(i32) -> ()`.
impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (i, param) in self.params.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{param}")?;
        }
        match self.result {
            Some(result) => write!(f, ") -> {result}"),
            None => f.write_str(") -> ()"),
        }
    }
}

/// `signature!([I32, I64] -> I32)` or, without a result, `signature!([I32])`.
macro_rules! signature {
    ([$($param:ident),*]) => {
        $crate::Signature { params: &[$($crate::ValType::$param),*], result: None }
    };
    ([$($param:ident),*] -> $result:ident) => {
        $crate::Signature { params: &[$($crate::ValType::$param),*], result: Some($crate::ValType::$result) }
    };
}
pub(crate) use signature;

#[cfg(test)]
mod tests {
    #[test]
    fn written_as_in_the_specification() {
        assert_eq!(signature!([]).to_string(), "() -> ()");
        assert_eq!(signature!([I32, I64] -> I32).to_string(), "(i32,i64) -> i32");
    }
}
