//! The chunked framing of HTTP/1.1 (RFC 9112, 7.1), for proxies whose server leaves it on bodies.

use bytes::BytesMut;

/// Most bytes of a chunk's size line, and of all trailer lines together.
const MAX_LINE: usize = 16 << 10;

/// Takes the framing off a body.
#[derive(Debug, Default)]
pub struct Dechunker {
    state: State,
}

/// A body whose framing makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedChunk;

impl std::fmt::Display for MalformedChunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("malformed chunk in the body")
    }
}

impl std::error::Error for MalformedChunk {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the digits of a size.
    Size {
        value: u64,
        digits: usize,
    },
    /// In what follows a size on its line.
    Extension {
        value: u64,
        length: usize,
    },
    /// After the CR of a size line.
    SizeEnd {
        value: u64,
    },
    /// In a chunk's bytes.
    Data {
        left: u64,
    },
    /// After a chunk's bytes.
    DataCr,
    DataLf,
    /// In the lines after the last chunk. `empty`: the line has no byte so far.
    Trailer {
        empty: bool,
        length: usize,
    },
    /// After the CR of such a line.
    TrailerEnd {
        empty: bool,
        length: usize,
    },
    Complete,
}

impl Default for State {
    fn default() -> Self {
        Self::Size { value: 0, digits: 0 }
    }
}

impl Dechunker {
    /// Returns true once the last chunk and the lines after it have been decoded.
    pub fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// Appends the content of `input` to `out`. Bytes after the end of the body are ignored.
    ///
    /// # Errors
    ///
    /// `input` is not chunked coding, or a line of it has more than 16 KiB. `out` then has the content before the
    /// fault.
    pub fn decode(&mut self, mut input: &[u8], out: &mut BytesMut) -> Result<(), MalformedChunk> {
        while let Some((&byte, rest)) = input.split_first() {
            if let State::Data { left } = self.state {
                let count = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                out.extend_from_slice(&input[..count]);
                input = &input[count..];
                let left = left - count as u64;
                self.state = if left == 0 {
                    State::DataCr
                } else {
                    State::Data { left }
                };
                continue;
            }
            if self.state == State::Complete {
                return Ok(());
            }
            self.state = self.state.after(byte)?;
            input = rest;
        }
        Ok(())
    }
}

impl State {
    fn after(self, byte: u8) -> Result<Self, MalformedChunk> {
        Ok(match (self, byte) {
            (Self::Size { value, digits }, byte) if byte.is_ascii_hexdigit() && digits < 16 => Self::Size {
                value: value << 4 | u64::from(hex(byte)),
                digits: digits + 1,
            },
            (Self::Size { digits: 0, .. }, _) => return Err(MalformedChunk),
            (Self::Size { value, .. } | Self::Extension { value, .. }, b'\r') => Self::SizeEnd { value },
            (Self::Size { value, .. }, b';' | b' ' | b'\t') => Self::Extension { value, length: 0 },
            (Self::Extension { value, length }, byte) if byte != b'\n' && length < MAX_LINE => {
                Self::Extension {
                    value,
                    length: length + 1,
                }
            }
            (Self::SizeEnd { value: 0 }, b'\n') => Self::Trailer {
                empty: true,
                length: 0,
            },
            (Self::SizeEnd { value }, b'\n') => Self::Data { left: value },
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::default(),
            (Self::Trailer { empty, length }, b'\r') => Self::TrailerEnd { empty, length },
            (Self::Trailer { length, .. }, byte) if byte != b'\n' && length < MAX_LINE => Self::Trailer {
                empty: false,
                length: length + 1,
            },
            (Self::TrailerEnd { empty: true, .. }, b'\n') => Self::Complete,
            (Self::TrailerEnd { length, .. }, b'\n') => Self::Trailer { empty: true, length },
            _ => return Err(MalformedChunk),
        })
    }
}

const fn hex(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => byte - b'A' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(parts: &[&[u8]]) -> Result<(Vec<u8>, bool), MalformedChunk> {
        let mut dechunker = Dechunker::default();
        let mut out = BytesMut::new();
        for part in parts {
            dechunker.decode(part, &mut out)?;
        }
        Ok((out.to_vec(), dechunker.is_complete()))
    }

    #[test]
    fn framing_is_removed_however_it_is_cut() {
        let whole = b"5\r\nhello\r\n7;a=b\r\n, world\r\n0\r\nx-t: 1\r\n\r\nrest";
        let expected = Ok((b"hello, world".to_vec(), true));
        assert_eq!(decode(&[whole]), expected);
        for cut in 0..whole.len() {
            assert_eq!(decode(&[&whole[..cut], &whole[cut..]]), expected, "cut at {cut}");
        }
        let single: Vec<&[u8]> = whole.chunks(1).collect();
        assert_eq!(decode(&single), expected);
    }

    #[test]
    fn a_truncated_body_is_no_end() {
        assert_eq!(decode(&[b"3\r\nabc\r\n0\r\n"]), Ok((b"abc".to_vec(), false)));
        assert_eq!(decode(&[b""]), Ok((Vec::new(), false)));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            &b"x\r\n"[..],
            b"\r\n",
            b"3\nabc",
            b"3\r\nabcd",
            b"3\r\nabc\n",
            b"11111111111111111\r\n",
        ] {
            assert_eq!(decode(&[bad]), Err(MalformedChunk), "{bad:?}");
        }
        let long = [&b"1;"[..], &vec![b'a'; MAX_LINE + 1]].concat();
        assert_eq!(decode(&[&long]), Err(MalformedChunk));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused_however_they_are_cut(
            body in proptest::collection::vec(proptest::sample::select(&b"0123fa;=\r\n x"[..]), 0..64),
            cut in 1_usize..8,
        ) {
            let pieces: Vec<&[u8]> = body.chunks(cut).collect();
            proptest::prop_assert_eq!(decode(&[&body]), decode(&pieces));
        }
    }
}
