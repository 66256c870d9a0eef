//! A pen on a host with several addresses and networks, made of network namespaces: where answers come from, and what
//! becomes of a server whose host is gone.
//!
//! Needs root and ip(8). The tests run inside the host `lb`, where pen and its servers are.

use crate::common::datagram::{UdpClient, UdpServer};
use crate::common::network::Network;
use crate::common::pen::Pen;
use crate::common::ports::free_port;
use crate::common::wait::eventually;
use std::net::{IpAddr, SocketAddr};

const CLIENT: &str = "10.0.0.5";
const CLIENT_V6: &str = "2001:db8::5";

fn multi_homed(network: &mut Network) -> Result<(), String> {
    network.add_host("lb")?;
    network.add_host("client")?;
    let own: &[&str] = &["10.0.0.80/24", "10.0.0.81/24", "2001:db8::80/64", "2001:db8::81/64"];
    network.connect(("lb", "eth0", own), ("client", "eth0", &["10.0.0.5/24", "2001:db8::5/64"]))?;
    // An address of another network, as of a second provider.
    network.run("lb", "ip addr add 192.168.7.80/32 dev lo")?;
    network.run("client", "ip route add 192.168.7.0/24 via 10.0.0.80")
}

#[test]
fn answers_come_from_the_address_that_was_asked() {
    Network::inside("hosts::answers_come_from_the_address_that_was_asked", "lb", multi_homed, |network| {
        let server = UdpServer::named("A");
        for any in ["0.0.0.0", "[::]"] {
            let listen: SocketAddr = format!("{any}:{}", free_port()).parse().unwrap();
            let pen = Pen::before([&server]).options("-U --threads 2").listen(listen).start();
            let mut addresses = vec!["10.0.0.80", "10.0.0.81", "192.168.7.80"];
            if listen.is_ipv6() {
                addresses.extend(["2001:db8::80", "2001:db8::81"]);
            }
            for address in addresses {
                let to = SocketAddr::new(address.parse::<IpAddr>().unwrap(), listen.port());
                let source = if to.is_ipv4() { CLIENT } else { CLIENT_V6 };
                // The client refuses an answer from any other address.
                let client = network.on("client", || UdpClient::from(source, to));
                (0..3).for_each(|_| assert_eq!(client.server(), "A", "{address}"));
                assert!(
                    pen.control("connections").contains(&client.socket.local_addr().unwrap().to_string())
                );
            }
        }
    });
}

#[test]
fn a_link_local_client_is_answered() {
    Network::inside("hosts::a_link_local_client_is_answered", "lb", multi_homed, |network| {
        let address = |host: &str| {
            let listing = network.output(host, "ip -6 -o addr show dev eth0 scope link").unwrap();
            let words: Vec<&str> = listing.split_whitespace().collect();
            let at = words.iter().position(|word| *word == "inet6").expect(&listing) + 1;
            words[at].split('/').next().unwrap().to_string()
        };
        let interface = network.output("client", "cat /sys/class/net/eth0/ifindex").unwrap();
        let server = UdpServer::named("A");
        let port = free_port();
        let _pen = Pen::before([&server]).options("-U").listen(format!("[::]:{port}")).start();
        let to: SocketAddr = format!("[{}%{}]:{port}", address("lb"), interface.trim()).parse().unwrap();
        let client = network.on("client", || UdpClient::from("::", to));
        let can_send = || client.socket.send_to(b"?", to).is_ok();
        eventually("the link-local address to be usable", can_send, |can| *can);
        assert_eq!(client.insist("?").1, "A:?", "until the other one may be used too");
    });
}

/// The system finds out within some seconds that nobody has the address, long before the silence would be judged.
#[test]
fn a_host_that_is_gone_is_told_by_icmp() {
    Network::inside("hosts::a_host_that_is_gone_is_told_by_icmp", "lb", multi_homed, |network| {
        let server = UdpServer::named("A");
        let port = free_port();
        let servers = [server.to_string(), "10.0.0.99:53".to_string()];
        let pen = Pen::before(servers).options("-U -t 600").listen(format!("10.0.0.80:{port}")).start();
        let to = ([10, 0, 0, 80], port).into();
        let client = network.on("client", || UdpClient::from(CLIENT, to));
        assert_eq!(client.ask("anybody?"), "A:anybody?");
        assert!(
            pen.stderr().contains("blacklisting server 1 (10.0.0.99:53): no route to host"),
            "{}",
            pen.stderr()
        );
    });
}
