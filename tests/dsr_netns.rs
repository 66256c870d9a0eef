//! Direct server return and the tarpit in a network of namespaces, as docs/direct-server-return.md says: real servers, real clients.
//!
//! Needs root, ip(8), python3 and curl. The tests run inside the host `lb`, where pen is. Checksums and segments are left
//! to the interfaces, as Linux does by itself.

mod common;

use common::network::{Network, Started, recipe, shell_words};
use common::pen::{Pen, Start};
use common::wait::eventually;
use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, socket};
use pen_core::dsr::filter::program;
use pen_core::dsr::frame::{Mac, OFFLOAD_BYTES, TCP_SYN};
use pen_core::dsr::reply::{Segment, Station};
use pen_sys::packet::{BATCH_MAX, PacketSocket};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

const DOWNLOAD_BYTES: u64 = 8 << 20;

fn lan(network: &mut Network) -> Result<(), String> {
    network.add_switched(&[
        ("client", &["192.0.2.100/24", "192.0.2.101/24", "192.0.2.102/24", "2001:db8::100/64"]),
        ("lb", &["192.0.2.2/24", "2001:db8::2/64"]),
        ("web1", &["192.0.2.21/24", "2001:db8::21/64"]),
        ("web2", &["192.0.2.22/24", "2001:db8::22/64"]),
    ])
}

/// A pen with the words of a command line in the recipes.
fn pen_of(line: &str) -> Start {
    let words = shell_words(line);
    assert_eq!(words[0], "pen");
    words[1..].iter().fold(Pen::before([] as [&str; 0]).listen(""), |start, word| start.word(word))
}

fn load_balancer(number: usize) -> Start {
    let blocks = recipe("## The load balancer");
    common::network::here(&blocks[0]);
    pen_of(&blocks[number])
}

/// A web server on `host`, set up as the recipe says, that tells its name and has something large to offer.
fn web(network: &Network, pen: &Start, host: &str) -> Started {
    network.run(host, &recipe("## The servers")[0]).unwrap();
    let directory = pen.path(host);
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("name"), format!("{host}\n")).unwrap();
    fs::write(directory.join("large"), vec![b'x'; DOWNLOAD_BYTES as usize]).unwrap();
    let directory = directory.display().to_string();
    let words = ["python3", "-m", "http.server", "--bind", "::", "--directory", &directory, "80"];
    let server = network.start(host, &words);
    let last = if host == "web1" { 21 } else { 22 };
    let address = SocketAddr::from(([192, 0, 2, last], 80));
    eventually("the web server", || TcpStream::connect(address).is_ok(), |connected| *connected);
    server
}

/// What curl on the client gets from the service; empty when it gets nothing.
fn curl(network: &Network, words: &str) -> String {
    network.output("client", &format!("curl -sS --max-time 5 {words}")).unwrap_or_default()
}

fn name_from(network: &Network, source: &str) -> String {
    curl(network, &format!("--interface {source} http://192.0.2.10/name"))
}

fn status(pen: &Pen) -> Value {
    serde_json::from_str(&pen.control("status json")).unwrap()
}

fn count(pen: &Pen, what: &str) -> u64 {
    status(pen)["dsr"][what].as_u64().unwrap_or_else(|| panic!("no {what} in {}", status(pen)))
}

/// Downloads, and looks which way the bytes went.
fn assert_replies_bypass_pen(network: &Network, url: &str) {
    let at = |host| network.bytes(host, "eth0");
    let before = ["lb", "web1", "web2"].map(at);
    let got = curl(network, &format!("-o /dev/null -w '%{{size_download}}' {url}"));
    assert_eq!(got, DOWNLOAD_BYTES.to_string());
    let after = ["lb", "web1", "web2"].map(at);
    let [lb, web1, web2] =
        [0, 1, 2].map(|host| (after[host].0 - before[host].0, after[host].1 - before[host].1));
    eprintln!("{url}: lb {lb:?}, web1 {web1:?}, web2 {web2:?} bytes received and sent");
    assert!(web1.1.max(web2.1) >= DOWNLOAD_BYTES, "no server has sent it");
    assert!(lb.0 < DOWNLOAD_BYTES / 8 && lb.1 < DOWNLOAD_BYTES / 8, "replies passed pen: {lb:?}");
}

#[test]
fn clients_reach_servers_that_answer_without_pen() {
    Network::inside("clients_reach_servers_that_answer_without_pen", "lb", lan, |network| {
        let start = load_balancer(1);
        let _servers = ["web1", "web2"].map(|host| web(network, &start, host));
        let pen = start.start();
        let first = name_from(network, "192.0.2.100");
        let second = name_from(network, "192.0.2.101");
        assert_eq!(first.len() + second.len(), 10, "{first:?} {second:?}");
        assert_ne!(first, second, "clients are spread");
        for _ in 0..3 {
            assert_eq!(name_from(network, "192.0.2.100"), first, "clients are remembered");
        }
        assert_replies_bypass_pen(network, "http://192.0.2.10/large");
        assert_eq!(common::process::status_field(pen.pid(), "CapPrm"), "0000000000000000");
        let neighbours = &status(&pen)["dsr"]["servers"];
        for (index, host) in ["web1", "web2"].iter().enumerate() {
            let mac = network.output(host, "cat /sys/class/net/eth0/address").unwrap();
            assert_eq!(neighbours[index]["mac"], mac.trim(), "{neighbours}");
        }
        // The servers see the client, and the log of the flows does.
        let flows = pen.control("connections");
        assert!(flows.contains("192.0.2.100:"), "{flows}");
    });
}

#[test]
fn ipv6_goes_the_same_way() {
    Network::inside("ipv6_goes_the_same_way", "lb", lan, |network| {
        let start = load_balancer(2).word("-r");
        let _servers = ["web1", "web2"].map(|host| web(network, &start, host));
        let _pen = start.start();
        let names: Vec<String> = (0..4).map(|_| curl(network, "http://[2001:db8::10]/name")).collect();
        assert!(names[0] != names[1] && names[..2] == names[2..], "{names:?}");
        assert_replies_bypass_pen(network, "http://[2001:db8::10]/large");
    });
}

/// Linux hands pen up to 64 KiB in one frame, whose checksum nobody has made yet: the interface would. `ethtool -K` is
/// not needed.
#[test]
fn uploads_arrive_whole_on_any_port() {
    Network::inside("uploads_arrive_whole_on_any_port", "lb", lan, |network| {
        let start =
            Pen::before(["192.0.2.21"]).listen("192.0.2.10").options("-u nobody").command("dsr_if eth0");
        network.run("web1", &recipe("## The servers")[0]).unwrap();
        let pen = start.start();
        for port in [7, 50_000] {
            let listener = network.on("web1", || TcpListener::bind(("192.0.2.10", port)).unwrap());
            let server = thread::spawn(move || {
                let (mut stream, peer) = listener.accept().unwrap();
                let mut bytes = Vec::new();
                stream.read_to_end(&mut bytes).unwrap();
                stream.write_all(b"received").unwrap();
                (peer.ip().to_string(), bytes)
            });
            let mut client = network.on("client", || TcpStream::connect(("192.0.2.10", port)).unwrap());
            let before = count(&pen, "forwarded");
            let mut sent = Vec::new();
            common::pattern::write(&mut sent, DOWNLOAD_BYTES as usize).unwrap();
            client.write_all(&sent).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).unwrap();
            assert_eq!(answer, b"received");
            let (peer, received) = server.join().unwrap();
            assert!(received == sent, "port {port}: {} bytes of {}", received.len(), sent.len());
            assert_eq!(peer, "192.0.2.100");
            let frames = count(&pen, "forwarded") - before;
            eprintln!("port {port}: {DOWNLOAD_BYTES} bytes up in {frames} frames");
        }
        assert_eq!(status(&pen)["dsr"]["unsent"], 0);
    });
}

/// A server that answers each datagram with its name, the length it got and much more.
fn datagram_server(network: &Network, host: &'static str, address: &str) {
    let address: SocketAddr = address.parse().unwrap();
    let socket = network.on(host, || UdpSocket::bind(address).unwrap());
    thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            let answer = format!("{host} {length} {}\n{}", peer.ip(), "x".repeat(DATAGRAM_ANSWER_BYTES));
            // A client that is gone needs none.
            let _ = socket.send_to(answer.as_bytes(), peer);
        }
    });
}

/// Some fragments long.
const DATAGRAM_BYTES: usize = 5_000;
const DATAGRAM_ANSWER_BYTES: usize = 40_000;

/// The first line of the answer to a datagram of so many bytes.
fn ask_datagram(client: &UdpSocket, length: usize) -> String {
    let mut buffer = vec![0; 65_536];
    client.send(&vec![b'?'; length]).unwrap();
    let length = client.recv(&mut buffer).unwrap();
    let answer = String::from_utf8_lossy(&buffer[..length]);
    assert!(length > DATAGRAM_ANSWER_BYTES);
    answer.lines().next().unwrap().to_string()
}

#[test]
fn datagrams_and_their_fragments_go_the_same_way() {
    Network::inside("datagrams_and_their_fragments_go_the_same_way", "lb", lan, |network| {
        for host in ["web1", "web2"] {
            network.run(host, &recipe("## The servers")[0]).unwrap();
        }
        for (service, servers, client) in [
            ("192.0.2.10:53", ["192.0.2.21", "192.0.2.22"], "192.0.2.100"),
            ("[2001:db8::10]:53", ["[2001:db8::21]", "[2001:db8::22]"], "2001:db8::100"),
        ] {
            for host in ["web1", "web2"] {
                datagram_server(network, host, service);
            }
            let start = Pen::before(servers).listen(service).options("-U -r -u nobody");
            let pen = start.command("dsr_if eth0").start();
            let sockets: Vec<UdpSocket> = (0..2)
                .map(|_| {
                    network.on("client", || {
                        let socket = UdpSocket::bind((client, 0)).unwrap();
                        socket.set_read_timeout(Some(common::wait::PATIENCE)).unwrap();
                        socket.connect(service).unwrap();
                        socket
                    })
                })
                .collect();
            let lb_before = network.bytes("lb", "eth0");
            let first = ask_datagram(&sockets[0], 5);
            let second = ask_datagram(&sockets[1], 5);
            assert_ne!(first, second, "{service}: ports are spread");
            assert!(first.ends_with(client), "the server sees the client: {first}");
            for _ in 0..5 {
                let large = first.replace(" 5 ", &format!(" {DATAGRAM_BYTES} "));
                assert_eq!(ask_datagram(&sockets[0], DATAGRAM_BYTES), large, "fragments stay together");
            }
            let lb_after = network.bytes("lb", "eth0");
            let (came, went) = (lb_after.0 - lb_before.0, lb_after.1 - lb_before.1);
            eprintln!("{service}: 280,000 bytes of answers, lb received {came} and sent {went}");
            assert!(came < 60_000 && went < 60_000, "{service}: answers passed pen: {came} {went}");
            assert_eq!(status(&pen)["connections_used"], 2);
        }
    });
}

/// Connects that nobody means, each in another's name, at a table of 1000.
#[test]
fn a_flood_of_connects_leaves_connections_alone() {
    const FLOOD: usize = 50_000;
    Network::inside("a_flood_of_connects_leaves_connections_alone", "lb", lan, |network| {
        let start = Pen::before(["192.0.2.21", "192.0.2.22"]).listen("192.0.2.10:9");
        let start = start.options("-u nobody -r -x 1000").command("dsr_if eth0");
        for host in ["web1", "web2"] {
            network.run(host, &recipe("## The servers")[0]).unwrap();
            // Nor shall they answer strangers by way of the client.
            network.run(host, "ip route replace blackhole 198.18.0.0/15").unwrap();
        }
        let pen = start.start();
        let listeners =
            ["web1", "web2"].map(|host| network.on(host, || TcpListener::bind(("192.0.2.10", 9)).unwrap()));
        for listener in listeners {
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    thread::spawn(move || common::backend::echo(stream));
                }
            });
        }
        let mut open: Vec<TcpStream> = (0..20)
            .map(|_| network.on("client", || TcpStream::connect(("192.0.2.10", 9)).unwrap()))
            .collect();
        let mut exchange = |word: &[u8; 4]| {
            for stream in &mut open {
                stream.set_read_timeout(Some(common::wait::PATIENCE)).unwrap();
                stream.write_all(word).unwrap();
                let mut echoed = [0; 4];
                stream.read_exact(&mut echoed).unwrap();
                assert_eq!(&echoed, word);
            }
        };
        exchange(b"one.");
        let rss_before = common::process::rss_kib(pen.pid());
        let mac = network.output("lb", "cat /sys/class/net/eth0/address").unwrap();
        network.on("client", || flood(mac.trim(), FLOOD));
        let seen = || status(&pen)["totals"]["accepted"].as_u64().unwrap();
        // What the system drops because pen does not keep up is a part of floods.
        eventually("the flood to arrive", seen, |accepted| *accepted > FLOOD as u64 / 50);
        exchange(b"two.");
        let status = status(&pen);
        assert!(status["connections_used"].as_u64() <= Some(1000), "{}", status["connections_used"]);
        let places: u64 =
            status["servers"].as_array().unwrap().iter().map(|s| s["connections"].as_u64().unwrap()).sum();
        assert!(places <= 1000, "{places} places taken");
        let grown_kib = common::process::rss_kib(pen.pid()).saturating_sub(rss_before);
        eprintln!("{} of {FLOOD} arrived, {} displaced, {grown_kib} KiB", seen(), status["dsr"]["displaced"]);
        assert!(grown_kib < 16 * 1024, "{grown_kib} KiB more");
    });
}

/// Sends SYNs to the service from addresses that do not exist. Called on the client.
fn flood(mac: &str, count: usize) {
    let octets: Vec<u8> = mac.split(':').map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
    let station = Station { mac: Mac([2, 0, 0, 0, 0, 99]), link_local: Ipv6Addr::LOCALHOST };
    let interface = nix::net::if_::if_nametoindex("eth0").unwrap();
    let socket = PacketSocket::open(interface, program([192, 0, 2, 10].into(), false)).unwrap();
    let packets: Vec<Vec<u8>> = (0..count as u32)
        .map(|number| {
            let [_, a, b, c] = number.wrapping_mul(2_654_435_761).to_be_bytes();
            let from = SocketAddr::from(([198, 18 + (a & 1), b, c], 1024 + number as u16 % 60_000));
            let to = SocketAddr::from(([192, 0, 2, 10], 9));
            let segment =
                Segment { from, to, sequence: number, acknowledged: 0, flags: TCP_SYN, window: 1024 };
            let mut packet = vec![0; OFFLOAD_BYTES];
            packet.extend(station.segment(Mac(octets.clone().try_into().unwrap()), &segment));
            packet
        })
        .collect();
    for batch in packets.chunks(BATCH_MAX) {
        socket.send(batch.iter().map(Vec::as_slice));
    }
}

#[test]
fn a_server_that_is_gone_is_replaced_and_commands_count() {
    Network::inside("a_server_that_is_gone_is_replaced_and_commands_count", "lb", lan, |network| {
        let start = load_balancer(1).options("-b 2");
        let _servers = ["web1", "web2"].map(|host| web(network, &start, host));
        let pen = start.start();
        let before = name_from(network, "192.0.2.100");
        let (own, other) = if before == "web1\n" { (0, "web2\n") } else { (1, "web1\n") };
        pen.control(&format!("server {own} blacklist 3600"));
        assert_eq!(name_from(network, "192.0.2.100"), other);
        pen.control(&format!("server {own} blacklist 0"));
        pen.control(&format!("server {} blacklist 3600", 1 - own));
        assert_eq!(name_from(network, "192.0.2.100"), before);
        pen.control(&format!("server {} blacklist 0", 1 - own));
        // Pulled out: nobody tells pen, which asks.
        network.run(before.trim(), "ip link set eth0 down").unwrap();
        let gone = || status(&pen)["servers"][own]["blacklisted_seconds"].as_u64();
        eventually("the server to be missed", gone, |seconds| *seconds > Some(0));
        assert_eq!(name_from(network, "192.0.2.100"), other);
        network.run(before.trim(), "ip link set eth0 up").unwrap();
        eventually("the server to be back", gone, |seconds| *seconds == Some(0));
        pen.control(&format!("server {} blacklist 3600", 1 - own));
        assert_eq!(name_from(network, "192.0.2.100"), before);
    });
}

#[test]
fn who_is_not_served_is_told_at_once() {
    Network::inside("who_is_not_served_is_told_at_once", "lb", lan, |network| {
        let start = load_balancer(1).command("acl 1 permit 192.0.2.100").command("client_acl 1");
        let _servers = ["web1", "web2"].map(|host| web(network, &start, host));
        let pen = start.start();
        assert_ne!(name_from(network, "192.0.2.100"), "");
        let refused = |source: &str, port: u16| {
            let script = format!("curl -sS --max-time 5 --interface {source} http://192.0.2.10:{port}/name");
            network.output("client", &script).unwrap_err()
        };
        assert!(refused("192.0.2.101", 80).contains("(7)"), "refused, not timed out");
        pen.control("client_acl 0");
        assert_ne!(name_from(network, "192.0.2.101"), "");
        pen.signal(Signal::SIGUSR2);
        eventually("clients to be turned away", || refused("192.0.2.102", 80), |error| error.contains("(7)"));
    });
}

#[test]
fn the_service_can_move_to_another_address() {
    Network::inside("the_service_can_move_to_another_address", "lb", lan, |network| {
        let start = load_balancer(1);
        let _servers = ["web1", "web2"].map(|host| web(network, &start, host));
        for host in ["web1", "web2"] {
            network.run(host, "ip addr add 192.0.2.11/32 dev lo").unwrap();
        }
        let pen = start.start();
        assert_ne!(name_from(network, "192.0.2.100"), "");
        assert_eq!(pen.control("listen 192.0.2.11:80"), "192.0.2.11:80\n");
        assert_ne!(curl(network, "http://192.0.2.11/name"), "");
        assert!(pen.control("listen 192.0.2.2:80").contains("is an address of this host"));
        assert!(pen.control("listen 8080").contains("want an address to serve"));
        assert!(pen.control("dsr_if eth1").contains("only at start"));
        assert_ne!(curl(network, "http://192.0.2.11/name"), "", "nothing has changed");
    });
}

#[test]
fn a_server_that_does_not_keep_silent_is_told_of() {
    Network::inside("a_server_that_does_not_keep_silent_is_told_of", "lb", lan, |network| {
        network.run("web1", "ip addr add 192.0.2.10/32 dev lo").unwrap();
        let pen = load_balancer(1).server("192.0.2.23:8080").start();
        let mac = network.output("web1", "cat /sys/class/net/eth0/address").unwrap();
        let expected = format!("{} on eth0 answers for 192.0.2.10 too", mac.trim());
        eventually("the server to be named", || pen.stderr(), |stderr| stderr.contains(&expected));
        assert!(
            pen.stderr().contains("server 2 (192.0.2.23:8080): port 8080 has no effect"),
            "{}",
            pen.stderr()
        );
    });
}

#[test]
fn what_cannot_work_ends_the_start() {
    Network::inside("what_cannot_work_ends_the_start", "lb", lan, |_| {
        let cases = [
            ("dsr_if eth9", "192.0.2.10:80", "192.0.2.21", "dsr_if: eth9: "),
            ("dsr_if lo", "192.0.2.10:80", "192.0.2.21", "dsr_if: lo: not an Ethernet interface"),
            ("dsr_if eth0", "8080", "192.0.2.21", "dsr_if: want an address to serve"),
            ("dsr_if eth0", "192.0.2.2:80", "192.0.2.21", "192.0.2.2 is an address of this host"),
            (
                "dsr_if eth0",
                "192.0.2.10:80",
                "/run/server",
                "server 0: want an IP address on the same network",
            ),
            ("no dummy", "192.0.2.10", "192.0.2.21", "192.0.2.10: want a port"),
        ];
        for (command, listen, server, expected) in cases {
            let ended = Pen::before([server]).listen(listen).command(command).run();
            assert_eq!(ended.code, Some(1), "{command} {listen}: {ended:?}");
            assert!(ended.stderr.contains(expected), "{expected}: {ended:?}");
        }
    });
}

/// A SYN and its answer, as the wire has them.
#[derive(Debug)]
struct Handshake {
    syn: Vec<u8>,
    answer: Vec<u8>,
}

/// Connects from the client, and listens beside the kernel.
fn connect_watched(network: &Network, to: SocketAddr) -> (TcpStream, Handshake) {
    network.on("client", || {
        let raw = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll);
        let raw = raw.unwrap();
        let stream = TcpStream::connect_timeout(&to, Duration::from_secs(20)).unwrap();
        let tcp = if to.is_ipv4() { 34 } else { 54 };
        let (mut syn, mut frame) = (None, vec![0; 2048]);
        loop {
            let length = recv(raw.as_raw_fd(), &mut frame, MsgFlags::empty()).unwrap();
            let frame = &frame[..length];
            let is_tcp = match frame.get(12..14) {
                Some([0x08, 0x00]) => frame[23] == 6,
                Some([0x86, 0xdd]) => frame[20] == 6,
                _ => false,
            };
            let ports = [stream.local_addr().unwrap().port(), to.port()];
            let port = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
            match is_tcp.then(|| [port(tcp), port(tcp + 2)]) {
                Some(found) if found == ports && syn.is_none() => syn = Some(frame[tcp..].to_vec()),
                Some([from, to]) if [to, from] == ports => {
                    return (stream, Handshake { syn: syn.unwrap(), answer: frame[tcp..].to_vec() });
                }
                _ => {}
            }
        }
    })
}

#[test]
fn connections_to_unused_addresses_get_stuck() {
    Network::inside("connections_to_unused_addresses_get_stuck", "lb", lan, |network| {
        common::network::here(&recipe("## The load balancer")[0]);
        let pen = pen_of(&recipe("## A tarpit for unused addresses")[0]).start();
        for address in ["192.0.2.200:2323", "[2001:db8::dead:7]:445"] {
            let (mut stream, Handshake { syn, answer }) = connect_watched(network, address.parse().unwrap());
            let number = |bytes: &[u8], at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
            let window = |bytes: &[u8]| u16::from_be_bytes(bytes[14..16].try_into().unwrap());
            assert_eq!(number(&answer, 4), 42, "{address}: sequence");
            assert_eq!(number(&answer, 8), number(&syn, 4) + 1, "{address}: acknowledged");
            assert_eq!(answer[12] >> 4, 5, "{address}: no options");
            assert_eq!(answer[13], 0x12, "{address}: SYN and ACK");
            assert_eq!(window(&answer), window(&syn), "{address}: the client's own window");
            // It is taken for connected, and then nothing more comes, whatever is sent.
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
            stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
            let error = stream.read(&mut [0; 16]).unwrap_err();
            assert!(
                matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
                "{address}: {error}"
            );
        }
        assert!(count(&pen, "tarpitted") >= 2);
        // Whether the client learns a hardware address for one that nobody has.
        let lives = |address: &str| {
            network
                .on("client", || UdpSocket::bind("0.0.0.0:0").unwrap().send_to(b"?", (address, 9)).unwrap());
            let look = || network.output("client", &format!("ip neigh show {address}")).unwrap();
            let state = |text: &String| ["lladdr", "FAILED"].iter().any(|word| text.contains(word));
            eventually("an answer or none", look, state).contains("lladdr")
        };
        assert!(lives("192.0.2.201"));
        assert!(!lives("192.0.2.150"), "not in the list");
        assert_eq!(pen.control("tarpit_acl"), "tarpit_acl = 5\n");
        assert_eq!(pen.control("no tarpit_acl"), "tarpit_acl = -1\n");
        assert!(!lives("192.0.2.202"), "no tarpit any more");
        pen.control("tarpit_acl 9");
        assert!(!lives("192.0.2.203"), "an empty list takes nothing");
        pen.control("tarpit_acl 5");
        assert!(lives("192.0.2.204"));
    });
}
