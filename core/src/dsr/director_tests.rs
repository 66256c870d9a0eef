//! What becomes of frames: a link of bytes, a real choice, and a clock that the tests move.

use super::super::frame::{PROTOCOL_ICMP, Payload, Question, TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN, checksum};
use super::super::link::HELD_MAX;
use super::super::reply::Segment;
use super::*;
use crate::balance::{Endpoint, Pool, SelectionKey, ServerSetup};
use pen_proto::commands::{AclEntry, AclMatch, Flag};
use proptest::prelude::*;
use std::cell::RefCell;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;

const PEN: Mac = Mac([2, 0, 0, 0, 0, 1]);
const ROUTER: Mac = Mac([2, 0, 0, 0, 0, 9]);
const SERVICE: &str = "192.0.2.10:80";

/// A service and its clients.
#[derive(Clone)]
struct Choice(Rc<RefCell<Pool>>, SelectionKey);

impl Balance for Choice {
    fn with<T>(&self, decide: impl FnOnce(&mut Chooser<'_>) -> T) -> T {
        decide(&mut self.0.borrow_mut().at(self.1))
    }
}

impl Choice {
    fn set_servers(&self, servers: Vec<ServerSetup>) {
        self.0.borrow_mut().set_servers(self.1, servers, None, None);
    }
}

fn mac_of(server: u8) -> Mac {
    Mac([2, 0, 0, 0, 1, server])
}

fn ip_of(server: u8) -> IpAddr {
    [192, 0, 2, 20 + server].into()
}

fn at(ms: u64) -> Now {
    Now { ms, epoch_seconds: 1_000_000 + (ms / 1000) as u32 }
}

/// A director with servers 1 to `count` at their places on the link.
struct Link {
    director: Director<Choice>,
    balancer: Choice,
    settings: Settings,
    now: Now,
}

impl Link {
    fn new(count: u8, protocol: Protocol, change: impl FnOnce(&mut Settings)) -> Link {
        let mut settings = Settings::default();
        change(&mut settings);
        let mut pool = Pool::new(100);
        let selection = pool.add_selection(settings.rules());
        let balancer = Choice(Rc::new(RefCell::new(pool)), selection);
        let setup = |server| ServerSetup::new(Endpoint::Host(ip_of(server)));
        balancer.set_servers((1..=count).map(setup).collect());
        let station = Station { mac: PEN, link_local: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1) };
        let service: SocketAddr = SERVICE.parse().unwrap();
        let service = Service { ip: service.ip(), port: Some(service.port()) };
        let shared = Arc::new(settings.clone());
        let mut director = Director::new(balancer.clone(), shared.clone(), station, service, protocol);
        director.set_settings(shared, at(0));
        Link { director, balancer, settings, now: at(0) }
    }

    fn with_all_there(count: u8, protocol: Protocol, change: impl FnOnce(&mut Settings)) -> Link {
        let mut link = Link::new(count, protocol, change);
        link.director.tick(link.now);
        (1..=count).for_each(|server| link.answers(server));
        link.director.take_outbox();
        link
    }

    fn set(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings);
        self.balancer.with(|chooser| chooser.set_rules(self.settings.rules()));
        self.director.set_settings(Arc::new(self.settings.clone()), self.now);
    }

    /// Lets the time pass in small steps.
    fn pass(&mut self, ms: u64) {
        for _ in 0..ms / 100 {
            self.now = at(self.now.ms + 100);
            self.director.tick(self.now);
        }
    }

    /// The same, and these servers answer whenever they are asked.
    fn pass_while_there(&mut self, seconds: u64, servers: &[u8]) {
        for _ in 0..seconds {
            self.pass(1_000);
            servers.iter().for_each(|server| self.answers(*server));
        }
    }

    /// The server's hardware address goes to pen.
    fn answers(&mut self, server: u8) {
        let station = Station { mac: mac_of(server), link_local: Ipv6Addr::LOCALHOST };
        let question =
            Question { target: ip_of(server), asker: Ipv4Addr::UNSPECIFIED.into(), asker_mac: PEN };
        assert_eq!(self.take(&station.answer(&question)), None);
    }

    /// Where pen sends a frame on to, which must be the same but for its first twelve bytes.
    fn take(&mut self, frame: &[u8]) -> Option<Mac> {
        let mut packet = vec![7; OFFLOAD_BYTES];
        packet.extend(frame);
        if !self.director.take(&mut packet, self.now) {
            return None;
        }
        assert_eq!(packet[..OFFLOAD_BYTES], [7; OFFLOAD_BYTES]);
        let frame_out = &packet[OFFLOAD_BYTES..];
        assert_eq!(frame_out[12..], frame[12..]);
        let read = parse(frame_out).unwrap();
        assert_eq!(read.source, PEN);
        Some(read.destination)
    }

    fn tcp(&mut self, client: &str, flags: u8) -> Option<u8> {
        let frame = segment(client, SERVICE, flags);
        self.take(&frame).map(server_at)
    }

    /// What pen has said since it was last asked.
    fn said(&mut self) -> Vec<Frame> {
        self.director.take_outbox().iter().map(|packet| parse(&packet[OFFLOAD_BYTES..]).unwrap()).collect()
    }

    fn connections(&self) -> Vec<u32> {
        let statuses = self.balancer.with(|chooser| chooser.server_statuses(self.now.epoch_seconds));
        statuses.iter().map(|status| status.connections).collect()
    }

    fn blacklisted(&self) -> Vec<bool> {
        let statuses = self.balancer.with(|chooser| chooser.server_statuses(self.now.epoch_seconds));
        statuses.iter().map(|status| status.blacklisted_seconds > 0).collect()
    }
}

fn server_at(mac: Mac) -> u8 {
    assert_eq!(mac.0[..5], mac_of(0).0[..5], "{mac} is no server");
    mac.0[5]
}

fn segment(from: &str, to: &str, flags: u8) -> Vec<u8> {
    let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
    let segment = Segment { from, to, sequence: 1000, acknowledged: 0, flags, window: 4321 };
    let client = Station { mac: ROUTER, link_local: Ipv6Addr::LOCALHOST };
    client.segment(PEN, &segment)
}

fn datagram(client: &str, fragment: [u8; 2]) -> Vec<u8> {
    let client: SocketAddr = client.parse().unwrap();
    let mut frame = segment(&client.to_string(), SERVICE, 0);
    frame.truncate(14 + 20 + 8);
    frame[14 + 3] = 28;
    frame[14 + 4..14 + 6].copy_from_slice(&[0x12, 0x34]);
    frame[14 + 6..14 + 8].copy_from_slice(&fragment);
    frame[14 + 9] = PROTOCOL_UDP;
    frame
}

fn question(target: &str, asker: &str) -> Vec<u8> {
    let [target, asker] = [target, asker].map(|ip| ip.parse::<IpAddr>().unwrap());
    let client = Station { mac: ROUTER, link_local: asker_v6(asker) };
    let mut frame = client.question(target, None);
    if let IpAddr::V4(asker) = asker {
        frame[28..32].copy_from_slice(&asker.octets());
    }
    frame
}

fn asker_v6(asker: IpAddr) -> Ipv6Addr {
    if let IpAddr::V6(v6) = asker { v6 } else { Ipv6Addr::UNSPECIFIED }
}

#[test]
fn clients_keep_their_server_and_their_place_until_they_end() {
    let mut link = Link::with_all_there(2, Protocol::Tcp, |_| {});
    let first = link.tcp("198.51.100.1:1000", TCP_SYN).unwrap();
    let second = link.tcp("198.51.100.2:1000", TCP_SYN).unwrap();
    assert_ne!(first, second);
    assert_eq!(link.connections(), [1, 1]);
    for flags in [TCP_ACK, TCP_ACK, TCP_SYN] {
        assert_eq!(link.tcp("198.51.100.1:1000", flags), Some(first));
    }
    assert_eq!(link.tcp("198.51.100.1:2000", TCP_SYN), Some(first), "clients are remembered");
    assert_eq!(link.connections().iter().sum::<u32>(), 3);
    assert_eq!(link.tcp("198.51.100.1:1000", TCP_FIN | TCP_ACK), Some(first));
    link.pass_while_there(20, &[1, 2]);
    assert_eq!(link.tcp("198.51.100.1:1000", TCP_ACK), Some(first), "half closed, and alive");
    link.pass_while_there(20, &[1, 2]);
    assert_eq!(link.director.flows().len(), 1, "first packets without a second are over");
    link.pass_while_there(11, &[1, 2]);
    assert_eq!(link.connections(), [0, 0]);
    let counts = link.director.counts();
    assert_eq!((counts.accepted, counts.closed, counts.idle_timeouts), (3, 3, 2));
}

#[test]
fn a_port_used_again_is_a_new_connection() {
    let mut link =
        Link::with_all_there(2, Protocol::Tcp, |settings| settings.set_flag(Flag::Roundrobin, true));
    let first = link.tcp("198.51.100.1:1000", TCP_SYN).unwrap();
    link.tcp("198.51.100.1:1000", TCP_FIN | TCP_ACK);
    let second = link.tcp("198.51.100.1:1000", TCP_SYN).unwrap();
    assert_ne!(first, second);
    assert_eq!(link.connections().iter().sum::<u32>(), 1);
}

#[test]
fn an_idle_timeout_counts_for_flows() {
    let mut link =
        Link::with_all_there(1, Protocol::Tcp, |settings| settings.set_number(Number::IdleTimeout, 5));
    link.tcp("198.51.100.1:1000", TCP_SYN);
    link.tcp("198.51.100.1:1000", TCP_ACK);
    link.pass(4_900);
    assert_eq!(link.connections(), [1]);
    link.pass(200);
    assert_eq!(link.connections(), [0]);
    assert_eq!(link.director.counts().idle_timeouts, 1);
    // What goes on afterwards belongs to the same server.
    assert_eq!(link.tcp("198.51.100.1:1000", TCP_ACK), Some(1));
}

#[test]
fn maxima_lists_and_blacklists_count() {
    let mut link = Link::with_all_there(2, Protocol::Tcp, |_| {});
    let setup = |server, max| ServerSetup { max, ..ServerSetup::new(Endpoint::Host(ip_of(server))) };
    link.balancer.set_servers(vec![setup(1, 1), setup(2, 1)]);
    assert!(link.tcp("198.51.100.1:1000", TCP_SYN).is_some());
    assert!(link.tcp("198.51.100.2:1000", TCP_SYN).is_some());
    link.said();
    assert_eq!(link.tcp("198.51.100.3:1000", TCP_SYN), None);
    let refusal = link.said();
    let [Frame { destination, content: Content::Packet(ip), .. }] = &refusal[..] else {
        panic!("{refusal:?}")
    };
    let Payload::Tcp(tcp) = ip.payload else { panic!("{ip:?}") };
    assert_eq!((*destination, tcp.flags), (ROUTER, TCP_RST | TCP_ACK), "who cannot be served is told");
    assert_eq!(link.tcp("198.51.100.3:1000", TCP_ACK), None);
    assert!(link.said().is_empty(), "only a connect is answered");
    assert_eq!(link.director.counts().rejected, 2);

    let deny = AclEntry { permit: false, what: AclMatch::V4 { address: 0xc633_6404, mask: u32::MAX } };
    link.set(|settings| {
        settings.acls[1].push(deny).unwrap();
        settings.set_number(Number::ClientAcl, 1);
    });
    assert_eq!(link.tcp("198.51.100.4:1000", TCP_SYN), None);
    assert_eq!(link.director.counts().denied, 1);
}

#[test]
fn only_what_is_for_the_service_is_touched() {
    let mut link = Link::with_all_there(1, Protocol::Tcp, |_| {});
    assert_eq!(link.take(&segment("198.51.100.1:1000", "192.0.2.10:81", TCP_SYN)), None, "another port");
    assert_eq!(link.take(&segment("198.51.100.1:1000", "192.0.2.11:80", TCP_SYN)), None, "another address");
    assert_eq!(link.take(&datagram("198.51.100.1:1000", [0, 0])), None, "another protocol");
    let mut for_others = segment("198.51.100.1:1000", SERVICE, TCP_SYN);
    for_others[5] ^= 1;
    assert_eq!(link.take(&for_others), None, "another station");
    assert_eq!(link.take(&segment("198.51.100.1:1000", SERVICE, TCP_RST)), None, "nothing to reset");
    assert!(link.said().is_empty() && link.director.flows().is_empty());
    assert_eq!(link.take(&[0; 7]), None);
    assert_eq!(link.director.counts().malformed, 1);

    link.director.serve(Service { ip: [192, 0, 2, 11].into(), port: None });
    for port in ["80", "443"] {
        let frame = segment("198.51.100.1:1000", &format!("192.0.2.11:{port}"), TCP_SYN);
        assert_eq!(link.take(&frame).map(server_at), Some(1), "all ports");
    }
}

#[test]
fn packets_wait_for_a_server_that_has_not_answered_yet() {
    let mut link = Link::new(1, Protocol::Tcp, |_| {});
    link.director.tick(link.now);
    assert!(link.said().len() >= 2, "the announcement and a question");
    assert_eq!(link.tcp("198.51.100.1:1000", TCP_SYN), None);
    link.answers(1);
    let sent = link.said();
    assert!(matches!(&sent[..], [Frame { destination, .. }] if *destination == mac_of(1)), "{sent:?}");
    assert_eq!(link.tcp("198.51.100.1:1000", TCP_ACK), Some(1));
    assert_eq!(link.director.take_news(), [News::Found(ip_of(1), mac_of(1))]);
}

#[test]
fn what_waits_is_limited_in_number_and_time() {
    let mut link = Link::new(1, Protocol::Tcp, |_| {});
    link.director.tick(link.now);
    for port in 1..=HELD_MAX + 10 {
        link.tcp(&format!("198.51.100.1:{port}"), TCP_SYN);
    }
    assert_eq!(link.director.counts().unreachable, 10);
    link.pass(HELD_MS);
    assert_eq!(link.director.counts().unreachable, 10 + HELD_MAX as u64);
    link.said();
    link.answers(1);
    assert!(link.said().is_empty());
}

#[test]
fn a_server_that_falls_silent_is_blacklisted_and_its_clients_move() {
    let mut link = Link::with_all_there(2, Protocol::Tcp, |_| {});
    let first = link.tcp("198.51.100.1:1000", TCP_SYN).unwrap();
    link.tcp("198.51.100.1:1000", TCP_ACK);
    let other = 3 - first;
    // The other one answers whenever it is asked.
    link.pass_while_there(10, &[other]);
    let gone: Vec<bool> = (1..=2).map(|server| server == first).collect();
    assert_eq!(link.blacklisted(), gone);
    assert!(link.director.take_news().contains(&News::Silent(ip_of(first))));
    assert_eq!(link.tcp("198.51.100.1:2000", TCP_SYN), Some(other));
    assert_eq!(link.tcp("198.51.100.1:1000", TCP_ACK), Some(other), "to be reset there");
    assert_eq!(link.connections()[usize::from(first - 1)], 0);
    // When it is back, it is blacklisted for a while like any other that failed.
    link.answers(first);
    link.pass_while_there(31, &[1, 2]);
    assert_eq!(link.blacklisted(), [false, false]);
}

#[test]
fn a_server_that_moves_is_followed() {
    let mut link = Link::with_all_there(1, Protocol::Tcp, |_| {});
    assert_eq!(link.tcp("198.51.100.1:1000", TCP_SYN), Some(1));
    let elsewhere = Station { mac: mac_of(77), link_local: Ipv6Addr::LOCALHOST };
    link.take(&elsewhere.announcement(ip_of(1)));
    assert_eq!(link.tcp("198.51.100.1:1000", TCP_ACK), Some(77));
    link.take(&elsewhere.announcement(ip_of(2)));
    assert_eq!(link.director.neighbours(), [(ip_of(1), Some(mac_of(77)))], "strangers are not learned");
}

#[test]
fn with_every_server_gone_clients_are_told() {
    let mut link = Link::new(2, Protocol::Tcp, |settings| settings.set_number(Number::Timeout, 1));
    link.pass(1_500);
    link.said();
    assert_eq!(link.tcp("198.51.100.1:1000", TCP_SYN), None);
    assert_eq!(link.said().len(), 1, "a reset");
    assert_eq!(link.connections(), [0, 0]);
}

#[test]
fn a_connect_that_nobody_answers_goes_to_the_next_server_and_nobody_is_blamed() {
    let mut link = Link::with_all_there(2, Protocol::Tcp, |_| {});
    let first = link.tcp("198.51.100.1:1000", TCP_SYN).unwrap();
    link.pass(1_000);
    assert_eq!(link.tcp("198.51.100.1:1000", TCP_SYN), Some(first));
    link.pass(2_000);
    assert_eq!(link.tcp("198.51.100.1:1000", TCP_SYN), Some(3 - first));
    assert_eq!(link.blacklisted(), [false, false]);
    assert_eq!(link.connections().iter().sum::<u32>(), 1);
    link.pass(3_000);
    assert!(link.tcp("198.51.100.1:1000", TCP_SYN).is_some(), "and round again");
    assert_eq!(link.connections().iter().sum::<u32>(), 1);
}

#[test]
fn datagrams_and_their_fragments_stay_together() {
    let mut link =
        Link::with_all_there(2, Protocol::Udp, |settings| settings.set_flag(Flag::Roundrobin, true));
    let server = link.take(&datagram("198.51.100.1:1000", [0, 0])).unwrap();
    assert_eq!(link.take(&datagram("198.51.100.1:1000", [0, 0])), Some(server));
    let other = link.take(&datagram("198.51.100.1:2000", [0x20, 0])).unwrap();
    assert_ne!(other, server);
    let rest = datagram("198.51.100.1:1", [0, 3]);
    assert_eq!(link.take(&rest), Some(other), "what follows has no ports");
    assert_eq!(link.take(&datagram("198.51.100.2:1", [0, 3])), None, "nobody knows the first");
    assert_eq!(link.connections(), [1, 1]);
    link.pass(60_200);
    assert_eq!(link.connections(), [0, 0]);
}

#[test]
fn errors_reach_the_server_whose_packet_they_are_about() {
    let mut link = Link::with_all_there(2, Protocol::Tcp, |_| {});
    let server = link.tcp("198.51.100.1:1000", TCP_SYN).unwrap();
    let about = |client: &str| {
        let quoted = segment(SERVICE, client, TCP_ACK);
        let mut frame = segment("203.0.113.1:1", SERVICE, 0)[..34].to_vec();
        frame.extend([3, 4, 0, 0, 0, 0, 5, 220]);
        frame.extend(&quoted[14..]);
        let length = (frame.len() - 14) as u16;
        frame[16..18].copy_from_slice(&length.to_be_bytes());
        frame[23] = PROTOCOL_ICMP;
        frame
    };
    assert_eq!(link.take(&about("198.51.100.1:1000")).map(server_at), Some(server));
    assert_eq!(link.take(&about("198.51.100.1:1001")), None);
}

#[test]
fn the_address_of_the_service_is_answered_for() {
    let mut link = Link::with_all_there(1, Protocol::Tcp, |_| {});
    for asker in ["192.0.2.1", "0.0.0.0"] {
        link.take(&question("192.0.2.10", asker));
        let said = link.said();
        let expected = Content::Answer { owner: [192, 0, 2, 10].into(), mac: PEN };
        assert_eq!(said.iter().map(|frame| frame.content).collect::<Vec<_>>(), [expected], "{asker}");
        assert_eq!(said[0].destination, ROUTER);
    }
    link.take(&question("192.0.2.11", "192.0.2.1"));
    assert!(link.said().is_empty());
    link.take(&question("192.0.2.10", "192.0.2.10"));
    assert!(link.said().is_empty());
    assert_eq!(link.director.take_news().last(), Some(&News::Rival(ROUTER)));
}

fn tarpit(settings: &mut Settings) {
    let v4 = AclMatch::V4 { address: 0xc000_02c0, mask: 0xffff_ffc0 };
    let v6 = AclMatch::V6 { address: 0x2001_0db8 << 96, prefix: 64 };
    for what in [v4, v6] {
        settings.acls[5].push(AclEntry { permit: true, what }).unwrap();
    }
    settings.set_number(Number::TarpitAcl, 5);
}

#[test]
fn the_tarpit_answers_for_its_list_and_says_one_thing() {
    let mut link = Link::with_all_there(1, Protocol::Tcp, tarpit);
    link.director.set_own(HashSet::from([[192, 0, 2, 201].into()]));
    let mut answers = |target: &str, asker: &str| {
        link.take(&question(target, asker));
        link.said().len()
    };
    assert_eq!(answers("192.0.2.200", "192.0.2.1"), 1);
    assert_eq!(answers("2001:db8::7", "fe80::9"), 1);
    assert_eq!(answers("192.0.2.200", "0.0.0.0"), 0, "whoever wants it may have it");
    assert_eq!(answers("192.0.2.200", "192.0.2.200"), 0, "and has it");
    assert_eq!(answers("192.0.2.201", "192.0.2.1"), 0, "this host's own");
    assert_eq!(answers("192.0.2.100", "192.0.2.1"), 0, "not in the list");

    for (to, client) in [("192.0.2.200:23", "198.51.100.1:99"), ("[2001:db8::7]:23", "[2001:db8:9::1]:99")] {
        link.take(&segment(client, to, TCP_SYN));
        let said = link.said();
        let [Frame { destination: ROUTER, content: Content::Packet(ip), .. }] = &said[..] else {
            panic!("{said:?}")
        };
        let Payload::Tcp(tcp) = ip.payload else { panic!("{ip:?}") };
        assert_eq!((tcp.flags, tcp.sequence, tcp.window), (TCP_SYN | TCP_ACK, 42, 4321));
        for flags in [TCP_ACK, TCP_FIN | TCP_ACK, TCP_RST, TCP_SYN | TCP_ACK] {
            link.take(&segment(client, to, flags));
            assert!(link.said().is_empty(), "{flags:x}");
        }
    }
    link.take(&segment("198.51.100.1:99", "192.0.2.201:22", TCP_SYN));
    assert!(link.said().is_empty(), "this host answers itself");
    assert_eq!(link.director.counts().tarpitted, 2);
    assert!(link.director.flows().is_empty());
}

#[test]
fn an_empty_list_holds_up_nobody() {
    let mut link =
        Link::with_all_there(1, Protocol::Tcp, |settings| settings.set_number(Number::TarpitAcl, 3));
    link.take(&question("192.0.2.200", "192.0.2.1"));
    link.take(&segment("198.51.100.1:99", "192.0.2.200:23", TCP_SYN));
    assert!(link.said().is_empty());
    // Nor does a list about IPv4 have anything to say about IPv6.
    let deny = AclEntry { permit: false, what: AclMatch::V4 { address: 0xc000_0201, mask: u32::MAX } };
    link.set(|settings| settings.acls[3].push(deny).unwrap());
    link.take(&question("2001:db8::7", "fe80::9"));
    assert!(link.said().is_empty());
    link.take(&question("192.0.2.200", "192.0.2.1"));
    assert_eq!(link.said().len(), 1);
}

#[test]
fn a_drained_director_ends_what_it_has() {
    let mut link = Link::with_all_there(1, Protocol::Tcp, |_| {});
    link.tcp("198.51.100.1:1000", TCP_SYN);
    link.director.drain();
    link.said();
    assert_eq!(link.tcp("198.51.100.2:1000", TCP_SYN), None);
    assert_eq!(link.said().len(), 1, "a reset");
    assert_eq!(link.tcp("198.51.100.1:1000", TCP_ACK), Some(1));
    assert!(link.director.close(0) && !link.director.close(0));
    assert_eq!(link.connections(), [0]);
}

#[test]
fn a_full_table_gives_places_back() {
    let mut link =
        Link::with_all_there(2, Protocol::Tcp, |settings| settings.set_number(Number::ConnMax, 16));
    for port in 1..=1_000 {
        assert!(link.tcp(&format!("198.51.100.1:{port}"), TCP_SYN).is_some());
    }
    assert_eq!(link.director.flows().len(), 16);
    assert_eq!(link.connections().iter().sum::<u32>(), 16);
    assert_eq!(link.director.counts().displaced, 984);
    link.director.release_all();
    assert_eq!(link.connections(), [0, 0]);
}

proptest! {
    /// Whatever comes, places at servers are those of the flows, and pen says nothing that cannot be read.
    #[test]
    fn counts_are_exact_whatever_comes(
        frames in prop::collection::vec(
            (0u8..6, 1u16..8, 0u8..32, 0u64..4_000, any::<u8>(), 0usize..60), 0..200),
    ) {
        let mut link = Link::with_all_there(3, Protocol::Tcp, |settings| {
            tarpit(settings);
            settings.set_number(Number::ConnMax, 5);
        });
        for (kind, port, flags, ms, byte, place) in frames {
            let client = format!("198.51.100.{}:{port}", byte % 4);
            match kind {
                0 => link.answers(byte % 3 + 1),
                1 => drop(link.take(&question("192.0.2.10", "192.0.2.1"))),
                2 => link.pass(ms),
                3 => {
                    let mut damaged = segment(&client, SERVICE, flags);
                    if let Some(at) = damaged.get_mut(place) {
                        *at = byte;
                    }
                    let mut packet = vec![0; OFFLOAD_BYTES];
                    packet.extend(damaged);
                    link.director.take(&mut packet, link.now);
                }
                _ => drop(link.tcp(&client, flags)),
            }
            prop_assert_eq!(link.connections().iter().sum::<u32>() as usize, link.director.flows().len());
            prop_assert!(link.director.flows().len() <= 5);
            for frame in link.said() {
                prop_assert_eq!(frame.source, PEN);
            }
        }
        link.director.release_all();
        prop_assert_eq!(link.connections(), [0, 0, 0]);
    }
}

#[test]
fn the_checksum_of_a_refusal_is_right() {
    let mut link = Link::with_all_there(0, Protocol::Tcp, |_| {});
    link.tcp("198.51.100.1:1000", TCP_SYN);
    let outbox = link.director.take_outbox();
    let frame = &outbox[0][OFFLOAD_BYTES..];
    let [from, to] = [[192, 0, 2, 10], [198, 51, 100, 1]].map(IpAddr::from);
    assert_eq!(checksum(from, to, PROTOCOL_TCP, &frame[34..]), 0);
}
