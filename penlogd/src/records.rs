//! From datagrams to the lines of the joined log.
//!
//! Owns which datagram is what and the rewriting of web log lines. Pure: time is an argument, lines go into the
//! caller's buffer. Called by `main` for every datagram, whoever sent it; nothing that is in one can do more than be
//! dropped.

use std::net::IpAddr;

use pen_proto::{logline, weblog};

use crate::cache::Cache;

/// What came in, since the start.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub pen_lines: u64,
    pub web_lines: u64,
    /// Of the web lines, those that got their client.
    pub matched: u64,
    /// Neither the one nor the other.
    pub bogus: u64,
}

pub struct Records {
    cache: Cache,
    pub counts: Counts,
    key: Vec<u8>,
}

/// Why a line was dropped; the sentence is the original's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bogus {
    PenLine,
    WebLine,
}

impl Bogus {
    pub fn sentence(self) -> &'static str {
        match self {
            Bogus::PenLine => "discarding bogus pen line",
            Bogus::WebLine => "bogus web line",
        }
    }
}

impl Records {
    pub fn new(cache: Cache) -> Records {
        Records { cache, counts: Counts::default(), key: Vec::new() }
    }

    /// How many of pen's lines are remembered.
    pub fn cached_entries(&self) -> usize {
        self.cache.entries()
    }

    /// Takes one datagram, a line or several, from `source`: what pen sent is remembered; what a web server sent is
    /// appended to `out`, with the client that pen saw where it is known. `bogus` hears of lines that are neither.
    pub fn take(
        &mut self,
        source: IpAddr,
        datagram: &[u8],
        now_seconds: u64,
        out: &mut Vec<u8>,
        mut bogus: impl FnMut(Bogus, &[u8]),
    ) {
        for line in datagram.split(|&byte| byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let taken = match line {
                [] => continue,
                [b'+', ..] => self.take_pen_line(line, now_seconds).ok_or(Bogus::PenLine),
                _ => self.take_web_line(source, line, now_seconds, out).ok_or(Bogus::WebLine),
            };
            if let Err(why) = taken {
                self.counts.bogus += 1;
                bogus(why, line);
            }
        }
    }

    /// Only addresses count, as pen sends them: looking up a name that anybody can send would let anybody stop the
    /// log for as long as a name server takes.
    fn take_pen_line(&mut self, line: &[u8], now_seconds: u64) -> Option<()> {
        let line = logline::parse_datagram(line)?;
        let server = parse_address(line.server)?;
        // Pen itself sends what came in; we compare it as it would be logged.
        self.key.clear();
        logline::write_data(&mut self.key, line.data);
        // A client of a Unix socket has no address to put in the place of the web server's.
        if !line.client.is_empty() {
            let client = parse_address(line.client)?;
            self.cache.insert(server, &self.key, client, now_seconds);
        }
        self.counts.pen_lines += 1;
        Some(())
    }

    fn take_web_line(
        &mut self,
        source: IpAddr,
        line: &[u8],
        now_seconds: u64,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let (place, request) = weblog::find_request(line)?;
        match self.client_of(source, &line[request], now_seconds) {
            Some(client) => {
                let place = place?;
                weblog::write_visible(out, &line[..place.start]);
                logline::write_address(out, client);
                weblog::write_visible(out, &line[place.end..]);
                self.counts.matched += 1;
            }
            None => weblog::write_visible(out, line),
        }
        out.push(b'\n');
        self.counts.web_lines += 1;
        Some(())
    }

    fn client_of(&mut self, server: IpAddr, request: &[u8], now_seconds: u64) -> Option<IpAddr> {
        // A client that asked for nothing is nobody in particular.
        if request.is_empty() {
            return None;
        }
        self.key.clear();
        weblog::write_as_pen_data(&mut self.key, request);
        let unescaped = self.cache.client_of(server, &self.key, now_seconds);
        if unescaped.is_some() || !request.contains(&b'\\') {
            return unescaped;
        }
        // Not every web server escapes: a backslash may be just that.
        self.key.clear();
        logline::write_data(&mut self.key, request);
        self.cache.client_of(server, &self.key, now_seconds)
    }
}

/// An IPv4 address that comes as an IPv6 one is the IPv4 address.
fn parse_address(text: &[u8]) -> Option<IpAddr> {
    let address: IpAddr = str::from_utf8(text).ok()?.parse().ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pen_proto::addr::ClientAddr;
    use proptest::prelude::*;

    struct Join {
        records: Records,
        out: Vec<u8>,
        bogus: Vec<(Bogus, String)>,
    }

    impl Join {
        fn new() -> Join {
            Join { records: Records::new(Cache::new(1000, 0)), out: Vec::new(), bogus: Vec::new() }
        }

        fn take(&mut self, source: &str, datagram: impl AsRef<[u8]>) {
            let Join { records, out, bogus } = self;
            records.take(source.parse().unwrap(), datagram.as_ref(), 0, out, |why, line| {
                bogus.push((why, String::from_utf8_lossy(line).into_owned()));
            });
        }

        fn written(&mut self) -> String {
            String::from_utf8(std::mem::take(&mut self.out)).unwrap()
        }

        /// What becomes of a line of the web server 127.0.0.1.
        fn joined(&mut self, line: impl AsRef<[u8]>) -> String {
            self.take("127.0.0.1", line);
            self.written()
        }
    }

    #[test]
    fn the_example_of_the_original() {
        let mut join = Join::new();
        let web_line = "127.0.0.1 - - [09/Jan/2002:00:28:50 +0100] \"GET /index.html HTTP/1.1\" 200 12\n";
        join.take("127.0.0.1", "+ 10.1.1.1 127.0.0.1 GET /index.html HTTP/1.1\n");
        assert_eq!(join.joined(web_line), web_line.replacen("127.0.0.1", "10.1.1.1", 1));
        join.take("127.0.0.2", web_line);
        assert_eq!(join.written(), web_line);
        join.take("127.0.0.1", "+ 2001:db8::7 127.0.0.1 GET /v6 HTTP/1.1\n");
        assert_eq!(
            join.joined("127.0.0.1 - - [t] \"GET /v6 HTTP/1.1\" 200 5"),
            "2001:db8::7 - - [t] \"GET /v6 HTTP/1.1\" 200 5\n"
        );
        assert_eq!(
            join.joined("127.0.0.1 - - [x] \"GET /ind\" 200 1\n"),
            "10.1.1.1 - - [x] \"GET /ind\" 200 1\n"
        );
        assert_eq!(join.records.counts, Counts { pen_lines: 2, web_lines: 4, matched: 3, bogus: 0 });
    }

    #[test]
    fn bogus_lines_are_told_and_dropped() {
        let mut join = Join::new();
        for line in ["+", "+ 1.2.3.4 nosuch GET /", "+ x 127.0.0.1 GET /", "+ 1.2.3.4 127.0.0.1"] {
            join.take("127.0.0.1", line);
            assert_eq!(join.bogus.pop(), Some((Bogus::PenLine, line.to_owned())));
        }
        for line in ["one \"quote", "none", " "] {
            join.take("127.0.0.1", line);
            assert_eq!(join.bogus.pop(), Some((Bogus::WebLine, line.to_owned())));
        }
        assert_eq!(join.written(), "");
        assert_eq!(join.records.counts, Counts { bogus: 7, ..Counts::default() });
    }

    #[test]
    fn a_match_needs_a_place_for_the_client() {
        let mut join = Join::new();
        assert_eq!(join.joined("\"no\"blank"), "\"no\"blank\n");
        join.take("127.0.0.1", "+ 10.0.0.1 127.0.0.1 nothing");
        assert_eq!(join.joined("\"no\"blank"), "");
        assert_eq!(join.bogus.pop(), Some((Bogus::WebLine, "\"no\"blank".to_owned())));
    }

    #[test]
    fn every_line_of_a_datagram_counts() {
        let mut join = Join::new();
        join.take("127.0.0.1", "+ 10.0.0.1 127.0.0.1 GET /a\n+ 10.0.0.2 127.0.0.1 GET /b\n");
        assert_eq!(
            join.joined("w \"GET /a\" 1\r\n\nw \"GET /b\" 2"),
            "10.0.0.1 \"GET /a\" 1\n10.0.0.2 \"GET /b\" 2\n"
        );
    }

    #[test]
    fn a_server_is_the_same_in_all_its_forms() {
        let mut join = Join::new();
        join.take("::1", "+ ::ffff:10.0.0.1 ::ffff:127.0.0.1 GET /a\n");
        assert_eq!(join.joined("w \"GET /a\" 1"), "10.0.0.1 \"GET /a\" 1\n");
        join.take("::1", "+ 10.0.0.2 2001:DB8:0::1 GET /a\n");
        join.take("2001:db8::1", "w \"GET /a\" 1");
        assert_eq!(join.written(), "10.0.0.2 \"GET /a\" 1\n");
    }

    #[test]
    fn clients_of_unix_sockets_have_no_address() {
        let mut join = Join::new();
        join.take("127.0.0.1", "+  127.0.0.1 GET /a\n");
        assert_eq!(join.joined("w \"GET /a\" 1"), "w \"GET /a\" 1\n");
        assert!(join.bogus.is_empty());
    }

    #[test]
    fn the_client_is_found_whatever_is_around_it() {
        const REST: &str = r#" [09/Jan/2002:00:28:50 +0100] "GET /a HTTP/1.1" 200 5 "-" "-""#;
        let mut join = Join::new();
        join.take("127.0.0.1", "+ 10.0.0.1 127.0.0.1 GET /a HTTP/1.1\n");
        for names in ["- -", "- \"\"", "- u[x", "- a b", r#"- \"GET /"#] {
            for site in ["", "example.org:80 ", "example.org "] {
                let line = format!("{site}127.0.0.9 {names}{REST}");
                assert_eq!(join.joined(&line), format!("{site}10.0.0.1 {names}{REST}\n"));
            }
        }
    }

    #[test]
    fn an_empty_request_is_nobodys() {
        let mut join = Join::new();
        join.take("127.0.0.1", "+ 10.0.0.1 127.0.0.1 GET /a HTTP/1.1\n");
        let line = "w - - [09/Jan/2002:00:28:50 +0100] \"\" 400 0";
        assert_eq!(join.joined(line), format!("{line}\n"));
        assert_eq!(join.records.counts.matched, 0);
    }

    #[test]
    fn long_requests_match_by_what_pen_logs_of_them() {
        let mut join = Join::new();
        let request = format!("GET /{} HTTP/1.1", "x".repeat(300));
        join.take("127.0.0.1", format!("+ 10.0.0.1 127.0.0.1 {request}\n"));
        assert_eq!(join.joined(format!("w \"{request}\" 1")), format!("10.0.0.1 \"{request}\" 1\n"));
    }

    #[test]
    fn quotes_and_control_characters_match_and_are_made_visible() {
        let mut join = Join::new();
        join.take("127.0.0.1", b"+ 10.0.0.1 127.0.0.1 GET /\"\x1b[2J\xff\\\n");
        let web_line = r#"w "GET /\"\x1b[2J\xff\\" 1"#;
        assert_eq!(join.joined(web_line), web_line.replacen('w', "10.0.0.1", 1) + "\n");
        assert_eq!(join.joined(b"w \"GET /\x1b[2J\" 1"), "w \"GET /\\x1b[2J\" 1\n");
    }

    #[test]
    fn backslashes_of_writers_that_do_not_escape_match_too() {
        let mut join = Join::new();
        join.take("127.0.0.1", r"+ 10.0.0.1 127.0.0.1 GET /a\\b");
        assert_eq!(join.joined(r#"w "GET /a\\b" 1"#), "10.0.0.1 \"GET /a\\\\b\" 1\n");
    }

    proptest! {
        #[test]
        fn what_pen_sends_is_found(client: u32, sent in "[ -~]{1,200}") {
            let mut join = Join::new();
            let client = ClientAddr::Ip(std::net::Ipv4Addr::from_bits(client).into());
            let mut datagram = Vec::new();
            logline::write_datagram(&mut datagram, client, "127.0.0.1", sent.as_bytes());
            join.take("127.0.0.1", datagram);
            let escaped = sent.replace('\\', r"\\").replace('"', "\\\"");
            let joined = join.joined(format!("w - - [t] \"{escaped}\" 200 1"));
            prop_assert_eq!(joined, format!("{client} - - [t] \"{escaped}\" 200 1\n"));
        }

        #[test]
        fn no_datagram_does_harm(datagrams in proptest::collection::vec(
            (any::<[u8; 4]>(), prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..300),
                "\\+? ?[0-9.:]{0,12} [0-9.:]{0,12} [A-Z\"\\\\\u{1b}\u{9b}]{0,20}\n?".prop_map(String::into_bytes),
            ]),
            0..20,
        )) {
            let mut join = Join::new();
            for (source, datagram) in datagrams {
                join.take(&std::net::Ipv4Addr::from(source).to_string(), datagram);
            }
            let written = join.written();
            prop_assert!(written.is_empty() || written.ends_with('\n'));
            prop_assert!(written.chars().all(|character| character == '\n' || !character.is_control()));
        }
    }
}
