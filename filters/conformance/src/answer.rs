//! What a hostcall answered.

use std::fmt;

/// Status of a hostcall, and what it gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status, as it came.
    pub status: u32,
    /// The bytes or number given, where the status is Ok.
    pub value: Value,
}

/// What a hostcall gave besides its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    None,
    /// Bytes that the host put into memory of ours.
    Bytes(Vec<u8>),
    /// A number.
    Number(u64),
}

impl Answer {
    /// A status with nothing else.
    pub fn status(status: u32) -> Self {
        Self {
            status,
            value: Value::None,
        }
    }

    /// A status, with bytes where it is Ok.
    pub fn bytes(status: u32, bytes: impl FnOnce() -> Vec<u8>) -> Self {
        Self {
            status,
            value: if status == 0 {
                Value::Bytes(bytes())
            } else {
                Value::None
            },
        }
    }

    /// A status, with a number where it is Ok.
    pub fn number(status: u32, number: u64) -> Self {
        Self {
            status,
            value: if status == 0 {
                Value::Number(number)
            } else {
                Value::None
            },
        }
    }

    /// Whether the status is Ok.
    pub fn is_ok(&self) -> bool {
        self.status == 0
    }

    /// The bytes given; none where there are none.
    pub fn into_bytes(self) -> Vec<u8> {
        match self.value {
            Value::Bytes(bytes) => bytes,
            _ => Vec::new(),
        }
    }

    /// The bytes given, as text.
    pub fn into_text(self) -> String {
        String::from_utf8_lossy(&self.into_bytes()).into_owned()
    }

    /// The number given; 0 where there is none.
    pub fn into_number(self) -> u64 {
        match self.value {
            Value::Number(number) => number,
            _ => 0,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(status_name(self.status))?;
        match &self.value {
            Value::None => Ok(()),
            Value::Bytes(bytes) => write!(f, " \"{}\"", bytes.escape_ascii()),
            Value::Number(number) => write!(f, " {number}"),
        }
    }
}

/// The specification's name of a status.
pub fn status_name(status: u32) -> &'static str {
    const NAMES: [&str; 13] = [
        "Ok",
        "NotFound",
        "BadArgument",
        "SerializationFailure",
        "ParseFailure",
        "BadExpression",
        "InvalidMemoryAccess",
        "Empty",
        "CasMismatch",
        "ResultMismatch",
        "InternalFailure",
        "BrokenConnection",
        "Unimplemented",
    ];
    NAMES.get(status as usize).copied().unwrap_or("(no such status)")
}
