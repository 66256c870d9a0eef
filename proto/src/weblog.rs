//! Lines of web servers' access logs in Common or Combined format.
//!
//! Owns their grammar, `CLIENT IDENT USER [TIME] "REQUEST" REST`, both ways, the arithmetic of their time stamps, and
//! the form in which a request compares with what pen logged of it. Pure; called by mergelogs and penlogd.

use std::ops::Range;

use crate::escape::is_dangerous;
use crate::logline::{self, position_of};

/// A line of an access log, each part as it stands in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebLine<'a> {
    /// Up to the first blank: who the web server thinks the client is.
    pub client: &'a [u8],
    /// Between the client and `[`, with the blank before the bracket: identity and user.
    pub names: &'a [u8],
    /// Seconds since 1970-01-01 00:00 UTC, the zone of the time stamp taken off. Negative before 1970.
    pub epoch_seconds: i64,
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
    client_end: usize,
    names: Range<usize>,
    after_time: usize,
    request: Range<usize>,
}

impl Places {
    /// Finds the parts of a line without its line end. `None` when it is no access log line: a part is missing, names
    /// no moment in time, or (but for the request, which servers leave empty for a client that said nothing) is empty.
    pub fn find(line: &[u8]) -> Option<Places> {
        let client_end = position_of(line, [b' '])?;
        let names_start =
            client_end + line[client_end..].iter().position(|byte| !byte.is_ascii_whitespace())?;
        let names_end = names_start + position_of(&line[names_start..], [b'['])?;
        let time = names_end + 1;
        let time_end = time + position_of(&line[time..], [b']'])?;
        let after_time = time_end + 1;
        let (gap, request, rest) = split_request(&line[after_time..])?;
        if client_end == 0 || names_end == names_start || gap.is_empty() || rest.is_empty() {
            return None;
        }
        let request_start = after_time + gap.len() + 1;
        Some(Places {
            epoch_seconds: parse_time(&line[time..time_end])?,
            client_end,
            names: names_start..names_end,
            after_time,
            request: request_start..request_start + request.len(),
        })
    }

    /// The parts of the line in which these places were found.
    pub fn of<'a>(&self, line: &'a [u8]) -> WebLine<'a> {
        WebLine {
            client: &line[..self.client_end],
            names: &line[self.names.clone()],
            epoch_seconds: self.epoch_seconds,
            after_time: &line[self.after_time..],
            request: &line[self.request.clone()],
        }
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
        write_visible(out, client);
        out.push(b' ');
        write_visible(out, self.names);
        out.push(b'[');
        write_time(out, self.epoch_seconds);
        out.push(b']');
        write_visible(out, self.after_time);
        out.push(b'\n');
    }
}

/// Splits `text` around the first quoted string: what is before, within and after the quotes.
///
/// A quote after a backslash belongs to the string, as Apache writes it. Where that leaves no closing quote, the
/// writer does not escape, and the string ends at the next quote, as Pen reads it. `None` without two quotes.
pub fn split_request(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
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

const SECONDS_PER_DAY: i64 = 86_400;

/// As Apache writes them in every locale.
const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// Reads `dd/Mon/yyyy:HH:MM:SS +hhmm` to seconds since 1970-01-01 00:00 UTC. The zone may be left out and is UTC
/// then; one digit is enough for all but the year. `None` for what is no moment: an unknown month, a 31st of April.
pub fn parse_time(text: &[u8]) -> Option<i64> {
    let (text, zone) = split_at(text, b' ').unwrap_or((text, b"+0000"));
    let (day, text) = take_number(text, b'/')?;
    let (month, text) = take_month(text)?;
    let (year, text) = take_year(text)?;
    let (hour, text) = take_number(text, b':')?;
    let (minute, text) = take_number(text, b':')?;
    let second = number(text)?;
    // A leap second has the number 60.
    if day < 1 || day > days_in_month(year, month) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days_since_1970(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
    Some(seconds - zone_offset_seconds(zone)?)
}

/// Appends `dd/Mon/yyyy:HH:MM:SS +0000`. Years before 0 and after 9999 are beyond the format and come out as those.
pub fn write_time(out: &mut Vec<u8>, epoch_seconds: i64) {
    let days = epoch_seconds.div_euclid(SECONDS_PER_DAY);
    let second_of_day = epoch_seconds.rem_euclid(SECONDS_PER_DAY);
    let (year, month, day) = date(days);
    let year = year.clamp(0, 9999);
    write_two_digits(out, day);
    out.push(b'/');
    out.extend_from_slice(MONTHS[month as usize - 1]);
    out.push(b'/');
    write_two_digits(out, year / 100);
    write_two_digits(out, year % 100);
    for number in [second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60] {
        out.push(b':');
        write_two_digits(out, number);
    }
    out.extend_from_slice(b" +0000");
}

fn zone_offset_seconds(zone: &[u8]) -> Option<i64> {
    let [sign, hour @ .., minute_tens, minute_ones] = zone else { return None };
    let (hour, minute) = (number(hour)?, two_digits(*minute_tens, *minute_ones)?);
    if zone.len() != b"+hhmm".len() || hour > 23 || minute > 59 {
        return None;
    }
    match sign {
        b'+' => Some(hour * 3600 + minute * 60),
        b'-' => Some(-(hour * 3600 + minute * 60)),
        _ => None,
    }
}

/// A number of one or two digits and what is after the separator behind it.
fn take_number(text: &[u8], separator: u8) -> Option<(i64, &[u8])> {
    match text {
        [tens, ones, end, rest @ ..] if *end == separator => Some((two_digits(*tens, *ones)?, rest)),
        [ones, end, rest @ ..] if *end == separator => Some((digit(*ones)?, rest)),
        _ => None,
    }
}

/// `Mon/` from 1.
fn take_month(text: &[u8]) -> Option<(i64, &[u8])> {
    let (name, rest) = text.split_first_chunk::<3>()?;
    let month = MONTHS.iter().position(|month| *month == name)? as i64 + 1;
    Some((month, rest.strip_prefix(b"/")?))
}

/// `yyyy:`
fn take_year(text: &[u8]) -> Option<(i64, &[u8])> {
    let [thousands, hundreds, tens, ones, b':', rest @ ..] = text else { return None };
    Some((two_digits(*thousands, *hundreds)? * 100 + two_digits(*tens, *ones)?, rest))
}

/// A number of one or two digits.
fn number(text: &[u8]) -> Option<i64> {
    match text {
        [tens, ones] => two_digits(*tens, *ones),
        [ones] => digit(*ones),
        _ => None,
    }
}

fn two_digits(tens: u8, ones: u8) -> Option<i64> {
    Some(digit(tens)? * 10 + digit(ones)?)
}

fn digit(byte: u8) -> Option<i64> {
    byte.is_ascii_digit().then(|| i64::from(byte - b'0'))
}

fn write_two_digits(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(&[b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]);
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
///
/// The year is counted from March, so that the leap day is its last and the months before it have a regular length:
/// 153 days in every five.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let month = (month + 9) % 12;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - DAYS_TO_1970
}

/// From 0000-03-01 to 1970-01-01.
const DAYS_TO_1970: i64 = 719_468;

/// The inverse of [`days_since_1970`].
fn date(days: i64) -> (i64, i64, i64) {
    const DAYS_PER_ERA: i64 = 400 * 365 + 97;
    let days = days + DAYS_TO_1970;
    let era = days.div_euclid(DAYS_PER_ERA);
    let day_of_era = days.rem_euclid(DAYS_PER_ERA);
    let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / (DAYS_PER_ERA - 1);
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = 400 * era + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

fn split_at(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = position_of(text, [separator])?;
    Some((&text[..at], &text[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, FixedOffset};
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
    fn times() {
        let cases = [
            ("01/Jan/1970:00:00:00 +0000", Some(0)),
            ("09/Jan/2002:00:28:50 -0030", Some(1_010_537_930)),
            ("9/Jan/2002:0:28:50", Some(1_010_536_130)),
            ("30/Jun/2015:23:59:60 +0000", Some(1_435_708_800)),
            ("29/Feb/2000:00:00:00 +0000", Some(951_782_400)),
            ("29/Feb/1900:00:00:00 +0000", None),
            ("31/Apr/2002:00:00:00 +0000", None),
            ("00/Jan/2002:00:00:00 +0000", None),
            ("01/Jan/2002:24:00:00 +0000", None),
            ("01/Jan/2002:00:00:00 UTC", None),
            ("01/Jan/2002:00:00:00 +01000", None),
            ("01/Jan/2002:00:00:00 01000", None),
            ("01/jan/2002:00:00:00 +0000", None),
            ("01/Jan/02:00:00:00 +0000", None),
            ("-1/Jan/2002:00:00:00 +0000", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_time(text.as_bytes()), expected, "{text}");
        }
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
        fn times_agree_with_chrono(
            epoch_seconds in -62_135_596_800i64..253_402_300_800,
            zone_minutes in -1439i32..1440,
        ) {
            let zone = FixedOffset::east_opt(zone_minutes * 60).unwrap();
            let local = DateTime::from_timestamp(epoch_seconds, 0).unwrap().with_timezone(&zone);
            let text = local.format("%d/%b/%Y:%H:%M:%S %z").to_string();
            prop_assume!(text.len() == "dd/Mon/yyyy:HH:MM:SS +zzzz".len());
            prop_assert_eq!(parse_time(text.as_bytes()), Some(epoch_seconds));
        }

        #[test]
        fn a_written_time_reads_back(epoch_seconds in -62_135_596_800i64..253_402_300_800) {
            let mut out = Vec::new();
            write_time(&mut out, epoch_seconds);
            let expected = DateTime::from_timestamp(epoch_seconds, 0).unwrap();
            let expected = expected.format("%d/%b/%Y:%H:%M:%S %z").to_string();
            prop_assert_eq!(&out, expected.as_bytes());
            prop_assert_eq!(parse_time(&out), Some(epoch_seconds));
        }

        #[test]
        fn a_written_line_reads_back(
            client in "[!-~]{1,40}",
            names in r"[!-Z^-~]{1,9} [!-Z^-~]{1,9} ",
            epoch_seconds in 0i64..4_000_000_000,
            request in r#"([ !#-\[\]-~é]|\\"|\\\\|\\x1b){0,200}"#,
            rest in "[ -~]{1,300}",
        ) {
            let after_time = format!(" \"{request}\"{rest}");
            let (client, names) = (client.as_bytes(), names.as_bytes());
            let (request, after_time) = (request.as_bytes(), after_time.as_bytes());
            let line = WebLine { client, names, epoch_seconds, after_time, request };
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
