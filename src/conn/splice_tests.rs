//! A stream through a pipe: everything arrives, whatever happens on the way, and pipes come back.

use super::*;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

const PIPES: usize = 2;

/// One direction between two TCP connections, whose far ends the test holds.
struct Line {
    from: TcpStream,
    sender: Socket,
    receiver: Socket,
    to: TcpStream,
    direction: Direction,
    work: Workspace,
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let far = listener.accept().unwrap().0;
    near.set_nonblocking(true).unwrap();
    far.set_nonblocking(true).unwrap();
    (near, far)
}

fn ready(socket: TcpStream) -> Socket {
    Socket { fd: Some(socket.into()), readable: true, writable: true, ..Socket::default() }
}

/// Bytes that tell where they belong.
fn pattern(count: usize) -> Vec<u8> {
    (0..count).map(|index| (index % 251) as u8).collect()
}

impl Line {
    fn new() -> Line {
        let (near_sender, from) = pair();
        let (near_receiver, to) = pair();
        Line {
            from,
            sender: ready(near_sender),
            receiver: ready(near_receiver),
            to,
            direction: Direction { chunk_log2: relay::CHUNK_LOG2_MAX, ..Direction::default() },
            work: Workspace::new(BufferPool::with_pipes(PIPES)),
        }
    }

    /// As if both sockets had had an event.
    fn pump(&mut self) -> Flow {
        (self.sender.readable, self.receiver.writable) = (true, true);
        pump(&mut self.sender, &mut self.receiver, &mut self.direction, &mut self.work)
    }

    fn is_in_pipe(&mut self) -> bool {
        self.direction.pending.as_mut().is_some_and(|pending| pending.pipe_mut().is_some())
    }

    /// Sends and pumps until nothing goes any further; returns how much went in.
    fn fill(&mut self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        loop {
            match self.from.write(&bytes[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock && self.is_in_pipe() => return sent,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            self.pump();
        }
    }

    /// Reads everything that is on its way until `count` bytes have come.
    fn take(&mut self, count: usize) -> Vec<u8> {
        let (mut taken, mut buffer) = (Vec::new(), vec![0; 100_000]);
        while taken.len() < count {
            match self.to.read(&mut buffer) {
                Ok(count) => taken.extend_from_slice(&buffer[..count]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            self.pump();
        }
        taken
    }

    fn free_pipes(&mut self) -> usize {
        let pipes: Vec<_> = std::iter::from_fn(|| self.work.pool.pipe()).collect();
        let count = pipes.len();
        pipes.into_iter().for_each(|pipe| self.work.pool.give_back_pipe(pipe));
        count
    }
}

#[test]
fn a_receiver_that_does_not_read_holds_a_pipe_until_it_does() {
    let mut line = Line::new();
    let bytes = pattern(64 << 20);
    let sent = line.fill(&bytes);
    assert_eq!(line.free_pipes(), PIPES - 1);
    assert!(line.take(sent) == bytes[..sent]);
    assert_eq!((line.direction.bytes, line.free_pipes()), (sent as u64, PIPES));
}

#[test]
fn without_a_free_pipe_the_stream_is_copied() {
    let mut line = Line::new();
    line.work.pool = BufferPool::default();
    line.from.write_all(&pattern(100_000)).unwrap();
    assert!(line.take(100_000) == pattern(100_000));
}

#[test]
fn urgent_bytes_and_the_end_are_left_to_reads() {
    let mut line = Line::new();
    line.sender.drain_before_end = true;
    line.from.write_all(b"the end").unwrap();
    drop(std::mem::replace(&mut line.from, pair().0));
    assert_eq!(line.take(7), b"the end");
    while !line.direction.eof {
        line.pump();
    }
    assert_eq!(line.work.pool.pipe().map(|pipe| pipe.held_bytes()), Some(0), "no pipe was needed");
}

#[test]
fn an_end_without_a_word_of_warning_is_seen_in_the_pipe_too() {
    let mut line = Line::new();
    line.from.shutdown(std::net::Shutdown::Write).unwrap();
    while !line.direction.eof {
        assert_eq!(line.pump(), Flow::Waits);
    }
    assert_eq!(line.free_pipes(), PIPES);
}

#[test]
fn a_receiver_that_is_gone_ends_the_direction_and_frees_the_pipe() {
    let mut line = Line::new();
    let bytes = pattern(64 << 20);
    line.fill(&bytes);
    drop(std::mem::replace(&mut line.to, pair().0)); // unread bytes make this a reset
    while !line.direction.receiver_gone {
        line.pump();
    }
    assert!(line.receiver.peer_reset && line.direction.pending.is_none());
    assert_eq!(line.free_pipes(), PIPES, "the bytes in it are lost, the pipe is not");
    line.from.write_all(&bytes[..1000]).unwrap();
    line.pump();
    assert!(line.direction.pending.is_none(), "the sender is read for nothing");
}

#[test]
fn a_sender_that_resets_has_failed() {
    let mut line = Line::new();
    line.from.write_all(b"x").unwrap();
    crate::sys::socket::reset_on_close(std::os::fd::AsFd::as_fd(&line.from)).unwrap();
    drop(std::mem::replace(&mut line.from, pair().0));
    while line.pump() != Flow::SenderFailed {}
    assert_eq!(line.free_pipes(), PIPES);
}

/// Gets a copy of a stream, and gives it to a connection.
struct Copier {
    pipe: Pipe,
    to: TcpStream,
    is_ready: bool,
    has_ended: bool,
}

impl Tap for Copier {
    fn is_ready(&mut self) -> bool {
        self.is_ready
    }

    fn copy(&mut self, pipe: &Pipe) {
        assert!(pipe.copy_to(&mut self.pipe).unwrap(), "a part of it");
        while self.pipe.held_bytes() > 0 {
            self.pipe.drain(std::os::fd::AsFd::as_fd(&self.to).into()).unwrap();
        }
    }

    fn end(&mut self) {
        self.has_ended = true;
    }
}

#[test]
fn who_taps_a_stream_gets_the_same() {
    let mut line = Line::new();
    let (to, mut copied) = pair();
    let mut tap = Copier { pipe: Pipe::new().unwrap(), to, is_ready: true, has_ended: false };
    let pump = |line: &mut Line, tap: &mut Copier| {
        (line.sender.readable, line.receiver.writable) = (true, true);
        let Line { sender, receiver, direction, work, .. } = line;
        pump_tapped(sender, receiver, direction, &mut work.pool, tap)
    };
    for size in [1, 50_000, 100_000] {
        let bytes = pattern(size);
        line.from.write_all(&bytes).unwrap();
        let (mut taken, mut buffer) = (Vec::new(), vec![0; 100_000]);
        let mut got = Vec::new();
        while got.len() < size || taken.len() < size {
            assert_eq!(pump(&mut line, &mut tap), Some(Flow::Waits));
            for (stream, bytes) in [(&mut copied, &mut got), (&mut line.to, &mut taken)] {
                let count = stream.read(&mut buffer).unwrap_or(0); // nothing has come yet
                bytes.extend_from_slice(&buffer[..count]);
            }
        }
        assert!(got == bytes && taken == bytes, "{size}");
    }
    tap.is_ready = false;
    assert_eq!(pump(&mut line, &mut tap), None, "the rest is read in the ordinary way");
    tap.is_ready = true;
    line.from.shutdown(std::net::Shutdown::Write).unwrap();
    while !tap.has_ended {
        pump(&mut line, &mut tap);
    }
    assert!(line.direction.eof && line.work.pool.is_balanced());
}
