//! Bodies in chunked framing: however they are cut, the outcome is the same.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use weir_chain::Dechunker;

fuzz_target!(|input: (u8, &[u8])| {
    let (cut, body) = input;
    let decode = |parts: &mut dyn Iterator<Item = &[u8]>| {
        let mut dechunker = Dechunker::default();
        let mut out = BytesMut::new();
        for part in parts {
            dechunker.decode(part, &mut out)?;
        }
        Ok::<_, weir_chain::MalformedChunk>((out, dechunker.is_complete()))
    };
    let whole = decode(&mut std::iter::once(body));
    let pieces = decode(&mut body.chunks(usize::from(cut).max(1)));
    assert_eq!(whole, pieces);
    if let Ok((out, _)) = whole {
        assert!(out.len() <= body.len());
    }
});
