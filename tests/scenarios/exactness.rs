//! Many connections of all shapes at once: sizes, pieces, pauses, buffers and the order of the ends are drawn by lot, and
//! every byte is compared. Both sides draw from the same number, which the client sends first.

use crate::common::backend::Backend;
use crate::common::client::Client;
use crate::common::pattern;
use crate::common::pen::{Pen, Start};
use crate::common::wait::{PATIENCE, eventually, meanwhile};
use nix::sys::socket::{setsockopt, sockopt};
use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

const CONNECTIONS: usize = 120;
const AT_ONCE: usize = 30;
/// Fewer than there are clients, so that some wait for the end of others.
const OPTIONS: &str = "-x 20";

/// Numbers that repeat for the same seed.
struct Lot(u64);

impl Lot {
    fn draw(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % below
    }

    /// Often little, seldom much.
    fn draw_size(&mut self) -> usize {
        let most = [1, 2, 100, 5_000, 70_000, 70_000, 600_000, 2_000_000][self.draw(8)];
        self.draw(most)
    }
}

/// When a side begins to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begins {
    AtOnce,
    AfterTheOthersEnd,
}

/// What one side sends, and how it reads.
#[derive(Debug, Clone, Copy)]
struct Part {
    /// Of the pattern.
    start: usize,
    bytes: usize,
    begins: Begins,
    piece_max: usize,
    pauses: bool,
    small_buffers: bool,
    seed: u64,
}

#[derive(Debug, Clone, Copy)]
struct Plan {
    client: Part,
    server: Part,
}

impl Plan {
    fn new(seed: u64) -> Plan {
        let mut lot = Lot(seed | 1);
        let (client, server) = match lot.draw(4) {
            0 => (Begins::AfterTheOthersEnd, Begins::AtOnce),
            1 => (Begins::AtOnce, Begins::AfterTheOthersEnd),
            _ => (Begins::AtOnce, Begins::AtOnce),
        };
        let mut part = |begins| Part {
            start: lot.draw(1 << 30),
            bytes: lot.draw_size(),
            begins,
            piece_max: [1, 1_000, 70_000][lot.draw(3)],
            pauses: lot.draw(3) == 0,
            small_buffers: lot.draw(4) == 0,
            seed: lot.0,
        };
        let (mut client, mut server) = (part(client), part(server));
        if client.small_buffers || server.small_buffers {
            // The kernel waits before it tells of a little room: much would take minutes.
            client.bytes %= 40_000;
            server.bytes %= 40_000;
        }
        Plan { client, server }
    }
}

/// Plays one side: sends what it has to, and reads what the other sends, which must be exactly that.
fn play(stream: &TcpStream, mine: Part, others: Part) {
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    if mine.small_buffers {
        setsockopt(stream, sockopt::RcvBuf, &4096).unwrap();
        setsockopt(stream, sockopt::SndBuf, &4096).unwrap();
    }
    let (ended, end) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            if mine.begins == Begins::AfterTheOthersEnd {
                end.recv().expect("the other side's end");
            }
            send(stream, mine);
        });
        receive(stream, mine, others);
        // Nobody may be waiting for it.
        let _ = ended.send(());
    });
}

fn send(mut stream: &TcpStream, part: Part) {
    let mut lot = Lot(part.seed | 1);
    // Single bytes for a while, then larger pieces: millions of system calls show nothing new.
    let mut sent = 0;
    for count in 0.. {
        if sent == part.bytes {
            break;
        }
        let piece_max = if count < 2_000 { part.piece_max } else { 70_000 };
        let wanted = (1 + lot.draw(piece_max)).min(part.bytes - sent);
        let piece = pattern::piece(part.start + sent, wanted);
        stream.write_all(piece).unwrap_or_else(|error| panic!("after {sent} bytes of {part:?}: {error}"));
        sent += piece.len();
        pause(&mut lot, part);
    }
    stream.shutdown(Shutdown::Write).unwrap();
}

fn receive(mut stream: &TcpStream, mine: Part, others: Part) {
    let mut lot = Lot(mine.seed.rotate_left(32) | 1);
    let mut buffer = vec![0; 70_000];
    let mut received = 0;
    loop {
        let wanted = 1 + lot.draw(buffer.len());
        let count = stream
            .read(&mut buffer[..wanted])
            .unwrap_or_else(|error| panic!("after {received} bytes of {others:?}: {error}"));
        if count == 0 {
            break;
        }
        pattern::check(&buffer[..count], others.start + received);
        received += count;
        pause(&mut lot, mine);
    }
    assert_eq!(received, others.bytes, "{others:?}");
}

fn pause(lot: &mut Lot, part: Part) {
    if part.pauses && lot.draw(20) == 0 {
        meanwhile(Duration::from_millis(lot.draw(20) as u64));
    }
}

/// Servers that play their part; the numbers of those plays that went well are kept.
fn players(well: Arc<Mutex<Vec<u64>>>) -> Backend {
    Backend::serving(move |mut stream| {
        let mut seed = [0; 8];
        stream.read_exact(&mut seed).expect("the number");
        let seed = u64::from_be_bytes(seed);
        let plan = Plan::new(seed);
        play(&stream, plan.server, plan.client);
        well.lock().unwrap().push(seed);
    })
}

fn all_is_exact(start: impl FnOnce(Start) -> Start) {
    let lots = RandomState::new();
    let well = Arc::new(Mutex::new(Vec::new()));
    let server = players(well.clone());
    let pen = start(Pen::before([&server]).options(OPTIONS).command("threads 3")).start();
    let (started, up_bytes, down_bytes) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let number = started.fetch_add(1, SeqCst)
                    && number < CONNECTIONS
                {
                    let seed = lots.hash_one(number);
                    let plan = Plan::new(seed);
                    let mut client = Client::connect(pen.address);
                    client.send(seed.to_be_bytes());
                    play(&client.stream, plan.client, plan.server);
                    up_bytes.fetch_add(8 + plan.client.bytes as u64, SeqCst);
                    down_bytes.fetch_add(plan.server.bytes as u64, SeqCst);
                }
            });
        }
    });
    eventually("the servers to be content", || well.lock().unwrap().len(), |count| *count == CONNECTIONS);
    let (up_bytes, down_bytes) = (up_bytes.into_inner(), down_bytes.into_inner());
    let wanted = format!(" conn 0 max 0 hard 0 weight 0 prio 0 sx {up_bytes} rx {down_bytes}");
    let first = || pen.control("servers").lines().next().unwrap_or_default().to_string();
    eventually(&wanted, first, |line| line.ends_with(&wanted));
}

#[test]
fn every_byte_arrives_whatever_the_pace_and_the_order_of_the_ends() {
    all_is_exact(|start| start);
}

#[test]
fn every_byte_arrives_when_servers_are_chosen_late() {
    all_is_exact(|start| start.command("peek"));
}

#[test]
fn every_byte_arrives_when_the_first_servers_fail() {
    let refusing = Backend::refusing("dead");
    all_is_exact(|start| {
        start.options("-b 0 -r").command(format!(
            "server 1 address {} port {}",
            refusing.address().ip(),
            refusing.port()
        ))
    });
}
