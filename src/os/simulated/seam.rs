//! The names of `system.rs`, for descriptors that are real or simulated.

use super::{Network, with, with_if};
use crate::balance::Endpoint;
use crate::net::connect::{self, LocalAddress, StartError};
use crate::net::keepalive::Keepalive;
use crate::net::poller;
use crate::os::system;
use std::io;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

#[derive(Debug)]
pub enum Fd {
    Real(OwnedFd),
    Simulated(Handle),
}

/// Pen's hold on a simulated socket, which is closed when it is dropped.
#[derive(Debug)]
pub struct Handle(u32);

impl Drop for Handle {
    fn drop(&mut self) {
        // The test may be over.
        with_if(|network| network.wires[self.0 as usize].close());
    }
}

#[derive(Debug, Clone, Copy)]
pub enum FdRef<'a> {
    Real(BorrowedFd<'a>),
    Simulated(u32),
}

impl Fd {
    pub fn simulated(number: u32) -> Fd {
        Fd::Simulated(Handle(number))
    }
}

impl From<OwnedFd> for Fd {
    fn from(fd: OwnedFd) -> Fd {
        Fd::Real(fd)
    }
}

macro_rules! real {
    ($($kind:ty),*) => { $(
        impl From<$kind> for Fd {
            fn from(socket: $kind) -> Fd {
                Fd::Real(socket.into())
            }
        }
    )* };
}
real!(std::os::unix::net::UnixStream, std::net::TcpStream, std::fs::File);

impl<'a> From<BorrowedFd<'a>> for FdRef<'a> {
    fn from(fd: BorrowedFd<'a>) -> FdRef<'a> {
        FdRef::Real(fd)
    }
}

pub fn borrow(fd: &Fd) -> FdRef<'_> {
    match fd {
        Fd::Real(fd) => FdRef::Real(fd.as_fd()),
        Fd::Simulated(handle) => FdRef::Simulated(handle.0),
    }
}

pub fn number(fd: &Fd) -> i32 {
    match fd {
        Fd::Real(fd) => system::number(fd),
        Fd::Simulated(handle) => handle.0 as i32,
    }
}

fn wire<T>(number: u32, work: impl FnOnce(&mut super::Wire) -> T) -> T {
    with(|network| work(&mut network.wires[number as usize]))
}

pub fn receive(socket: FdRef<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    match socket {
        FdRef::Real(fd) => system::receive(fd, buffer),
        FdRef::Simulated(number) => wire(number, |wire| wire.receive(buffer)),
    }
}

pub fn discard(socket: FdRef<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    match socket {
        FdRef::Real(fd) => system::discard(fd, buffer),
        FdRef::Simulated(_) => receive(socket, buffer),
    }
}

pub fn peek(socket: FdRef<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    match socket {
        FdRef::Real(fd) => system::peek(fd, buffer),
        FdRef::Simulated(number) => wire(number, |wire| {
            let (incoming, end) = (wire.incoming.clone(), (wire.error, wire.fin_came));
            let received = wire.receive(buffer);
            wire.incoming = incoming;
            (wire.error, wire.fin_came) = end;
            received
        }),
    }
}

pub fn send(socket: FdRef<'_>, bytes: &[u8]) -> io::Result<usize> {
    match socket {
        FdRef::Real(fd) => system::send(fd, bytes),
        FdRef::Simulated(number) => wire(number, |wire| wire.send(bytes)),
    }
}

pub fn send_parts(socket: FdRef<'_>, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
    match socket {
        FdRef::Real(fd) => system::send_parts(fd, parts),
        FdRef::Simulated(number) => {
            wire(number, |wire| wire.send(&parts.iter().flat_map(|part| part.to_vec()).collect::<Vec<_>>()))
        }
    }
}

pub fn end_writing(socket: FdRef<'_>) -> io::Result<()> {
    match socket {
        FdRef::Real(fd) => system::end_writing(fd),
        FdRef::Simulated(number) => {
            wire(number, |wire| wire.fin_sent = true);
            Ok(())
        }
    }
}

pub fn reset_on_close(socket: FdRef<'_>) -> io::Result<()> {
    match socket {
        FdRef::Real(fd) => system::reset_on_close(fd),
        FdRef::Simulated(number) => {
            wire(number, |wire| wire.resets_on_close = true);
            Ok(())
        }
    }
}

pub fn nothing_arrived(socket: FdRef<'_>) -> bool {
    match socket {
        FdRef::Real(fd) => system::nothing_arrived(fd),
        FdRef::Simulated(number) => wire(number, |wire| wire.acknowledged_bytes == 0),
    }
}

pub fn take_error(socket: FdRef<'_>) -> i32 {
    match socket {
        FdRef::Real(fd) => system::take_error(fd),
        FdRef::Simulated(number) => wire(number, |wire| wire.error.take().map_or(0, |error| error as i32)),
    }
}

pub fn local_address(socket: FdRef<'_>) -> Option<SocketAddr> {
    match socket {
        FdRef::Real(fd) => system::local_address(fd),
        FdRef::Simulated(_) => Some(([127, 0, 0, 1], 9).into()),
    }
}

pub fn send_at_once(socket: FdRef<'_>) {
    if let FdRef::Real(fd) = socket {
        system::send_at_once(fd);
    }
}

pub fn read_urgent_inline(socket: FdRef<'_>) {
    if let FdRef::Real(fd) = socket {
        system::read_urgent_inline(fd);
    }
}

pub fn close(socket: Fd) {
    match socket {
        Fd::Real(fd) => system::close(fd),
        Fd::Simulated(handle) => drop(handle),
    }
}

pub fn accept(listener: BorrowedFd<'_>) -> io::Result<(Fd, Option<SocketAddr>)> {
    match with_if(Network::accept) {
        None => system::accept(listener).map(|(fd, address)| (Fd::Real(fd), address)),
        Some(accepted) => accepted,
    }
}

pub fn has_something(listener: BorrowedFd<'_>) -> bool {
    with_if(|network| !network.waiting.is_empty()).unwrap_or_else(|| system::has_something(listener))
}

#[derive(Debug)]
pub enum Started {
    Connected(Fd),
    UnderWay(Fd),
}

pub fn connect(
    endpoint: &Endpoint,
    local: LocalAddress,
    keepalive: Keepalive,
) -> Result<Started, StartError> {
    let started = match with_if(|network| network.connect(endpoint)) {
        Some(started) => return started,
        None => connect::start(endpoint, local, keepalive)?,
    };
    Ok(match started {
        connect::Started::Connected(fd) => Started::Connected(Fd::Real(fd)),
        connect::Started::UnderWay(fd) => Started::UnderWay(Fd::Real(fd)),
    })
}

pub fn monotonic_ms() -> u64 {
    with_if(|network| network.now_ms).unwrap_or_else(system::monotonic_ms)
}

pub fn monotonic_us() -> u64 {
    with_if(|network| network.now_ms * 1000).unwrap_or_else(system::monotonic_us)
}

pub fn epoch_ms() -> u64 {
    with_if(|network| network.now_ms).unwrap_or_else(system::epoch_ms)
}

pub fn steady_epoch_seconds(now_ms: u64) -> u32 {
    with_if(|_| (now_ms / 1000) as u32).unwrap_or_else(|| system::steady_epoch_seconds(now_ms))
}

pub fn ms_until_second(now_ms: u64, epoch_seconds: u32) -> u64 {
    let simulated = |_: &mut Network| (u64::from(epoch_seconds) * 1000).saturating_sub(now_ms);
    with_if(simulated).unwrap_or_else(|| system::ms_until_second(now_ms, epoch_seconds))
}

/// A real poller, which simulated sockets are kept away from.
pub struct Poller(poller::Poller);

pub fn watching(poller: poller::Poller) -> Poller {
    Poller(poller)
}

impl Deref for Poller {
    type Target = poller::Poller;

    fn deref(&self) -> &poller::Poller {
        &self.0
    }
}

impl DerefMut for Poller {
    fn deref_mut(&mut self) -> &mut poller::Poller {
        &mut self.0
    }
}

impl Poller {
    pub fn add<'a>(&self, socket: impl Into<FdRef<'a>>, key: usize) -> io::Result<()> {
        match socket.into() {
            FdRef::Real(fd) => self.0.add(fd, key),
            FdRef::Simulated(number) => self.watch(number, key),
        }
    }

    /// What a socket is ready for is reported when it is added, or has a new key.
    fn watch(&self, number: u32, key: usize) -> io::Result<()> {
        wire(number, |wire| (wire.key, wire.has_news) = (Some(key), true));
        Ok(())
    }

    pub fn rekey(&self, socket: FdRef<'_>, key: usize) -> io::Result<()> {
        match socket {
            FdRef::Real(fd) => self.0.rekey(fd, key),
            FdRef::Simulated(number) => self.watch(number, key),
        }
    }

    pub fn rearm(&self, socket: FdRef<'_>, key: usize, read: bool, write: bool) -> io::Result<()> {
        match socket {
            FdRef::Real(fd) => self.0.rearm(fd, key, read, write),
            FdRef::Simulated(_) => Ok(()),
        }
    }

    pub fn forget<'a>(&self, socket: impl Into<FdRef<'a>>) {
        match socket.into() {
            FdRef::Real(fd) => self.0.forget(fd),
            FdRef::Simulated(number) => wire(number, |wire| wire.key = None),
        }
    }

    pub fn add_listener(&self, listener: BorrowedFd<'_>, key: usize) -> io::Result<()> {
        with_if(|network| network.listeners.push((listener.as_raw_fd(), key)));
        self.0.add_listener(listener, key)
    }

    pub fn remove_listener(&self, listener: BorrowedFd<'_>) -> io::Result<()> {
        with_if(|network| network.listeners.retain(|(fd, _)| *fd != listener.as_raw_fd()));
        self.0.remove_listener(listener)
    }
}

/// A pipe, of whose simulated bytes the memory of the test has some.
#[derive(Debug)]
pub struct Pipe {
    real: system::Pipe,
    bytes: Vec<u8>,
}

impl Pipe {
    pub fn new() -> io::Result<Pipe> {
        Ok(Pipe { real: system::Pipe::new()?, bytes: Vec::new() })
    }

    pub fn held_bytes(&self) -> usize {
        self.real.held_bytes() + self.bytes.len()
    }

    pub fn is_whole(&self) -> bool {
        self.real.is_whole()
    }

    pub fn copy_to(&self, other: &mut Pipe) -> io::Result<bool> {
        match self.bytes.is_empty() {
            true => self.real.copy_to(&mut other.real),
            false => {
                other.bytes.clone_from(&self.bytes);
                Ok(true)
            }
        }
    }

    pub fn fill(&mut self, from: FdRef<'_>) -> io::Result<usize> {
        match from {
            FdRef::Real(fd) => self.real.fill(fd),
            FdRef::Simulated(number) => {
                let mut room = vec![0; crate::sys::pipe::PIPE_BYTES];
                let count = wire(number, |wire| wire.receive(&mut room))?;
                room.truncate(count);
                self.bytes = room;
                Ok(count)
            }
        }
    }

    pub fn drain(&mut self, to: FdRef<'_>) -> io::Result<usize> {
        match to {
            FdRef::Real(fd) => self.real.drain(fd),
            FdRef::Simulated(number) => {
                let count = wire(number, |wire| wire.send(&self.bytes))?;
                self.bytes.drain(..count);
                Ok(count)
            }
        }
    }
}
