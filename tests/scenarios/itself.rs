//! A socket that is told to connect to a port of this host may find itself, when nobody listens there and the system chooses
//! that port for the near end too. In a namespace with few ports to choose from that happens every few times.
//!
//! Needs root and ip(8).

use crate::common::backend::Backend;
use crate::common::datagram::{UdpClient, UdpServer};
use crate::common::network::{Network, here};
use crate::common::pen::Pen;
use crate::common::ports::free_port;
use crate::common::wait::eventually;
use std::net::{SocketAddr, UdpSocket};

/// Nobody listens there, and the system hands it out.
const DEAD: u16 = 40_000;
const OWN_ADDRESS: &str = "192.0.2.7";

/// Ports from [`DEAD`] on are handed out, so many, and are not kept after an end.
fn few_ports(count: u16) {
    let last = DEAD + count - 1;
    here(&format!("echo {DEAD} {last} > /proc/sys/net/ipv4/ip_local_port_range"));
    here("echo 0 > /proc/sys/net/ipv4/tcp_max_tw_buckets");
}

fn alone(network: &mut Network) -> Result<(), String> {
    network.add_host("alone")?;
    network.run("alone", &format!("ip addr add {OWN_ADDRESS}/32 dev lo"))
}

#[test]
fn a_client_does_not_get_its_own_bytes() {
    Network::inside("itself::a_client_does_not_get_its_own_bytes", "alone", alone, |_| {
        few_ports(8);
        let alive = Backend::named("alive");
        for dead in ["127.0.0.1", OWN_ADDRESS] {
            let pen = Pen::before([format!("{dead}:{DEAD}"), alive.to_string()]).options("-r");
            let pen = pen.command("blacklist 0").start();
            for round in 0..24 {
                let mut client = pen.connect();
                client.send("mine\n");
                assert_eq!(client.line(), "alive", "round {round} at {dead}");
                assert_eq!(client.line(), "mine");
            }
            assert!(pen.stderr().contains("Connect failed: connection refused"), "{}", pen.stderr());
        }
    });
}

/// An idler that met itself would keep the port from the server that is to have it.
#[test]
fn an_idler_does_not_keep_a_server_from_starting() {
    Network::inside("itself::an_idler_does_not_keep_a_server_from_starting", "alone", alone, |_| {
        few_ports(2);
        let pen = Pen::before([format!("127.0.0.1:{DEAD}")]);
        let pen = pen.command("blacklist 0").command("idlers 1").command("threads 1").start();
        let failures = || {
            let status: serde_json::Value = serde_json::from_str(&pen.control("status json")).unwrap();
            assert_eq!(status["servers"][0]["idlers"], 0, "nobody is there");
            status["totals"]["connect_failures"].as_u64().unwrap()
        };
        eventually("some connects to fail", failures, |count| *count >= 4);
        let listener = std::net::TcpListener::bind(("127.0.0.1", DEAD)).expect("the port is the server's");
        eventually("an idler", || pen.control("idlers"), |reply| reply == "Idlers: 1/1\n");
        drop(listener);
    });
}

#[test]
fn a_udp_client_does_not_get_its_own_datagrams() {
    Network::inside("itself::a_udp_client_does_not_get_its_own_datagrams", "alone", alone, |_| {
        let alive = UdpServer::named("alive");
        let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
        let clients: Vec<UdpClient> = (0..60).map(|_| UdpClient::new(address)).collect();
        few_ports(4);
        let pen = Pen::before([format!("127.0.0.1:{DEAD}"), alive.to_string()]).options("-U -r");
        // Each session ends with the next, so that the ports suffice.
        let pen = pen.command("blacklist 0").command("udp_sessions_max 1").command("threads 1");
        let _pen = pen.listen(address).start();
        clients.iter().for_each(|client| assert_eq!(client.server(), "alive"));
    });
}

/// Where the log server is to be, as long as it is not.
#[test]
fn the_log_does_not_keep_the_log_server_from_starting() {
    Network::inside("itself::the_log_does_not_keep_the_log_server_from_starting", "alone", alone, |_| {
        let server = Backend::named("A");
        few_ports(4);
        let pen = Pen::before([&server]).options(&format!("-l 127.0.0.1:{DEAD}")).start();
        for round in 0..40 {
            assert!(UdpSocket::bind(("127.0.0.1", DEAD)).is_ok(), "round {round}");
            assert!(!pen.control(&format!("log 127.0.0.1:{DEAD}")).starts_with("error"));
        }
    });
}
