//! Finds one known sequence in a stream of bytes, whatever the cuts, and puts other bytes in its place.

/// Length of the random mark that ends a body whose trailers are to be spliced in.
pub(crate) const MARK_LEN: usize = 16;
/// A chunk that holds only the mark, and the end of a chunked body without trailers.
const PATTERN_LEN: usize = 4 + MARK_LEN + 2 + 5;
/// `10\r\n`: the size line of a chunk of [`MARK_LEN`] bytes, as hyper writes it.
const HEAD: &[u8] = b"10\r\n";
/// The end of that chunk, the last chunk, and no trailers.
const TAIL: &[u8] = b"\r\n0\r\n\r\n";

/// The search for one mark (Knuth, Morris and Pratt), and what replaces it.
#[derive(Debug)]
pub(crate) struct Splice {
    pattern: [u8; PATTERN_LEN],
    /// For each position, how long a prefix of the pattern also ends there.
    borders: [u8; PATTERN_LEN],
    /// The number of the pattern's bytes that the input so far ends with: those bytes are held back.
    matched: usize,
    replacement: Vec<u8>,
}

/// The outcome of some input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fed {
    /// Bytes of the input that are dealt with: all of it unless the pattern was completed before its end.
    pub(crate) consumed: usize,
    /// True if the pattern was completed, and replaced.
    pub(crate) done: bool,
}

impl Splice {
    pub(crate) fn new(mark: [u8; MARK_LEN], replacement: Vec<u8>) -> Self {
        let mut pattern = [0; PATTERN_LEN];
        for (to, from) in pattern.iter_mut().zip(HEAD.iter().chain(&mark).chain(TAIL)) {
            *to = *from;
        }
        Self {
            pattern,
            borders: borders(&pattern),
            matched: 0,
            replacement,
        }
    }

    /// Takes input, and appends to `output` what is to be written instead.
    pub(crate) fn feed(&mut self, input: &[u8], output: &mut Vec<u8>) -> Fed {
        let held_before = self.matched;
        let mut at = 0;
        while at < input.len() && self.matched < PATTERN_LEN {
            if self.matched == 0 {
                // The long way between lookalikes is a plain search for the first byte.
                match input[at..].iter().position(|byte| *byte == self.pattern[0]) {
                    Some(skip) => at += skip,
                    None => {
                        at = input.len();
                        break;
                    }
                }
            }
            while self.matched > 0 && input[at] != self.pattern[self.matched] {
                self.matched = usize::from(self.borders[self.matched - 1]);
            }
            self.matched += usize::from(input[at] == self.pattern[self.matched]);
            at += 1;
        }
        // The bytes held back before and the new ones, without those held back now.
        let release = held_before + at - self.matched;
        let from_held = release.min(held_before);
        output.extend_from_slice(&self.pattern[..from_held]);
        output.extend_from_slice(&input[..release - from_held]);
        let done = self.matched == PATTERN_LEN;
        if done {
            output.append(&mut self.replacement);
        }
        Fed { consumed: at, done }
    }

    /// Ends the search: what is held back and may be data. Once the mark itself has begun it is not, and a body
    /// cut off there is better off without it.
    pub(crate) fn abandon(&self) -> &[u8] {
        if self.matched <= HEAD.len() {
            &self.pattern[..self.matched]
        } else {
            &[]
        }
    }
}

fn borders(pattern: &[u8; PATTERN_LEN]) -> [u8; PATTERN_LEN] {
    let mut borders = [0_u8; PATTERN_LEN];
    let mut length = 0;
    for at in 1..PATTERN_LEN {
        while length > 0 && pattern[at] != pattern[length] {
            length = usize::from(borders[length - 1]);
        }
        if pattern[at] == pattern[length] {
            length += 1;
        }
        borders[at] = length as u8;
    }
    borders
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A mark that looks like the framing around it as much as a mark can.
    const NASTY: [u8; MARK_LEN] = *b"10\r\n10\r\n0\r\n\r\n10\r";

    fn message(mark: [u8; MARK_LEN]) -> Vec<u8> {
        [HEAD, &mark, TAIL].concat()
    }

    fn run(splice: &mut Splice, input: &[u8], cuts: &[usize]) -> (Vec<u8>, usize, bool) {
        let (mut output, mut at, mut done, mut cut) = (Vec::new(), 0, false, 0);
        while at < input.len() && !done {
            let end = input.len().min(at + cuts[cut % cuts.len()]);
            cut += 1;
            let fed = splice.feed(&input[at..end], &mut output);
            at += fed.consumed;
            done = fed.done;
        }
        (output, at, done)
    }

    proptest! {
        #[test]
        fn the_sequence_is_replaced_however_it_is_cut(
            nasty in any::<bool>(),
            random in any::<[u8; MARK_LEN]>(),
            before in proptest::collection::vec(prop_oneof![Just(b"10\r\n".to_vec()), Just(b"0\r\n\r\n".to_vec()), Just(NASTY[..15].to_vec()), any::<[u8; 3]>().prop_map(Vec::from)], 0..20),
            cuts in proptest::collection::vec(1_usize..40, 1..10),
            after in proptest::collection::vec(any::<u8>(), 0..30),
        ) {
            let mark = if nasty { NASTY } else { random };
            let before = before.concat();
            let input = [before.clone(), message(mark), after].concat();
            // The expected end of the search: naive search from the left.
            let first = input.windows(PATTERN_LEN).position(|window| window == message(mark)).unwrap();
            let mut splice = Splice::new(mark, b"REPLACED".to_vec());
            let (output, consumed, done) = run(&mut splice, &input, &cuts);
            prop_assert!(done);
            prop_assert_eq!(consumed, first + PATTERN_LEN);
            prop_assert_eq!(output, [&input[..first], b"REPLACED"].concat());
        }

        #[test]
        fn lookalikes_pass_untouched(
            pieces in proptest::collection::vec(0..PATTERN_LEN, 0..20),
            cuts in proptest::collection::vec(1_usize..40, 1..10),
        ) {
            let whole = message(NASTY);
            let input: Vec<u8> = pieces.iter().flat_map(|length| whole[..*length].iter().copied().chain([b'x'])).collect();
            let mut splice = Splice::new(NASTY, b"REPLACED".to_vec());
            let (output, consumed, done) = run(&mut splice, &input, &cuts);
            prop_assert!(!done);
            prop_assert_eq!(consumed, input.len());
            prop_assert_eq!(output, input);
        }
    }

    #[test]
    fn a_search_given_up_returns_what_may_be_data() {
        let mut output = Vec::new();
        let mut splice = Splice::new([7; MARK_LEN], Vec::new());
        splice.feed(b"abc10\r", &mut output);
        assert_eq!((output.as_slice(), splice.abandon()), (&b"abc"[..], &b"10\r"[..]));
        splice.feed(b"\n\x07\x07", &mut output);
        assert_eq!((output.as_slice(), splice.abandon()), (&b"abc"[..], &b""[..]));
    }
}
