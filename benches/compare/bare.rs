//! A bare loop: the least that a balancer does for a stream and its copy. Bytes go from socket to socket through pipes, the
//! copy by tee(2), and nothing is chosen, counted, limited or timed. What pen takes beyond it is pen's own.
//!
//! It is this program again, started with [`WORD`]. Unlike pen it waits for the clone, so it never copies in memory.

use pen_core::slab::Slab;
use pen_sys::net::poller::Poller;
use pen_sys::pipe::Pipe;
use pen_sys::socket::discard;
use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;

/// The first word of its command line. Behind it: where it listens, its server, and its clone if it has one.
pub const WORD: &str = "--bare";
const LISTENER_KEY: usize = usize::MAX / 2;

struct Line {
    client: TcpStream,
    member: TcpStream,
    clone: Option<TcpStream>,
    up: Pipe,
    copy: Pipe,
    down: Pipe,
}

/// Serves until it is killed.
///
/// # Errors
/// Without an address, and when it cannot listen.
pub fn serve(words: &[String]) -> io::Result<()> {
    let [address, member, clone @ ..] = words else { return Err(io::Error::other("want two addresses")) };
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let mut poller = Poller::new()?;
    poller.add_listener(listener.as_fd(), LISTENER_KEY)?;
    let mut lines: Slab<Line> = Slab::default();
    let mut ready = Vec::new();
    let mut scratch = vec![0; 256 << 10];
    loop {
        ready.clear();
        poller.wait(&mut ready, None)?;
        for event in &ready {
            if event.key != LISTENER_KEY {
                let index = event.key as u32;
                if lines.get_mut(index).is_some_and(|line| line.go_on(&mut scratch).is_err()) {
                    lines.remove(index);
                }
                continue;
            }
            while let Ok((client, _)) = listener.accept() {
                let index = lines.insert(Line::new(client, member, clone.first())?);
                let line = lines.get(index).ok_or_else(|| io::Error::other("just inserted"))?;
                for socket in [&line.client, &line.member].into_iter().chain(&line.clone) {
                    socket.set_nonblocking(true)?;
                    poller.add(socket.as_fd(), index as usize)?;
                }
            }
        }
        lines.recycle();
    }
}

impl Line {
    fn new(client: TcpStream, member: &str, clone: Option<&String>) -> io::Result<Line> {
        let clone = clone.map(TcpStream::connect).transpose()?;
        let (up, copy, down) = (Pipe::new()?, Pipe::new()?, Pipe::new()?);
        Ok(Line { client, member: TcpStream::connect(member)?, clone, up, copy, down })
    }

    /// Moves what moves. An error ends it, an end of file is one.
    fn go_on(&mut self, scratch: &mut [u8]) -> io::Result<()> {
        let Line { client, member, clone, up, copy, down } = self;
        loop {
            let is_through = empty(up, member)?;
            let is_copied = clone.as_ref().map_or(Ok(true), |clone| empty(copy, clone))?;
            if !is_through || !is_copied || !fill(up, client)? {
                break;
            }
            if clone.is_some() && !up.copy_to(copy)? {
                return Err(io::Error::other("a copy has not all"));
            }
        }
        while empty(down, client)? && fill(down, member)? {}
        let Some(clone) = clone else { return Ok(()) };
        loop {
            match discard(clone.as_fd(), scratch) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// True when all of it is gone.
fn empty(pipe: &mut Pipe, to: &TcpStream) -> io::Result<bool> {
    while pipe.held_bytes() > 0 {
        match pipe.drain(to.as_fd()) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// True when something came.
fn fill(pipe: &mut Pipe, from: &TcpStream) -> io::Result<bool> {
    match pipe.fill(from.as_fd()) {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}
