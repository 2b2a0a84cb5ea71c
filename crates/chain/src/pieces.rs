//! Body bytes that are held for a filter, in the pieces in which they came.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use weir_account::{Account, Charges, Full, HOST_MEMORY_ITEM};

/// Pieces shorter than this are copied together, so that a sender of tiny chunks cannot make us keep one read buffer
/// for each of its bytes.
const SMALL: usize = 1024;

/// So many pieces are left as they came.
const FEW: usize = 8;

/// Up to this size a last piece takes small ones in.
const JOINED: usize = 16 << 10;

/// Body bytes in pieces. One piece, which is the rule, costs no allocation.
#[derive(Debug, Default)]
pub struct Pieces {
    /// Empty where it has been taken, or all lies in `rest`.
    first: Bytes,
    rest: VecDeque<Bytes>,
    len: usize,
    /// Paid for no more than is here.
    charges: Charges,
}

impl From<Bytes> for Pieces {
    fn from(bytes: Bytes) -> Self {
        Self {
            len: bytes.len(),
            first: bytes,
            rest: VecDeque::new(),
            charges: Charges::default(),
        }
    }
}

impl Pieces {
    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns true if there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pieces, none of which is empty.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let first = Some(&self.first).filter(|first| !first.is_empty());
        first.into_iter().chain(&self.rest).map(|piece| &piece[..])
    }

    /// Appends bytes.
    pub fn push(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        if self.len == 0 {
            self.len = bytes.len();
            self.first = bytes;
            self.rest.clear();
            return;
        }
        self.len += bytes.len();
        let last = self.rest.back_mut().unwrap_or(&mut self.first);
        if bytes.len() < SMALL && last.len() + bytes.len() <= JOINED {
            let mut joined = std::mem::take(last).try_into_mut().unwrap_or_else(|shared| {
                // Room for some more of the kind. A buffer of the full size for each would be many times what it holds.
                let room = 2 * (shared.len() + bytes.len());
                let mut copy = BytesMut::with_capacity(room.min(JOINED));
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
        self.credit();
        Some(piece)
    }

    /// Takes the first bytes, as many as `len` where there are so many.
    pub fn split_to(&mut self, len: usize) -> Self {
        let mut head = Self::default();
        while head.len < len {
            let Some(mut piece) = self.pop() else {
                break;
            };
            let own = piece.split_to(piece.len().min(len - head.len));
            head.len += own.len();
            head.rest.push_back(own);
            if !piece.is_empty() {
                // The place is free: pieces are taken from it first.
                self.len += piece.len();
                self.first = piece;
            }
        }
        head
    }

    /// Moves all of `other` to the end; where there are more than a few pieces, small ones are joined.
    pub fn append(&mut self, other: &mut Self) {
        let mut other = std::mem::take(other);
        self.charges.append(&mut other.charges);
        if self.len == 0 {
            (self.first, self.rest, self.len) = (other.first, other.rest, other.len);
            return;
        }
        while let Some(piece) = other.pop() {
            if self.rest.len() < FEW {
                self.len += piece.len();
                self.rest.push_back(piece);
            } else {
                self.push(piece);
            }
        }
    }

    /// Charges bytes that are about to be put in by [`Pieces::splice`].
    ///
    /// # Errors
    ///
    /// The account has no room.
    pub fn charge_for(&mut self, account: &Arc<Account>, bytes: usize) -> Result<(), Full> {
        // A splice in the midst of a piece makes three of it.
        self.charges.charge(account, bytes + 2 * HOST_MEMORY_ITEM)
    }

    /// Charges all that is not paid for yet, because a filter holds it.
    ///
    /// # Errors
    ///
    /// The account has no room for it.
    pub fn charge_all(&mut self, account: &Arc<Account>) -> Result<(), Full> {
        match self.cost().saturating_sub(self.charges.bytes()) {
            0 => Ok(()),
            unpaid => self.charges.charge(account, unpaid),
        }
    }

    /// The charge for all pieces.
    fn cost(&self) -> usize {
        self.len + self.rest.len() * HOST_MEMORY_ITEM
    }

    /// Credits what is charged for more than there is.
    fn credit(&mut self) {
        if self.charges.bytes() > 0 {
            self.charges.shrink_to(self.cost());
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
        self.credit();
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
            // The rest of a piece must not keep the whole piece.
            self.rest.push_back(unpinned(first.split_to(left)));
            *first = unpinned(std::mem::take(first));
        }
        let tail = Self {
            len: self.len - at,
            first: Bytes::new(),
            rest: tail,
            charges: Charges::default(),
        };
        self.len = at;
        tail
    }
}

/// A small piece on its own, rather than as a part of a buffer that may be large.
fn unpinned(piece: Bytes) -> Bytes {
    if piece.len() < SMALL {
        Bytes::copy_from_slice(&piece)
    } else {
        piece
    }
}

#[cfg(test)]
mod tests {
    use weir_account::Ceiling;

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
    fn bytes_that_leave_credit_their_account() {
        let account = Account::new(100_000, &Ceiling::default());
        let mut pieces = of(&[&[1; 2000], &[2; 3000]]);
        pieces.charge_all(&account).unwrap();
        pieces.charge_all(&account).unwrap();
        assert_eq!(account.held(), 5000 + 2 * HOST_MEMORY_ITEM, "paid for once");
        let mut next = Pieces::default();
        next.append(&mut pieces);
        assert_eq!(next.pop().map(|piece| piece.len()), Some(2000));
        assert_eq!(account.held(), 3000 + HOST_MEMORY_ITEM);
        next.clear();
        assert_eq!(account.held(), 0);
    }

    #[test]
    fn splices_cost_no_more_memory_than_they_are_charged_for() {
        let account = Account::new(usize::MAX, &Ceiling::new(usize::MAX));
        let mut pieces = of(&[&[1; 4096]]);
        for _ in 0..1000 {
            pieces.charge_for(&account, 1).unwrap();
            pieces.splice(1, 0, Bytes::from_static(b"x"));
        }
        let largest = pieces.rest.iter().map(Bytes::len).max();
        assert_eq!((pieces.len(), largest), (5096, Some(4095)));
        assert!(account.held() >= 1000 + pieces.rest.len() * HOST_MEMORY_ITEM);
    }

    #[test]
    fn chunks_of_a_byte_are_joined_when_they_are_held() {
        let mut held = Pieces::default();
        for _ in 0..5000 {
            held.append(&mut Pieces::from(Bytes::copy_from_slice(b"x")));
        }
        assert_eq!((held.len(), held.rest.len()), (5000, FEW));
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
