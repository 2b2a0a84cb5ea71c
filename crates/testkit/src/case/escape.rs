//! Bytes in directives.

/// The bytes that a text with escapes stands for; `None` where an escape is not one.
pub(crate) fn bytes(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first != b'\\' {
            out.push(first);
            continue;
        }
        let (&kind, tail) = rest.split_first()?;
        rest = tail;
        out.push(match kind {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'0' => 0,
            b'\\' => b'\\',
            b'x' => {
                let hex = std::str::from_utf8(rest.get(..2)?).ok()?;
                rest = &rest[2..];
                u8::from_str_radix(hex, 16).ok()?
            }
            _ => return None,
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn escapes_stand_for_bytes() {
        assert_eq!(
            bytes(r"caf\xe9\r\n\0\\x").as_deref(),
            Some(&b"caf\xe9\r\n\0\\x"[..])
        );
        for wrong in [r"\", r"\q", r"\x1", r"\xzz"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }
}
