//! SRV records (RFC 2782): on which hosts and ports a service is, asked of the name servers in `/etc/resolv.conf`.
//!
//! The system's library answers questions for addresses only. This asks by UDP, again over TCP when an answer was cut
//! off, one name server after the other. Blocks: for start-up and helper threads, never for a worker. The crate
//! `simple-dns` writes the question and reads the answer.

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// Targets taken of an answer, the most wanted first.
pub const TARGETS_MAX: usize = 64;
/// As many as the system's library asks.
const NAME_SERVERS_MAX: usize = 3;
const PORT: u16 = 53;
/// An answer by UDP to a question that offers no more (RFC 1035).
const DATAGRAM_BYTES_MAX: usize = 512;
/// Datagrams that are no answer to the question, before a name server is given up.
const STRAY_MAX: usize = 16;

/// A host that offers the service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// Smallest is used first.
    pub priority: u16,
    pub host: String,
    pub port: u16,
    pub weight: u16,
}

/// Which name servers are asked, and how patiently.
#[derive(Debug, PartialEq, Eq)]
struct Resolver {
    servers: Vec<IpAddr>,
    timeout: Duration,
    attempts: u32,
}

/// The targets of a service such as `_mysql._tcp.example.org`, by priority.
///
/// # Errors
/// What is wrong with the name, or that no name server has answered.
pub fn look_up(service: &str) -> Result<Vec<Target>, String> {
    let resolver = Resolver::read(&fs::read_to_string("/etc/resolv.conf").unwrap_or_default());
    resolver.look_up(service).map_err(|reason| format!("srv:{service}: {reason}"))
}

impl Resolver {
    /// What resolv.conf(5) says; without a name server, the one of this host.
    fn read(text: &str) -> Resolver {
        let mut resolver = Resolver { servers: Vec::new(), timeout: Duration::from_secs(5), attempts: 2 };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") if resolver.servers.len() < NAME_SERVERS_MAX => {
                    resolver.servers.extend(words.next().and_then(|word| word.parse::<IpAddr>().ok()));
                }
                Some("options") => words.for_each(|option| resolver.take_option(option)),
                _ => {}
            }
        }
        if resolver.servers.is_empty() {
            resolver.servers.push(Ipv4Addr::LOCALHOST.into());
        }
        resolver
    }

    /// Within the bounds that the system's library has.
    fn take_option(&mut self, option: &str) {
        match option.split_once(':').map(|(name, value)| (name, value.parse::<u32>())) {
            Some(("timeout", Ok(seconds))) => {
                self.timeout = Duration::from_secs(seconds.clamp(1, 30).into());
            }
            Some(("attempts", Ok(attempts))) => self.attempts = attempts.clamp(1, 5),
            _ => {}
        }
    }

    fn look_up(&self, service: &str) -> Result<Vec<Target>, String> {
        // Nobody else can foresee the number, nor the port that the question goes out from.
        let id = RandomState::new().hash_one(service) as u16;
        let question = question(id, service).map_err(|error| format!("no name of a service: {error}"))?;
        let mut last = String::from("no answer");
        for _ in 0..self.attempts {
            for server in &self.servers {
                let server = SocketAddr::new(*server, PORT);
                match self.ask(server, id, &question).and_then(|answer| targets(id, service, &answer)) {
                    Ok(targets) => return Ok(targets),
                    Err(Trouble::Final(reason)) => return Err(reason),
                    Err(Trouble::OfServer(reason)) => last = reason,
                }
            }
        }
        Err(last)
    }

    fn ask(&self, server: SocketAddr, id: u16, question: &[u8]) -> Result<Vec<u8>, Trouble> {
        let answer = self.ask_by_udp(server, id, question)?;
        let is_cut = Packet::parse(&answer).is_ok_and(|answer| answer.has_flags(PacketFlag::TRUNCATION));
        // One that cannot be parsed may be cut off in the middle of a record.
        let is_cut = is_cut || answer.get(2).is_some_and(|flags| flags & 2 != 0);
        Ok(if is_cut { self.ask_by_tcp(server, question)? } else { answer })
    }

    fn ask_by_udp(&self, server: SocketAddr, id: u16, question: &[u8]) -> io::Result<Vec<u8>> {
        let any: SocketAddr = if server.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
        let socket = UdpSocket::bind(any)?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(self.timeout))?;
        socket.send(question)?;
        let mut answer = [0; DATAGRAM_BYTES_MAX];
        for _ in 0..STRAY_MAX {
            let count = socket.recv(&mut answer)?;
            if answer[..count].starts_with(&id.to_be_bytes()) {
                return Ok(answer[..count].to_vec());
            }
        }
        Err(io::Error::other("answers to questions that nobody asked"))
    }

    fn ask_by_tcp(&self, server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&server, self.timeout)?;
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        let length = (question.len() as u16).to_be_bytes();
        stream.write_all(&[&length, question].concat())?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut answer = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    }
}

enum Trouble {
    /// Another name server may know more.
    OfServer(String),
    /// Every name server would say so.
    Final(String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::OfServer(match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer from the name server".into(),
            _ => error.to_string(),
        })
    }
}

fn question(id: u16, service: &str) -> simple_dns::Result<Vec<u8>> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let (name, class) = (Name::new(service)?, QCLASS::CLASS(CLASS::IN));
    packet.questions.push(Question::new(name, QTYPE::TYPE(TYPE::SRV), class, false));
    packet.build_bytes_vec()
}

/// What an answer says, by priority.
fn targets(id: u16, service: &str, answer: &[u8]) -> Result<Vec<Target>, Trouble> {
    let nonsense = || Trouble::OfServer("the name server's answer makes no sense".into());
    let answer = Packet::parse(answer).map_err(|_| nonsense())?;
    let wanted = Name::new(service).map_err(|_| nonsense())?;
    let is_asked = |question: &Question<'_>| {
        question.qname == wanted && matches!(question.qtype, QTYPE::TYPE(TYPE::SRV))
    };
    if answer.id() != id || !answer.has_flags(PacketFlag::RESPONSE) || !answer.questions.iter().any(is_asked)
    {
        return Err(nonsense());
    }
    match answer.rcode() {
        RCODE::NoError => {}
        RCODE::NameError => return Err(Trouble::Final("no such name".into())),
        code => return Err(Trouble::OfServer(format!("the name server cannot tell ({code:?})"))),
    }
    let mut targets: Vec<Target> = answer
        .answers
        .iter()
        .filter_map(|record| match &record.rdata {
            RData::SRV(srv) => Some(Target {
                priority: srv.priority,
                host: srv.target.to_string(),
                port: srv.port,
                weight: srv.weight,
            }),
            _ => None,
        })
        // A single dot: the service is not there (RFC 2782).
        .filter(|target| !target.host.is_empty() && target.host != "." && target.port != 0)
        .collect();
    targets.sort();
    targets.truncate(TARGETS_MAX);
    match targets.is_empty() {
        true => Err(Trouble::Final("no server offers this service".into())),
        false => Ok(targets),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::SRV;

    const SERVICE: &str = "_mysql._tcp.example.org";

    #[test]
    fn resolv_conf_is_followed() {
        let read = Resolver::read(
            "# comment\nsearch example.org\nnameserver 192.0.2.1\nnameserver nonsense\nnameserver 2001:db8::1\noptions \
             ndots:2 timeout:1 attempts:99\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n",
        );
        let servers: Vec<String> = read.servers.iter().map(IpAddr::to_string).collect();
        assert_eq!(servers, ["192.0.2.1", "2001:db8::1", "192.0.2.3"]);
        assert_eq!((read.timeout, read.attempts), (Duration::from_secs(1), 5));
        assert_eq!(Resolver::read("").servers, [IpAddr::from([127, 0, 0, 1])]);
    }

    fn answer(id: u16, name: &'static str, records: &[(u16, u16, u16, &'static str)]) -> Vec<u8> {
        let asked = question(id, name).unwrap();
        let mut packet = Packet::parse(&asked).unwrap().into_reply();
        for (priority, weight, port, target) in records {
            let (priority, weight, port) = (*priority, *weight, *port);
            let rdata = RData::SRV(SRV { priority, weight, port, target: Name::new(target).unwrap() });
            packet.answers.push(ResourceRecord::new(Name::new(name).unwrap(), CLASS::IN, 60, rdata));
        }
        packet.build_bytes_vec_compressed().unwrap()
    }

    fn told(id: u16, answer: &[u8]) -> Result<Vec<String>, String> {
        let show = |target: &Target| {
            format!("{} {} {}:{}", target.priority, target.weight, target.host, target.port)
        };
        match targets(id, SERVICE, answer) {
            Ok(targets) => Ok(targets.iter().map(show).collect()),
            Err(Trouble::OfServer(reason)) => Err(format!("another may know: {reason}")),
            Err(Trouble::Final(reason)) => Err(reason),
        }
    }

    #[test]
    fn targets_come_by_priority() {
        let records =
            [(20, 0, 3306, "b.example.org"), (10, 5, 3307, "a.example.org"), (10, 1, 0, "c.example.org")];
        let expected = ["10 5 a.example.org:3307", "20 0 b.example.org:3306"].map(String::from);
        assert_eq!(told(7, &answer(7, SERVICE, &records)), Ok(expected.to_vec()));
        assert_eq!(told(7, &answer(7, SERVICE, &[])), Err("no server offers this service".into()));
        let many = [(1, 1, 1, "a.example.org"); 100];
        assert_eq!(told(7, &answer(7, SERVICE, &many)).unwrap().len(), TARGETS_MAX);
    }

    #[test]
    fn answers_to_other_questions_are_none() {
        let records = [(10, 5, 3307, "a.example.org")];
        let nonsense = Err("another may know: the name server's answer makes no sense".into());
        assert_eq!(told(8, &answer(7, SERVICE, &records)), nonsense);
        assert_eq!(told(7, &answer(7, "_other._tcp.example.org", &records)), nonsense);
        assert_eq!(told(7, &question(7, SERVICE).unwrap()), nonsense);
        assert_eq!(told(7, b""), nonsense);
    }

    proptest! {
        #[test]
        fn any_answer_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..600), at in 0usize..100) {
            let _ = told(7, &bytes);
            let mut right = answer(7, SERVICE, &[(10, 5, 3307, "a.example.org")]);
            for (place, byte) in right.iter_mut().skip(at).zip(&bytes) {
                *place = *byte;
            }
            let _ = told(7, &right);
        }
    }
}
