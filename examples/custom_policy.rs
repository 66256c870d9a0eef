//! A policy and a check of the program's own, and a hook that counts where clients went.
//!
//! `cargo run --example custom_policy`

use pen::{Balancer, Check, CheckedServer, Choice, EventKind, Policy, Server, Service, Verdict};
use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Clients on odd ports go to the canary if it can be chosen; for the others pen's policy chooses.
struct Canary;

impl Policy for Canary {
    fn choose(&mut self, choice: &Choice<'_>) -> Option<usize> {
        let is_odd = choice.client()?.port() % 2 == 1;
        let mut canaries = choice.candidates().filter(|server| server.name == Some("canary"));
        canaries.next().filter(|_| is_odd).map(|canary| canary.number)
    }
}

/// Somebody knows who is in service.
struct InService(Vec<SocketAddr>);

impl Check for InService {
    fn check(&self, server: &CheckedServer) -> Verdict {
        match self.0.iter().any(|address| address.to_string() == server.address) {
            true => Verdict::Up,
            false => Verdict::Down("not in service".into()),
        }
    }
}

/// Says its name to every client, until the program ends.
fn serve(name: &'static str) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            // A client that has gone needs no name.
            let _ = client.write_all(name.as_bytes());
        }
    });
    Ok(address)
}

/// Who answers, and whether the client's port is odd.
fn ask(address: SocketAddr) -> std::io::Result<(String, bool)> {
    let mut client = TcpStream::connect(address)?;
    let is_odd = client.local_addr()?.port() % 2 == 1;
    let mut name = String::new();
    client.read_to_string(&mut name)?;
    Ok((name, is_odd))
}

/// Runs the example.
pub fn main() -> Result<(), Box<dyn Error>> {
    let (stable, canary) = (serve("stable")?, serve("canary")?);
    let connected = Arc::new(AtomicUsize::new(0));
    let counter = connected.clone();
    let web = Service::new("web")
        .listen("127.0.0.1:0")
        .policy(Canary)
        .check(InService(vec![stable, canary]))
        .server(Server::new(stable).name("stable"))
        .server(Server::new(canary).name("canary").weight(0.0))
        // What pen chooses by where the program's policy has no opinion, and no client belongs to a server.
        .command("policy least_conn")
        .command("roundrobin");
    let balancer = Balancer::builder()
        .service(web)
        .events(move |event| {
            if event.kind == EventKind::Connected {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        })
        .start()?;
    let address = balancer.service("web").addresses()?[0];
    for _ in 0..20 {
        let (name, is_odd) = ask(address)?;
        println!("{name}");
        assert_eq!(name, if is_odd { "canary" } else { "stable" });
    }
    println!("{} connections", connected.load(Ordering::Relaxed));
    assert_eq!(connected.load(Ordering::Relaxed), 20);
    balancer.stop()?;
    Ok(())
}
