//! Configuration values for guests: text as it is, maps and lists as JSON.

use crate::read::{Field, shortened, unknown};
use crate::yaml::{Value, to_json};

/// The bytes that a guest gets.
///
/// Envoy's users wrap them in a typed message; the wrappers that Envoy takes off are taken off here.
pub(super) fn configuration(field: &Field<'_>) -> Option<Vec<u8>> {
    match &field.node.value {
        _ if field.node.is_null() => Some(Vec::new()),
        Value::Scalar { text, .. } => Some(text.clone().into_bytes()),
        Value::Map(entries) if entries.iter().any(|entry| entry.key == "@type") => wrapped(field),
        _ => json(field),
    }
}

fn json(field: &Field<'_>) -> Option<Vec<u8>> {
    match to_json(field.node) {
        Ok(value) => Some(value.to_string().into_bytes()),
        Err(error) => {
            let mut place = field.clone();
            place.key.push_str(&error.path);
            place.report_at(error.at, error.message);
            None
        }
    }
}

/// A message of Google's well-known types (`{"@type": ..., value: ...}`).
fn wrapped(field: &Field<'_>) -> Option<Vec<u8>> {
    let keys = field.keys()?;
    let kind = keys.take("@type")?;
    let value = keys.take("value");
    keys.finish();
    const KINDS: [&str; 3] = [
        "google.protobuf.StringValue",
        "google.protobuf.BytesValue",
        "google.protobuf.Struct",
    ];
    let name = kind.scalar("a type such as type.googleapis.com/google.protobuf.StringValue")?;
    match (name.rsplit('/').next().unwrap_or(name), value) {
        ("google.protobuf.StringValue", Some(value)) => value.string().map(String::into_bytes),
        ("google.protobuf.BytesValue", Some(value)) => {
            const EXPECTED: &str = "base64";
            base64(value.scalar(EXPECTED)?).or_else(|| value.expected(EXPECTED))
        }
        ("google.protobuf.Struct", Some(value)) if value.is_map() => json(&value),
        ("google.protobuf.Struct", Some(value)) => value.expected("a map"),
        ("google.protobuf.Struct", None) => Some(b"{}".to_vec()),
        (kind, None) if KINDS.contains(&kind) => Some(Vec::new()),
        (other, _) => {
            kind.report(unknown("type", &shortened(other), &KINDS));
            None
        }
    }
}

/// Base64 of RFC 4648, both alphabets, padding optional, white space skipped.
fn base64(text: &str) -> Option<Vec<u8>> {
    let text: String = text.chars().filter(|letter| !letter.is_whitespace()).collect();
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut buffer, mut bits) = (0_u32, 0);
    for letter in text.trim_end_matches('=').bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        buffer = buffer << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((buffer >> bits) as u8);
        }
    }
    // Six bits left over are a letter that stands alone.
    (bits < 6).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_of_the_rfc() {
        let cases = [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm8", "fo"),
            ("Zm9v", "foo"),
            ("Zm9v\n YmFy", "foobar"),
        ];
        for (text, bytes) in cases {
            assert_eq!(base64(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        assert_eq!(base64("-_+/"), Some(vec![0xfb, 0xff, 0xbf]));
        assert_eq!(base64("Z"), None);
        assert_eq!(base64("Zm9v!"), None);
    }
}
