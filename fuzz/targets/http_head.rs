//! The rewriter of request heads: however the bytes are cut, the same comes out, and only lines are added.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pen::http::{Head, Progress};
use pen_proto::addr::ClientAddr;

/// Everything that comes out for `pieces`.
fn rewritten<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let (mut head, mut out) = (Head::new(ClientAddr::Ip([192, 0, 2, 1].into())), Vec::new());
    let mut progress = Progress::NeedMore;
    for piece in pieces {
        progress = head.push(piece, &mut out);
    }
    if progress == Progress::NeedMore {
        head.finish(&mut out);
    }
    out
}

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = (usize::from(input.0) + 1, input.1);
    let whole = rewritten([bytes].into_iter());
    assert_eq!(rewritten(bytes.chunks(size)), whole);
    assert!(whole.len() >= bytes.len());
});
