//! The load of datagrams: clients and servers, all on one thread, every datagram checked by its content, and those that
//! are lost counted.
//!
//! Owns their sockets. Knows nothing of the program between them but its address.

use super::load::Generator;
use pen_core::slab::Slab;
use pen_sys::clock;
use pen_sys::net::poller::{Poller, Readiness};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// A request, and an answer.
const DATAGRAM_BYTES: usize = 100;
/// Longer than this no datagram is under way.
const LOST_AFTER: Duration = Duration::from_millis(500);
/// How often somebody looks for lost ones.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Without an answer for so long, something is wrong.
const PATIENCE: Duration = Duration::from_secs(8);
/// Keys from here on are the servers'.
const SERVER_KEYS: usize = usize::MAX / 2;

/// What clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    /// Ask again and again from the same port, with so many requests under way.
    Stay { window: usize },
    /// Ask once. Another client comes, from another address and port.
    Leave,
}

struct Client {
    socket: UdpSocket,
    /// Requests without an answer, and when they were sent.
    awaited: BTreeMap<u64, Instant>,
    /// Requests given up, whose answers may still come.
    given_up: Vec<u64>,
}

pub struct DatagramLoad {
    poller: Poller,
    servers: Vec<UdpSocket>,
    clients: Slab<Client>,
    target: SocketAddrV4,
    habit: Habit,
    next_id: u64,
    answers: u64,
    /// Requests to which no answer came.
    pub lost: u64,
    last_look: Instant,
    last_answer: Instant,
}

fn wrong(what: &str) -> io::Error {
    io::Error::other(what)
}

fn message(word: &str, id: u64) -> String {
    let fill = DATAGRAM_BYTES - word.len() - 22;
    format!("{word} {id:020} {:f>fill$}", "")
}

fn request(id: u64) -> String {
    message("request", id)
}

fn answer(id: u64) -> String {
    message("answer", id)
}

/// The number in a datagram that is what `form` makes of it.
fn number_of(datagram: &[u8], form: fn(u64) -> String) -> Option<u64> {
    let id = std::str::from_utf8(datagram).ok()?.split(' ').nth(1)?.parse().ok()?;
    (form(id).as_bytes() == datagram).then_some(id)
}

/// `None`: nothing waits there. A datagram of which the system says that it was refused is one more that is lost.
fn received<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(received) => Ok(Some(received)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionRefused) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

impl DatagramLoad {
    /// Clients that send to `target`, and servers behind it.
    pub fn new(
        target: SocketAddrV4,
        servers: Vec<UdpSocket>,
        habit: Habit,
        clients: usize,
    ) -> io::Result<DatagramLoad> {
        let poller = Poller::new()?;
        for (index, server) in servers.iter().enumerate() {
            server.set_nonblocking(true)?;
            poller.add_reader(server.as_fd(), SERVER_KEYS + index)?;
        }
        let now = clock::now();
        let mut load = DatagramLoad {
            poller,
            servers,
            clients: Slab::default(),
            target,
            habit,
            next_id: 0,
            answers: 0,
            lost: 0,
            last_look: now,
            last_answer: now,
        };
        (0..clients).try_for_each(|_| load.add_client())?;
        Ok(load)
    }

    fn add_client(&mut self) -> io::Result<()> {
        // Another address for each, and whatever port is free: none was there before, nor looks like one that was.
        let host = 1 + (self.next_id % 65_000) as u32;
        let source = Ipv4Addr::from_bits(Ipv4Addr::new(127, 2, 0, 0).to_bits() + host);
        let socket = UdpSocket::bind((source, 0))?;
        socket.set_nonblocking(true)?;
        socket.connect(self.target)?;
        let client = Client { socket, awaited: BTreeMap::new(), given_up: Vec::new() };
        let key = self.clients.insert(client);
        let client = self.clients.get(key).expect("just inserted");
        self.poller.add_reader(client.socket.as_fd(), key as usize)?;
        let requests = match self.habit {
            Habit::Stay { window } => window,
            Habit::Leave => 1,
        };
        (0..requests).try_for_each(|_| self.ask(key))
    }

    fn ask(&mut self, key: u32) -> io::Result<()> {
        self.next_id += 1;
        let Some(client) = self.clients.get_mut(key) else { return Ok(()) };
        // One that cannot be sent is found to be lost.
        received(client.socket.send(request(self.next_id).as_bytes()))?;
        client.awaited.insert(self.next_id, clock::now());
        Ok(())
    }

    /// Works until `done`, which is asked after every wake-up.
    ///
    /// # Errors
    /// When a datagram is wrong or comes twice, or no answer comes any more.
    pub fn run(&mut self, mut done: impl FnMut(&DatagramLoad) -> bool) -> io::Result<()> {
        let mut ready: Vec<Readiness> = Vec::new();
        self.last_answer = clock::now();
        while !done(self) {
            ready.clear();
            self.poller.wait(&mut ready, Some(LOOK_EVERY.as_millis() as u64))?;
            for event in &ready {
                match event.key.checked_sub(SERVER_KEYS) {
                    Some(server) => self.serve(server)?,
                    None => self.hear(event.key as u32)?,
                }
            }
            self.clients.recycle();
            if self.last_look.elapsed() > LOOK_EVERY {
                self.give_up_lost()?;
            }
            if self.last_answer.elapsed() > PATIENCE {
                return Err(wrong("no answer comes any more"));
            }
        }
        Ok(())
    }

    fn serve(&mut self, server: usize) -> io::Result<()> {
        let mut buffer = [0; 2 * DATAGRAM_BYTES];
        let socket = &self.servers[server];
        while let Some((count, peer)) = received(socket.recv_from(&mut buffer))? {
            let id = number_of(&buffer[..count], request);
            let id = id.ok_or_else(|| wrong("a server got a wrong datagram"))?;
            received(socket.send_to(answer(id).as_bytes(), peer))?;
        }
        Ok(())
    }

    fn hear(&mut self, key: u32) -> io::Result<()> {
        let mut buffer = [0; 2 * DATAGRAM_BYTES];
        loop {
            let Some(client) = self.clients.get_mut(key) else { return Ok(()) };
            let Some(count) = received(client.socket.recv(&mut buffer))? else { return Ok(()) };
            let id = number_of(&buffer[..count], answer);
            let id = id.ok_or_else(|| wrong("a client got a wrong datagram"))?;
            if let Some(late) = client.given_up.iter().position(|given_up| *given_up == id) {
                client.given_up.swap_remove(late);
                self.lost -= 1;
                continue;
            }
            if client.awaited.remove(&id).is_none() {
                return Err(wrong("an answer came that its client did not wait for, or came twice"));
            }
            self.answers += 1;
            self.last_answer = clock::now();
            self.go_on(key)?;
        }
    }

    /// After an answer, or instead of one.
    fn go_on(&mut self, key: u32) -> io::Result<()> {
        if self.habit != Habit::Leave {
            return self.ask(key);
        }
        self.clients.remove(key);
        self.add_client()
    }

    fn give_up_lost(&mut self) -> io::Result<()> {
        self.last_look = clock::now();
        let is_lost = |sent: &Instant| sent.elapsed() > LOST_AFTER;
        let all: Vec<u32> = self.clients.iter().map(|(key, _)| key).collect();
        for key in all {
            while let Some(client) = self.clients.get_mut(key)
                && let Some(oldest) = client.awaited.first_entry().filter(|oldest| is_lost(oldest.get()))
            {
                client.given_up.push(oldest.remove_entry().0);
                self.lost += 1;
                self.go_on(key)?;
            }
        }
        Ok(())
    }
}

impl Generator for DatagramLoad {
    fn run_for(&mut self, time: Duration) -> io::Result<()> {
        let end: Instant = clock::now() + time;
        self.run(|_| clock::now() >= end)
    }

    fn answers(&self) -> u64 {
        self.answers
    }
}
