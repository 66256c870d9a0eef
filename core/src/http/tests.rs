//! What `replace` and `append` make of heads: of proper ones exactly the right thing, in any pieces, and of those made to
//! deceive nothing that a tolerant server would believe.

use super::*;
use proptest::prelude::*;

/// So much `append` holds behind a list.
const HELD: usize = 32 * 1024;
pub(super) const CLIENT: &str = "192.0.2.7";

fn client() -> ClientAddr {
    ClientAddr::Ip(CLIENT.parse().unwrap())
}

fn fresh(mode: HttpMode) -> Exchanges {
    Exchanges::new(client(), "http", mode)
}

pub(super) fn through<'a>(mut exchanges: Exchanges, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in pieces {
        exchanges.push(piece, &mut out);
    }
    exchanges.finish(&mut out);
    out
}

pub(super) fn edited(mode: HttpMode, input: &[u8]) -> Vec<u8> {
    through(fresh(mode), [input])
}

/// Compares for every place at which the input can be cut in two.
pub(super) fn assert_becomes(mode: HttpMode, input: &[u8], output: &str) {
    for cut in 0..=input.len() {
        let (first, second) = input.split_at(cut);
        let out = through(fresh(mode), [first, second]);
        assert_eq!(
            out.escape_ascii().to_string(),
            output.as_bytes().escape_ascii().to_string(),
            "{mode:?}, cut at {cut}"
        );
    }
}

const OURS: &str = "X-Forwarded-Proto: http\r\nX-Forwarded-For: 192.0.2.7\r\n";
const CLOSE: &str = "Connection: close\r\n";
const MODES: [HttpMode; 3] = [HttpMode::Add, HttpMode::Replace, HttpMode::Append];

#[test]
fn replace_takes_every_forged_line_out_and_puts_ours_in() {
    // `{}` stands for our lines; with `{!}` the request is the last one.
    let cases = [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n"),
        ("GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\n{}\r\n"),
        (
            "POST / HTTP/1.1\r\nX-Forwarded-For: 1\r\nContent-Length: 4\r\n\r\nbody",
            "POST / HTTP/1.1\r\nContent-Length: 4\r\n{}\r\nbody",
        ),
        (
            "GET / HTTP/1.1\r\nx-forwarded-for:1\r\nA: b\r\nX-FORWARDED-FOR : 2\r\nX-Forwarded-Proto\t: x\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\r\n{}\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nX_Forwarded_For: 1\r\nX-Forwarded_Proto: 2\r\nx.forwarded.for: 3\r\n\r\n",
            "GET / HTTP/1.1\r\n{}\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nX-Forwarded-For: 1,\r\n 2,\r\n\t3\r\nA: b\r\n c\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\r\n c\r\n{}\r\n",
        ),
        ("GET / HTTP/1.1\r\n X-Forwarded-For: 1\r\nA: b\r\n\r\n", "GET / HTTP/1.1\r\nA: b\r\n{}\r\n"),
        ("GET / HTTP/1.1\r\nA: b\r\n X-Forwarded-For: 1\r\n\r\n", "GET / HTTP/1.1\r\nA: b\r\n{}\r\n"),
        (
            "GET / HTTP/1.1\r\nA: b\rX-Forwarded-For: 1\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b X-Forwarded-For: 1\r\n{}\r\n",
        ),
        ("GET / HTTP/1.1\r\nA: b\r\n\rX-Forwarded-For: 1\r\n\r\n", "GET / HTTP/1.1\r\nA: b\r\n{}\r\n"),
        (
            "GET / HTTP/1.1\r\nX-Forwarded-For-Me: 1\r\nX-Forwarded: 2\r\n\r\n",
            "GET / HTTP/1.1\r\nX-Forwarded-For-Me: 1\r\nX-Forwarded: 2\r\n{}\r\n",
        ),
        (
            "\r\n\r\nPROPFIND  / \t HTTP/1.1 \r\nX-Forwarded-For: 1\r\n\r\n",
            "\r\n\r\nPROPFIND  / \t HTTP/1.1 \r\n{!}\r\n",
        ),
        ("G@T /\u{b}HTTP/1.1\r\nX-Forwarded-For: 1\r\n\r\n", "G@T /\u{b}HTTP/1.1\r\n{!}\r\n"),
        ("GET / http/1.1\rX-Forwarded-For: 1\r\n\r\n", "GET / http/1.1 X-Forwarded-For: 1\r\n{!}\r\n"),
        ("GET / HTTP/2.0\r\nX-Forwarded-For: 1\r\n\r\nGET /", "GET / HTTP/2.0\r\n{!}\r\n"),
        ("GET / HTTP/1.1\r\nA: b\nB: c\r\n\r\nGET /", "GET / HTTP/1.1\r\nA: b\nB: c\r\n{!}\r\n"),
        ("GET / HTTP/1.1\r\nA: b\r\n c:\r\n\r\nGET /", "GET / HTTP/1.1\r\nA: b\r\n c:\r\n{!}\r\n"),
        ("GET /\r\nX-Forwarded-For: 1\r\nA: b\r\n\r\nGET /", "GET /\r\nA: b\r\n{!}\r\n"),
        ("GET /\r\nA: b\r\nX-Forwarded-For: 1\r\n\r\n", "GET /\r\nA: b\r\n{!}\r\n"),
        ("GET /\rX-Forwarded-For: 1\r\n\r\n", "GET /\r{!}\r\n"),
        ("GET / RTSP/1.0\r\nX_Forwarded_For: 1\r\n\r\n", "GET / RTSP/1.0\r\n{!}\r\n"),
        ("GET /\r\n \r\nX-Forwarded-For: 1\r\n\r\n", "GET /\r\n \r\n{!}\r\n"),
        ("GET /\r\n abc\r\nX-Forwarded-For: 1\r\n\r\n", "GET /\r\n abc\r\n{!}\r\n"),
        ("GET /\r\n\ta b:\n x\r\r\nX-Forwarded-For: 1\r\n\r\n", "GET /\r\n\ta b:\n x \r\n{!}\r\n"),
        ("GET /\r\n abc\rX-Forwarded-For: 1\r\n\r\n", "GET /\r\n abc X-Forwarded-For: 1\r\n\r\n"),
        ("GET /\r\nFrom x\rX-Forwarded-For: 1\r\n\r\n", "GET /\r\nFrom x X-Forwarded-For: 1\r\n\r\n"),
        ("GET /\r\nFrom x\r\nX-Forwarded-For: 1\r\n\r\n", "GET /\r\nFrom x\r\n{!}\r\n"),
        ("PRI * HTTP/2.0\r\nX-Forwarded-For: 1\r\n\r\nSM\r\n\r\n", "PRI * HTTP/2.0\r\n{!}\r\n"),
        ("PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n", "PRI * HTTP/2.0\r\n{!}\r\n"),
    ];
    for (input, output) in cases {
        let output = output.replace("{}", OURS).replace("{!}", &format!("{OURS}{CLOSE}"));
        assert_becomes(HttpMode::Replace, input.as_bytes(), &output);
    }
    let bare = "POST / HTTP/1.1\nX-Forwarded-For: 1\nContent-Length: 5\n\nbody\n";
    let ours = OURS.replace("\r\n", "\n");
    let output = format!("POST / HTTP/1.1\nContent-Length: 5\n{ours}\nbody\n");
    assert_becomes(HttpMode::Replace, bare.as_bytes(), &output);
}

/// Blanks that some server knows, and bytes that are none in the target of a request.
#[test]
fn words_end_at_every_blank() {
    for blank in (0..=b' ').chain(0x7f..=0xa0).filter(|&byte| byte != b'\n' && byte != b'\r') {
        let request =
            [b"GET /", &[blank][..], b"HTTP/1.1\r\nX-Forwarded-For", &[blank], b": 66\r\n\r\n"].concat();
        let out = edited(HttpMode::Replace, &request);
        assert!(!out.windows(2).any(|bytes| bytes == b"66"), "{blank:#x}: {}", out.escape_ascii());
        assert!(out.windows(CLIENT.len()).any(|bytes| bytes == CLIENT.as_bytes()), "{blank:#x}");
    }
    let request = "GET /\u{e0}\u{c5} HTTP/1.1\r\nA: b\r\n";
    assert_becomes(HttpMode::Replace, format!("{request}\r\n").as_bytes(), &format!("{request}{OURS}\r\n"));
}

#[test]
fn of_empty_lines_before_a_request_a_few_are_left() {
    let request = "GET / HTTP/1.1\r\n";
    for empty in ["\r\n", "\n", " \r\n"] {
        let mut editor = fresh(HttpMode::Replace);
        let mut out = Vec::new();
        let many = empty.repeat(1 << 16);
        (0..9).for_each(|_| assert_eq!(editor.push(many.as_bytes(), &mut out), Progress::NeedMore));
        assert!(out.len() <= 16, "{} bytes", out.len());
        editor.push(format!("{request}X-Forwarded-For: 1\r\n\r\n").as_bytes(), &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains(CLIENT) && !text.contains(": 1\r\n"), "{text:?}");
    }
}

#[test]
fn add_inserts_what_the_client_did_not_send_and_changes_nothing() {
    let ours = |line: &str| OURS.split_inclusive('\n').find(|ours| ours.contains(line)).unwrap().to_owned();
    let cases = [
        ("GET / HTTP/1.1\r\nHost: a\r\n", OURS.to_owned(), "\r\n"),
        ("POST /x HTTP/1.0\r\nContent-Length: 3\r\n", OURS.to_owned(), "\r\nabc"),
        ("get / HTTP/1.1\r\n", OURS.to_owned(), "\r\nGET /2 HTTP/1.1\r\n\r\n"),
        ("\r\nGET / HTTP/1.1\r\n", OURS.to_owned(), "\r\n"),
        ("GET / HTTP/1.1\n", OURS.replace("\r\n", "\n"), "\n"),
        ("GET / HTTP/1.1\r\nx-forwarded-FOR: 1\r\n", ours("Proto:"), "\r\n"),
        ("GET / HTTP/1.1\r\nX-Forwarded-Proto:x\r\n", ours("For:"), "\r\n"),
        ("GET / HTTP/1.1\r\nX-Forwarded-Proto: x\r\nX-Forwarded-For: y\r\n", String::new(), "\r\n"),
        ("GET / HTTP/1.1\r\nX-Forwarded-For-Me: y\r\nA: X-Forwarded-For: y\r\n", OURS.to_owned(), "\r\n"),
        ("GET / HTTP/1.1\r\nX-Forwarded-For : y\r\nX_Forwarded_Proto: z\r\n", OURS.to_owned(), "\r\n"),
        ("PUT / HTTP/1.1\r\n", OURS.to_owned(), "\r\nX-Forwarded-For: y\r\n\r\n"),
        (
            "GET / HTTP/1.1\r\nA: b\rc\r\n d\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
            OURS.to_owned(),
            "\r\nx",
        ),
        ("GET / HTTP/1.1 \r\nA : b\n", OURS.replace("\r\n", "\n"), "\r\n"),
        ("GET / HTTP/2.0\r\n", OURS.to_owned(), "\r\n"),
        ("GET /\r\nHost: a\r\n", OURS.to_owned(), "\r\n"),
        ("A@METHODWITHMORETHANTHIRTYTWOCHARACTERS / HTTP/1.1\r\nUpgrade: h2c\r\n", OURS.to_owned(), "\r\n"),
    ];
    for (before, inserted, after) in cases {
        assert_becomes(
            HttpMode::Add,
            format!("{before}{after}").as_bytes(),
            &format!("{before}{inserted}{after}"),
        );
    }
    let long = "x".repeat(200_000);
    let head = format!("GET /{long} HTTP/1.1\r\nA: {long}\r\n");
    let out = String::from_utf8(edited(HttpMode::Add, format!("{head}\r\n").as_bytes())).unwrap();
    assert_eq!(out, format!("{head}{OURS}\r\n"));
}

#[test]
fn append_adds_to_the_last_list() {
    const PROTO_LINE: &str = "X-Forwarded-Proto: http\r\n";
    let cases = [
        (
            "GET / HTTP/1.1\r\nA: b\r\n\r\nX-Forwarded-For: 1\r\n",
            format!("GET / HTTP/1.1\r\nA: b\r\n{OURS}\r\nX-Forwarded-For: 1\r\n"),
        ),
        (
            "GET / HTTP/1.1\r\nX-Forwarded-For: 1\r\nX_Forwarded_For: 2\r\nX_Forwarded_Proto: 3\r\n\r\n",
            format!("GET / HTTP/1.1\r\nX-Forwarded-For: 1, {CLIENT}\r\n{PROTO_LINE}\r\n"),
        ),
        (
            "GET / HTTP/1.1\r\nX-Forwarded-For: 1\r\nA: b\r\n\r\n",
            format!("GET / HTTP/1.1\r\nX-Forwarded-For: 1, {CLIENT}\r\nA: b\r\n{PROTO_LINE}\r\n"),
        ),
        (
            "GET / HTTP/1.1\r\nx-forwarded-FOR : 1\r\nX-Forwarded-For: ::2\r\n\r\n",
            format!("GET / HTTP/1.1\r\nX-Forwarded-For: ::2, {CLIENT}\r\n{PROTO_LINE}\r\n"),
        ),
        (
            "GET / HTTP/1.1\r\nX-Forwarded-For: 1\r\nX-Forwarded-For : 7\r\nX-Forwarded-Proto : x\r\n\r\n",
            format!("GET / HTTP/1.1\r\nX-Forwarded-For: 1, {CLIENT}\r\n{PROTO_LINE}\r\n"),
        ),
        ("GET /\r\nX-Forwarded-For : 1\r\nA: b\r\n\r\n", format!("GET /\r\nA: b\r\n{OURS}{CLOSE}\r\n")),
        (
            "GET / HTTP/1.1\r\nX-Forwarded-For: 1\r\nUpgrade : x\r\n\r\n",
            format!("GET / HTTP/1.1\r\nX-Forwarded-For: 1, {CLIENT}\r\n{PROTO_LINE}\r\n"),
        ),
        (
            "GET / HTTP/1.1\r\nX-Forwarded-For: 1,\r\n 2\r\nA: b\r\n\r\n",
            format!("GET / HTTP/1.1\r\nX-Forwarded-For: 1,\r\n 2, {CLIENT}\r\nA: b\r\n{PROTO_LINE}\r\n"),
        ),
        (
            "GET / HTTP/1.1\r\nX-Forwarded-For:\r\n\r\n",
            format!("GET / HTTP/1.1\r\nX-Forwarded-For: {CLIENT}\r\n{PROTO_LINE}\r\n"),
        ),
        (
            "GET / HTTP/1.1\r\nX-Forwarded-For: \t\r\n\r\n",
            format!("GET / HTTP/1.1\r\nX-Forwarded-For: \t {CLIENT}\r\n{PROTO_LINE}\r\n"),
        ),
        (
            "GET / HTTP/1.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 1\n\r\n",
            format!(
                "GET / HTTP/1.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 1, {CLIENT}\n{CLOSE}\r\n"
            )
            .replace("close\r\n", "close\n"),
        ),
        ("GET / HTTP/1.1\r\nX-Forwarded-For\r\n\r\n", format!("GET / HTTP/1.1\r\n{OURS}\r\n")),
        (
            "GET / HTTP/1.1\r\nX-Forwarded-For: 1\rX-Forwarded-For: 2\r\n\r\n",
            format!("GET / HTTP/1.1\r\nX-Forwarded-For: 1 X-Forwarded-For: 2, {CLIENT}\r\n{PROTO_LINE}\r\n"),
        ),
    ];
    for (input, output) in cases {
        assert_becomes(HttpMode::Append, input.as_bytes(), &output);
    }
}

#[test]
fn behind_a_list_only_so_much_is_held_back() {
    let long = "x".repeat(3 * HELD);
    let before = format!("GET / HTTP/1.1\r\nX-Forwarded-For: 1\r\nA: {long}\r\n");
    let out = edited(HttpMode::Append, format!("{before}\r\n").as_bytes());
    assert_eq!(String::from_utf8(out).unwrap(), format!("{before}{OURS}\r\n"));
    let mut editor = fresh(HttpMode::Append);
    let mut out = Vec::new();
    editor.push(before.as_bytes(), &mut out);
    assert!(before.len() - out.len() < HELD);
}

#[test]
fn a_long_head_does_not_get_past_it() {
    let long = "x".repeat(200_000);
    let head = format!("GET /{long} HTTP/1.1\r\nA: {long}\r\nX-Forwarded-For: 1\r\nB: {long}\r\n\r\n");
    let out = String::from_utf8(edited(HttpMode::Replace, head.as_bytes())).unwrap();
    assert_eq!(out, format!("GET /{long} HTTP/1.1\r\nA: {long}\r\nB: {long}\r\n{OURS}\r\n"));
}

#[test]
fn addresses_and_protocols_are_written() {
    let cases =
        [(ClientAddr::Unix, "unknown"), (ClientAddr::Ip("2001:db8::1".parse().unwrap()), "2001:db8::1")];
    for (client, text) in cases {
        let out =
            through(Exchanges::new(client, "https", HttpMode::Replace), [b"GET / HTTP/1.1\n\n".as_slice()]);
        let expected = format!("GET / HTTP/1.1\nX-Forwarded-Proto: https\nX-Forwarded-For: {text}\n\n");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

#[test]
fn what_is_no_request_passes_at_once() {
    let cases: [&[u8]; 12] = [
        b"hello\n a stranger\n and more\n\n",
        b"\x16\x03\x01\x02\x00\x01\r\nX-Forwarded-For: 1\r\n\r\n",
        b"EHLO example.org\r\nMAIL FROM:<a@example.org>\r\n\r\nX-Forwarded-For: 1\r\n\r\n",
        b"HELLO",
        b"LOGIN bob",
        b"login bob\rpassword",
        b"GET /\r\n\r\nX-Forwarded-For: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"\r\n\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"{\n  \"a b\": 1\n}\n\n",
    ];
    for input in cases {
        for mode in MODES {
            let mut exchanges = fresh(mode);
            let mut out = Vec::new();
            for (index, &byte) in input.iter().enumerate() {
                exchanges.push(&[byte], &mut out);
                assert_eq!(out, &input[..=index], "nothing is held back: {}", input.escape_ascii());
            }
            assert_eq!(edited(mode, input), input, "{}", input.escape_ascii());
            assert!(!exchanges.has_edited());
        }
    }
}

/// Blanks before and behind a name, more than are kept.
#[test]
fn what_is_no_request_keeps_its_order_however_many_blanks_it_has() {
    for count in 55..70 {
        let blanks = " ".repeat(count);
        for line in [format!("{blanks}x-forwarded-for stuff"), format!("x-forwarded-for{blanks}stuff")] {
            for mode in MODES {
                let input = format!("hello\r\n{line}\r\n");
                assert_becomes(mode, input.as_bytes(), &input);
            }
        }
        let out =
            edited(HttpMode::Replace, format!("GET /\r\n{blanks}X-Forwarded-For: 66\r\n\r\n").as_bytes());
        assert!(!out.windows(2).any(|bytes| bytes == b"66"), "{}", out.escape_ascii());
    }
    let cut = format!("GET /\r\nX-Forwarded-For{}", " ".repeat(99));
    let (mut exchanges, mut out) = (fresh(HttpMode::Replace), Vec::new());
    let progress = exchanges.push(format!("{cut}: 66\r\n\r\n").as_bytes(), &mut out);
    assert_eq!((progress, out.as_slice()), (Progress::Refused(Refusal::Ambiguous), cut.as_bytes()));
}

#[test]
fn a_binary_stream_passes_whatever_is_in_it() {
    let stream = [b"\x16\x03\x03 GET\n".as_slice(), b"a: b\n\nX-Forwarded-For: 1\n\n"].concat();
    for mode in MODES {
        let mut exchanges = fresh(mode);
        let mut out = Vec::new();
        assert_eq!(exchanges.push(&stream, &mut out), Progress::Done);
        assert_eq!(out, stream);
    }
}

/// A header line of a request, its folded continuations included, and what it is.
#[derive(Debug, Clone)]
enum Given {
    Other(String),
    For(String),
    Proto(String),
    /// One of ours with a blank before its colon, at which the head ends for some servers.
    Blank(String),
}

fn given() -> impl Strategy<Value = Given> {
    let cased = |name: &'static str| {
        prop::collection::vec(any::<bool>(), name.len()).prop_map(move |upper| {
            let cased = |(c, upper): (char, bool)| {
                if upper { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }
            };
            name.chars().zip(upper).map(cased).collect::<String>()
        })
    };
    let value = "[ -~]{0,20}(\r\n[ \t][!-9;-~][!-9;-~]{0,9}){0,2}"; // a colon in a continuation is no good sign
    prop_oneof![
        ("[ABD-SVWYZabd-svwyz][A-Za-z-]{0,9}", value)
            .prop_map(|(name, value)| Given::Other(format!("{name}: {value}\r\n"))),
        (cased("x-forwarded-for"), "[ \t]{0,2}", "[!-~]{1,9}(\r\n [!-9;-~]{1,9})?").prop_map(
            |(name, blank, value)| {
                let given = if blank.is_empty() { Given::For } else { Given::Blank };
                given(format!("{name}{blank}: {value}\r\n"))
            }
        ),
        (cased("x-forwarded-proto"), value)
            .prop_map(|(name, value)| Given::Proto(format!("{name}:{value}\r\n"))),
    ]
}

fn expected(appends: bool, given: &[Given]) -> String {
    let last = given.iter().rposition(|line| matches!(line, Given::For(_)));
    let mut text = String::new();
    for (index, line) in given.iter().enumerate() {
        match line {
            Given::For(line) if appends && Some(index) == last => {
                text.push_str(&format!("{}, {CLIENT}\r\n", line.trim_end_matches("\r\n")));
            }
            Given::Other(line) => text.push_str(line),
            Given::For(line) | Given::Proto(line) if appends => text.push_str(line),
            Given::For(_) | Given::Proto(_) | Given::Blank(_) => {}
        }
    }
    if !(appends && given.iter().any(|line| matches!(line, Given::Proto(_)))) {
        text.push_str("X-Forwarded-Proto: http\r\n");
    }
    if !appends || last.is_none() {
        text.push_str(&format!("X-Forwarded-For: {CLIENT}\r\n"));
    }
    text
}

/// Pieces that make requests, near misses and garbage when strung together.
fn input() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => prop::sample::select(vec![
            "GET / HTTP/1.1\r\n", "PUT /x HTTP/1.0\n", "GET\t/ HTTP/1.1", "\r\n", "\n", "Host: a\r\n", "a: b\n",
            " folded\r\n", "X-Forwarded-For: 1\r\n", "x-forwarded-for ", ": 2\r\n", "x-forwarded-proto: h\r\n",
            "X-Forwarded-", "For", "\r", "\t", " ", "HTTP/1.1", ":", "X-Forwarded-For:\r\n",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
        1 => (0..2 * HELD).prop_map(|length| vec![b'x'; length]),
    ];
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

fn mode() -> impl Strategy<Value = HttpMode> {
    prop::sample::select(MODES.to_vec())
}

pub(super) fn cut<'a>(input: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
    places.extend([0, input.len()]);
    places.sort_unstable();
    places.windows(2).map(|ends| &input[ends[0]..ends[1]]).collect()
}

/// The values of X-Forwarded-For as a server reads them that ends lines at every CR and LF, and minds no blanks before
/// colons; `None` when the head has no end.
fn tolerantly_read(head: &str) -> Option<Vec<String>> {
    let head = head.trim_start_matches(['\r', '\n']).replace("\r\n", "\n").replace('\r', "\n");
    let (head, _) = head.split_once("\n\n")?;
    let mut values = Vec::new();
    for line in head.split('\n').skip(1) {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.trim_end().eq_ignore_ascii_case("x-forwarded-for") {
            values.push(value.trim().to_owned());
        }
    }
    Some(values)
}

proptest! {
    #[test]
    fn cutting_the_input_makes_no_difference(
        input in input(), mode in mode(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let whole = edited(mode, &input);
        prop_assert_eq!(through(fresh(mode), cut(&input, &cuts)), whole);
    }

    #[test]
    fn every_request_is_edited_and_nothing_of_its_body(
        first in "(\r\n){0,2}[A-Z]{1,10} /[a-z/?=]{0,20} HTTP/1\\.[01]\r\n",
        given in prop::collection::vec(given(), 0..8),
        body in any::<Vec<u8>>(),
        appends in any::<bool>(),
    ) {
        let lines: String = given.iter().map(|line| match line {
            Given::Other(line) | Given::For(line) | Given::Proto(line) | Given::Blank(line) => line.as_str(),
        }).collect();
        let first = format!("{first}Content-Length: {}\r\n", body.len());
        let input = [first.as_bytes(), lines.as_bytes(), b"\r\n", &body].concat();
        let output = [first.as_bytes(), expected(appends, &given).as_bytes(), b"\r\n", &body].concat();
        let out = edited(if appends { HttpMode::Append } else { HttpMode::Replace }, &input);
        prop_assert_eq!(out.escape_ascii().to_string(), output.escape_ascii().to_string());
    }

    #[test]
    fn no_tolerant_server_is_deceived(
        lines in prop::collection::vec("(X-Forwarded-For|x-forwarded-for|A|)[ \t\r]{0,2}[: \t\r\nb]{0,3}(X-Forwarded-For)?[ \r]?:?[19]?\r?\n?", 0..8),
    ) {
        let input = format!("GET / HTTP/1.1\r\n{}\r\n\r\n", lines.concat());
        let replaced = String::from_utf8(edited(HttpMode::Replace, input.as_bytes())).unwrap();
        // A head in which servers would see other headers than the client's is never ended.
        if let Some(values) = tolerantly_read(&replaced) {
            prop_assert_eq!(values, [CLIENT], "{}", replaced.escape_debug());
        }
    }

    #[test]
    fn what_comes_out_of_garbage_is_not_much_more_than_went_in(input in input()) {
        let heads = input.windows(2).filter(|pair| pair.contains(&b'\n')).count() + 1;
        for mode in MODES {
            prop_assert!(edited(mode, &input).len() <= input.len() + heads * (OURS.len() + CLOSE.len()));
        }
    }
}
