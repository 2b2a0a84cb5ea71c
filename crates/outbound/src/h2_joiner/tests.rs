use proptest::prelude::*;

use super::*;

const WINDOW: u32 = 3000;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = length(payload.len()).to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Reads in portions of these sizes; returns what the reader gets.
fn run(joiner: &mut Joiner, input: &[u8], sizes: &[usize]) -> Vec<u8> {
    let (mut output, mut at, mut turn) = (Vec::new(), 0, 0);
    while at < input.len() {
        let end = input.len().min(at + sizes[turn % sizes.len()]);
        let mut portion = input[at..end].to_vec();
        let kept = joiner.read(&mut portion);
        output.extend(&portion[..kept]);
        output.append(joiner.out());
        at = end;
        turn += 1;
    }
    output
}

/// Type, flags, stream and payload of each frame.
fn frames(mut bytes: &[u8]) -> Vec<(u8, u8, u32, Vec<u8>)> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let head = Frame::parse(bytes[..HEAD].try_into().unwrap());
        let (payload, rest) = bytes[HEAD..].split_at(head.len);
        frames.push((head.kind, head.flags, head.stream, payload.to_vec()));
        bytes = rest;
    }
    frames
}

fn body(frames: &[(u8, u8, u32, Vec<u8>)], stream: u32) -> Vec<u8> {
    let own = frames.iter().filter(|frame| frame.0 == DATA && frame.2 == stream);
    own.flat_map(|frame| frame.3.clone()).collect()
}

#[test]
fn frames_that_come_together_are_one() {
    let mut joiner = Joiner::client(1 << 20);
    let burst: Vec<u8> = (0..3000).flat_map(|_| frame(DATA, 0, 1, b"12345")).collect();
    let output = frames(&run(&mut joiner, &burst, &[burst.len()]));
    assert_eq!(output.len(), 1);
    assert_eq!(body(&output, 1).len(), 15_000);
}

#[test]
fn small_frames_of_a_stream_that_is_not_read_are_kept_until_it_is() {
    let mut joiner = Joiner::client(WINDOW);
    let one = frame(DATA, 0, 1, b"1234567890");
    let mut given = Vec::new();
    for _ in 0..250 {
        given.extend(run(&mut joiner, &one, &[one.len()]));
    }
    let before = frames(&given);
    assert_eq!(
        body(&before, 1).len(),
        1010,
        "a third of the window, and what brings it over"
    );
    // Another stream's do not wait.
    let other = frame(DATA, 0, 3, b"x");
    assert_eq!(run(&mut joiner, &other, &[100]), other);
    // The preface, then window for what has been read.
    assert!(!joiner.wrote(PREFACE));
    assert!(joiner.wrote(&frame(WINDOW_UPDATE, 0, 1, &1010_u32.to_be_bytes())));
    let after = frames(joiner.out());
    assert_eq!((after.len(), body(&after, 1).len()), (1, 1490));
}

#[test]
fn kept_bytes_come_before_the_end_of_their_stream() {
    for end in [
        frame(DATA, END_STREAM, 1, b"end"),
        frame(HEADERS, END_STREAM, 1, b"trailers"),
        frame(RST_STREAM, 0, 1, &[0; 4]),
        frame(DATA, PADDED, 1, b"\x01x\0"),
        frame(DATA, 0, 1, &[7; 300]),
    ] {
        let mut joiner = Joiner::client(WINDOW);
        let one = frame(DATA, 0, 1, b"1234567890");
        let mut given = Vec::new();
        for _ in 0..150 {
            given.extend(run(&mut joiner, &one, &[one.len()]));
        }
        given.extend(run(&mut joiner, &end, &[4]));
        assert!(given.ends_with(&end));
        assert_eq!(body(&frames(&given[..given.len() - end.len()]), 1).len(), 1500);
    }
}

#[test]
fn empty_frames_go() {
    let mut joiner = Joiner::client(WINDOW);
    let input = [frame(DATA, 0, 1, b""), frame(DATA, END_STREAM, 1, b"")].concat();
    assert_eq!(run(&mut joiner, &input, &[3]), frame(DATA, END_STREAM, 1, b""));
}

#[test]
fn other_protocols_pass_untouched() {
    let mut joiner = Joiner::server(WINDOW);
    let request = b"PRI / HTTP/1.1\r\nhost: a\r\n\r\n";
    assert_eq!(run(&mut joiner, request, &[2]), request);
    assert!(joiner.is_foreign());
    let mut joiner = Joiner::server(WINDOW);
    let input = [PREFACE.to_vec(), frame(DATA, 0, 1, b"1"), frame(DATA, 0, 1, b"2")].concat();
    let expected = [PREFACE.to_vec(), frame(DATA, 0, 1, b"12")].concat();
    assert_eq!(run(&mut joiner, &input, &[100]), expected);
}

proptest! {
    #[test]
    fn bodies_and_their_ends_stay_what_they_are(
        input in proptest::collection::vec((0_usize..4, 0_usize..400, 1_u32..4, any::<bool>()), 1..60),
        sizes in proptest::collection::vec(1_usize..200, 1..8),
        updates in proptest::collection::vec((0_usize..60, 1_u32..4, 1_u32..2000), 0..20),
    ) {
        let mut joiner = Joiner::client(WINDOW);
        joiner.wrote(PREFACE);
        let mut ended = [false; 4];
        let (mut sent, mut given) = (Vec::new(), Vec::new());
        for (index, (kind, len, stream, ends)) in input.into_iter().enumerate() {
            if std::mem::replace(&mut ended[stream as usize], ends && kind < 3) && kind < 3 {
                ended[stream as usize] = true;
                continue;
            }
            let payload: Vec<u8> = (0..len).map(|byte| (byte + index) as u8).collect();
            let next = match kind {
                0 | 1 => frame(DATA, u8::from(ends), stream, &payload[..len % 40]),
                2 => frame(HEADERS, 4 | u8::from(ends), stream, &payload),
                _ => frame(6, 0, 0, &payload[..len.min(8)]),
            };
            given.extend(run(&mut joiner, &next, &sizes));
            sent.extend(next);
            for (_, stream, window) in updates.iter().filter(|update| update.0 == index) {
                joiner.wrote(&frame(WINDOW_UPDATE, 0, *stream, &window.to_be_bytes()));
                given.append(joiner.out());
            }
        }
        joiner.read_end();
        given.append(joiner.out());
        let (sent, given) = (frames(&sent), frames(&given));
        for stream in 1..4 {
            prop_assert_eq!(body(&sent, stream), body(&given, stream));
        }
        // Heads are coded for the connection, so that their order stays.
        let others = |frames: &[(u8, u8, u32, Vec<u8>)]| -> Vec<_> {
            frames.iter().filter(|frame| frame.0 != DATA).cloned().collect()
        };
        prop_assert_eq!(others(&sent), others(&given));
    }
}
