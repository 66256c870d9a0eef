//! How a test starts a balancer: on a free port, with nothing to install and nothing left behind. What is tested here is a
//! client that must get over the loss of a server.
//!
//! `cargo run --example balancer_in_a_test`, and as a test of pen's own

use pen::{Balancer, Error, ServerState, Service};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

/// The balancer that tests of the client use: before these servers, on a free port. Dropped at the end of a test, also of
/// one that fails.
fn balancer_before(servers: &[String]) -> Result<(Balancer, SocketAddr), Error> {
    let service = Service::new("tested").listen("127.0.0.1:0").command("timeout 1").command("blacklist 1");
    let service = servers.iter().fold(service, |service, server| service.server(server.as_str()));
    let balancer = Balancer::builder().command("threads 1").service(service).start()?;
    let address = balancer.service("tested").addresses()?[0];
    Ok((balancer, address))
}

/// Stands for the client under test.
fn greeting(address: SocketAddr) -> std::io::Result<String> {
    let mut text = String::new();
    TcpStream::connect(address)?.read_to_string(&mut text)?;
    Ok(text)
}

/// Runs the example.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let lost = "/nonexistent/socket".to_owned();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let alive = listener.local_addr()?.to_string();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            // A client that has gone needs no greeting.
            let _ = client.write_all(b"hello");
        }
    });
    let (balancer, address) = balancer_before(&[lost, alive])?;
    for _ in 0..4 {
        assert_eq!(greeting(address)?, "hello");
    }
    let servers = balancer.service("tested").servers()?;
    println!(
        "{} is {}, {} is {}",
        servers[0].address, servers[0].state, servers[1].address, servers[1].state
    );
    assert_eq!(servers[1].state, ServerState::Up);
    // A connection counts once, whether pen has seen its end already or only the client has.
    assert_eq!(servers[1].connections_total, 4);
    Ok(())
}
