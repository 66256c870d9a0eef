//! Requests behind the first one, up to where a server could see them elsewhere; and what answers decide.

use super::tests::{CLIENT, cut, edited};
use super::*;
use proptest::prelude::*;

const OURS: &str = "X-Forwarded-Proto: http\r\nX-Forwarded-For: 192.0.2.7\r\n";
const FORGED: &str = "GET /forged HTTP/1.1\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n";

fn fresh(mode: HttpMode) -> Exchanges {
    Exchanges::new(ClientAddr::Ip(CLIENT.parse().unwrap()), "http", mode)
}

/// What comes of it, whole and byte by byte: the bytes, and how it ended.
fn followed(mode: HttpMode, input: &str) -> (String, Progress) {
    let through = |size| {
        let (mut exchanges, mut out) = (fresh(mode), Vec::new());
        let mut progress = Progress::NeedMore;
        for piece in input.as_bytes().chunks(size) {
            progress = exchanges.push(piece, &mut out);
            if matches!(progress, Progress::Refused(_)) {
                break;
            }
        }
        (String::from_utf8(out).unwrap(), progress)
    };
    let (whole, pieces) = (through(input.len()), through(1));
    match whole.1 {
        // The line that is refused may have begun to pass.
        Progress::Refused(_) => assert!(pieces.1 == whole.1 && pieces.0.starts_with(&whole.0), "{input:?}"),
        _ => assert_eq!(pieces, whole, "{input:?}"),
    }
    whole
}

#[test]
fn every_request_of_a_connection_is_edited() {
    let requests = [
        ("GET /1 HTTP/1.1\r\nHost: a\r\n", "\r\n"),
        ("POST /2 HTTP/1.1\r\nContent-Length: 14\r\n", "\r\nGET / HTTP/1.1"),
        (
            "POST /3 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
            "\r\n5;a=b\r\nabcde\r\n1A\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n0\r\n\r\n",
        ),
        ("HEAD /4 HTTP/1.1\r\nContent-Length: 0\r\n", "\r\n"),
        ("GET /5 HTTP/1.0\r\nConnection: keep-alive\r\n", "\r\n"),
        ("GET /6 HTTP/1.1\r\nConnection: close\r\n", "\r\n"),
    ];
    let input: String =
        requests.iter().map(|(head, rest)| format!("{head}x-forwarded-for: 6.6.6.6\r\n{rest}\r\n")).collect();
    let output: String = requests.iter().map(|(head, rest)| format!("{head}{OURS}{rest}\r\n")).collect();
    // Each ends with an empty line more, as some clients send behind a body.
    assert_eq!(followed(HttpMode::Replace, &input), (output, Progress::NeedMore));
}

#[test]
fn trailers_cannot_be_forged_either() {
    let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n";
    let body = "1\r\nx\r\n0\r\n";
    let trailers = "A: b\r\nX-Forwarded-For: 1\r\nx_forwarded_proto: 2\r\nContent-Length: 4\r\nB: c\r\n\r\n";
    for mode in [HttpMode::Replace, HttpMode::Append] {
        let (out, progress) = followed(mode, &format!("{head}\r\n{body}{trailers}GET / HTTP/1.1\r\n\r\n"));
        let expected = format!("{head}{OURS}\r\n{body}A: b\r\nB: c\r\n\r\nGET / HTTP/1.1\r\n{OURS}\r\n");
        assert_eq!((out, progress), (expected, Progress::NeedMore));
    }
}

/// Some server looks for CR LF twice, and for nothing else.
#[test]
fn trailers_end_where_every_server_sees_their_end() {
    let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n";
    for trailers in
        ["\n", "A: b\n\r\n", "A: b\r\n\n", "A\r\n\r\n", "A b: c\r\n\r\n", "A: b\r\n c\r\n\r\n", " \r\n\r\n"]
    {
        for mode in [HttpMode::Replace, HttpMode::Append] {
            let (out, progress) = followed(mode, &format!("{head}\r\n0\r\n{trailers}{FORGED}"));
            assert_eq!(progress, Progress::Refused(Refusal::Ambiguous), "{trailers:?}");
            assert!(!out.contains("forged"), "{trailers:?}: {out:?}");
        }
    }
}

#[test]
fn append_begins_anew_with_each_request() {
    let list = "GET / HTTP/1.1\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\n\r\n";
    let (out, _) = followed(HttpMode::Append, &format!("{list}GET / HTTP/1.1\r\n\r\n{list}"));
    let edited = list.replace("10.0.0.1", "10.0.0.1, 192.0.2.7");
    assert_eq!(out, format!("{edited}GET / HTTP/1.1\r\n{OURS}\r\n{edited}"));
}

/// Of two readings of a request the server never gets to choose: it does not get the end of the head.
#[test]
fn what_may_be_read_in_two_ways_is_refused() {
    let heads = [
        "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "POST / HTTP/1.1\r\nContent-Length:\r\n 5\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 5\r\n 6\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n , identity\r\n",
        "POST / HTTP/1.1\r\nA: b\r\n Content-Length: 5\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n",
        "POST / HTTP/1.1\r\nContent-Length: +5\r\n",
        "POST / HTTP/1.1\r\nContent-Length: \u{c}5\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 5\r\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\u{c}\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n",
        "POST / HTTP/1.1\r\nContent-Length : 5\r\n",
        "POST / HTTP/1.1\r\nContent_Length: 5\r\n",
        "POST / HTTP/1.1\r\nTransfer_Encoding: chunked\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n",
        "POST / HTTP/1.1\r\nA: b\nContent-Length: 5\r\n",
        "GET / HTTP/1.1\r\nnothing\r\n",
        "GET / HTTP/1.1\r\nA : b\r\n",
        "GET / HTTP/1.1\r\nA b: c\r\n",
        "GET / HTTP/1.1\r\n\u{b}A: b\r\n",
        "POST / HTTP/1.2\r\nContent-Length: 5\r\n",
        "POST  / HTTP/1.1\r\nContent-Length: 5\r\n",
        "POST /\r\nContent-Length: 5\r\n",
        "CONNECT a:1 HTTP/1.1\r\nContent-Length: 5\r\n",
        "GET /\r\nUpgrade : x\r\n",
    ];
    for head in heads {
        for mode in [HttpMode::Replace, HttpMode::Append] {
            let (out, progress) = followed(mode, &format!("{head}\r\n{FORGED}"));
            assert_eq!(progress, Progress::Refused(Refusal::Ambiguous), "{head:?}");
            assert!(!out.ends_with("\r\n\r\n") && !out.contains("forged"), "{head:?}: {out:?}");
        }
    }
    let (mut exchanges, mut out) = (fresh(HttpMode::Replace), Vec::new());
    exchanges.push(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5", &mut out);
    let head_bytes = out.len();
    let progress = exchanges.push(b"\nabcde0\r\n\r\n", &mut out);
    assert_eq!((progress, out.len()), (Progress::Refused(Refusal::Ambiguous), head_bytes));
}

/// What is no request behind a request, and what comes behind one that a server may end earlier.
#[test]
fn behind_a_last_request_nothing_passes() {
    for (first, passed) in [
        ("GET /\r\nA: b\r\n\r\n", "GET /\r\nA: b\r\n{}Connection: close\r\n\r\n"),
        ("GET / HTTP/1.1\r\nA: b\n\r\n", "GET / HTTP/1.1\r\nA: b\n{n}Connection: close\n\r\n"),
        ("GET / HTTP/1.1\r\n\r\nfoo\r\nbar\r\n", "GET / HTTP/1.1\r\n{}\r\nfoo\r\nb"),
    ] {
        let (out, progress) = followed(HttpMode::Replace, &format!("{first}{FORGED}"));
        assert!(
            out.starts_with(&passed.replace("{}", OURS).replace("{n}", &OURS.replace("\r\n", "\n"))),
            "{out:?}"
        );
        assert!(!out.contains("forged") && progress == Progress::NeedMore, "{out:?}");
    }
}

const NO: &str = "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Lets the server answer; returns what goes to it then.
fn answer(exchanges: &mut Exchanges, text: &str) -> (Answered, String, Progress) {
    let mut out = Vec::new();
    let answered = exchanges.answer(text.as_bytes());
    let held = if answered == Answered::GoOn { exchanges.take_held() } else { Vec::new() };
    let progress = exchanges.push(&held, &mut out);
    (answered, String::from_utf8(out).unwrap(), progress)
}

#[test]
fn another_protocol_begins_with_the_servers_word_only() {
    let connect = "CONNECT a.example:1 HTTP/1.1\r\nHost: a.example\r\n\r\n";
    let upgrade = "GET /chat HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let edited_forgery = format!("GET /forged HTTP/1.1\r\n{OURS}\r\n");
    for (request, yes) in [(connect, "HTTP/1.1 200 Yes\r\n\r\n"), (upgrade, "HTTP/1.1 101 Yes\r\n\r\n")] {
        for (answers, expected) in [(yes, FORGED), (NO, edited_forgery.as_str())] {
            let (mut exchanges, mut out) = (fresh(HttpMode::Replace), Vec::new());
            let input = format!("GET / HTTP/1.1\r\n\r\n{request}{FORGED}");
            assert_eq!(exchanges.push(input.as_bytes(), &mut out), Progress::Waits);
            assert!(!String::from_utf8(out).unwrap().contains("forged"));
            assert_eq!(answer(&mut exchanges, OK), (Answered::Nothing, String::new(), Progress::NeedMore));
            let (answered, passed, _) = answer(&mut exchanges, answers);
            assert_eq!((answered, passed.as_str()), (Answered::GoOn, expected), "{request:?}");
        }
    }
}

#[test]
fn a_server_that_nobody_understands_agrees_to_nothing() {
    let (mut exchanges, mut out) = (fresh(HttpMode::Replace), Vec::new());
    let upgrade = "GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n";
    assert_eq!(exchanges.push(format!("{upgrade}{FORGED}").as_bytes(), &mut out), Progress::Waits);
    let answers = "ICY 200 OK\r\n\r\nHTTP/1.1 101 Yes\r\n\r\n";
    assert_eq!(answer(&mut exchanges, answers), (Answered::GoOn, String::new(), Progress::NeedMore));
}

#[test]
fn a_body_that_looks_like_an_answer_is_none() {
    let (mut exchanges, mut out) = (fresh(HttpMode::Replace), Vec::new());
    let upgrade = "GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n";
    exchanges.push(format!("GET / HTTP/1.1\r\n\r\n{upgrade}{FORGED}").as_bytes(), &mut out);
    let fake = "HTTP/1.1 101 Yes\r\n\r\n";
    let chunked = "HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = format!("{chunked}{:x}\r\n{fake}\r\n0\r\n\r\n", fake.len());
    assert_eq!(answer(&mut exchanges, &body).0, Answered::Nothing);
    let length = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{fake}", fake.len());
    let (answered, passed, _) = answer(&mut exchanges, &length);
    assert_eq!(
        (answered, passed.as_str()),
        (Answered::GoOn, &*format!("GET /forged HTTP/1.1\r\n{OURS}\r\n"))
    );
}

#[test]
fn the_connection_ends_with_the_answer_to_the_last_request() {
    let (mut exchanges, mut out) = (fresh(HttpMode::Replace), Vec::new());
    let input = "GET /1 HTTP/1.1\r\n\r\nHEAD /2 HTTP/1.1\r\n\r\nGET /3\r\nA: b\r\n\r\n";
    exchanges.push(input.as_bytes(), &mut out);
    assert_eq!(exchanges.answer(OK.as_bytes()), Answered::Nothing);
    assert_eq!(exchanges.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"), Answered::Nothing);
    let (begin, end) = OK.split_at(OK.len() - 1);
    assert_eq!(exchanges.answer(begin.as_bytes()), Answered::Nothing);
    assert_eq!(exchanges.answer(end.as_bytes()), Answered::Ended);
}

/// What was asked before a request that is refused is answered first, as far as answers can be followed.
#[test]
fn a_refused_request_waits_for_the_answers_before_it() {
    let ambiguous = "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n";
    let broken = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnone\r\n";
    for refused in [ambiguous, broken] {
        let (mut exchanges, mut out) = (fresh(HttpMode::Replace), Vec::new());
        exchanges.push(b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n", &mut out);
        assert_eq!(exchanges.push(refused.as_bytes(), &mut out), Progress::NeedMore, "{refused:?}");
        let passed = out.len();
        assert_eq!(exchanges.push(FORGED.as_bytes(), &mut out), Progress::NeedMore);
        assert_eq!(out.len(), passed, "nothing passes behind it");
        assert_eq!(exchanges.answer(OK.as_bytes()), Answered::Nothing);
        assert_eq!(exchanges.answer(OK.as_bytes()), Answered::Refused(Refusal::Ambiguous), "{refused:?}");
        assert!(exchanges.is_refused());
        let (mut exchanges, mut out) = (fresh(HttpMode::Replace), Vec::new());
        exchanges.push(b"GET /1 HTTP/1.1\r\n\r\n", &mut out);
        assert_eq!(exchanges.push(refused.as_bytes(), &mut out), Progress::NeedMore);
        assert_eq!(exchanges.answer(b"nonsense\r\n"), Answered::Refused(Refusal::Ambiguous), "it is lost");
    }
}

#[test]
fn what_is_no_request_behind_a_complete_exchange_ends_the_connection() {
    let (mut exchanges, mut out) = (fresh(HttpMode::Replace), Vec::new());
    exchanges.push(b"GET / HTTP/1.1\r\n\r\n", &mut out);
    assert_eq!(exchanges.answer(OK.as_bytes()), Answered::Nothing);
    assert_eq!(exchanges.push(b"foo\r\nbar\r\n", &mut out), Progress::Ended);
}

#[test]
fn only_so_many_requests_wait_for_answers() {
    let (mut exchanges, mut out) = (fresh(HttpMode::Replace), Vec::new());
    let requests = "GET / HTTP/1.1\r\n\r\n".repeat(200);
    let heads = |out: &[u8]| String::from_utf8_lossy(out).matches("GET").count();
    assert_eq!(exchanges.push(requests.as_bytes(), &mut out), Progress::Waits);
    assert_eq!(heads(&out), usize::from(OPEN_MAX));
    while heads(&out) < 200 {
        assert_eq!(exchanges.answer(OK.repeat(10).as_bytes()), Answered::GoOn);
        let held = exchanges.take_held();
        exchanges.push(&held, &mut out);
    }
}

#[test]
fn a_server_that_answers_before_it_has_the_body_is_not_waited_for() {
    let (mut exchanges, mut out) = (fresh(HttpMode::Append), Vec::new());
    let head = "POST / HTTP/1.1\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\n";
    exchanges.push(head.as_bytes(), &mut out);
    assert_eq!(exchanges.answer(OK.as_bytes()), Answered::Nothing);
    assert_eq!(exchanges.push(b"abcGET /2 HTTP/1.1\r\n\r\n", &mut out), Progress::NeedMore);
    assert!(String::from_utf8_lossy(&out).contains("GET /2"), "it is passed on");
}

#[test]
fn a_head_that_ends_with_the_file_is_not_passed_on() {
    for mode in [HttpMode::Replace, HttpMode::Append] {
        let (mut exchanges, mut out) = (fresh(mode), Vec::new());
        exchanges.push(b"GET / HTTP/1.1\r\nX-Forwarded-For: 6.6.6.6\r\n", &mut out);
        assert_eq!(exchanges.finish(&mut out), Progress::Refused(Refusal::Ambiguous), "{mode:?}");
        let (mut exchanges, mut out) = (fresh(mode), Vec::new());
        exchanges.push(b"no request", &mut out);
        assert_eq!(exchanges.finish(&mut out), Progress::NeedMore);
    }
}

#[test]
fn a_client_that_waits_for_a_server_which_has_ended_is_read_again() {
    let (mut exchanges, mut out) = (fresh(HttpMode::Append), Vec::new());
    let upgrade = "GET / HTTP/1.1\r\nUpgrade: x\r\n\r\nmore";
    assert_eq!(exchanges.push(upgrade.as_bytes(), &mut out), Progress::Waits);
    assert_eq!(exchanges.end_of_answers(), Answered::GoOn);
    let passed = out.len();
    assert_eq!(exchanges.push(b"and more", &mut out), Progress::NeedMore);
    assert_eq!((out.len(), exchanges.take_held().len()), (passed, 0), "nothing more of it passes");
    assert_eq!(exchanges.end_of_answers(), Answered::Nothing);
}

const PREFACE_TEXT: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[test]
fn http2_passes_whole_or_never() {
    let frames = "\0\0\0\u{4}\0\0\0\0\0";
    let input = format!("{PREFACE_TEXT}{frames}");
    for mode in [HttpMode::Add, HttpMode::ReplaceH2, HttpMode::Append] {
        assert_eq!(followed(mode, &input), (input.clone(), Progress::Done), "{mode:?}");
        assert_eq!(edited(mode, input.as_bytes()), input.as_bytes());
    }
    let (out, progress) = followed(HttpMode::Replace, &input);
    assert_eq!((out.as_str(), progress), ("PRI * HTTP/2.0\r\n", Progress::Refused(Refusal::Http2)));
    // Behind a request it is one like any other.
    let (out, progress) = followed(HttpMode::ReplaceH2, &format!("GET / HTTP/1.1\r\n\r\n{input}"));
    assert!(out.ends_with(&format!("PRI * HTTP/2.0\r\n{OURS}Connection: close\r\n\r\n")), "{out:?}");
    assert_eq!(progress, Progress::NeedMore);
}

#[test]
fn http2_by_upgrade_is_not_asked_for() {
    let request =
        |line: &str| format!("GET / HTTP/1.1\r\nConnection: Upgrade\r\n{line}HTTP2-Settings: x\r\n");
    for line in
        ["Upgrade: h2c\r\n", "upgrade:websocket, h2c\r\n", "Upgrade: TLS/1.0\r\n", "Upgrade: HTTP/2.0\r\n"]
    {
        let (out, _) = followed(HttpMode::Replace, &format!("{}\r\n", request(line)));
        assert_eq!(out, format!("{}{OURS}\r\n", request("")), "{line:?}");
        let (out, _) = followed(HttpMode::ReplaceH2, &format!("{}\r\n", request(line)));
        assert_eq!(out, format!("{}{OURS}\r\n", request(line)), "{line:?}");
    }
    // If the server agrees to something all the same, the client does not get to speak it.
    let (mut exchanges, mut out) = (fresh(HttpMode::Replace), Vec::new());
    let folded = "GET / HTTP/1.1\r\nUpgrade:\r\n h2c\r\n\r\n";
    assert_eq!(exchanges.push(format!("{folded}{PREFACE_TEXT}").as_bytes(), &mut out), Progress::Waits);
    let (_, passed, progress) = answer(&mut exchanges, "HTTP/1.1 101 Yes\r\n\r\n");
    assert_eq!(progress, Progress::Refused(Refusal::Http2));
    assert!(passed.len() < PREFACE_TEXT.len());
}

/// Requests that a client could send one after the other, and near misses.
fn piece() -> impl Strategy<Value = String> {
    let of =
        |texts: &[&str]| prop::sample::select(texts.iter().map(|text| text.to_string()).collect::<Vec<_>>());
    prop_oneof![
        6 => of(&["GET / HTTP/1.1\r\n", "POST /x HTTP/1.1\r\n", "GET /\r\n", "HEAD / HTTP/1.0\r\n", "GET  / HTTP/1.1\r\n"]),
        6 => of(&["\r\n", "\r\n", "\n", "A: b\r\n", "A b\r\n", " A: b\r\n", "\t\r\n", "A: b\n", "A: b\r", "X: y\r\n"]),
        5 => of(&[
            "X-Forwarded-For: 6.6.6.6\r\n", "x_forwarded_for:6.6.6.6\r\n", "X-Forwarded-For : 6.6.6.6\n",
            "X-Forwarded-For:\r\n 6.6.6.6\r\n", " X-Forwarded-For: 6.6.6.6\r\n", "\rX-Forwarded-For: 6.6.6.6\r\n",
        ]),
        4 => of(&[
            "Content-Length: 5\r\n", "Content-Length: 3\n", "Content-Length: 0\r\n", "Transfer-Encoding: chunked\r\n",
            "Content-Length : 4\r\n", "content_length: 5\r\n", "Transfer-Encoding: identity\r\n", " Content-Length: 5\r\n",
        ]),
        3 => of(&["5\r\nabcde\r\n", "0\r\n", "0\r\n\r\n", "5\n", "abcde", "abc", "0", "3;x\r\nabc\r\n"]),
    ]
}

/// How a server reads requests where servers differ.
#[derive(Debug, Clone, Copy)]
struct Habits {
    /// A line ends at a bare line feed too.
    line_feeds: bool,
    /// It minds blanks before colons, and what is no header.
    strict_names: bool,
    /// Of two lengths the last one counts.
    last_length: bool,
    /// It prefers chunks to a length.
    prefers_chunks: bool,
    /// A request may lack its version, and is followed by headers all the same, up to a line that is none. Such servers
    /// mind no bare line feeds.
    versionless: bool,
    /// Headers end at a line that is none.
    stops_at_nonsense: bool,
}

fn habits() -> impl Strategy<Value = Habits> {
    any::<[bool; 6]>().prop_map(
        |[line_feeds, strict_names, last_length, prefers_chunks, versionless, stops_at_nonsense]| Habits {
            line_feeds,
            strict_names,
            last_length,
            prefers_chunks,
            versionless,
            stops_at_nonsense,
        },
    )
}

/// The addresses that a server with these habits is told, for each request that it answers on the connection.
fn told(habits: Habits, mut bytes: &str) -> Vec<Vec<String>> {
    let mut told = Vec::new();
    'requests: loop {
        let mut line = || -> Option<&str> {
            let end = if habits.line_feeds { bytes.find('\n')? } else { bytes.find("\r\n")? + 1 };
            let (line, rest) = bytes.split_at(end + 1);
            bytes = rest;
            Some(line.trim_end_matches('\n').trim_end_matches('\r'))
        };
        let mut first = line();
        while first == Some("") {
            first = line();
        }
        let Some(first) = first else { return told };
        let words: Vec<&str> = first.split_whitespace().collect();
        let has_version = words.len() == 3 && words[2].starts_with("HTTP/1.");
        if !(has_version || words.len() == 2 && habits.versionless && habits.line_feeds) {
            return told;
        }
        let (mut addresses, mut length, mut chunked, mut closes) = (Vec::new(), None, false, !has_version);
        let mut is_over = false;
        loop {
            let Some(line) = line() else { return told };
            if line.is_empty() {
                break;
            }
            // As in mail, a carriage return ends a line for those who take requests without a version.
            let is_whole = |name: &str| has_version || !name.contains('\r');
            let is_name =
                |name: &str| !name.starts_with('\t') && !name.trim_end().contains(' ') && is_whole(name);
            let Some((name, value)) = line.split_once(':').filter(|(name, _)| is_name(name)) else {
                is_over |= (habits.stops_at_nonsense || !has_version) && !line.starts_with([' ', '\t']);
                continue;
            };
            if habits.strict_names && name.ends_with(' ') {
                return told;
            }
            match name.trim_end().to_ascii_lowercase().replace('_', "-").as_str() {
                _ if is_over => {}
                "x-forwarded-for" => addresses.push(value.trim().to_owned()),
                "content-length" if length.is_none() || habits.last_length => {
                    length = value.trim().parse().ok()
                }
                "transfer-encoding" => chunked |= value.trim() == "chunked",
                "connection" => closes |= value.trim() == "close",
                _ => {}
            }
        }
        told.push(addresses);
        if chunked && (length.is_none() || habits.prefers_chunks) {
            loop {
                let Some((size, rest)) = bytes.split_once("\r\n") else { return told };
                let Ok(size) = usize::from_str_radix(size.split(';').next().unwrap_or(""), 16) else {
                    return told;
                };
                if size == 0 {
                    let Some(end) = format!("\r\n{rest}").find("\r\n\r\n") else { return told };
                    bytes = &rest[end + 2..];
                    break;
                }
                let Some(rest) = rest.get(size..).and_then(|rest| rest.strip_prefix("\r\n")) else {
                    return told;
                };
                bytes = rest;
            }
        } else if let Some(length) = length {
            let Some(rest) = bytes.get(length..) else { return told };
            bytes = rest;
        }
        if closes {
            break 'requests;
        }
    }
    told
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Whatever its habits, a server that answers a request is told one address, or none, and never the forger's.
    #[test]
    fn no_server_is_deceived_on_the_whole_connection(pieces in prop::collection::vec(piece(), 0..24), habits in habits()) {
        let (out, _) = followed(HttpMode::Replace, &format!("{}\r\n\r\n{FORGED}", pieces.concat()));
        for addresses in told(habits, &out) {
            prop_assert!(!addresses.iter().any(|address| address.contains("6.6.6.6")), "{addresses:?}: {out:?}");
        }
    }

    #[test]
    fn cutting_requests_and_answers_makes_no_difference(
        pieces in prop::collection::vec(piece(), 0..24),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        append in any::<bool>(),
    ) {
        let mode = if append { HttpMode::Append } else { HttpMode::Replace };
        let input = pieces.concat().into_bytes();
        let whole = edited(mode, &input);
        let pieces = super::tests::through(fresh(mode), cut(&input, &cuts));
        // Of a request that is refused, the line that is wrong may have begun to pass.
        let refused = matches!(fresh(mode).push(&input, &mut Vec::new()), Progress::Refused(_));
        prop_assert!(pieces == whole || refused && pieces.starts_with(&whole), "{pieces:?} {whole:?}");
    }
}
