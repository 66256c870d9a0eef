//! Lines of web servers' access logs in Common or Combined format, with or without the name of the site in front.
//!
//! Owns their grammar, `[SITE[:PORT]] CLIENT IDENT USER [TIME] "REQUEST" REST`, both ways, and the form in which a
//! request compares with what pen logged of it; `time` owns the time stamps. Pure; called by mergelogs and penlogd.
//!
//! Anybody chooses the user that a web server logs, with blanks and brackets in it. What no user can hold is a quote
//! that is not escaped, so the time stamp is the one before the quotes of the request.

pub mod time;

use std::net::IpAddr;
use std::ops::Range;

use crate::escape::is_dangerous;
use crate::logline::{self, position_of};
use time::{fraction_of, nanoseconds, parse_time, write_time};

/// The longest time stamp, without its brackets: with nanoseconds and a zone.
const TIME_BYTES_MAX: usize = "dd/Mon/yyyy:HH:MM:SS.nnnnnnnnn +hhmm".len();

/// A line of an access log, each part as it stands in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebLine<'a> {
    /// What is before the client, with its blank: the site that was asked for (`example.org:80 `). Mostly nothing.
    pub site: &'a [u8],
    /// Who the web server thinks the client is.
    pub client: &'a [u8],
    /// Between the client and `[`, with the blank before the bracket: identity and user.
    pub names: &'a [u8],
    /// Seconds since 1970-01-01 00:00 UTC, the zone of the time stamp taken off. Negative before 1970.
    pub epoch_seconds: i64,
    /// A point and digits where the time stamp has a fraction of a second, else nothing.
    pub fraction: &'a [u8],
    /// Everything after `]`: the request in its quotes, status, size, and in Combined format referrer and browser.
    pub after_time: &'a [u8],
    /// Of these, what is between the first quotes, escapes as written.
    pub request: &'a [u8],
}

/// Where the parts of a line are. For who keeps the line itself and does not want to read it twice.
#[derive(Debug, Clone)]
pub struct Places {
    /// Seconds since 1970-01-01 00:00 UTC.
    pub epoch_seconds: i64,
    client: Range<usize>,
    names: Range<usize>,
    fraction: Range<usize>,
    after_time: usize,
    request: Range<usize>,
}

impl Places {
    /// Finds the parts of a line without its line end. `None` when it is no access log line: a part is missing, names
    /// no moment in time, or (but for the request, which servers leave empty for a client that said nothing) is empty.
    pub fn find(line: &[u8]) -> Option<Places> {
        let time = find_time(line)?;
        let before = &line[..time.start - b"[".len()];
        let client = find_client(before)?;
        let names_start =
            client.end + before[client.end..].iter().position(|byte| !byte.is_ascii_whitespace())?;
        let after_time = time.end + b"]".len();
        let (gap, request, rest) = split_request(&line[after_time..])?;
        if gap.is_empty() || rest.is_empty() {
            return None;
        }
        let request_start = after_time + gap.len() + 1;
        let seconds_end =
            position_of(&line[time.clone()], [b' ']).map_or(time.end, |blank| time.start + blank);
        let fraction = fraction_of(&line[time.clone()]);
        Some(Places {
            epoch_seconds: parse_time(&line[time])?,
            client,
            names: names_start..before.len(),
            fraction: seconds_end - fraction.len()..seconds_end,
            after_time,
            request: request_start..request_start + request.len(),
        })
    }

    /// The parts of the line in which these places were found.
    pub fn of<'a>(&self, line: &'a [u8]) -> WebLine<'a> {
        WebLine {
            site: &line[..self.client.start],
            client: &line[self.client.clone()],
            names: &line[self.names.clone()],
            epoch_seconds: self.epoch_seconds,
            fraction: &line[self.fraction.clone()],
            after_time: &line[self.after_time..],
            request: &line[self.request.clone()],
        }
    }

    /// The moment in which this line was written, as exactly as `line` tells: seconds since 1970 and nanoseconds.
    pub fn moment(&self, line: &[u8]) -> (i64, u32) {
        (self.epoch_seconds, nanoseconds(&line[self.fraction.clone()]))
    }
}

impl<'a> WebLine<'a> {
    /// Reads a line without its line end; see [`Places::find`].
    pub fn parse(line: &'a [u8]) -> Option<WebLine<'a>> {
        Some(Places::find(line)?.of(line))
    }

    /// Appends the line and its line end, with `client` in the place of its own, the time stamp in UTC, and
    /// everything that could steer a terminal or forge a line made visible ([`write_visible`]).
    pub fn write(&self, out: &mut Vec<u8>, client: &[u8]) {
        write_visible(out, self.site);
        write_visible(out, client);
        out.push(b' ');
        write_visible(out, self.names);
        out.push(b'[');
        write_time(out, self.epoch_seconds, self.fraction);
        out.push(b']');
        write_visible(out, self.after_time);
        out.push(b'\n');
    }
}

/// The place of the client, if there is one, and of the request in a line of a web server that may have no time stamp,
/// or one in a form of its own. `None` for a line without a request: nothing is in quotes.
pub fn find_request(line: &[u8]) -> Option<(Option<Range<usize>>, Range<usize>)> {
    if let Some(places) = Places::find(line) {
        return Some((Some(places.client), places.request));
    }
    const NO_USER: &[u8] = b"\"\" [";
    let mut opening = Quotes::default().next(line)?;
    if line[opening..].starts_with(NO_USER) {
        let after = opening + NO_USER.len();
        opening = after + Quotes::default().next(&line[after..])?;
    }
    let (_, request, _) = split_request(&line[opening..])?;
    let start = opening + 1;
    Some((find_client(&line[..opening]), start..start + request.len()))
}

/// The client in what comes before the time stamp: the first word, or the second one after the name of a site.
fn find_client(before: &[u8]) -> Option<Range<usize>> {
    let first = 0..position_of(before, [b' '])?;
    if first.is_empty() || before[0] == b'"' {
        return None;
    }
    let start = first.end + 1;
    let Some(length) = position_of(&before[start..], [b' ']) else { return Some(first) };
    let second = start..start + length;
    // Most lines have the identity `-` here, and no other word than identity and user after the client.
    if matches!(&before[second.clone()], b"-" | b"") || !before[second.end..].trim_ascii().contains(&b' ') {
        return Some(first);
    }
    let site = &before[first.clone()];
    let names_client = is_address(&before[second.clone()]);
    let is_site = match is_address(site) {
        true => names_client && site.contains(&b':'),
        false => names_client || has_port(site),
    };
    Some(if is_site { second } else { first })
}

fn is_address(word: &[u8]) -> bool {
    str::from_utf8(word).is_ok_and(|word| word.parse::<IpAddr>().is_ok())
}

/// `HOST:PORT`
fn has_port(word: &[u8]) -> bool {
    let colon = word.iter().rposition(|&byte| byte == b':');
    colon.is_some_and(|colon| {
        let port = &word[colon + 1..];
        colon > 0 && matches!(port.len(), 1..=5) && port.iter().all(u8::is_ascii_digit)
    })
}

/// The place of the time stamp, without its brackets: after a blank, naming a moment, outside quotes and with the
/// quotes of the request behind it. Where there is none like this, the first one that names a moment.
fn find_time(line: &[u8]) -> Option<Range<usize>> {
    let (mut quotes, mut first, mut at) = (Quotes::default(), None, 0);
    while let Some(found) = position_of(&line[at..], [b'[']) {
        let start = at + found + 1;
        at = start;
        let near = &line[start..line.len().min(start + TIME_BYTES_MAX + 1)];
        let is_after_blank = start >= 2 && line[start - 2] == b' ';
        let Some(length) = position_of(near, [b']']).filter(|_| is_after_blank) else { continue };
        if parse_time(&near[..length]).is_none() {
            continue;
        }
        let time = start..start + length;
        if line[time.end + 1..].starts_with(b" \"") && !quotes.is_open_at(line, start) {
            return Some(time);
        }
        first.get_or_insert(time);
    }
    first
}

/// Which parts of a line are in quotes. What follows a backslash is none, in quotes or not.
#[derive(Default)]
struct Quotes {
    at: usize,
    is_open: bool,
}

impl Quotes {
    /// Whether `place` is within quotes. Places are asked for in their order, and no byte is looked at twice.
    fn is_open_at(&mut self, line: &[u8], place: usize) -> bool {
        while self.next(&line[..place]).is_some() {
            self.is_open = !self.is_open;
        }
        self.is_open
    }

    /// The next quote, and goes past it.
    fn next(&mut self, line: &[u8]) -> Option<usize> {
        while let Some(found) = position_of(line.get(self.at..)?, *b"\"\\") {
            let place = self.at + found;
            if line[place] == b'"' {
                self.at = place + 1;
                return Some(place);
            }
            self.at = place + 2;
        }
        self.at = self.at.max(line.len());
        None
    }
}

/// Splits `text` around its first quotes: what is before, within and after them.
///
/// A quote after a backslash belongs to the string, as Apache writes it. Where that leaves no closing quote, the
/// writer does not escape, and the string ends at the next quote, as Pen reads it. `None` without two quotes.
fn split_request(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (before, quoted) = split_at(text, b'"')?;
    let end = closing_quote(quoted).or_else(|| position_of(quoted, [b'"']))?;
    Some((before, &quoted[..end], &quoted[end + 1..]))
}

fn closing_quote(quoted: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += position_of(&quoted[at..], *b"\"\\")?;
        if quoted[at] == b'"' {
            return Some(at);
        }
        // Past the backslash and what it escapes.
        at = (at + 2).min(quoted.len());
    }
}

/// Appends what pen logs of the request that a web server wrote as `request`: its escapes undone, then
/// [`logline::write_data`].
pub fn write_as_pen_data(out: &mut Vec<u8>, request: &[u8]) {
    if !request.contains(&b'\\') {
        return logline::write_data(out, request);
    }
    let mut raw = [0; logline::DATA_BYTES_MAX];
    let mut length = 0;
    let mut rest = request;
    while length < raw.len()
        && let Some((byte, after)) = unescape(rest)
    {
        raw[length] = byte;
        length += 1;
        rest = after;
    }
    logline::write_data(out, &raw[..length]);
}

/// The first byte that `text` stands for, and the text after it. `None` at the end.
///
/// Apache and nginx write `\xhh`, Apache also `\"`, `\\` and C's letters. Any other backslash stands for itself.
fn unescape(text: &[u8]) -> Option<(u8, &[u8])> {
    let (byte, length) = match *text {
        [] => return None,
        [b'\\', b'x' | b'X', high, low, ..] => match (hexadecimal(high), hexadecimal(low)) {
            (Some(high), Some(low)) => (high << 4 | low, 4),
            _ => (b'\\', 1),
        },
        [b'\\', letter, ..] => match letter {
            b'"' | b'\\' => (letter, 2),
            b'b' => (0x08, 2),
            b'n' => (b'\n', 2),
            b'r' => (b'\r', 2),
            b't' => (b'\t', 2),
            b'v' => (0x0b, 2),
            _ => (b'\\', 1),
        },
        [byte, ..] => (byte, 1),
    };
    Some((byte, &text[length..]))
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// Appends `text` so that it can be shown: printable ASCII and UTF-8 as they are, everything that is dangerous
/// ([`is_dangerous`]) or no UTF-8 as Apache's escapes, byte by byte.
pub fn write_visible(out: &mut Vec<u8>, text: &[u8]) {
    if logline::are_printable(text) {
        return out.extend_from_slice(text);
    }
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            let mut buffer = [0; 4];
            let bytes = character.encode_utf8(&mut buffer).as_bytes();
            if is_dangerous(character) {
                bytes.iter().for_each(|&byte| logline::write_escape(out, byte));
            } else {
                out.extend_from_slice(bytes);
            }
        }
        chunk.invalid().iter().for_each(|&byte| logline::write_escape(out, byte));
    }
}

fn split_at(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = position_of(text, [separator])?;
    Some((&text[..at], &text[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COMBINED: &[u8] =
        br#"10.0.0.9 - jo hn [09/Jan/2002:00:28:50 +0100] "GET /?q=\"a\" HTTP/1.0" 404 2 "-" "B [x]""#;

    fn rewritten(line: &[u8], client: &str) -> String {
        let mut out = Vec::new();
        WebLine::parse(line).unwrap().write(&mut out, client.as_bytes());
        String::from_utf8(out).unwrap()
    }

    fn as_pen_data(request: &[u8]) -> String {
        let mut out = Vec::new();
        write_as_pen_data(&mut out, request);
        String::from_utf8(out).unwrap()
    }

    fn visible(text: impl AsRef<[u8]>) -> String {
        let mut out = Vec::new();
        write_visible(&mut out, text.as_ref());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_combined_line_falls_into_its_parts() {
        let line = WebLine::parse(COMBINED).unwrap();
        assert_eq!(line.client, b"10.0.0.9");
        assert_eq!(line.names, b"- jo hn ");
        assert_eq!(line.epoch_seconds, 1_010_532_530);
        assert_eq!(line.request, br#"GET /?q=\"a\" HTTP/1.0"#);
        assert_eq!(line.after_time, br#" "GET /?q=\"a\" HTTP/1.0" 404 2 "-" "B [x]""#);
    }

    #[test]
    fn writing_changes_client_and_zone_only() {
        assert_eq!(
            rewritten(COMBINED, "2001:db8::1"),
            r#"2001:db8::1 - jo hn [08/Jan/2002:23:28:50 +0000] "GET /?q=\"a\" HTTP/1.0" 404 2 "-" "B [x]""#
                .to_owned()
                + "\n"
        );
    }

    #[test]
    fn users_choose_their_names() {
        for user in [
            "\"\"",
            "u[x",
            "a b",
            "[",
            "] ",
            r#"\""#,
            r#"[01/Jan/1990:00:00:00 +0000] \"GET /forged HTTP/1.0\" 200 1"#,
            "x [01/Jan/1990:00:00:00 +0000] y",
            "10.9.8.7",
            "example.org:80",
        ] {
            let text =
                format!(r#"10.0.0.9 - {user} [09/Jan/2002:00:28:50 +0100] "GET /a HTTP/1.0" 200 1 "-" "-""#);
            let line = WebLine::parse(text.as_bytes()).expect(user);
            assert_eq!(line.request, b"GET /a HTTP/1.0", "{user}");
            assert_eq!(line.epoch_seconds, 1_010_532_530, "{user}");
            assert_eq!((line.client, line.names), (&b"10.0.0.9"[..], format!("- {user} ").as_bytes()));
            let (client, request) = find_request(text.as_bytes()).unwrap();
            assert_eq!((client, &text[request]), (Some(0..8), "GET /a HTTP/1.0"), "{user}");
        }
    }

    #[test]
    fn what_looks_like_a_time_stamp_later_is_none() {
        let text = r#"h - - [09/Jan/2002:00:28:50 +0100] 80 "GET /x [10/Jan/2002:00:00:00 +0000] " 200 1"#;
        assert_eq!(WebLine::parse(text.as_bytes()).unwrap().epoch_seconds, 1_010_532_530);
        let text =
            r#"h - - [09/Jan/2002:00:28:50 +0100] "GET /" 200 1 "-" "x [10/Jan/2002:00:00:00 +0000] ""#;
        assert_eq!(WebLine::parse(text.as_bytes()).unwrap().epoch_seconds, 1_010_532_530);
    }

    #[test]
    fn the_site_may_be_in_front() {
        const REST: &str = r#" - jo hn [09/Jan/2002:00:28:50 +0100] "GET / HTTP/1.0" 200 1 "-" "-""#;
        for (front, client) in [
            ("example.org:80 ", "10.0.0.9"),
            ("example.org:443 ", "host.example.com"),
            ("[2001:db8::1]:80 ", "2001:db8::9"),
            ("2001:db8::1:80 ", "10.0.0.9"),
            ("192.0.2.1:8080 ", "10.0.0.9"),
            ("www.example.org ", "10.0.0.9"),
            ("", "10.0.0.9"),
            ("", "2001:db8::9:80"),
            ("", "host.example.com"),
        ] {
            let text = format!("{front}{client}{REST}");
            let line = WebLine::parse(text.as_bytes()).expect(&text);
            assert_eq!((line.site, line.client), (front.as_bytes(), client.as_bytes()), "{text}");
            assert_eq!(
                rewritten(text.as_bytes(), "192.0.2.7"),
                format!("{front}192.0.2.7{REST}\n")
                    .replace("09/Jan/2002:00:28:50 +0100", "08/Jan/2002:23:28:50 +0000")
            );
            assert_eq!(
                find_request(text.as_bytes()).unwrap().0,
                Some(front.len()..front.len() + client.len())
            );
        }
    }

    #[test]
    fn fractions_of_a_second_stay() {
        let text = br#"h - - [09/Jan/2002:00:28:50.042 +0100] "GET /" 200 1"#;
        assert_eq!(rewritten(text, "c"), "c - - [08/Jan/2002:23:28:50.042 +0000] \"GET /\" 200 1\n");
        assert_eq!(Places::find(text).unwrap().moment(text), (1_010_532_530, 42_000_000));
    }

    #[test]
    fn lines_without_a_request_have_none() {
        for line in [
            "http://example.org/ -> /index.html",
            r#"Mozilla/5.0 (X) \"GET /index.html HTTP/1.1\" x"#,
            "Mozilla/5.0 (X11; Linux x86_64) Gecko [en]",
        ] {
            assert_eq!(find_request(line.as_bytes()), None, "{line}");
            assert_eq!(WebLine::parse(line.as_bytes()), None, "{line}");
        }
        assert_eq!(find_request(br#""GET /" 200"#), Some((None, 1..6)));
        assert_eq!(find_request(br#"h "GET /" 200"#), Some((Some(0..1), 3..8)));
        assert_eq!(find_request(br#"h - "" [today] "GET /" 200"#), Some((Some(0..1), 16..21)));
    }

    #[test]
    fn a_line_of_brackets_takes_no_time() {
        let stamp = " [09/Jan/2002:00:28:50 +0100]";
        for hostile in ["[".repeat(1 << 20), stamp.repeat(40_000), format!("\"{}", stamp.repeat(40_000))] {
            WebLine::parse(format!("h - {hostile}").as_bytes());
        }
    }

    #[test]
    fn what_is_no_access_log_line_is_refused() {
        for line in [
            "",
            "a",
            "a - -",
            "a - - [09/Jan/2002:00:28:50 +0000]",
            "a - - [09/Jan/2002:00:28:50 +0000] \"GET /",
            "a - - [09/Jan/2002:00:28:50 +0000] \"GET /\"",
            "a - - [09/Jan/2002:00:28:50 +0000]\"GET /\" 200 1",
            "a [09/Jan/2002:00:28:50 +0000] \"GET /\" 200 1",
            " a - - [09/Jan/2002:00:28:50 +0000] \"GET /\" 200 1",
            "a - - [09/Foo/2002:00:28:50 +0000] \"GET /\" 200 1",
        ] {
            assert_eq!(WebLine::parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn quotes_of_writers_that_do_not_escape() {
        let split =
            |text: &'static str| split_request(text.as_bytes()).map(|(_, request, rest)| (request, rest));
        assert_eq!(split(r#" "GET /\" 200"#), Some((br"GET /\".as_slice(), b" 200".as_slice())));
        assert_eq!(split(r#" "GET /\\" 200"#), Some((br"GET /\\".as_slice(), b" 200".as_slice())));
        assert_eq!(split(r#" "GET /\\\"" 200"#), Some((br#"GET /\\\""#.as_slice(), b" 200".as_slice())));
        assert_eq!(split(r#""" 400"#), Some((b"".as_slice(), b" 400".as_slice())));
        assert_eq!(split(r#"one " quote"#), None);
    }

    #[test]
    fn requests_compare_as_pen_saw_them() {
        let cases: [(&[u8], &str); 8] = [
            (b"GET /a HTTP/1.0", "GET /a HTTP/1.0"),
            (br#"GET /\"q\" HTTP/1.0"#, r#"GET /"q" HTTP/1.0"#),
            (br"GET /\\t", r"GET /\t"),
            (br"GET /\xC3\xa9", "GET /.."),
            ("GET /é".as_bytes(), "GET /.."),
            (br"\x16\x03\x01\t", r"\x16\x03\x01\t"),
            (br"GET /\nX", "GET /"),
            (br"GET /\q\x1", r"GET /\q\x1"),
        ];
        for (request, expected) in cases {
            assert_eq!(as_pen_data(request), expected);
        }
    }

    #[test]
    fn a_hundred_bytes_are_counted_before_escaping() {
        assert_eq!(as_pen_data(&br"\x41".repeat(150)), "A".repeat(100));
        assert_eq!(as_pen_data(&b"A".repeat(150)), "A".repeat(100));
    }

    #[test]
    fn only_what_is_dangerous_is_made_visible() {
        assert_eq!(visible("GET /é%20 \"x\\\" ~"), "GET /é%20 \"x\\\" ~");
        assert_eq!(visible("\x1b[2J\t\r\n\x7f"), r"\x1b[2J\t\r\n\x7f");
        assert_eq!(visible("\u{9b}2J \u{202e}x\u{200f}"), r"\xc2\x9b2J \xe2\x80\xaex\xe2\x80\x8f");
        assert_eq!(visible(b"a\xffb\xc3"), r"a\xffb\xc3");
    }

    proptest! {
        #[test]
        fn a_written_line_reads_back(
            client in "[!#-~][!-~]{0,39}",
            names in r"[!-Z^-~]{1,9} [!-Z^-~]{1,9} ",
            epoch_seconds in 0i64..4_000_000_000,
            request in r#"([ !#-\[\]-~é]|\\"|\\\\|\\x1b){0,200}"#,
            rest in "[ -~]{1,300}",
        ) {
            let after_time = format!(" \"{request}\"{rest}");
            let (client, names) = (client.as_bytes(), names.as_bytes());
            let (request, after_time) = (request.as_bytes(), after_time.as_bytes());
            let line = WebLine { site: b"", client, names, epoch_seconds, fraction: b"", after_time, request };
            let mut out = Vec::new();
            line.write(&mut out, client);
            prop_assert_eq!(WebLine::parse(out.strip_suffix(b"\n").unwrap()), Some(line));
        }

        #[test]
        fn what_apache_escapes_compares_with_what_pen_logs(sent in proptest::collection::vec(any::<u8>(), 0..150)) {
            let mut in_web_log = Vec::new();
            for &byte in &sent {
                match byte {
                    b'"' | b'\\' => in_web_log.extend_from_slice(&[b'\\', byte]),
                    b' '..=b'~' => in_web_log.push(byte),
                    _ => logline::write_escape(&mut in_web_log, byte),
                }
            }
            let mut in_pen_log = Vec::new();
            logline::write_data(&mut in_pen_log, &sent);
            prop_assert_eq!(as_pen_data(&in_web_log).into_bytes(), in_pen_log);
        }

        #[test]
        fn nothing_dangerous_is_left(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(!visible(text).chars().any(is_dangerous));
        }

        #[test]
        fn no_line_makes_the_parser_fall(line in r#"[ -~]{0,9} [ -~]{0,9}\[[0-9]{0,3}/[A-Z][a-z]{0,2}/[0-9]{0,5}(:[0-9]{0,3}){0,4} [+-]?[0-9]{0,5}\]? ?"?.{0,20}"?.{0,9}"#) {
            if let Some(parsed) = WebLine::parse(line.as_bytes()) {
                parsed.write(&mut Vec::new(), b"client");
            }
        }
    }
}
