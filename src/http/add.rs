//! `http` as Pen has it: header lines are added unless the client sent them itself. Pure; called by [`super::Head`].

use super::Progress;
use pen_proto::addr::ClientAddr;

/// A header block longer than this is passed on as it is; nothing longer is ever held back.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;

/// Longer than any registered method (UPDATEREDIRECTREF has 17 bytes). What is longer is another protocol, whose bytes
/// must not be held back.
const METHOD_BYTES_MAX: usize = 32;

/// The beginning of what a client sends, up to the empty line that ends the first header block.
///
/// Before that line, `X-Forwarded-Proto: PROTO` and `X-Forwarded-For: ADDRESS` are inserted, each unless the client sent
/// one itself. They end as the line before them does. All else comes out byte for byte as it went in, and all at once
/// if it does not begin as an HTTP/1 request.
#[derive(Debug)]
pub struct Addition {
    client: ClientAddr,
    proto: &'static str,
    held: Vec<u8>,
    /// Where the line begins whose end is not seen yet.
    line_start: usize,
    part: Part,
    has_proto: bool,
    has_for: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    RequestLine,
    Headers,
    /// The decision is made; bytes only pass.
    Body,
}

/// What a complete line means.
enum Line {
    Continue,
    /// The empty line after the headers.
    Last,
    NotHttp,
}

impl Addition {
    /// For a connection of `client`, whose address is written without its port (empty for a Unix socket, as in Pen).
    pub fn new(client: ClientAddr, proto: &'static str) -> Addition {
        Addition {
            client,
            proto,
            held: Vec::new(),
            line_start: 0,
            part: Part::RequestLine,
            has_proto: false,
            has_for: false,
        }
    }

    /// Takes the next bytes from the client and appends to `out` what may go to the server. How the bytes are cut into
    /// calls makes no difference to what comes out in all.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Progress {
        if self.part == Part::Body {
            out.extend_from_slice(bytes);
            return Progress::Done;
        }
        let room = HEAD_BYTES_MAX - self.held.len();
        let (head, rest) = bytes.split_at(room.min(bytes.len()));
        let unseen = self.held.len();
        self.held.extend_from_slice(head);
        let progress = self.advance(unseen, out);
        if progress == Progress::Done {
            out.extend_from_slice(rest);
        }
        progress
    }

    /// The client has sent its end of file: what was held back comes out unchanged.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.part = Part::Body;
        out.append(&mut self.held);
    }

    /// Reads the lines that have become complete since `unseen` bytes were held.
    fn advance(&mut self, mut unseen: usize, out: &mut Vec<u8>) -> Progress {
        while let Some(length) = self.held[unseen..].iter().position(|&byte| byte == b'\n') {
            let line_end = unseen + length + 1;
            match self.read_line(line_end) {
                Line::Continue => {}
                Line::Last => return self.insert(out),
                Line::NotHttp => return self.pass(out),
            }
            self.line_start = line_end;
            unseen = line_end;
        }
        let is_hopeless = self.part == Part::RequestLine && !may_begin_request(&self.held[self.line_start..]);
        if is_hopeless || self.held.len() == HEAD_BYTES_MAX {
            return self.pass(out);
        }
        Progress::NeedMore
    }

    fn read_line(&mut self, line_end: usize) -> Line {
        let line = trim_end_of_line(&self.held[self.line_start..line_end]);
        match self.part {
            // Servers skip empty lines before a request (RFC 9112, section 2.2).
            Part::RequestLine if line.is_empty() => Line::Continue,
            Part::RequestLine if is_request_line(line) => {
                self.part = Part::Headers;
                Line::Continue
            }
            Part::RequestLine => Line::NotHttp,
            Part::Headers if line.is_empty() => Line::Last,
            Part::Headers | Part::Body => {
                self.has_proto |= is_header(line, b"x-forwarded-proto");
                self.has_for |= is_header(line, b"x-forwarded-for");
                Line::Continue
            }
        }
    }

    /// The order is the original's: the protocol first.
    fn insert(&mut self, out: &mut Vec<u8>) -> Progress {
        let (before, after) = self.held.split_at(self.line_start);
        let line_end = if before.ends_with(b"\r\n") { "\r\n" } else { "\n" };
        out.extend_from_slice(before);
        if !self.has_proto {
            out.extend_from_slice(format!("X-Forwarded-Proto: {}{line_end}", self.proto).as_bytes());
        }
        if !self.has_for {
            out.extend_from_slice(format!("X-Forwarded-For: {}{line_end}", self.client).as_bytes());
        }
        out.extend_from_slice(after);
        self.held = Vec::new();
        self.part = Part::Body;
        Progress::Done
    }

    fn pass(&mut self, out: &mut Vec<u8>) -> Progress {
        self.finish(out);
        Progress::Done
    }
}

/// `line` ends with a line feed; a carriage return before it belongs to the end too.
fn trim_end_of_line(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Whether the line is a header of this name, given in lower case. As in the original the colon must follow at once:
/// servers have to refuse a blank before it (RFC 9112, section 5.1).
fn is_header(line: &[u8], name: &[u8]) -> bool {
    line.len() > name.len() && line[name.len()] == b':' && line[..name.len()].eq_ignore_ascii_case(name)
}

/// `METHOD SP target SP HTTP/1.x`. The target may be anything that some server might accept.
fn is_request_line(line: &[u8]) -> bool {
    let Some(method_length) = line.iter().position(|&byte| byte == b' ') else { return false };
    let (method, rest) = line.split_at(method_length);
    let Some((target, version)) = rest.split_last_chunk() else { return false };
    is_method(method) && is_http_1(version) && target.len() > 2 && target.ends_with(b" ")
}

fn is_http_1(version: &[u8; 8]) -> bool {
    version.starts_with(b"HTTP/1.") && version[7].is_ascii_digit()
}

fn is_method(method: &[u8]) -> bool {
    (1..=METHOD_BYTES_MAX).contains(&method.len()) && method.iter().all(|&byte| is_token(byte))
}

/// Whether a line whose end is not seen yet can still become an empty line or a request line.
fn may_begin_request(line: &[u8]) -> bool {
    match line.iter().position(|&byte| byte == b' ') {
        Some(method_length) => is_method(&line[..method_length]),
        None => line.is_empty() || line == b"\r" || is_method(line),
    }
}

/// The characters of a token (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn client() -> ClientAddr {
        ClientAddr::Ip("192.0.2.7".parse().unwrap())
    }

    fn through<'a>(client: ClientAddr, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut head = Addition::new(client, "http");
        let mut out = Vec::new();
        for piece in pieces {
            head.push(piece, &mut out);
        }
        head.finish(&mut out);
        out
    }

    fn whole(input: &str) -> String {
        String::from_utf8(through(client(), [input.as_bytes()])).unwrap()
    }

    #[test]
    fn inserts_what_the_client_did_not_send() {
        const BOTH: &str = "X-Forwarded-Proto: http\r\nX-Forwarded-For: 192.0.2.7\r\n";
        let cases = [
            ("a request", "GET / HTTP/1.1\r\nHost: a\r\n", BOTH, "\r\n"),
            ("with a body", "POST /x HTTP/1.0\r\nContent-Length: 3\r\n", BOTH, "\r\nabc"),
            ("without headers", "HEAD / HTTP/1.0\r\n", BOTH, "\r\n"),
            ("every method", "PROPFIND /a/b HTTP/1.1\r\nHost: a\r\n", BOTH, "\r\n"),
            ("lower case", "get / HTTP/1.1\r\nHost: a\r\n", BOTH, "\r\n"),
            ("empty line first", "\r\nGET / HTTP/1.1\r\nHost: a\r\n", BOTH, "\r\n"),
            (
                "line feeds only",
                "GET / HTTP/1.1\nHost: a\n",
                "X-Forwarded-Proto: http\nX-Forwarded-For: 192.0.2.7\n",
                "\n",
            ),
            ("a second request", "GET / HTTP/1.1\r\n", BOTH, "\r\nGET /2 HTTP/1.1\r\n\r\n"),
            (
                "own client address",
                "GET / HTTP/1.1\r\nx-forwarded-FOR: 198.51.100.1\r\n",
                "X-Forwarded-Proto: http\r\n",
                "\r\n",
            ),
            (
                "own protocol",
                "GET / HTTP/1.1\r\nX-Forwarded-Proto:https\r\n",
                "X-Forwarded-For: 192.0.2.7\r\n",
                "\r\n",
            ),
            (
                "both of its own",
                "GET / HTTP/1.1\r\nX-Forwarded-Proto: x\r\nX-Forwarded-For: y\r\n",
                "",
                "\r\n",
            ),
            ("names that only begin alike", "GET / HTTP/1.1\r\nX-Forwarded-For-Me: y\r\n", BOTH, "\r\n"),
            ("names in a value", "GET / HTTP/1.1\r\nA: X-Forwarded-For: y\r\n", BOTH, "\r\n"),
            ("a body that names it", "PUT / HTTP/1.1\r\n", BOTH, "\r\nX-Forwarded-For: y\r\n\r\n"),
        ];
        for (name, before, inserted, after) in cases {
            let (input, output) = (format!("{before}{after}"), format!("{before}{inserted}{after}"));
            for cut in 0..=input.len() {
                let (first, second) = input.as_bytes().split_at(cut);
                let out = through(client(), [first, second]);
                assert_eq!(
                    out.escape_ascii().to_string(),
                    output.as_bytes().escape_ascii().to_string(),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn writes_the_address_as_pen_does() {
        let request = b"GET / HTTP/1.1\r\n\r\n".as_slice();
        let cases = [
            (ClientAddr::Ip("2001:db8::1".parse().unwrap()), "X-Forwarded-For: 2001:db8::1\r\n"),
            (ClientAddr::Unix, "X-Forwarded-For: \r\n"),
        ];
        for (client, line) in cases {
            let out = String::from_utf8(through(client, [request])).unwrap();
            assert_eq!(out, format!("GET / HTTP/1.1\r\nX-Forwarded-Proto: http\r\n{line}\r\n"));
        }
    }

    #[test]
    fn what_is_not_an_http_1_request_passes_at_once() {
        let cases: [&[u8]; 12] = [
            b"\x16\x03\x01\x02\x00\x01",
            b"EHLO example.org\r\n",
            b"GET /\r\n\r\n",
            b"GET / HTTP/2.0\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET  HTTP/1.1\r\n\r\n",
            b"GET /HTTP/1.1\r\n\r\n",
            b" GET / HTTP/1.1\r\n\r\n",
            b"G(T / HTTP/1.1\r\n\r\n",
            b"\rGET / HTTP/1.1\r\n\r\n",
            b"HTTP/1.1\r\n",
            b"THISMETHODHASMOREBYTESTHANANYOTHER",
        ];
        for input in cases {
            let mut out = Vec::new();
            let progress = Addition::new(client(), "http").push(input, &mut out);
            assert_eq!((progress, out.as_slice()), (Progress::Done, input), "{}", input.escape_ascii());
        }
    }

    #[test]
    fn holds_back_until_decided_and_nothing_afterwards() {
        let mut head = Addition::new(client(), "http");
        let mut out = Vec::new();
        assert_eq!(head.push(b"GET / HTTP/1.1\r\nHost: a\r\n\r", &mut out), Progress::NeedMore);
        assert_eq!(out, b"");
        assert_eq!(head.push(b"\n", &mut out), Progress::Done);
        let length = out.len();
        assert_eq!(head.push(b"GET / HTTP/1.1\r\n\r\n", &mut out), Progress::Done);
        assert_eq!(&out[length..], b"GET / HTTP/1.1\r\n\r\n");
    }

    #[test]
    fn gives_up_at_its_limit() {
        let request = |padding: usize| format!("GET / HTTP/1.1\r\nA: {}\r\n\r\nbody", "x".repeat(padding));
        let overhead = request(0).len() - "body".len();
        let fits = request(HEAD_BYTES_MAX - overhead);
        let too_long = request(HEAD_BYTES_MAX - overhead + 1);
        assert!(whole(&fits).contains("X-Forwarded-For"));
        assert_eq!(whole(&too_long), too_long);

        let mut head = Addition::new(client(), "http");
        let mut out = Vec::new();
        let (first, rest) = too_long.as_bytes().split_at(HEAD_BYTES_MAX);
        assert_eq!(head.push(&first[..HEAD_BYTES_MAX - 1], &mut out), Progress::NeedMore);
        assert_eq!(head.push(&first[HEAD_BYTES_MAX - 1..], &mut out), Progress::Done);
        head.push(rest, &mut out);
        assert_eq!(out, too_long.as_bytes());
    }

    /// Pieces that make requests, near misses and garbage when strung together.
    fn input() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            8 => prop::sample::select(vec![
                "GET / HTTP/1.1\r\n", "PUT /x HTTP/1.0\n", "\r\n", "\n", "Host: a\r\n", "a: b\n", " folded\r\n",
                "X-Forwarded-For: 1\r\n", "x-forwarded-proto: h\r\n", "X-Forwarded-", "\r", "GET ", " ", "HTTP/1.1",
            ]).prop_map(|text| text.as_bytes().to_vec()),
            1 => prop::collection::vec(any::<u8>(), 0..20),
            1 => (0..2 * HEAD_BYTES_MAX).prop_map(|length| vec![b'x'; length]),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    /// A request that must be edited: lines of headers, none of them ours, and a body.
    fn request() -> impl Strategy<Value = (String, String)> {
        (
            "[A-Z]{1,10} /[a-z/?=]{0,20} HTTP/1\\.[01]",
            prop::collection::vec("[A-Z][a-z]{0,9}: [ -~]{0,30}", 0..6),
            "\\PC*",
        )
            .prop_map(|(line, headers, body)| {
                let block = std::iter::once(line).chain(headers).map(|line| line + "\r\n").collect();
                (block, body)
            })
    }

    fn cut<'a>(input: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        places.extend([0, input.len()]);
        places.sort_unstable();
        places.windows(2).map(|ends| &input[ends[0]..ends[1]]).collect()
    }

    proptest! {
        #[test]
        fn cutting_the_input_makes_no_difference(
            input in input(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            prop_assert_eq!(through(client(), cut(&input, &cuts)), through(client(), [input.as_slice()]));
        }

        #[test]
        fn without_the_inserted_lines_the_output_is_the_input(input in input()) {
            let out = through(client(), [input.as_slice()]);
            let inserted = out.len() - input.len();
            let is_insertion = (0..=input.len()).any(|at| {
                out.starts_with(&input[..at]) && out.ends_with(&input[at..]) && is_ours(&out[at..at + inserted])
            });
            prop_assert!(is_insertion);
        }

        #[test]
        fn every_request_is_edited((block, body) in request()) {
            let ours = "X-Forwarded-Proto: http\r\nX-Forwarded-For: 192.0.2.7\r\n";
            prop_assert_eq!(whole(&format!("{block}\r\n{body}")), format!("{block}{ours}\r\n{body}"));
        }
    }

    fn is_ours(inserted: &[u8]) -> bool {
        let lines = ["X-Forwarded-Proto: http", "X-Forwarded-For: 192.0.2.7"];
        let with = |end: &str| lines.map(|line| format!("{line}{end}"));
        ["\n", "\r\n"].iter().any(|end| {
            let [proto, address] = with(end);
            [format!("{proto}{address}"), proto, address, String::new()]
                .iter()
                .any(|ours| ours.as_bytes() == inserted)
        })
    }
}
