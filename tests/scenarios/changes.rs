//! Servers, services and listeners that change without a pause, under clients whose every byte is compared.

use crate::common::backend::{Backend, echo};
use crate::common::pattern;
use crate::common::pen::Pen;
use crate::common::ports::free_port;
use crate::common::wait::{PATIENCE, eventually};
use nix::sys::signal::Signal;
use pen_sys::control::{Address, Session};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

const ROUNDS: usize = 200;
/// A round trip takes several reads and writes.
const BYTES: usize = 30_000;

/// Sends a piece of the pattern and expects it back, whole, followed by the end.
fn exchange(address: SocketAddr, start: usize) -> Result<(), String> {
    let mut stream = TcpStream::connect(address).map_err(|error| format!("connect: {error}"))?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut sender = stream.try_clone().map_err(|error| format!("clone: {error}"))?;
    let sent = thread::spawn(move || {
        let mut written = 0;
        while written < BYTES {
            let piece = pattern::piece(start + written, BYTES - written);
            sender.write_all(piece).map_err(|error| format!("write after {written}: {error}"))?;
            written += piece.len();
        }
        sender.shutdown(Shutdown::Write).map_err(|error| format!("shutdown: {error}"))
    });
    let mut got = Vec::with_capacity(BYTES);
    let read = stream.read_to_end(&mut got).map_err(|error| format!("read after {}: {error}", got.len()));
    sent.join().expect("the sender")?;
    read?;
    let mut at = 0;
    while at < got.len() {
        let piece = pattern::piece(start + at, got.len() - at);
        if got[at..at + piece.len()] != *piece {
            return Err(format!("other bytes from {at} on"));
        }
        at += piece.len();
    }
    if got.len() == BYTES { Ok(()) } else { Err(format!("{} of {BYTES} bytes", got.len())) }
}

#[test]
fn nobody_fails_while_servers_and_services_come_and_go() {
    let servers = [(); 4].map(|()| Backend::serving(echo));
    let [web, more] = [free_port(), free_port()];
    let lines = format!(
        "service web\nlisten 127.0.0.1:{web}\nclients_from main\nserver add a={}\nserver add b={}\n",
        servers[0], servers[1]
    );
    let pen = Pen::before([format!("a={}", servers[0]), format!("b={}", servers[1])])
        .options("-r --threads 2")
        .config(&lines)
        .start();
    let addresses = [pen.address, ([127, 0, 0, 1], web).into()];
    let (is_over, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..2)
        .map(|number| {
            let (is_over, served, address) = (is_over.clone(), served.clone(), addresses[number % 2]);
            thread::spawn(move || {
                let mut turn = number;
                while !is_over.load(SeqCst) {
                    exchange(address, turn * 7_919)
                        .unwrap_or_else(|trouble| panic!("client {number}: {trouble}"));
                    served.fetch_add(1, SeqCst);
                    turn += 2;
                }
            })
        })
        .collect();
    let address = Address::parse(&pen.path("control").display().to_string()).unwrap();
    let mut session = Session::open(address).unwrap();
    for round in 0..ROUNDS {
        let service = if round % 2 == 0 { "" } else { "service web " };
        for line in [
            format!("{service}server add c={}", servers[2]),
            format!("{service}server add d={} weight 2.5", servers[3]),
            format!("{service}server c drain"),
            format!("{service}server c enable"),
            format!("{service}server d disable"),
            format!("{service}server c remove"),
            format!("{service}server d remove"),
            "service add spare".into(),
            format!("service spare listen 127.0.0.1:{more}"),
            "service remove spare now".into(),
        ] {
            let reply = session.ask(&line).and_then(|reply| reply);
            reply.unwrap_or_else(|trouble| panic!("round {round}: {line}: {trouble}"));
        }
        pen.signal(Signal::SIGHUP);
    }
    is_over.store(true, SeqCst);
    clients.into_iter().for_each(|client| client.join().expect("a client that missed nothing"));
    assert!(served.load(SeqCst) >= 50, "{} clients were served", served.load(SeqCst));
    for line in ["servers json", "service web servers json"] {
        let counts = || -> Vec<u64> {
            let servers: Vec<Value> = serde_json::from_str(&pen.control(line)).expect("JSON");
            servers.iter().map(|server| server["connections"].as_u64().unwrap()).collect()
        };
        eventually("the counts to end at 0", counts, |counts| counts.iter().all(|count| *count == 0));
    }
    let lines = pen.control("services");
    assert!(lines.starts_with("main tcp conns 0 ") && lines.contains("\nweb tcp conns 0 "), "{lines}");
}
