//! IPv6 addresses that are the link's own, with their zone: as listener, server, control socket and log server.
//!
//! Needs root and ip(8).

use crate::common::client::Client;
use crate::common::network::Network;
use crate::common::pen::Pen;
use crate::common::wait::PATIENCE;
use std::io::Write;
use std::net::{SocketAddr, SocketAddrV6, TcpListener, UdpSocket};
use std::thread;

const OWN: &str = "fe80::5%link0";

/// With the number of the interface, which is what the library reads.
fn numeric(port: u16) -> SocketAddr {
    let index = nix::net::if_::if_nametoindex("link0").unwrap();
    SocketAddrV6::new("fe80::5".parse().unwrap(), port, 0, index).into()
}

fn linked(network: &mut Network) -> Result<(), String> {
    network.add_host("linked")?;
    network.run("linked", "ip link add link0 type dummy && ip link set link0 up")?;
    network.run("linked", "ip addr add fe80::5/64 dev link0 nodad")
}

#[test]
fn a_zone_goes_wherever_an_address_goes() {
    Network::inside("zones::a_zone_goes_wherever_an_address_goes", "linked", linked, |_| {
        let listener = TcpListener::bind(numeric(0)).unwrap();
        let server = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that has what it wanted may be gone.
                let _ = stream.unwrap().write_all(b"A\n");
            }
        });
        let log = UdpSocket::bind(numeric(0)).unwrap();
        log.set_read_timeout(Some(PATIENCE)).unwrap();
        let target = format!("[{OWN}]:{}", log.local_addr().unwrap().port());
        let pen = Pen::before([format!("[{OWN}]:{server}")]).listen(format!("[{OWN}]:10080"));
        let pen = pen.control_at(format!("[{OWN}]:10081")).options(&format!("-l {target}")).start();
        let mut client = Client::connect(numeric(10080));
        assert_eq!(client.line(), "A");
        client.send("hello");
        let control = |command: &str| {
            let mut client = Client::connect(numeric(10081));
            client.send(format!("{command}\n"));
            String::from_utf8(client.rest()).unwrap()
        };
        let index = nix::net::if_::if_nametoindex("link0").unwrap();
        assert!(
            control("servers").contains(&format!("addr fe80::5%{index} port {server} ")),
            "{}",
            control("servers")
        );
        assert!(log.recv(&mut [0; 100]).is_ok(), "the log server hears of it");
        assert_eq!(control(&format!("listen [{OWN}]:10082")), format!("[{OWN}]:10082\n"));
        assert_eq!(Client::connect(numeric(10082)).line(), "A");
        let reply = control("server 0 address fe80::5%none");
        assert!(reply.contains("there is no interface \"none\""), "{reply}");
        assert_eq!(control(&format!("server 0 address fe80::5%{index}")), "");
        assert_eq!(Client::connect(numeric(10082)).line(), "A");
        drop(pen);
    });
}
