//! The meaning of plain scalars (YAML 1.2.2, section 10.3 "Core Schema").

use crate::read::quoted;

/// The meaning of a scalar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scalar<'a> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    /// An integer of more than 64 bits, as written.
    Huge(&'a str),
    Float(f64),
    String(&'a str),
}

impl<'a> Scalar<'a> {
    /// The meaning of an unquoted scalar.
    pub(crate) fn of_plain(text: &'a str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Self::Null,
            "true" | "True" | "TRUE" => Self::Bool(true),
            "false" | "False" | "FALSE" => Self::Bool(false),
            ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Self::Float(f64::INFINITY),
            "-.inf" | "-.Inf" | "-.INF" => Self::Float(f64::NEG_INFINITY),
            ".nan" | ".NaN" | ".NAN" => Self::Float(f64::NAN),
            _ => integer(text)
                .or_else(|| float(text))
                .unwrap_or(Self::String(text)),
        }
    }

    /// The scalar for messages.
    pub(crate) fn describe(self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Unsigned(value) => format!("the number {value}"),
            Self::Signed(value) => format!("the number {value}"),
            Self::Huge(text) => format!("the number {}", crate::read::shortened(text)),
            Self::Float(value) => format!("the number {value}"),
            Self::String(text) => quoted(text),
        }
    }
}

fn integer(text: &str) -> Option<Scalar<'_>> {
    let (digits, radix) = match (text.strip_prefix("0x"), text.strip_prefix("0o")) {
        (Some(digits), _) => (digits, 16),
        (_, Some(digits)) => (digits, 8),
        _ => (text.strip_prefix(['+', '-']).unwrap_or(text), 10),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let value = u64::from_str_radix(digits, radix).ok();
    Some(match value {
        Some(value) if text.starts_with('-') => 0_i64
            .checked_sub_unsigned(value)
            .map_or(Scalar::Huge(text), Scalar::Signed),
        Some(value) => Scalar::Unsigned(value),
        None => Scalar::Huge(text),
    })
}

fn float(text: &str) -> Option<Scalar<'_>> {
    // Rust's own parser also takes words ("infinity") and no digit at all; the schema does not.
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let legal = text
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    if !legal || !mantissa.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().map(Scalar::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_have_the_meaning_of_the_core_schema() {
        let cases = [
            ("", Scalar::Null),
            ("~", Scalar::Null),
            ("True", Scalar::Bool(true)),
            ("yes", Scalar::String("yes")),
            ("0", Scalar::Unsigned(0)),
            ("+12", Scalar::Unsigned(12)),
            ("010", Scalar::Unsigned(10)),
            ("0x1F", Scalar::Unsigned(31)),
            ("0o17", Scalar::Unsigned(15)),
            ("0x", Scalar::String("0x")),
            ("-12", Scalar::Signed(-12)),
            ("-9223372036854775808", Scalar::Signed(i64::MIN)),
            ("-9223372036854775809", Scalar::Huge("-9223372036854775809")),
            ("18446744073709551615", Scalar::Unsigned(u64::MAX)),
            ("18446744073709551616", Scalar::Huge("18446744073709551616")),
            ("1.5", Scalar::Float(1.5)),
            (".5", Scalar::Float(0.5)),
            ("1.", Scalar::Float(1.0)),
            ("-1e3", Scalar::Float(-1000.0)),
            (".inf", Scalar::Float(f64::INFINITY)),
            (".", Scalar::String(".")),
            ("-", Scalar::String("-")),
            ("e5", Scalar::String("e5")),
            ("infinity", Scalar::String("infinity")),
            ("1.2.3", Scalar::String("1.2.3")),
            ("127.0.0.1:80", Scalar::String("127.0.0.1:80")),
        ];
        for (text, meaning) in cases {
            assert_eq!(Scalar::of_plain(text), meaning, "{text:?}");
        }
    }
}
