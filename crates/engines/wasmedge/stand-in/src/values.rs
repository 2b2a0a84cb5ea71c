//! Values as WasmEdge's interface has them.

use std::ffi::{CStr, c_char};

use wasmi::{TrapCode, Val, ValType};

/// `WasmEdge_String`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Text {
    length: u32,
    bytes: *const c_char,
}

impl Text {
    /// The text, or an empty one where it is no UTF-8.
    ///
    /// # Safety
    ///
    /// The text is readable for its length as long as the result is used.
    pub unsafe fn as_str<'a>(self) -> &'a str {
        // SAFETY: the caller of `as_str` keeps the bytes readable for the length as long as the result is used.
        let bytes = unsafe { std::slice::from_raw_parts(self.bytes.cast(), self.length as usize) };
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

/// `WasmEdge_Bytes`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Bytes {
    pub length: u32,
    pub bytes: *const u8,
}

/// `WasmEdge_ValType`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Type([u8; 8]);

impl Type {
    pub const I32: Self = Self([0, 0, 0x7f, 0x7f, 0, 0, 0, 0]);
    pub const I64: Self = Self([0, 0, 0x7e, 0x7e, 0, 0, 0, 0]);

    pub fn wasmi(self) -> ValType {
        if self == Self::I64 {
            ValType::I64
        } else {
            ValType::I32
        }
    }
}

/// `WasmEdge_Value`.
#[repr(C, align(16))]
#[derive(Clone, Copy)]
pub(crate) struct Value {
    bits: [u64; 2],
    ty: Type,
}

impl Value {
    pub fn of(value: &Val) -> Self {
        let (bits, ty) = match value {
            Val::I32(value) => (u64::from(value.cast_unsigned()), Type::I32),
            Val::I64(value) => (value.cast_unsigned(), Type::I64),
            _ => (0, Type::I32),
        };
        // The bits above the value have no meaning.
        let above = if ty == Type::I32 { 0xdead_beef << 32 } else { 0 };
        Self {
            bits: [bits | above, u64::MAX],
            ty,
        }
    }

    pub fn wasmi(self) -> Val {
        match self.ty.wasmi() {
            ValType::I64 => Val::I64(self.bits[0].cast_signed()),
            _ => Val::I32((self.bits[0] as u32).cast_signed()),
        }
    }
}

/// `WasmEdge_Result`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome(pub u32);

impl Outcome {
    pub const SUCCESS: Self = Self(0);
    pub const FAIL: Self = Self(2);
    pub const MALFORMED: Self = Self(0x117);
    pub const UNKNOWN_IMPORT: Self = Self(0x302);
    const DATA_SEGMENT: Self = Self(0x303);

    /// The outcome of something that wasmi has ended.
    pub fn of(error: &wasmi::Error) -> Self {
        let Some(code) = error.as_trap_code() else {
            return Self::FAIL;
        };
        Self(match code {
            TrapCode::IntegerDivisionByZero => 0x404,
            TrapCode::IntegerOverflow => 0x405,
            TrapCode::BadConversionToInteger => 0x406,
            TrapCode::TableOutOfBounds => 0x407,
            TrapCode::MemoryOutOfBounds => 0x408,
            TrapCode::UnreachableCodeReached => 0x40a,
            TrapCode::IndirectCallToNull => 0x40b,
            TrapCode::BadSignature => 0x40d,
            _ => 2,
        })
    }

    /// The same while a module is instantiated.
    pub fn of_start(error: &wasmi::Error) -> Self {
        match Self::of(error) {
            Self(0x408) => Self::DATA_SEGMENT,
            outcome => outcome,
        }
    }

    pub const fn message(self) -> &'static CStr {
        match self.0 {
            0 => c"success",
            0x117 => c"illegal opcode",
            0x302 => c"unknown import",
            0x303 => c"data segment does not fit",
            0x404 => c"integer divide by zero",
            0x405 => c"integer overflow",
            0x406 => c"invalid conversion to integer",
            0x407 => c"out of bounds table access",
            0x408 => c"out of bounds memory access",
            0x40a => c"unreachable",
            0x40b => c"uninitialized element",
            0x40d => c"indirect call type mismatch",
            _ => c"generic runtime error",
        }
    }
}
