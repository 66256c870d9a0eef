//! What `replace` and `append` make of heads: of proper ones exactly the right thing, in any pieces, and of those made to
//! deceive nothing that a tolerant server would believe.

use super::*;
use proptest::prelude::*;

const CLIENT: &str = "192.0.2.7";

fn client() -> ClientAddr {
    ClientAddr::Ip(CLIENT.parse().unwrap())
}

fn through<'a>(mut editor: Editor, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in pieces {
        editor.push(piece, &mut out);
    }
    editor.finish(&mut out);
    out
}

fn edited(appends: bool, input: &[u8]) -> Vec<u8> {
    through(Editor::new(client(), "http", appends), [input])
}

/// Compares for every place at which the input can be cut in two.
fn assert_becomes(appends: bool, input: &str, output: &str) {
    for cut in 0..=input.len() {
        let (first, second) = input.as_bytes().split_at(cut);
        let out = through(Editor::new(client(), "http", appends), [first, second]);
        assert_eq!(
            out.escape_ascii().to_string(),
            output.as_bytes().escape_ascii().to_string(),
            "cut at {cut}"
        );
    }
}

const OURS: &str = "X-Forwarded-Proto: http\r\nX-Forwarded-For: 192.0.2.7\r\n";

#[test]
fn replace_takes_every_forged_line_out_and_puts_ours_in() {
    let cases = [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n"),
        ("GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\n{}\r\n"),
        ("GET / HTTP/1.1\r\nX-Forwarded-For: 1\r\nA: b\r\n\r\nbody", "GET / HTTP/1.1\r\nA: b\r\n{}\r\nbody"),
        (
            "GET / HTTP/1.1\r\nx-forwarded-for:1\r\nA: b\r\nX-FORWARDED-FOR : 2\r\nX-Forwarded-Proto\t: x\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\r\n{}\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nX-Forwarded-For: 1,\r\n 2,\r\n\t3\r\nA: b\r\n c\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\r\n c\r\n{}\r\n",
        ),
        ("GET / HTTP/1.1\r\n X-Forwarded-For: 1\r\nA: b\r\n\r\n", "GET / HTTP/1.1\r\nA: b\r\n{}\r\n"),
        (
            "GET / HTTP/1.1\r\nA: b\rX-Forwarded-For: 1\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b X-Forwarded-For: 1\r\n{}\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nA: b\r\n\rX-Forwarded-For: 1\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\r\n X-Forwarded-For: 1\r\n{}\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nX-Forwarded-For-Me: 1\r\nX-Forwarded: 2\r\n\r\n",
            "GET / HTTP/1.1\r\nX-Forwarded-For-Me: 1\r\nX-Forwarded: 2\r\n{}\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nA: b\r\n\r\nX-Forwarded-For: 1\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\r\n{}\r\nX-Forwarded-For: 1\r\n\r\n",
        ),
        (
            "\r\n\r\nPROPFIND  / \t HTTP/1.1 \r\nX-Forwarded-For: 1\r\n\r\n",
            "\r\n\r\nPROPFIND  / \t HTTP/1.1 \r\n{}\r\n",
        ),
        ("G@T /\u{b}HTTP/1.1\r\nX-Forwarded-For: 1\r\n\r\n", "G@T /\u{b}HTTP/1.1\r\n{}\r\n"),
        ("GET / http/1.1\rX-Forwarded-For: 1\r\n\r\n", "GET / http/1.1 X-Forwarded-For: 1\r\n{}\r\n"),
    ];
    for (input, output) in cases {
        assert_becomes(false, input, &output.replace("{}", OURS));
    }
    let bare = "GET / HTTP/1.1\nX-Forwarded-For: 1\nA: b\n\nbody\n";
    assert_becomes(false, bare, &format!("GET / HTTP/1.1\nA: b\n{}\nbody\n", OURS.replace("\r\n", "\n")));
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
            "GET / HTTP/1.1\r\nX-Forwarded-For: 1\r\nA: b\r\n\r\n",
            format!("GET / HTTP/1.1\r\nX-Forwarded-For: 1, {CLIENT}\r\nA: b\r\n{PROTO_LINE}\r\n"),
        ),
        (
            "GET / HTTP/1.1\r\nx-forwarded-FOR : 1\r\nX-Forwarded-For: ::2\r\n\r\n",
            format!(
                "GET / HTTP/1.1\r\nx-forwarded-FOR : 1\r\nX-Forwarded-For: ::2, {CLIENT}\r\n{PROTO_LINE}\r\n"
            ),
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
            "GET / HTTP/1.1\r\nX-Forwarded-For : \t\r\n\r\n",
            format!("GET / HTTP/1.1\r\nX-Forwarded-For : \t {CLIENT}\r\n{PROTO_LINE}\r\n"),
        ),
        (
            "GET / HTTP/1.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 1\n\r\n",
            format!("GET / HTTP/1.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 1, {CLIENT}\n\r\n"),
        ),
        (
            "GET / HTTP/1.1\r\nX-Forwarded-For\r\n\r\n",
            format!("GET / HTTP/1.1\r\nX-Forwarded-For\r\n{OURS}\r\n"),
        ),
        (
            "GET / HTTP/1.1\r\nX-Forwarded-For: 1\rX-Forwarded-For: 2\r\n\r\n",
            format!("GET / HTTP/1.1\r\nX-Forwarded-For: 1 X-Forwarded-For: 2, {CLIENT}\r\n{PROTO_LINE}\r\n"),
        ),
    ];
    for (input, output) in cases {
        assert_becomes(true, input, &output);
    }
}

#[test]
fn behind_a_list_only_so_much_is_held_back() {
    let long = "x".repeat(3 * HELD_BYTES_MAX);
    let before = format!("GET / HTTP/1.1\r\nX-Forwarded-For: 1\r\nA: {long}\r\n");
    let out = edited(true, format!("{before}\r\n").as_bytes());
    assert_eq!(String::from_utf8(out).unwrap(), format!("{before}{OURS}\r\n"));
    let mut editor = Editor::new(client(), "http", true);
    let mut out = Vec::new();
    editor.push(before.as_bytes(), &mut out);
    assert!(before.len() - out.len() < HELD_BYTES_MAX);
}

#[test]
fn a_long_head_does_not_get_past_it() {
    let long = "x".repeat(200_000);
    let head = format!("GET /{long} HTTP/1.1\r\nA: {long}\r\nX-Forwarded-For: 1\r\nB: {long}\r\n\r\n");
    let out = String::from_utf8(edited(false, head.as_bytes())).unwrap();
    assert_eq!(out, format!("GET /{long} HTTP/1.1\r\nA: {long}\r\nB: {long}\r\n{OURS}\r\n"));
}

#[test]
fn addresses_and_protocols_are_written() {
    let cases =
        [(ClientAddr::Unix, "unknown"), (ClientAddr::Ip("2001:db8::1".parse().unwrap()), "2001:db8::1")];
    for (client, text) in cases {
        let out = through(Editor::new(client, "https", false), [b"GET / HTTP/1.1\n\n".as_slice()]);
        let expected = format!("GET / HTTP/1.1\nX-Forwarded-Proto: https\nX-Forwarded-For: {text}\n\n");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

#[test]
fn what_is_no_http_1_request_passes_at_once() {
    let cases: [&[u8]; 8] = [
        b"\x16\x03\x01\x02\x00\x01\r\nX-Forwarded-For: 1\r\n\r\n",
        b"EHLO example.org\r\nX-Forwarded-For: 1\r\n\r\n",
        b"GET /\r\nX-Forwarded-For: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Forwarded-For: 1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /HTTP/1.1\r\nX-Forwarded-For: 1\r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"\r\n\r\n",
    ];
    for input in cases {
        for appends in [false, true] {
            let mut editor = Editor::new(client(), "http", appends);
            let mut out = Vec::new();
            for (index, &byte) in input.iter().enumerate() {
                editor.push(&[byte], &mut out);
                assert_eq!(out, &input[..=index], "nothing is held back: {}", input.escape_ascii());
            }
            assert_eq!(edited(appends, input), input, "{}", input.escape_ascii());
        }
    }
}

/// A header line of a request, its folded continuations included, and what it is.
#[derive(Debug, Clone)]
enum Given {
    Other(String),
    For(String),
    Proto(String),
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
    let value = "[ -~]{0,20}(\r\n[ \t][ -~]{0,9}){0,2}";
    prop_oneof![
        ("[A-WYZa-wyz][A-Za-z-]{0,9}", value)
            .prop_map(|(name, value)| Given::Other(format!("{name}: {value}\r\n"))),
        (cased("x-forwarded-for"), "[ \t]{0,2}", "[!-~]{1,9}(\r\n [!-~]{1,9})?")
            .prop_map(|(name, blank, value)| Given::For(format!("{name}{blank}: {value}\r\n"))),
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
            Given::For(_) | Given::Proto(_) => {}
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
        1 => (0..2 * HELD_BYTES_MAX).prop_map(|length| vec![b'x'; length]),
    ];
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

fn cut<'a>(input: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
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
        input in input(), appends in any::<bool>(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let editor = Editor::new(client(), "http", appends);
        prop_assert_eq!(through(editor, cut(&input, &cuts)), edited(appends, &input));
    }

    #[test]
    fn every_request_is_edited_and_nothing_behind_its_head(
        first in "(\r\n){0,2}[A-Z]{1,10} /[a-z/?=]{0,20} HTTP/1\\.[01]\r\n",
        given in prop::collection::vec(given(), 0..8),
        body in any::<Vec<u8>>(),
        appends in any::<bool>(),
    ) {
        let lines: String = given.iter().map(|line| match line {
            Given::Other(line) | Given::For(line) | Given::Proto(line) => line.as_str(),
        }).collect();
        let input = [first.as_bytes(), lines.as_bytes(), b"\r\n", &body].concat();
        let output = [first.as_bytes(), expected(appends, &given).as_bytes(), b"\r\n", &body].concat();
        let out = edited(appends, &input);
        prop_assert_eq!(out.escape_ascii().to_string(), output.escape_ascii().to_string());
    }

    #[test]
    fn no_tolerant_server_is_deceived(
        lines in prop::collection::vec("(X-Forwarded-For|x-forwarded-for|A|)[ \t\r]{0,2}[: \t\r\nb]{0,3}(X-Forwarded-For)?[ \r]?:?[19]?\r?\n?", 0..8),
    ) {
        let input = format!("GET / HTTP/1.1\r\n{}\r\n\r\n", lines.concat());
        let replaced = String::from_utf8(edited(false, input.as_bytes())).unwrap();
        let values = tolerantly_read(&replaced).expect("an end");
        prop_assert_eq!(values, [CLIENT], "{}", replaced.escape_debug());
    }

    #[test]
    fn what_comes_out_of_garbage_is_not_much_more_than_went_in(input in input(), appends in any::<bool>()) {
        prop_assert!(edited(appends, &input).len() <= input.len() + OURS.len());
    }
}
