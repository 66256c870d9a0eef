//! The rewriter of requests: however the bytes are cut, the same comes out; `http` only adds lines, the other modes add
//! little, no request on the connection keeps anything of what a client said about itself, and what a server answers
//! makes it no worse.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pen_core::http::{Exchanges, Progress};
use pen_proto::addr::ClientAddr;
use pen_proto::commands::HttpMode;

const OURS_BYTES: usize =
    "X-Forwarded-Proto: http\r\nX-Forwarded-For: 192.0.2.1\r\nConnection: close\r\n".len();

fn fresh(mode: HttpMode) -> Exchanges {
    Exchanges::new(ClientAddr::Ip([192, 0, 2, 1].into()), "http", mode)
}

/// Everything that comes out for `pieces`, and whether the client is refused. Of a refused one, how much came out before
/// depends on the pieces.
fn rewritten<'a>(mode: HttpMode, pieces: impl Iterator<Item = &'a [u8]>) -> Result<Vec<u8>, Vec<u8>> {
    let mut exchanges = fresh(mode);
    let (mut out, mut progress) = (Vec::new(), Progress::NeedMore);
    for piece in pieces {
        progress = exchanges.push(piece, &mut out);
    }
    if progress == Progress::NeedMore {
        progress = exchanges.finish(&mut out);
    }
    if matches!(progress, Progress::Refused(_)) { Err(out) } else { Ok(out) }
}

/// Lines about addresses in a complete head, read by a server that ends lines at every CR and LF.
fn forwarded(bytes: &[u8]) -> Option<Vec<String>> {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n").replace('\r', "\n");
    let (head, _) = text.split_once("\n\n")?;
    let lines = head.split('\n').skip(1).filter_map(|line| line.split_once(':'));
    let named = |name: &str| {
        name.trim_end_matches([' ', '\t']).replace('_', "-").eq_ignore_ascii_case("x-forwarded-for")
    };
    Some(lines.filter(|(name, _)| named(name)).map(|(_, value)| value.trim().to_owned()).collect())
}

fuzz_target!(|input: (u8, &[u8], &[u8])| {
    let (size, bytes, answers) = (usize::from(input.0) + 1, input.1, input.2);
    let line_ends = bytes.iter().filter(|byte| b"\r\n".contains(byte)).count();
    for mode in [HttpMode::Add, HttpMode::Replace, HttpMode::ReplaceH2, HttpMode::Append] {
        let whole = rewritten(mode, [bytes].into_iter());
        let cut = rewritten(mode, bytes.chunks(size));
        assert_eq!(whole.as_ref().ok(), cut.as_ref().ok());
        let out = whole.unwrap_or_else(|out| out);
        assert!(out.len() <= bytes.len() + (line_ends + 1) * OURS_BYTES);
        assert!(mode != HttpMode::Add || out.len() >= bytes.len());
    }
    let request = [b"GET / HTTP/1.1\r\n", bytes, b"\r\n\r\n"].concat();
    if let Ok(replaced) = rewritten(HttpMode::Replace, [request.as_slice()].into_iter()) {
        assert_eq!(forwarded(&replaced), Some(vec!["192.0.2.1".to_owned()]));
    }
    // A server that says anything, a piece after each of the client's.
    let (mut exchanges, mut out) = (fresh(HttpMode::Replace), Vec::new());
    for (said, answer) in bytes.chunks(size).zip(answers.chunks(size)) {
        exchanges.push(said, &mut out);
        exchanges.answer(answer);
        let held = exchanges.take_held();
        exchanges.push(&held, &mut out);
    }
    assert!(out.len() <= bytes.len() + (line_ends + 1) * OURS_BYTES);
});
