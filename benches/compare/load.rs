//! The load: clients and servers, all on one thread, and every byte checked at both ends. Clients may speak TLS.
//!
//! Owns their sockets and counts what they get done. Knows nothing of the program between them but its address.

use super::wire::Wire;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
use pen_core::slab::Slab;
use pen_sys::clock;
use pen_sys::net::poller::{Poller, Readiness};
use rustls::ClientConfig;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A request, and an answer.
const MESSAGE_BYTES: usize = 100;
/// A request is complete when it ends like this; `-H` adds lines before it.
const REQUEST_END: &[u8] = b"\r\n\r\n";
/// What streams repeat. A prime: bytes that are lost or come twice in any usual number show.
const PATTERN_BYTES: usize = 65_521;
/// The largest read and write.
const CHUNK_BYTES: usize = 256 << 10;
/// So much of one stream moves before the others have their turn. A load that reads one until it is dry, while the program
/// goes on to fill it, lets all others fall behind by whole buffers: a clone by megabytes, as no server does.
const TURN_BYTES: usize = 4 * CHUNK_BYTES;
/// Longer than this nothing stands still unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(8);
/// Keys from here on are the servers' listeners.
const LISTENER_KEYS: usize = usize::MAX / 2;

/// What clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Connect, ask, hear the answer, close, come again.
    Connect,
    /// Ask again and again on the same connection.
    Ask,
    /// Stay silent.
    Rest,
    /// Take a stream.
    Take,
    /// Send a stream.
    Give,
}

#[derive(Debug)]
enum Role {
    /// Answers whole requests; what has come of one so far. It gives or takes a stream if that is what the client wants.
    Server { request: Vec<u8> },
    /// A client that has sent a request, or will when it is connected, and got so many bytes of the answer.
    Client { task: Task, id: u64, asked: bool, received: usize },
    /// The sender of a stream, and how far it is.
    Giver { position: usize },
    /// The receiver of a stream, and how far it is.
    Taker { position: usize },
}

struct Socket {
    wire: Wire,
    role: Role,
    /// It is that of a clone.
    is_copy: bool,
    /// When the client asked.
    asked: Option<Instant>,
}

pub struct Load {
    poller: Poller,
    servers: Vec<TcpListener>,
    /// Those behind them are clones.
    members: usize,
    sockets: Slab<Socket>,
    /// What those may do yet that used up their turn.
    unfinished: Vec<Readiness>,
    target: SocketAddrV4,
    /// What clients ask for when they speak TLS.
    tls: Option<Arc<ClientConfig>>,
    /// Local addresses of clients, when ports of one may run out.
    sources: u32,
    next_id: u64,
    buffer: Vec<u8>,
    pattern: Vec<u8>,
    /// Answers that came, complete and right.
    pub answers: u64,
    /// Bytes of streams that came, and right.
    pub bytes: u64,
    /// Those of clones, either way.
    pub copied_bytes: u64,
    /// How long answers took in which clients ask again and again, while it is wanted.
    pub trip_us: Option<Vec<u32>>,
    /// Connections that reached a server.
    pub accepted: u64,
    /// Answers on connections whose TLS session had been taken up again.
    pub resumed: u64,
}

/// Something that keeps a program busy and counts what comes of it.
pub trait Generator {
    /// Works for so long.
    ///
    /// # Errors
    /// When something that comes is wrong, or nothing comes any more.
    fn run_for(&mut self, time: Duration) -> io::Result<()>;

    /// Answers that came, complete and right.
    fn answers(&self) -> u64;
}

fn wrong(what: &str) -> io::Error {
    io::Error::other(what)
}

fn request(id: u64) -> Vec<u8> {
    format!("GET /{id:020} HTTP/1.1\r\nHost: pen\r\nX-Fill: {:f>41}\r\n\r\n", "").into_bytes()
}

fn answer(id: u64) -> Vec<u8> {
    // Without a length an answer would last as long as its connection.
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n";
    format!("{head}X-Id: {id:020}\r\nX-Fill: {:f>24}\r\n\r\n", "").into_bytes()
}

impl Load {
    /// Servers that listen on free ports, and clients that will connect to `target`. `copies`: a clone.
    /// `tls`: what clients ask for, if they speak it.
    pub fn new(
        target: SocketAddrV4,
        mut servers: Vec<TcpListener>,
        copies: Option<TcpListener>,
        sources: u32,
        tls: Option<Arc<ClientConfig>>,
    ) -> io::Result<Load> {
        assert!(request(0).len() == MESSAGE_BYTES && answer(0).len() == MESSAGE_BYTES);
        let poller = Poller::new()?;
        let members = servers.len();
        servers.extend(copies);
        for (index, server) in servers.iter().enumerate() {
            server.set_nonblocking(true)?;
            poller.add_listener(server.as_fd(), LISTENER_KEYS + index)?;
        }
        let byte = |index: usize| ((index % PATTERN_BYTES * 167) >> 3) as u8;
        Ok(Load {
            poller,
            servers,
            members,
            sockets: Slab::default(),
            unfinished: Vec::new(),
            target,
            tls,
            sources,
            next_id: 0,
            buffer: vec![0; CHUNK_BYTES],
            pattern: (0..PATTERN_BYTES + CHUNK_BYTES).map(byte).collect(),
            answers: 0,
            bytes: 0,
            copied_bytes: 0,
            trip_us: None,
            accepted: 0,
            resumed: 0,
        })
    }

    /// One more client.
    pub fn add_client(&mut self, task: Task) -> io::Result<()> {
        self.next_id += 1;
        let id = self.next_id;
        let stream = self.open(id)?;
        let wire = match &self.tls {
            Some(terms) => Wire::tls(stream, terms)?,
            None => Wire::plain(stream),
        };
        let role = match task {
            Task::Give => Role::Giver { position: 0 },
            _ => Role::Client { task, id, asked: false, received: 0 },
        };
        self.watch(wire, role, false)
    }

    /// A connect under way.
    fn open(&self, id: u64) -> io::Result<TcpStream> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let stream = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
        if self.sources > 1 {
            let host = 2 + (id % u64::from(self.sources)) as u32;
            let source = Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 0).to_bits() + host);
            bind(stream.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(source, 0)))?;
        }
        match connect(stream.as_raw_fd(), &SockaddrIn::from(self.target)) {
            Ok(()) | Err(Errno::EINPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let stream = TcpStream::from(stream);
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn watch(&mut self, wire: Wire, role: Role, is_copy: bool) -> io::Result<()> {
        let key = self.sockets.insert(Socket { wire, role, is_copy, asked: None }) as usize;
        let socket = self.sockets.get(key as u32).expect("just inserted");
        self.poller.add(socket.wire.socket(), key)
    }

    /// Works until `done`, which is asked after every wake-up.
    ///
    /// # Errors
    /// When a byte is wrong, a connection breaks, or nothing happens any more.
    pub fn run(&mut self, mut done: impl FnMut(&Load) -> bool) -> io::Result<()> {
        let mut ready: Vec<Readiness> = Vec::new();
        let mut last_event = clock::now();
        while !done(self) {
            ready.clear();
            ready.append(&mut self.unfinished);
            let wait_ms = if ready.is_empty() { 100 } else { 0 };
            self.poller.wait(&mut ready, Some(wait_ms))?;
            if !ready.is_empty() {
                last_event = clock::now();
            } else if last_event.elapsed() > PATIENCE {
                return Err(wrong("nothing moves any more"));
            }
            for event in &ready {
                match event.key.checked_sub(LISTENER_KEYS) {
                    Some(listener) => self.accept(listener)?,
                    None => self.serve(event)?,
                }
            }
            self.sockets.recycle();
        }
        Ok(())
    }

    fn accept(&mut self, listener: usize) -> io::Result<()> {
        loop {
            match self.servers[listener].accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    self.accepted += 1;
                    let is_copy = listener >= self.members;
                    self.watch(Wire::plain(stream), Role::Server { request: Vec::new() }, is_copy)?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn serve(&mut self, event: &Readiness) -> io::Result<()> {
        let index = event.key as u32;
        let Some(socket) = self.sockets.get_mut(index) else { return Ok(()) };
        if event.writable {
            socket.begin(self.trip_us.is_some())?;
            self.give(index)?;
        }
        if !event.readable {
            return Ok(());
        }
        let mut turn_bytes = 0;
        loop {
            let Some(socket) = self.sockets.get_mut(index) else { return Ok(()) };
            if turn_bytes >= TURN_BYTES {
                self.unfinished.push(Readiness { writable: false, ..*event });
                return Ok(());
            }
            match socket.wire.read(&mut self.buffer) {
                Ok(0) => return self.ended(index),
                Ok(count) => {
                    turn_bytes += count;
                    self.take(index, count)?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // As checks of servers end.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return self.ended(index),
                Err(error) => return Err(error),
            }
        }
    }

    /// Bytes have come.
    fn take(&mut self, index: u32, count: usize) -> io::Result<()> {
        let (bytes, pattern) = (&self.buffer[..count], &self.pattern);
        let Some(socket) = self.sockets.get_mut(index) else { return Ok(()) };
        let taken_bytes = if socket.is_copy { &mut self.copied_bytes } else { &mut self.bytes };
        match &mut socket.role {
            Role::Server { request } => {
                if request.is_empty() && bytes.starts_with(&pattern[..bytes.len().min(8)]) {
                    *taken_bytes += check(pattern, 0, bytes)?;
                    socket.role = Role::Taker { position: count };
                } else if bytes == [Task::Take as u8] {
                    socket.role = Role::Giver { position: 0 };
                    self.give(index)?;
                } else {
                    request.extend_from_slice(bytes);
                    socket.respond()?;
                }
            }
            Role::Client { task: Task::Take, .. } => {
                *taken_bytes += check(pattern, 0, bytes)?;
                socket.role = Role::Taker { position: count };
            }
            Role::Client { id, received, .. } => {
                if answer(*id).get(*received..*received + count) != Some(bytes) {
                    return Err(wrong("a client got wrong bytes"));
                }
                *received += count;
                if *received == MESSAGE_BYTES {
                    return self.answered(index);
                }
            }
            Role::Taker { position } => {
                *taken_bytes += check(pattern, *position, bytes)?;
                *position += count;
            }
            Role::Giver { .. } => return Err(wrong("the sender of a stream got bytes")),
        }
        Ok(())
    }

    /// Sends of a stream what goes, in one turn.
    fn give(&mut self, index: u32) -> io::Result<()> {
        let Some(socket) = self.sockets.get_mut(index) else { return Ok(()) };
        let Role::Giver { position } = &mut socket.role else { return Ok(()) };
        let before = *position;
        while *position - before < TURN_BYTES {
            match socket.wire.write(&self.pattern[*position % PATTERN_BYTES..][..CHUNK_BYTES]) {
                Ok(count) => *position += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let sent_bytes = *position - before;
        if sent_bytes >= TURN_BYTES {
            self.unfinished.push(writable(index));
        }
        if socket.is_copy {
            self.copied_bytes += sent_bytes as u64;
        }
        Ok(())
    }

    fn answered(&mut self, index: u32) -> io::Result<()> {
        self.answers += 1;
        self.next_id += 1;
        let next_id = self.next_id;
        let Some(socket) = self.sockets.get_mut(index) else { return Ok(()) };
        if let Role::Client { task: Task::Ask, id, asked, received } = &mut socket.role {
            (*id, *asked, *received) = (next_id, false, 0);
            let began = socket.asked.take();
            if let (Some(trips), Some(began)) = (&mut self.trip_us, began) {
                trips.push(began.elapsed().as_micros() as u32);
            }
            return socket.begin(self.trip_us.is_some());
        }
        self.resumed += u64::from(socket.wire.is_resumed());
        socket.wire.say_end()?;
        self.sockets.remove(index);
        self.add_client(Task::Connect)
    }

    /// Only a server's connection may end by itself: its client has closed it.
    fn ended(&mut self, index: u32) -> io::Result<()> {
        match self.sockets.remove(index).map(|socket| socket.role) {
            Some(Role::Server { request }) if request.is_empty() => Ok(()),
            Some(_) => Err(wrong("a connection ended too early")),
            None => Ok(()),
        }
    }
}

impl Generator for Load {
    fn run_for(&mut self, time: Duration) -> io::Result<()> {
        let end: Instant = clock::now() + time;
        self.run(|_| clock::now() >= end)
    }

    fn answers(&self) -> u64 {
        self.answers
    }
}

impl Socket {
    /// A client that is connected says what it wants.
    fn begin(&mut self, is_timed: bool) -> io::Result<()> {
        let Role::Client { task, id, asked, .. } = &mut self.role else { return Ok(()) };
        if std::mem::replace(asked, true) {
            return Ok(());
        }
        if *task == Task::Rest {
            return self.wire.flush();
        }
        self.asked = is_timed.then(clock::now);
        if *task == Task::Take {
            return send(&mut self.wire, &[Task::Take as u8]);
        }
        send(&mut self.wire, &request(*id))
    }

    /// A server answers a request that is complete. What a program in between may add to it are lines at its end.
    fn respond(&mut self) -> io::Result<()> {
        let Role::Server { request: got } = &mut self.role else { return Ok(()) };
        if !got.ends_with(REQUEST_END) {
            return Ok(());
        }
        let number = got.get(5..25).and_then(|digits| std::str::from_utf8(digits).ok());
        let id =
            number.and_then(|number| number.parse().ok()).ok_or_else(|| wrong("a server got no request"))?;
        if !got.starts_with(&request(id)[..MESSAGE_BYTES - 2]) {
            return Err(wrong("a server got wrong bytes"));
        }
        got.clear();
        send(&mut self.wire, &answer(id))
    }
}

/// As if this socket had had the event that it takes more.
fn writable(index: u32) -> Readiness {
    let key = index as usize;
    Readiness { key, readable: false, writable: true, until_dry: false, urgent: false, error: false }
}

/// A message is smaller than any socket buffer.
fn send(wire: &mut Wire, message: &[u8]) -> io::Result<()> {
    match wire.write(message)? == message.len() {
        true => Ok(()),
        false => Err(wrong("a message went out in part")),
    }
}

/// How many bytes of the stream these are; they must be those that belong there.
fn check(pattern: &[u8], position: usize, bytes: &[u8]) -> io::Result<u64> {
    match pattern[position % PATTERN_BYTES..].starts_with(bytes) {
        true => Ok(bytes.len() as u64),
        false => Err(wrong("a stream was changed on its way")),
    }
}
