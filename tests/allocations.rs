//! The way of a connection asks the allocator for nothing once pen is warm: not for a round trip, not for a stream, not
//! for a connection that comes and goes, and not for its log line.
//!
//! A worker runs in this process, and everything that the process allocates is counted. The clients and the server here
//! therefore work without the allocator as well. One test, because others beside it would be counted too.

mod common;

use common::wait::eventually;
use pen::testing::{LogHub, Output, Parts, Runtime, ServiceParts, Tls};
use pen_core::balance::{Endpoint, Pool, ServerSetup};
use pen_core::settings::{ProcessConfig, ProcessSettings, Settings};
use pen_proto::addr::ListenAddr;
use pen_sys::net::listen::{ListenOptions, Listener};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const MESSAGE: &[u8] = b"GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n";
const STREAM_BYTES: usize = 4 << 20;

/// Answers with what it gets, until the client ends, one client after the other.
fn echo(listener: &TcpListener) {
    let mut buffer = [0; 16 << 10];
    while let Ok((mut stream, _)) = listener.accept() {
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            if stream.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
    }
}

fn start(hub: &LogHub, server: SocketAddr) -> (Runtime, SocketAddr) {
    let settings = Settings::default();
    let mut pool = Pool::new(8);
    let selection = pool.add_selection(settings.rules());
    pool.set_servers(selection, vec![ServerSetup::new(Endpoint::Inet(server))], None, None);
    let pool = Arc::new(Mutex::new(pool));
    // Port 0 cannot be written; a port that was free just now is.
    let port = common::ports::free_port();
    let options = ListenOptions { backlog: 8, nodelay: true, mode: None, datagram_sockets: 0, shared: false };
    let address = ListenAddr::parse(&format!("127.0.0.1:{port}")).unwrap();
    let listener = Listener::open(&address, options).unwrap();
    let process = ProcessSettings::from(&ProcessConfig::default());
    let log = hub.traffic_log();
    let (name, listeners, tls) = ("main".into(), vec![Arc::new(listener)], Tls::default());
    let services = vec![ServiceParts { name, settings, pool, selection, listeners, tls, log }];
    let parts = Parts { workers: 1, process, services, dummy_name: None };
    (Runtime::start(parts).unwrap(), SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

fn round_trip(client: &mut TcpStream) {
    let mut answer = [0; MESSAGE.len()];
    client.write_all(MESSAGE).unwrap();
    client.read_exact(&mut answer).unwrap();
    assert_eq!(answer, MESSAGE);
}

/// As much as `bytes` has, from one end to the other and back, in pieces.
fn stream(client: &mut TcpStream, bytes: &[u8], back: &mut [u8]) {
    for (piece, back) in bytes.chunks(64 << 10).zip(back.chunks_mut(64 << 10)) {
        client.write_all(piece).unwrap();
        client.read_exact(back).unwrap();
    }
    assert!(back == bytes);
}

/// A connection that comes and goes; waits until pen has ended it too.
fn visit(pen: SocketAddr, runtime: &Runtime) {
    let mut client = TcpStream::connect(pen).unwrap();
    round_trip(&mut client);
    drop(client);
    eventually("the connection to end", || runtime.connections_used(), |used| *used == 0);
}

/// Does it again until nothing was allocated meanwhile: buffers have grown to their size then, and what another thread
/// of the process did once is over. What `work` itself allocates each time is found.
fn soon_without_allocations(what: &str, mut work: impl FnMut()) {
    let allocations = || {
        let region = Region::new(ALLOCATOR);
        work();
        let change = region.change();
        change.allocations + change.reallocations
    };
    eventually(&format!("no allocations for {what}"), allocations, |count| *count == 0);
}

#[test]
fn relaying_does_not_allocate() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let server_address = server.local_addr().unwrap();
    thread::spawn(move || echo(&server));
    let mut hub = LogHub::new();
    let (mut runtime, pen) = start(&hub, server_address);
    let bytes: Vec<u8> = (0..STREAM_BYTES).map(|index| (index % 251) as u8).collect();
    let mut back = vec![0; STREAM_BYTES];

    let mut client = TcpStream::connect(pen).unwrap();
    soon_without_allocations("500 round trips", || (0..500).for_each(|_| round_trip(&mut client)));
    soon_without_allocations("4 MiB there and back", || stream(&mut client, &bytes, &mut back));
    drop(client);

    let visits = || (0..100).for_each(|_| visit(pen, &runtime));
    soon_without_allocations("100 short connections", visits);
    let directory = common::tempdir::TempDir::new();
    let file = std::fs::File::create(directory.path().join("log")).unwrap();
    hub.set_target(Some(Output::File(file))).unwrap();
    soon_without_allocations("100 short connections with a log", visits);
    runtime.stop();
    assert_eq!(hub.shutdown(), 0, "no line was lost");
}
