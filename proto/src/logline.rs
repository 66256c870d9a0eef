//! The lines pen leaves about what its clients send: in a file (`log FILE`) and as datagrams to penlogd
//! (`log HOST:PORT`).
//!
//! Owns both formats, writing and reading. Written by pen's log code for every read from a client, so writing goes
//! into the caller's buffer by hand, without `core::fmt`. Read by mergelogs and penlogd. Must not know how lines are
//! stored or sent.
//!
//! What a client sends is hostile text. In a file it is masked and escaped ([`write_data`]), so that no line can
//! forge another one or steer a terminal. A datagram carries it raw, as Pen's does; penlogd escapes what it keeps.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::addr::ClientAddr;

/// How much of what a client sent is logged, as in Pen 0.34.1.
pub const DATA_BYTES_MAX: usize = 100;

/// The longest datagram to penlogd, newline included, as in Pen 0.34.1.
pub const DATAGRAM_BYTES_MAX: usize = 1024;

/// A line of pen's log file: `CLIENT EPOCH SERVER DATA`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLine<'a> {
    /// An address; empty for clients of a Unix socket listener.
    pub client: &'a [u8],
    /// Seconds since 1970-01-01 00:00 UTC.
    pub epoch_seconds: u64,
    /// The server's address without its port.
    pub server: &'a [u8],
    /// What the client sent, as [`write_data`] renders it.
    pub data: &'a [u8],
}

/// A datagram from pen to penlogd: `+ CLIENT SERVER DATA`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// An address; empty for clients of a Unix socket listener.
    pub client: &'a [u8],
    /// The server's address without its port.
    pub server: &'a [u8],
    /// What the client sent, raw up to the first CR or LF.
    pub data: &'a [u8],
}

/// Appends `CLIENT EPOCH SERVER DATA\n`.
pub fn write_line(out: &mut Vec<u8>, client: ClientAddr, epoch_seconds: u64, server: &str, data: &[u8]) {
    write_client(out, client);
    out.push(b' ');
    write_decimal(out, epoch_seconds);
    out.push(b' ');
    write_field(out, server.as_bytes());
    out.push(b' ');
    write_data(out, data);
    out.push(b'\n');
}

/// Appends `+ CLIENT SERVER DATA\n`, at most [`DATAGRAM_BYTES_MAX`] bytes in all; the data gives way first.
pub fn write_datagram(out: &mut Vec<u8>, client: ClientAddr, server: &str, data: &[u8]) {
    let end_max = out.len() + DATAGRAM_BYTES_MAX - b"\n".len();
    out.extend_from_slice(b"+ ");
    write_client(out, client);
    out.push(b' ');
    write_field(out, server.as_bytes());
    out.push(b' ');
    out.extend_from_slice(until_line_end(data, end_max.saturating_sub(out.len())));
    out.truncate(end_max);
    out.push(b'\n');
}

/// Appends what is logged of `data`: its first [`DATA_BYTES_MAX`] bytes up to the first CR or LF, masked and escaped.
///
/// Bytes from 0x80 become `.`, as in Pen. Other control characters are written as Apache writes them in a request
/// (`\t`, `\x1b`), where Pen left them raw. Quotes and backslashes stay as they are, as in Pen. So a plain request
/// reads the same in both programs, and writing something already written changes nothing but its length.
pub fn write_data(out: &mut Vec<u8>, data: &[u8]) {
    let start = &data[..data.len().min(DATA_BYTES_MAX)];
    if are_printable(start) {
        return out.extend_from_slice(start);
    }
    write_escaped(out, until_line_end(start, start.len()));
}

/// Appends `bytes` masked and escaped like [`write_data`], whatever their length; a CR or LF is escaped as well.
pub fn write_escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    if are_printable(bytes) {
        return out.extend_from_slice(bytes);
    }
    for &byte in bytes {
        match byte {
            b' '..=b'~' => out.push(byte),
            0x80.. => out.push(b'.'),
            _ => write_escape(out, byte),
        }
    }
}

/// Reads a line of pen's log, with or without its line end. `None` when it is not one.
pub fn parse_line(line: &[u8]) -> Option<LogLine<'_>> {
    let (client, rest) = split_blank(without_line_end(line))?;
    let (epoch, rest) = split_blank(rest)?;
    let (server, data) = split_blank(rest)?;
    if server.is_empty() {
        return None;
    }
    Some(LogLine { client, epoch_seconds: parse_decimal(epoch)?, server, data })
}

/// Reads a datagram that pen sent. `None` when it is not one: penlogd receives web log lines on the same port.
pub fn parse_datagram(datagram: &[u8]) -> Option<Datagram<'_>> {
    let fields = datagram.strip_prefix(b"+ ")?;
    let (client, rest) = split_blank(until_line_end(fields, fields.len()))?;
    let (server, data) = split_blank(rest)?;
    if server.is_empty() {
        return None;
    }
    Some(Datagram { client, server, data })
}

/// At most `bytes_max` bytes of `data`, and nothing from the first CR or LF on.
fn until_line_end(data: &[u8], bytes_max: usize) -> &[u8] {
    let data = &data[..data.len().min(bytes_max)];
    match position_of(data, *b"\r\n") {
        Some(end) => &data[..end],
        None => data,
    }
}

fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn split_blank(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let blank = position_of(text, [b' '])?;
    Some((&text[..blank], &text[blank + 1..]))
}

/// Where the first of these bytes is. Looks at eight bytes at a time.
pub(crate) fn position_of<const N: usize>(text: &[u8], wanted: [u8; N]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH_BITS: u64 = ONES << 7;
    let (words, tail) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // A byte that is wanted becomes zero, and only of a zero byte the high bit is set: of the first one for sure.
        let found = wanted.iter().fold(0, |found, &byte| {
            let zero_where_wanted = word ^ (ONES * u64::from(byte));
            found | (zero_where_wanted.wrapping_sub(ONES) & !zero_where_wanted & HIGH_BITS)
        });
        if found != 0 {
            return Some(index * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let in_tail = tail.iter().position(|byte| wanted.contains(byte))?;
    Some(words.len() * 8 + in_tail)
}

/// Whether there is nothing but printable ASCII. Looks at all bytes in any case, many at a time: nearly every line is
/// printable, and a loop that may stop early goes byte by byte.
pub(crate) fn are_printable(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |printable, byte| printable & matches!(byte, b' '..=b'~'))
}

/// The escapes of Apache's logs: a letter where C has a common one, else two hexadecimal digits.
pub(crate) fn write_escape(out: &mut Vec<u8>, byte: u8) {
    let letter = match byte {
        0x08 => b'b',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x0b => b'v',
        _ => {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            let digit = |nibble: u8| HEX[usize::from(nibble)];
            out.extend_from_slice(&[b'\\', b'x', digit(byte >> 4), digit(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', letter]);
}

/// A field that ends at a blank must hold none: a Unix socket path may.
fn write_field(out: &mut Vec<u8>, field: &[u8]) {
    for &byte in field {
        match byte {
            b'!'..=b'~' => out.push(byte),
            0x80.. => out.push(b'.'),
            _ => write_escape(out, byte),
        }
    }
}

/// The same text as `ClientAddr`'s `Display`.
fn write_client(out: &mut Vec<u8>, client: ClientAddr) {
    match client {
        ClientAddr::Ip(address) => write_address(out, address),
        ClientAddr::Unix => {}
    }
}

/// Appends an address as its `Display` writes it, but several times faster.
pub fn write_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => write_v4(out, v4),
        IpAddr::V6(v6) => write_v6(out, v6),
    }
}

fn write_v4(out: &mut Vec<u8>, v4: Ipv4Addr) {
    for (i, octet) in v4.octets().into_iter().enumerate() {
        if i > 0 {
            out.push(b'.');
        }
        write_decimal(out, u64::from(octet));
    }
}

/// RFC 5952: the first longest run of two or more zero groups becomes `::`.
fn write_v6(out: &mut Vec<u8>, v6: Ipv6Addr) {
    if let Some(v4) = v6.to_ipv4_mapped() {
        out.extend_from_slice(b"::ffff:");
        return write_v4(out, v4);
    }
    let groups = v6.segments();
    match longest_zero_run(&groups) {
        Some((start, end)) => {
            write_groups(out, &groups[..start]);
            out.extend_from_slice(b"::");
            write_groups(out, &groups[end..]);
        }
        None => write_groups(out, &groups),
    }
}

fn longest_zero_run(groups: &[u16; 8]) -> Option<(usize, usize)> {
    let mut longest = (0, 0);
    let mut start = 0;
    for (i, &group) in groups.iter().enumerate() {
        if group != 0 {
            start = i + 1;
        } else if i + 1 - start > longest.1 - longest.0 {
            longest = (start, i + 1);
        }
    }
    (longest.1 - longest.0 >= 2).then_some(longest)
}

fn write_groups(out: &mut Vec<u8>, groups: &[u16]) {
    for (i, &group) in groups.iter().enumerate() {
        if i > 0 {
            out.push(b':');
        }
        write_hexadecimal(out, group);
    }
}

fn write_hexadecimal(out: &mut Vec<u8>, number: u16) {
    let digits = (4 - number.leading_zeros() / 4).max(1);
    for i in (0..digits).rev() {
        let nibble = (number >> (4 * i) & 15) as u8;
        out.push(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 });
    }
}

fn write_decimal(out: &mut Vec<u8>, mut number: u64) {
    /// `u64::MAX` has twenty digits.
    const DIGITS_MAX: usize = 20;
    let mut digits = [0; DIGITS_MAX];
    let mut start = DIGITS_MAX;
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

fn parse_decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, &byte| {
        let digit = byte.is_ascii_digit().then(|| byte - b'0')?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(client: &str, epoch_seconds: u64, server: &str, data: &[u8]) -> String {
        let mut out = Vec::new();
        write_line(&mut out, ClientAddr::Ip(client.parse().unwrap()), epoch_seconds, server, data);
        String::from_utf8(out).unwrap()
    }

    fn datagram(client: ClientAddr, server: &str, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_datagram(&mut out, client, server, data);
        out
    }

    #[test]
    fn lines_of_the_original() {
        let cases: [(&[u8], &str); 3] = [
            (b"POST /h HTTP/1.0\r\nHost: a\r\n", "127.0.0.1 1795224755 127.0.0.1 POST /h HTTP/1.0\n"),
            (b"BIN\x80\xffabc", "127.0.0.1 1795224755 127.0.0.1 BIN..abc\n"),
            (b"", "127.0.0.1 1795224755 127.0.0.1 \n"),
        ];
        for (data, expected) in cases {
            assert_eq!(line("127.0.0.1", 1795224755, "127.0.0.1", data), expected);
        }
    }

    #[test]
    fn control_characters_are_escaped_as_apache_does() {
        let written = line("::1", 0, "::2", b"\x1b[2J\t\x00\x7f\x08\x0b \"q\" \\");
        assert_eq!(written, "::1 0 ::2 \\x1b[2J\\t\\x00\\x7f\\b\\v \"q\" \\\n");
    }

    #[test]
    fn data_is_cut_at_a_hundred_bytes_of_what_was_sent() {
        let written = line("::1", 1, "::2", &[b'a'; 200]);
        assert_eq!(written.len(), "::1 1 ::2 \n".len() + DATA_BYTES_MAX);
        let escaped = line("::1", 1, "::2", &[1; 200]);
        assert_eq!(escaped.len(), "::1 1 ::2 \n".len() + DATA_BYTES_MAX * r"\x01".len());
    }

    #[test]
    fn datagrams_of_the_original() {
        let client = ClientAddr::Ip("127.0.0.1".parse().unwrap());
        let sent = datagram(client, "127.0.0.1", b"GET /short HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(sent, b"+ 127.0.0.1 127.0.0.1 GET /short HTTP/1.1\n");
        assert_eq!(datagram(client, "127.0.0.1", &[b'a'; 5000]).len(), DATAGRAM_BYTES_MAX);
    }

    #[test]
    fn what_is_no_line_is_refused() {
        for text in
            ["", "a", "a 1", "a 1 b", "a x b c", "a -1 b c", "a 1  c", "a  b c", "a 99999999999999999999 b c"]
        {
            assert_eq!(parse_line(text.as_bytes()), None, "{text:?}");
        }
        for text in ["", "+", "+ ", "+ a", "+ a b", "+ a  c", "- a b c", "+a b c d", "+ a\nb c d"] {
            assert_eq!(parse_datagram(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn a_unix_client_is_an_empty_field() {
        let mut out = Vec::new();
        write_line(&mut out, ClientAddr::Unix, 7, "/run/a b", b"x");
        assert_eq!(out, b" 7 /run/a\\x20b x\n");
        assert_eq!(parse_line(&out).unwrap().client, b"");
        assert_eq!(parse_datagram(&datagram(ClientAddr::Unix, "s", b"x")).unwrap().client, b"");
    }

    fn clients() -> impl Strategy<Value = ClientAddr> {
        let sparse = proptest::array::uniform8(prop_oneof![3 => Just(0u16), 1 => any::<u16>()]);
        prop_oneof![
            any::<u32>().prop_map(|bits| ClientAddr::Ip(Ipv4Addr::from_bits(bits).into())),
            sparse.prop_map(|groups| ClientAddr::Ip(Ipv6Addr::from(groups).into())),
            any::<u32>().prop_map(|bits| ClientAddr::Ip(Ipv4Addr::from_bits(bits).to_ipv6_mapped().into())),
            Just(ClientAddr::Unix),
        ]
    }

    fn hostile_bytes() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![6 => b' '..=b'~', 1 => any::<u8>()];
        proptest::collection::vec(byte, 0..1200)
    }

    proptest! {
        #[test]
        fn a_written_line_reads_back(
            client in clients(),
            epoch_seconds: u64,
            server in "[!-~]{1,40}",
            data in hostile_bytes(),
        ) {
            let mut out = b"before".to_vec();
            write_line(&mut out, client, epoch_seconds, &server, &data);
            let line = out.strip_prefix(b"before").unwrap();
            let mut escaped = Vec::new();
            write_escaped(&mut escaped, until_line_end(&data, DATA_BYTES_MAX));
            prop_assert_eq!(line.iter().position(|&byte| byte == b'\n'), Some(line.len() - 1));
            prop_assert!(are_printable(&line[..line.len() - 1]));
            let client = client.to_string();
            prop_assert_eq!(parse_line(line), Some(LogLine {
                client: client.as_bytes(),
                epoch_seconds,
                server: server.as_bytes(),
                data: &escaped,
            }));
        }

        #[test]
        fn a_written_datagram_reads_back(client in clients(), server in "[!-~]{1,40}", data in hostile_bytes()) {
            let sent = datagram(client, &server, &data);
            prop_assert!(sent.len() <= DATAGRAM_BYTES_MAX);
            let read = parse_datagram(&sent).unwrap();
            let client = client.to_string();
            prop_assert_eq!(read.client, client.as_bytes());
            prop_assert_eq!(read.server, server.as_bytes());
            prop_assert!(until_line_end(&data, data.len()).starts_with(read.data));
            let whole = read.data.len() == until_line_end(&data, data.len()).len();
            prop_assert!(whole || sent.len() == DATAGRAM_BYTES_MAX);
        }

        #[test]
        fn any_server_text_keeps_a_datagram_within_its_size(client in clients(), server in ".{0,1200}") {
            let sent = datagram(client, &server, b"data");
            prop_assert!(sent.len() <= DATAGRAM_BYTES_MAX && sent.ends_with(b"\n"));
        }

        #[test]
        fn the_first_of_several_bytes_is_found(text in proptest::collection::vec(prop_oneof![
            Just(b'"'), Just(b'\\'), Just(b'!'), Just(b'#'), Just(0xa2), any::<u8>()
        ], 0..30), wanted: [u8; 2]) {
            for wanted in [wanted, *b"\"\\"] {
                let expected = text.iter().position(|byte| wanted.contains(byte));
                prop_assert_eq!(position_of(&text, wanted), expected);
            }
        }

        #[test]
        fn escaping_twice_changes_nothing(data in hostile_bytes()) {
            let (mut once, mut twice) = (Vec::new(), Vec::new());
            write_escaped(&mut once, &data);
            write_escaped(&mut twice, &once);
            prop_assert_eq!(once, twice);
        }

        #[test]
        fn no_input_makes_a_parser_fall(text in hostile_bytes()) {
            let _ = (parse_line(&text), parse_datagram(&text));
        }
    }
}
