//! The load of datagram streams: runs of datagrams that go one way, as QUIC and media programs send them, and one small
//! datagram the other way for each run. Everything on one thread, each datagram checked.
//!
//! Owns the sockets. Sends a run as one message (UDP_SEGMENT) and takes what comes whole (UDP_GRO), so that most of the work
//! on the way is that of the program between them.

use super::load::Generator;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use pen_sys::clock;
use pen_sys::datagram::take_runs;
use pen_sys::net::poller::{Poller, Readiness};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

/// Of a datagram in a run.
const PIECE_BYTES: usize = 1200;
/// In a run.
const PIECES: usize = 40;
const RUN_BYTES: usize = PIECES * PIECE_BYTES;
/// Of the datagram that asks for a run or confirms one.
const WORD_BYTES: usize = 8;
/// After this time what has not come is lost, and the client goes on.
const LOST_AFTER: Duration = Duration::from_millis(500);
/// Without a complete run for so long, something is wrong.
const PATIENCE: Duration = Duration::from_secs(8);
/// More clients would fill the queue of a socket that takes runs apart.
const CLIENTS: usize = 2;
/// Keys from here on are the servers'.
const SERVER_KEYS: usize = 1000;

/// Which way the runs go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Up,
    Down,
}

/// One end that receives a run: which one, and how many of its datagrams have come.
#[derive(Default, Clone, Copy)]
struct Progress {
    run: u64,
    pieces: usize,
}

struct Client {
    socket: UdpSocket,
    run: u64,
    asked: Instant,
    got: Progress,
}

pub struct RunLoad {
    poller: Poller,
    way: Way,
    servers: Vec<UdpSocket>,
    clients: Vec<Client>,
    /// By client: what its server has got.
    at_server: Vec<Progress>,
    /// Complete runs.
    runs: u64,
    /// Datagrams of runs that did not become complete.
    pub lost: u64,
    last_run: Instant,
    buffer: Vec<u8>,
}

fn wrong(what: &str) -> io::Error {
    io::Error::other(what)
}

/// The datagrams of a run: client, run and place in each, and a pattern.
fn run_of(client: usize, run: u64) -> Vec<u8> {
    (0..PIECES).flat_map(|place| piece_of(client, run, place)).collect()
}

fn piece_of(client: usize, run: u64, place: usize) -> Vec<u8> {
    let mut piece = vec![(run as u8).wrapping_add(place as u8); PIECE_BYTES];
    piece[..8].copy_from_slice(&run.to_be_bytes());
    piece[8..10].copy_from_slice(&[client as u8, place as u8]);
    piece
}

fn send_run(socket: &UdpSocket, to: Option<SocketAddr>, run: &[u8]) -> io::Result<()> {
    let size = PIECE_BYTES as u16;
    let control = [ControlMessage::UdpGsoSegments(&size)];
    let to = to.map(nix::sys::socket::SockaddrStorage::from);
    sendmsg(socket.as_raw_fd(), &[IoSlice::new(run)], &control, MsgFlags::empty(), to.as_ref())?;
    Ok(())
}

/// The next message of a socket and who sent it; `None` when none waits. A refusal is told as nothing: what it concerns
/// is found to be lost.
fn next<'a>(socket: &UdpSocket, buffer: &'a mut [u8]) -> io::Result<Option<(&'a [u8], SocketAddr)>> {
    let mut control = nix::cmsg_space!(i32);
    let mut slices = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT;
    let received = recvmsg::<nix::sys::socket::SockaddrStorage>(
        socket.as_raw_fd(),
        &mut slices,
        Some(&mut control),
        flags,
    );
    let message = match received.map_err(io::Error::from) {
        Ok(message) => message,
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    for told in message.cmsgs()? {
        if let ControlMessageOwned::UdpGroSegments(size) = told
            && size as usize != PIECE_BYTES
        {
            return Err(wrong("datagrams have another size"));
        }
    }
    let from = message.address.and_then(|address| {
        let v4 = address.as_sockaddr_in()?;
        Some(SocketAddr::from((v4.ip(), v4.port())))
    });
    let length = message.bytes;
    // A connected socket may not name its peer.
    Ok(Some((&buffer[..length], from.unwrap_or_else(|| (Ipv4Addr::UNSPECIFIED, 0).into()))))
}

impl Progress {
    /// Takes datagrams of a run; true when it is complete with them.
    ///
    /// # Errors
    /// One is wrong or not in its place.
    fn take(&mut self, bytes: &[u8]) -> io::Result<Option<(usize, u64)>> {
        let mut complete = None;
        for piece in bytes.chunks(PIECE_BYTES) {
            let head = piece.first_chunk::<10>().ok_or_else(|| wrong("a datagram is too short"))?;
            let run = u64::from_be_bytes(*head.first_chunk().expect("eight of ten"));
            let (client, place) = (usize::from(head[8]), usize::from(head[9]));
            if piece != piece_of(client, run, place) {
                return Err(wrong("a datagram of a run is wrong"));
            }
            if run != self.run {
                *self = Progress { run, pieces: 0 };
            }
            self.pieces += 1;
            if self.pieces == PIECES {
                complete = Some((client, run));
            }
        }
        Ok(complete)
    }
}

impl RunLoad {
    /// Clients that send to `target`, and servers behind it.
    ///
    /// # Errors
    /// Sockets cannot be had.
    pub fn new(target: SocketAddrV4, servers: Vec<UdpSocket>, way: Way) -> io::Result<RunLoad> {
        let poller = Poller::new()?;
        for (index, server) in servers.iter().enumerate() {
            server.set_nonblocking(true)?;
            take_runs(server.as_fd());
            poller.add_reader(server.as_fd(), SERVER_KEYS + index)?;
        }
        let now = clock::now();
        let mut clients = Vec::new();
        for index in 0..CLIENTS {
            let socket = UdpSocket::bind((Ipv4Addr::new(127, 2, 0, 1 + index as u8), 0))?;
            socket.set_nonblocking(true)?;
            socket.connect(target)?;
            take_runs(socket.as_fd());
            poller.add_reader(socket.as_fd(), index)?;
            clients.push(Client { socket, run: 0, asked: now, got: Progress::default() });
        }
        let mut load = RunLoad {
            poller,
            way,
            servers,
            at_server: vec![Progress::default(); CLIENTS],
            clients,
            runs: 0,
            lost: 0,
            last_run: now,
            buffer: vec![0; 65_536],
        };
        (0..CLIENTS).try_for_each(|client| load.begin(client))?;
        Ok(load)
    }

    /// Payload of the complete runs.
    pub fn bytes(&self) -> u64 {
        self.runs * RUN_BYTES as u64
    }

    pub fn datagrams(&self) -> u64 {
        self.runs * PIECES as u64
    }

    fn begin(&mut self, index: usize) -> io::Result<()> {
        let client = &mut self.clients[index];
        client.run += 1;
        client.asked = clock::now();
        match self.way {
            Way::Up => send_run(&client.socket, None, &run_of(index, client.run)),
            Way::Down => client.socket.send(&word(index, client.run)).map(|_| ()),
        }
    }

    fn serve(&mut self, server: usize) -> io::Result<()> {
        while let Some((bytes, from)) = next(&self.servers[server], &mut self.buffer)? {
            match self.way {
                Way::Up => {
                    let client = bytes.get(8).copied().map_or(0, usize::from) % CLIENTS;
                    if let Some((client, run)) = self.at_server[client].take(bytes)? {
                        self.servers[server].send_to(&word(client, run), from)?;
                    }
                }
                Way::Down => {
                    let (client, run) = read_word(bytes)?;
                    send_run(&self.servers[server], Some(from), &run_of(client, run))?;
                }
            }
        }
        Ok(())
    }

    fn hear(&mut self, index: usize) -> io::Result<()> {
        while let Some((bytes, _)) = next(&self.clients[index].socket, &mut self.buffer)? {
            let complete = match self.way {
                Way::Up => Some(read_word(bytes)?),
                Way::Down => self.clients[index].got.take(bytes)?,
            };
            if complete == Some((index, self.clients[index].run)) {
                self.runs += 1;
                self.last_run = clock::now();
                self.begin(index)?;
            }
        }
        Ok(())
    }

    fn give_up_lost(&mut self) -> io::Result<()> {
        for index in 0..self.clients.len() {
            if self.clients[index].asked.elapsed() > LOST_AFTER {
                let got = match self.way {
                    Way::Up => self.at_server[index],
                    Way::Down => self.clients[index].got,
                };
                let came = if got.run == self.clients[index].run { got.pieces } else { 0 };
                self.lost += (PIECES - came) as u64;
                self.begin(index)?;
            }
        }
        Ok(())
    }
}

fn word(client: usize, run: u64) -> [u8; WORD_BYTES] {
    ((client as u64) << 56 | run).to_be_bytes()
}

fn read_word(bytes: &[u8]) -> io::Result<(usize, u64)> {
    let number = u64::from_be_bytes(bytes.try_into().map_err(|_| wrong("a word has another length"))?);
    Ok(((number >> 56) as usize, number & ((1 << 56) - 1)))
}

impl Generator for RunLoad {
    fn run_for(&mut self, time: Duration) -> io::Result<()> {
        let end = clock::now() + time;
        self.last_run = clock::now();
        let mut ready: Vec<Readiness> = Vec::new();
        while clock::now() < end {
            ready.clear();
            self.poller.wait(&mut ready, Some(50))?;
            for event in &ready {
                match event.key.checked_sub(SERVER_KEYS) {
                    Some(server) => self.serve(server)?,
                    None => self.hear(event.key)?,
                }
            }
            self.give_up_lost()?;
            if self.last_run.elapsed() > PATIENCE {
                return Err(wrong("no run comes any more"));
            }
        }
        Ok(())
    }

    fn answers(&self) -> u64 {
        self.runs
    }
}
