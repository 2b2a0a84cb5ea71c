//! As much of the protobuf wire format as Envoy's small argument messages need.

/// Bytes that are no protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field<'a> {
    /// Numbers, truth, enumerations.
    Varint(u64),
    /// Strings, bytes, messages.
    Bytes(&'a [u8]),
    /// `fixed64`, `double`, `fixed32`, `float`: none of our messages has one.
    Fixed,
}

/// The fields of a message with their numbers, in order. Ends after the first error.
pub(super) fn fields(message: &[u8]) -> impl Iterator<Item = Result<(u32, Field<'_>), Malformed>> {
    let mut rest = message;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = next(&mut rest);
        if field.is_none() {
            rest = &[];
        }
        Some(field.ok_or(Malformed))
    })
}

fn next<'a>(rest: &mut &'a [u8]) -> Option<(u32, Field<'a>)> {
    let tag = varint(rest)?;
    let number = u32::try_from(tag >> 3).ok().filter(|number| *number != 0)?;
    let field = match tag & 7 {
        0 => Field::Varint(varint(rest)?),
        1 => take(rest, 8).map(|_| Field::Fixed)?,
        2 => {
            let len = usize::try_from(varint(rest)?).ok()?;
            Field::Bytes(take(rest, len)?)
        }
        5 => take(rest, 4).map(|_| Field::Fixed)?,
        _ => return None,
    };
    Some((number, field))
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        let bits = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit.
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(head)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(message: &[u8]) -> Result<Vec<(u32, Field<'_>)>, Malformed> {
        fields(message).collect()
    }

    #[test]
    fn messages_are_read_field_by_field() {
        assert_eq!(all(b""), Ok(vec![]));
        assert_eq!(
            all(b"\x0a\x02ab\x10\x96\x01\x2a\x00"),
            Ok(vec![
                (1, Field::Bytes(b"ab")),
                (2, Field::Varint(150)),
                (5, Field::Bytes(b""))
            ])
        );
        assert_eq!(
            all(b"\x09\0\0\0\0\0\0\0\0\x15\0\0\0\0"),
            Ok(vec![(1, Field::Fixed), (2, Field::Fixed)])
        );
        assert_eq!(
            all(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
            Ok(vec![(1, Field::Varint(u64::MAX))])
        );
    }

    #[test]
    fn malformed_messages_are_refused() {
        let bad: [&[u8]; 6] = [
            b"\x0a\x05ab",
            b"\x08",
            b"\x0b",
            b"\x00\x00",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        ];
        for message in bad {
            assert_eq!(all(message), Err(Malformed), "{message:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic_or_loop(message: Vec<u8>) {
            prop_assert!(fields(&message).count() <= message.len());
        }
    }
}
