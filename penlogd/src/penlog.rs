//! penlog: sends a web server's log to penlogd, line by line, while it is written.
//!
//! Owns everything about that: it is meant to run for as long as the web server, behind a pipe, and to end with it.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::process::ExitCode;

use getopts::{Options, ParsingStyle};

const USAGE: &str = "Usage: penlog server_ip server_port [my_ip]\n";

const HELP: &str = "
Sends every line of standard input to the penlogd at server_ip and server_port,
from the address my_ip if given. That address has to be the one by which pen
knows this web server.

  -s bytes      cut lines so that datagrams are no longer, 64..65507 [1024]
      --help    this text
      --version name and version
";

/// What every penlogd takes.
const DATAGRAM_BYTES_DEFAULT: usize = 1024;

/// What fits into an IPv4 datagram: 65535 bytes less the IP and UDP headers.
const DATAGRAM_BYTES_MAX: usize = 65_507;

/// Leaves room for the fields before the request.
const DATAGRAM_BYTES_MIN: usize = 64;

fn main() -> ExitCode {
    let arguments = pen_sys::program::arguments().map_err(|error| format!("penlog: {error}"));
    match arguments.and_then(|arguments| parse(&arguments)).and_then(obey) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A standard error that is gone leaves the exit status to tell.
            let _ = writeln!(io::stderr(), "{}", error.trim_end());
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Request {
    Show(String),
    Send(Settings),
}

#[derive(Debug, PartialEq, Eq)]
struct Settings {
    host: String,
    port: u16,
    my_ip: Option<String>,
    datagram_bytes_max: usize,
}

fn parse(arguments: &[String]) -> Result<Request, String> {
    let mut letters = Options::new();
    letters.parsing_style(ParsingStyle::StopAtFirstFree);
    letters.optopt("s", "", "", "").optflag("", "help", "").optflag("", "version", "");
    let given = letters.parse(arguments).map_err(|error| format!("penlog: {error}\n{USAGE}"))?;
    if given.opt_present("help") {
        return Ok(Request::Show(format!("{USAGE}{HELP}")));
    }
    if given.opt_present("version") {
        return Ok(Request::Show(concat!("penlog (pen) ", env!("CARGO_PKG_VERSION"), "\n").to_owned()));
    }
    let ([host, port], my_ip) = match given.free.as_slice() {
        [host, port] => ([host, port], None),
        [host, port, my_ip] => ([host, port], Some(my_ip.clone())),
        _ => return Err(USAGE.to_owned()),
    };
    Ok(Request::Send(Settings {
        host: host.clone(),
        port: parse_number("server_port", port, 1, usize::from(u16::MAX))? as u16,
        my_ip,
        datagram_bytes_max: match given.opt_str("s") {
            Some(text) => parse_number("-s", &text, DATAGRAM_BYTES_MIN, DATAGRAM_BYTES_MAX)?,
            None => DATAGRAM_BYTES_DEFAULT,
        },
    }))
}

fn parse_number(name: &str, text: &str, smallest: usize, largest: usize) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (smallest..=largest).contains(number));
    number.ok_or_else(|| format!("penlog: {name}: want {smallest}..{largest}, got \"{text}\""))
}

fn obey(request: Request) -> Result<(), String> {
    match request {
        Request::Show(text) => io::stdout()
            .write_all(text.as_bytes())
            .map_err(|error| format!("penlog: standard output: {error}")),
        Request::Send(settings) => {
            let socket = connect(&settings)?;
            send_lines(io::stdin().lock(), &socket, settings.datagram_bytes_max)
        }
    }
}

/// A socket that knows where its datagrams go. Of the server's addresses it takes the first that can be had from ours.
fn connect(settings: &Settings) -> Result<UdpSocket, String> {
    let my_ip = settings.my_ip.as_deref().map(look_up_my_ip).transpose()?;
    let servers = (settings.host.as_str(), settings.port)
        .to_socket_addrs()
        .map_err(|error| format!("penlog: {}: {error}", settings.host))?;
    let mut reason = "no address of its family".to_owned();
    for server in servers.filter(|server| my_ip.is_none_or(|my_ip| my_ip.is_ipv4() == server.is_ipv4())) {
        match connect_to(server, my_ip) {
            Ok(socket) => return Ok(socket),
            Err(error) => reason = error.to_string(),
        }
    }
    let from = settings.my_ip.as_ref().map(|my_ip| format!(" from {my_ip}")).unwrap_or_default();
    Err(format!("penlog: cannot send to {} port {}{from}: {reason}", settings.host, settings.port))
}

fn look_up_my_ip(name: &str) -> Result<IpAddr, String> {
    let mut found = (name, 0).to_socket_addrs().map_err(|error| format!("penlog: {name}: {error}"))?;
    found.next().map(|address| address.ip()).ok_or_else(|| format!("penlog: {name}: no address"))
}

fn connect_to(server: SocketAddr, my_ip: Option<IpAddr>) -> io::Result<UdpSocket> {
    let any: IpAddr = if server.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let open = || {
        let socket = UdpSocket::bind((my_ip.unwrap_or(any), 0))?;
        socket.connect(server)?;
        Ok(socket)
    };
    let first: UdpSocket = open()?;
    // Where nobody listens the system may have chosen the very port of the log server, which could not start then.
    if first.local_addr()? == server { open() } else { Ok(first) }
}

fn send_lines(mut input: impl BufRead, socket: &UdpSocket, datagram_bytes_max: usize) -> Result<(), String> {
    let mut line = Vec::new();
    let mut failing = false;
    loop {
        let length = read_line(&mut input, &mut line, datagram_bytes_max)
            .map_err(|error| format!("penlog: standard input: {error}"))?;
        if length == 0 {
            return Ok(());
        }
        let sent = send(socket, &cut_line(&line, datagram_bytes_max));
        if let Err(error) = &sent
            && !failing
        {
            // The web server must not stop because of its log: the line is lost, and the first one is told.
            let _ = writeln!(io::stderr(), "penlog: {error}");
        }
        failing = sent.is_err();
    }
}

/// Reads a line with its line end, but keeps no more than one byte too many of it. Returns how long it was.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>, bytes_max: usize) -> io::Result<usize> {
    line.clear();
    let length = input.by_ref().take(bytes_max as u64 + 1).read_until(b'\n', line)?;
    if length > bytes_max && !line.ends_with(b"\n") {
        return Ok(length + input.skip_until(b'\n')?);
    }
    Ok(length)
}

/// A refusal tells that the datagram before this one found nobody; this one was not sent yet.
fn send(socket: &UdpSocket, datagram: &[u8]) -> io::Result<()> {
    match socket.send(datagram) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => socket.send(datagram),
        sent => sent,
    }
    .map(drop)
}

/// The line, or as much of it as fits, with its quotes closed and its line end: a line that ends within its request
/// would be none to penlogd.
fn cut_line(line: &[u8], bytes_max: usize) -> Cow<'_, [u8]> {
    if line.len() <= bytes_max {
        return line.into();
    }
    let end = cut_position(line, bytes_max - b"\"\n".len());
    let mut cut = line[..end].to_vec();
    if ends_quoted(&cut) {
        cut.push(b'"');
    }
    cut.push(b'\n');
    cut.into()
}

/// The last position up to `position` that is neither within an escape (`\"`, `\xhh`) nor within a UTF-8 character.
fn cut_position(line: &[u8], position: usize) -> usize {
    let mut end = 0;
    loop {
        let next = end + unit_bytes(&line[end..]);
        if next > position {
            return end;
        }
        end = next;
    }
}

/// How many bytes belong together at the beginning of a text that is not empty.
fn unit_bytes(text: &[u8]) -> usize {
    match text {
        [b'\\', b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => 4,
        [b'\\', escaped @ ..] => 1 + character_bytes(escaped),
        _ => character_bytes(text),
    }
}

fn character_bytes(text: &[u8]) -> usize {
    match text {
        [] => 0,
        [0xc0..=0xff, rest @ ..] => 1 + rest.iter().take(3).take_while(|&&byte| byte & 0xc0 == 0x80).count(),
        _ => 1,
    }
}

fn ends_quoted(line: &[u8]) -> bool {
    let mut quoted = false;
    let mut escaped = false;
    for &byte in line {
        quoted ^= byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(arguments: &str) -> Result<Request, String> {
        parse(&arguments.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn arguments() {
        let settings = Settings {
            host: "lb".to_owned(),
            port: 10000,
            my_ip: Some("10.0.0.1".to_owned()),
            datagram_bytes_max: 1024,
        };
        assert_eq!(parsed("lb 10000 10.0.0.1"), Ok(Request::Send(settings)));
        for arguments in ["", "lb", "lb 1 2 3"] {
            assert_eq!(parsed(arguments), Err(USAGE.to_owned()));
        }
        for (arguments, expected) in [
            ("lb 0", "penlog: server_port: want 1..65535, got \"0\""),
            ("lb syslog", "penlog: server_port: want 1..65535, got \"syslog\""),
            ("-s 9 lb 1", "penlog: -s: want 64..65507, got \"9\""),
        ] {
            assert_eq!(parsed(arguments), Err(expected.to_owned()));
        }
    }

    #[test]
    fn long_lines_are_read_in_pieces_and_once() {
        let mut input = "0123456789\n012345678901234\nend".as_bytes();
        let mut line = Vec::new();
        let mut read = || {
            let length = read_line(&mut input, &mut line, 11).unwrap();
            (length, String::from_utf8(line.clone()).unwrap())
        };
        assert_eq!(read(), (11, "0123456789\n".to_owned()));
        assert_eq!(read(), (16, "012345678901".to_owned()));
        assert_eq!(read(), (3, "end".to_owned()));
        assert_eq!(read().0, 0);
    }

    #[test]
    fn lines_that_fit_stay_as_they_are() {
        assert_eq!(&*cut_line(b"a \"b\n", 5), b"a \"b\n");
    }

    #[test]
    fn cutting_closes_quotes_and_splits_nothing() {
        let cut = |line: &str, bytes_max| {
            String::from_utf8(cut_line(line.as_bytes(), bytes_max).into_owned()).unwrap()
        };
        assert_eq!(cut("a \"GET /long/path HTTP/1.0\" 200\n", 12), "a \"GET /lo\"\n");
        assert_eq!(cut("a \"GET /\" 200 12345678\n", 16), "a \"GET /\" 200 \n");
        assert_eq!(cut("a \"GET /\\\"b\" 200 1\n", 11), "a \"GET /\"\n");
        assert_eq!(cut("a \"GET /\\x41\" 200 1\n", 13), "a \"GET /\"\n");
        assert_eq!(cut("a \"GET /é\" 200 1\n", 11), "a \"GET /\"\n");
    }

    proptest! {
        #[test]
        fn a_cut_line_is_short_whole_and_the_beginning(
            line in "([ -~é€]|\\\\x[0-9a-f]{2}|\\\\\"){60,400}\n",
            bytes_max in DATAGRAM_BYTES_MIN..200usize,
        ) {
            let cut = cut_line(line.as_bytes(), bytes_max);
            prop_assert!(cut.len() <= bytes_max);
            prop_assert!(str::from_utf8(&cut).is_ok() && cut.ends_with(b"\n"));
            let text = cut.strip_suffix(b"\n").unwrap();
            prop_assert!(line.as_bytes().starts_with(text) || line.as_bytes().starts_with(&text[..text.len() - 1]));
            prop_assert!(cut.len() == line.len() || !ends_quoted(text));
        }
    }
}
