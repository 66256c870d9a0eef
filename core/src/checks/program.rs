//! The language of programs that check a server: a line for each question. Pure.
//!
//! It is GLB's. The program is asked `poll` and answers a state from 0 to 3; behind it, other members of its cluster may
//! stand. Read as GLB reads it: blanks before the state, `03` and a carriage return do no harm, and an empty line is 0.

use crate::balance::Health;
use pen_proto::addr::Host;
use pen_proto::weight::Weight;
use std::net::Ipv6Addr;

/// What a program is asked.
pub const POLL: &[u8] = b"poll\n";
/// What it is told at the end.
pub const QUIT: &[u8] = b"quit\n";
/// Bytes of an answer.
pub const LINE_BYTES_MAX: usize = 4095;
/// Members of one answer; more are passed over.
pub const MEMBERS_MAX: usize = 256;
/// What a node of Galera says for an address that it does not know.
const UNKNOWN_ADDRESS: &str = "AUTO";

/// How a program finds its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// 0: it is not reached.
    NotFound,
    /// 1: it is there, and is not to be used.
    NotReady,
    /// 2: it is to be used only where no other is left.
    Avoid,
    /// 3.
    Ready,
}

impl State {
    pub fn health(self) -> Health {
        match self {
            State::NotFound | State::NotReady => Health::Down,
            State::Avoid => Health::Avoid,
            State::Ready => Health::Up,
        }
    }

    /// Why a server in this state is not up; empty when it is.
    pub fn reason(self) -> &'static str {
        match self {
            State::NotFound => "the program does not reach it (state 0)",
            State::NotReady => "the program says that it is not ready (state 1)",
            State::Avoid => "the program says that it is to be avoided (state 2)",
            State::Ready => "",
        }
    }
}

/// A server that a program has named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// No Unix socket.
    pub host: Host,
    /// `None`: that of the service.
    pub port: Option<u16>,
    pub weight: Option<Weight>,
}

/// A line of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub state: State,
    /// In the order of the line, each once.
    pub members: Vec<Member>,
}

impl Answer {
    /// Reads a line without its end. Members that cannot be understood are passed over.
    ///
    /// # Errors
    /// It begins with no state: what it begins with, made harmless.
    pub fn parse(line: &[u8]) -> Result<Answer, String> {
        let text = String::from_utf8_lossy(line);
        let text = text.trim_matches(is_blank);
        let (state, rest) = text.split_once(is_blank).unwrap_or((text, ""));
        let number = match state {
            "" => Some(0),
            state if state.bytes().all(|byte| byte.is_ascii_digit()) => state.parse::<u64>().ok(),
            _ => None,
        };
        let state = match number {
            Some(0) => State::NotFound,
            Some(1) => State::NotReady,
            Some(2) => State::Avoid,
            Some(3) => State::Ready,
            _ => return Err(format!("the program answers {}, want 0..3", pen_proto::addr::quoted(text))),
        };
        let mut members = Vec::new();
        for member in rest.split(|c| c == ',' || is_blank(c)).filter_map(member) {
            if members.len() < MEMBERS_MAX && !members.contains(&member) {
                members.push(member);
            }
        }
        Ok(Answer { state, members })
    }
}

fn is_blank(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\0'
}

/// `HOST[:PORT[:WEIGHT]]`. Port 0 is that of a node that takes no connections.
fn member(item: &str) -> Option<Member> {
    let (host, rest) = match item.strip_prefix('[') {
        Some(inside) => inside.split_once(']')?,
        // An IPv6 address without brackets has no port that could be told from it.
        None if item.parse::<Ipv6Addr>().is_ok() => (item, ""),
        None => item.split_at(item.find(':').unwrap_or(item.len())),
    };
    if host.is_empty() || host.eq_ignore_ascii_case(UNKNOWN_ADDRESS) {
        return None;
    }
    let host = Host::parse(host).ok().filter(|host| !host.is_unix())?;
    if matches!(host, Host::Ip(ip) if ip.is_unspecified()) {
        return None;
    }
    let mut fields = match rest {
        "" => "",
        rest => rest.strip_prefix(':')?,
    }
    .splitn(2, ':');
    let port = match fields.next().unwrap_or_default() {
        "" => None,
        port => Some(port.parse().ok().filter(|port| *port != 0)?),
    };
    let weight = fields.next().map(Weight::parse).transpose().ok()?;
    Some(Member { host, port, weight })
}

/// Puts lines together from what a program writes.
#[derive(Debug, Default)]
pub struct Lines {
    /// The line that has begun.
    begun: Vec<u8>,
}

/// A program that writes more than [`LINE_BYTES_MAX`] without an end of line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Babble;

impl Lines {
    /// Takes what came, and hands over every line that is complete, without its end.
    ///
    /// # Errors
    /// A line is too long.
    pub fn take(&mut self, mut bytes: &[u8], mut line: impl FnMut(&[u8])) -> Result<(), Babble> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.add(&bytes[..end])?;
            line(&self.begun);
            self.begun.clear();
            bytes = &bytes[end + 1..];
        }
        self.add(bytes)
    }

    fn add(&mut self, bytes: &[u8]) -> Result<(), Babble> {
        if self.begun.len() + bytes.len() > LINE_BYTES_MAX {
            return Err(Babble);
        }
        self.begun.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(line: &str) -> String {
        match Answer::parse(line.as_bytes()) {
            Err(reason) => reason,
            Ok(Answer { state, members }) => {
                let member = |member: &Member| {
                    let port = member.port.map(|port| format!(" {port}")).unwrap_or_default();
                    let weight = member.weight.map(|weight| format!(" w{weight}")).unwrap_or_default();
                    format!("{}{port}{weight}", member.host)
                };
                let members: Vec<_> = members.iter().map(member).collect();
                format!("{state:?} {}", members.join(" | ")).trim_end().to_owned()
            }
        }
    }

    #[test]
    fn states_are_read_as_glb_reads_them() {
        for (line, answer) in [
            ("3", "Ready"),
            ("  3", "Ready"),
            ("03", "Ready"),
            ("3\r", "Ready"),
            ("2", "Avoid"),
            ("1 ", "NotReady"),
            ("0 ", "NotFound"),
            ("", "NotFound"),
            ("9", "the program answers \"9\", want 0..3"),
            ("3x", "the program answers \"3x\", want 0..3"),
            ("-1", "the program answers \"-1\", want 0..3"),
            ("up\u{1b}[31m", "the program answers \"up\\x1b[31m\", want 0..3"),
            ("99999999999999999999999", "the program answers \"99999999999999999999999\", want 0..3"),
        ] {
            assert_eq!(shown(line), answer, "{line:?}");
        }
        assert_eq!(State::Ready.health(), Health::Up);
        assert_eq!([State::NotFound, State::NotReady].map(State::health), [Health::Down; 2]);
    }

    #[test]
    fn members_are_read_as_galera_writes_them() {
        for (line, members) in [
            ("3 10.99.0.1:3306,10.99.0.2:3306", "10.99.0.1 3306 | 10.99.0.2 3306"),
            ("3\ta:3306,,AUTO b", "a 3306 | b"),
            ("3 10.0.0.1:0,10.0.0.2:3306", "10.0.0.2 3306"),
            ("3 10.0.0.1:3306,10.0.0.1:3306", "10.0.0.1 3306"),
            ("3 [fd00::3]:3306,[fd00::4],fd00::5", "fd00::3 3306 | fd00::4 | fd00::5"),
            ("3 h:80:0.5,h2::2,h3:80:-1,h4:80:x,h5:99999", "h 80 w0.5 | h2 w2"),
            ("3 /run/x.sock,0.0.0.0:3306,a b:1 \"c", "a | b 1"),
            ("3 ,, ,", ""),
        ] {
            assert_eq!(shown(line), format!("Ready {members}").trim_end(), "{line}");
        }
        let many: Vec<_> = (0..300).map(|number| format!("h{number}:1")).collect();
        assert_eq!(
            Answer::parse(format!("3 {}", many.join(",")).as_bytes()).unwrap().members.len(),
            MEMBERS_MAX
        );
    }

    fn lines(pieces: &[&[u8]]) -> (Vec<String>, Result<(), Babble>) {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for piece in pieces {
            if let Err(babble) = lines.take(piece, |line| found.push(String::from_utf8_lossy(line).into())) {
                return (found, Err(babble));
            }
        }
        (found, Ok(()))
    }

    #[test]
    fn lines_come_in_pieces_or_many_at_once_and_end() {
        assert_eq!(lines(&[b"3", b"\n2\n\n1"]), (["3", "2", ""].map(String::from).to_vec(), Ok(())));
        let long = [b'3'; LINE_BYTES_MAX];
        assert_eq!(lines(&[&long, b"\n"]).0.len(), 1);
        assert_eq!(lines(&[b"3\n", &long, b"3"]), (vec!["3".into()], Err(Babble)));
    }

    proptest! {
        #[test]
        fn no_answer_is_too_strange(line in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(answer) = Answer::parse(&line) {
                prop_assert!(answer.members.len() <= MEMBERS_MAX);
                prop_assert!(answer.members.iter().all(|member| !member.host.is_unix() && member.port != Some(0)));
            }
        }
    }
}
