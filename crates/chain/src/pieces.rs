//! Body bytes that are held for a filter, in the pieces in which they came.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Pieces shorter than this are copied together, so that a sender of tiny chunks cannot make us keep one read buffer
/// for each of its bytes.
const SMALL: usize = 1024;

/// Up to this size a last piece takes small ones in.
const JOINED: usize = 16 << 10;

/// Body bytes in pieces. One piece, which is the rule, costs no allocation.
#[derive(Debug, Default)]
pub struct Pieces {
    /// Empty where it has been taken, or all lies in `rest`.
    first: Bytes,
    rest: VecDeque<Bytes>,
    len: usize,
}

impl From<Bytes> for Pieces {
    fn from(bytes: Bytes) -> Self {
        Self {
            len: bytes.len(),
            first: bytes,
            rest: VecDeque::new(),
        }
    }
}

impl Pieces {
    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends bytes.
    pub fn push(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        if self.len == 0 {
            *self = Self::from(bytes);
            return;
        }
        self.len += bytes.len();
        let last = self.rest.back_mut().unwrap_or(&mut self.first);
        if bytes.len() < SMALL && last.len() + bytes.len() <= JOINED {
            let mut joined = std::mem::take(last).try_into_mut().unwrap_or_else(|shared| {
                let mut copy = BytesMut::with_capacity(JOINED);
                copy.extend_from_slice(&shared);
                copy
            });
            joined.extend_from_slice(&bytes);
            *last = joined.freeze();
            return;
        }
        self.rest.push_back(bytes);
    }

    /// Takes the first piece.
    pub fn pop(&mut self) -> Option<Bytes> {
        let piece = if self.first.is_empty() {
            self.rest.pop_front()?
        } else {
            std::mem::take(&mut self.first)
        };
        self.len -= piece.len();
        Some(piece)
    }

    /// Moves all of `other` to the end.
    pub fn append(&mut self, other: &mut Self) {
        if self.len == 0 {
            *self = std::mem::take(other);
            return;
        }
        while let Some(piece) = other.pop() {
            self.len += piece.len();
            self.rest.push_back(piece);
        }
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Copies bytes from `start` on; what lies beyond the end is left as it is.
    pub fn read(&self, start: usize, out: &mut [u8]) {
        let mut skip = start;
        let mut filled = 0;
        for piece in std::iter::once(&self.first).chain(&self.rest) {
            if filled == out.len() {
                return;
            }
            if skip >= piece.len() {
                skip -= piece.len();
                continue;
            }
            let count = (piece.len() - skip).min(out.len() - filled);
            out[filled..filled + count].copy_from_slice(&piece[skip..skip + count]);
            filled += count;
            skip = 0;
        }
    }

    /// Replaces `len` bytes from `start` on by `data`, without copying the rest.
    pub fn splice(&mut self, start: usize, len: usize, data: Bytes) {
        let start = start.min(self.len);
        let end = start.saturating_add(len).min(self.len);
        let mut rest = self.split_off(start);
        let tail = rest.split_off(end - start);
        self.push(data);
        self.len += tail.len;
        self.rest.extend(tail.rest);
    }

    fn split_off(&mut self, at: usize) -> Self {
        if !self.first.is_empty() {
            self.rest.push_front(std::mem::take(&mut self.first));
        }
        let mut index = 0;
        let mut left = at;
        while let Some(piece) = self.rest.get(index) {
            if left < piece.len() {
                break;
            }
            left -= piece.len();
            index += 1;
        }
        let mut tail = self.rest.split_off(index);
        if left > 0
            && let Some(first) = tail.front_mut()
        {
            self.rest.push_back(first.split_to(left));
        }
        let tail = Self {
            len: self.len - at,
            first: Bytes::new(),
            rest: tail,
        };
        self.len = at;
        tail
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pieces: &Pieces) -> Vec<u8> {
        let mut out = vec![0; pieces.len()];
        pieces.read(0, &mut out);
        out
    }

    fn of(parts: &[&'static [u8]]) -> Pieces {
        let mut pieces = Pieces::default();
        for part in parts {
            pieces.len += part.len();
            pieces.rest.push_back(Bytes::from_static(part));
        }
        pieces
    }

    #[test]
    fn reading_crosses_pieces() {
        let pieces = of(&[b"abc", b"de", b"fghi"]);
        let mut out = [0; 5];
        pieces.read(2, &mut out);
        assert_eq!(&out, b"cdefg");
    }

    #[test]
    fn splicing_replaces_any_range() {
        let cases: [(usize, usize, &[u8], &[u8]); 8] = [
            (0, 0, b"X", b"XabcdeFGH"),
            (0, 8, b"X", b"X"),
            (8, 0, b"X", b"abcdeFGHX"),
            (3, 2, b"--", b"abc--FGH"),
            (1, 6, b"", b"aH"),
            (2, 2, b"wxyz", b"abwxyzeFGH"),
            (99, 1, b"X", b"abcdeFGHX"),
            (5, usize::MAX, b"", b"abcde"),
        ];
        for (start, len, data, expected) in cases {
            let mut pieces = of(&[b"abc", b"de", b"FGH"]);
            pieces.splice(start, len, Bytes::from_static(data));
            assert_eq!(all(&pieces), expected, "splice({start}, {len})");
            assert_eq!(pieces.len(), expected.len());
        }
    }

    #[test]
    fn tiny_pieces_are_joined() {
        let mut pieces = Pieces::default();
        for byte in 0..5000_u32 {
            pieces.push(Bytes::copy_from_slice(&[byte as u8]));
        }
        assert_eq!(pieces.len(), 5000);
        assert!(pieces.rest.is_empty());
        assert_eq!(
            all(&pieces),
            (0..5000_u32).map(|byte| byte as u8).collect::<Vec<_>>()
        );
    }

    #[test]
    fn popping_and_appending_keep_count() {
        let mut a = of(&[b"ab"]);
        let mut b = of(&[b"cd", b"e"]);
        a.append(&mut b);
        assert_eq!((a.len(), b.len()), (5, 0));
        assert_eq!(a.pop().as_deref(), Some(&b"ab"[..]));
        assert_eq!(all(&a), b"cde");
    }
}
