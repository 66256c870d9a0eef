//! Every byte arrives, once and in its place, in both directions at once, and slow readers cost no memory.

use crate::common::backend::{Backend, echo};
use crate::common::client::Client;
use crate::common::pattern;
use crate::common::pen::Pen;
use crate::common::process::rss_kib;
use crate::common::wait::eventually;
use nix::sys::socket::{setsockopt, sockopt};
use std::io::{ErrorKind, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

fn echoes_exactly(pen: &Pen, bytes: usize) {
    assert_eq!(pattern::round_trip(pen.connect().stream, bytes), bytes);
}

#[test]
fn fifty_megabytes_both_ways_are_byte_exact() {
    let server = Backend::serving(echo);
    let pen = Pen::before([&server]).start();
    echoes_exactly(&pen, 50_000_000);
}

#[test]
fn twenty_streams_at_once_do_not_mix() {
    let server = Backend::serving(echo);
    let pen = Pen::before([&server]).command("threads 4").start();
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| echoes_exactly(&pen, 1_000_003));
        }
    });
}

#[test]
fn five_hundred_round_trips_on_one_connection() {
    let server = Backend::serving(echo);
    let pen = Pen::before([&server]).start();
    let mut client = pen.connect();
    for round in 0..500 {
        let line = format!("round {round}");
        assert_eq!(client.exchange(&line), line);
    }
}

#[test]
fn single_bytes_arrive_in_order() {
    let server = Backend::serving(echo);
    let pen = Pen::before([&server]).start();
    let mut client = pen.connect();
    client.stream.set_nodelay(true).unwrap();
    let text: Vec<u8> = (0..2_000).map(|count| b'a' + (count % 26) as u8).collect();
    for byte in &text {
        client.send([*byte]);
    }
    client.end();
    assert_eq!(client.rest(), text);
}

/// Servers that pour without end; `stalled` counts those that found nobody to take it.
fn pouring(stalled: Arc<AtomicUsize>) -> Backend {
    Backend::serving(move |mut stream| {
        setsockopt(&stream, sockopt::SndBuf, &16_384).unwrap();
        stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let block = vec![b'x'; 64 * 1024];
        loop {
            match stream.write(&block) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    stalled.fetch_add(1, SeqCst);
                    stream.set_write_timeout(None).unwrap();
                }
                Err(_) => return,
            }
        }
    })
}

#[test]
fn a_hundred_stalled_readers_cost_bounded_memory() {
    const READERS: usize = 100;
    /// Generous for a buffer per direction; without a bound it would be hundreds of megabytes by now.
    const KIB_EACH: u64 = 160;
    let stalled = Arc::new(AtomicUsize::new(0));
    let server = pouring(stalled.clone());
    let pen = Pen::before([&server]).start();
    let empty_kib = rss_kib(pen.pid());
    let readers: Vec<Client> = (0..READERS).map(|_| Client::with_small_buffer(pen.address)).collect();
    eventually("all servers to stall", || stalled.load(SeqCst), |stalled| *stalled == READERS);
    let grown_kib = rss_kib(pen.pid()).saturating_sub(empty_kib);
    assert!(grown_kib < READERS as u64 * KIB_EACH, "{grown_kib} KiB for {READERS} stalled readers");
    let bystander = Backend::named("B");
    pen.control(&format!("server 1 address 127.0.0.1 port {}", bystander.port()));
    pen.control("server 0 blacklist 3600");
    assert_eq!(pen.ask_from("127.0.0.2"), "B", "others are served");
    drop(readers);
}

#[test]
fn a_slow_reader_gets_everything_in_the_end() {
    const BYTES: usize = 3_000_000;
    let server = Backend::replying_after_eof(BYTES);
    let pen = Pen::before([&server]).start();
    let mut client = Client::with_small_buffer(pen.address);
    client.end();
    assert_eq!(pattern::read_to_end(&mut client.stream), BYTES);
}

#[test]
fn unix_sockets_on_both_sides() {
    let server = crate::common::backend::UnixBackend::echo();
    let start = Pen::before([server.path().display()]);
    let path = start.path("listen");
    let pen = start.listen(path.display()).start();
    let mut stream = std::os::unix::net::UnixStream::connect(pen.path("listen")).unwrap();
    pattern::write(&mut stream, 10_000).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(pattern::read_to_end(&mut stream), 10_000);
}

#[test]
fn ipv6_clients_and_ipv4_servers() {
    let server = Backend::serving(echo);
    let port = crate::common::ports::free_port();
    let pen = Pen::before([&server]).listen(format!("::1:{port}")).start();
    let mut client = Client::connect(format!("[::1]:{port}").parse().unwrap());
    assert_eq!(client.exchange("hello"), "hello");
    drop(pen);
}

#[test]
fn ipv4_clients_and_ipv6_servers() {
    let listener = std::net::TcpListener::bind("[::1]:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || echo(listener.accept().unwrap().0));
    let pen = Pen::before([address]).start();
    assert_eq!(pen.connect().exchange("hello"), "hello");
}
