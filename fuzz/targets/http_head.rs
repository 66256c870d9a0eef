//! The rewriter of request heads: however the bytes are cut, the same comes out; `http` only adds lines, the other modes
//! add little, and a head that is replaced keeps nothing of what a client said about itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pen::http::{Head, Progress};
use pen_proto::addr::ClientAddr;
use pen_proto::commands::HttpMode;

const OURS_BYTES: usize = "X-Forwarded-Proto: http\r\nX-Forwarded-For: 192.0.2.1\r\n".len();

/// Everything that comes out for `pieces`.
fn rewritten<'a>(mode: HttpMode, pieces: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut head = Head::new(ClientAddr::Ip([192, 0, 2, 1].into()), "http", mode);
    let (mut out, mut progress) = (Vec::new(), Progress::NeedMore);
    for piece in pieces {
        progress = head.push(piece, &mut out);
    }
    if progress == Progress::NeedMore {
        head.finish(&mut out);
    }
    out
}

/// Lines about addresses in a complete head, read by a server that ends lines at every CR and LF.
fn forwarded(bytes: &[u8]) -> Option<Vec<String>> {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n").replace('\r', "\n");
    let (head, _) = text.split_once("\n\n")?;
    let lines = head.split('\n').skip(1).filter_map(|line| line.split_once(':'));
    let named = |name: &str| name.trim_end_matches([' ', '\t']).eq_ignore_ascii_case("x-forwarded-for");
    Some(lines.filter(|(name, _)| named(name)).map(|(_, value)| value.trim().to_owned()).collect())
}

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = (usize::from(input.0) + 1, input.1);
    for mode in [HttpMode::Add, HttpMode::Replace, HttpMode::Append] {
        let whole = rewritten(mode, [bytes].into_iter());
        assert_eq!(rewritten(mode, bytes.chunks(size)), whole);
        assert!(whole.len() <= bytes.len() + OURS_BYTES);
        assert!(mode != HttpMode::Add || whole.len() >= bytes.len());
    }
    let request = [b"GET / HTTP/1.1\r\n", bytes, b"\r\n\r\n"].concat();
    let replaced = rewritten(HttpMode::Replace, [request.as_slice()].into_iter());
    assert_eq!(forwarded(&replaced), Some(vec!["192.0.2.1".to_owned()]));
});
