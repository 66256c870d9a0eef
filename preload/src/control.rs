//! The control socket inside of the program, where it asked for one: lines of GLB's language over TCP, on a thread that
//! takes no signals.
//!
//! The program does not know its descriptors: closing them is refused, as if they were not open. A process that finds the
//! port taken goes on without.

use crate::door;
use crate::shim;
use crate::thread;
use crate::watchdog;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pen_proto::addr::Host;
use pen_proto::glb::Request;
use pen_sys::net::resolve;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

const DONE: &str = "Ok\n";
const REFUSED: &str = "Error\n";
/// Of more, the one that has been silent longest makes room: one that was forgotten must not lock others out.
const CALLERS_MAX: usize = door::HIDDEN_MAX - 3;
/// The longest line; what is longer ends the conversation.
const LINE_BYTES_MAX: usize = 8192;
/// A line without an end counts as whole after this silence.
const QUIET_MS: u16 = 1000;

/// The process has no thread yet, and may try to have one.
static MAY_TRY: AtomicBool = AtomicBool::new(true);

/// Serves from now on, if that is wanted and was not tried yet.
pub fn try_once() {
    if MAY_TRY.load(Ordering::Relaxed)
        && let Some((host, port)) = shim::control_address()
        && MAY_TRY.swap(false, Ordering::Relaxed)
    {
        let _open = open(host, *port);
    }
}

/// The thread is not in this process, or the port was another's: it may be tried again.
pub fn may_try_again() {
    MAY_TRY.store(true, Ordering::Relaxed);
}

/// `None`: the port is another's, or there is no thread to be had.
fn open(host: &Host, port: u16) -> Option<()> {
    let address = resolve::socket_address(host, port).ok()?;
    let listener = door::hide(TcpListener::bind(address).ok()?)?;
    thread::start("libpen", move || serve(&listener))
}

struct Caller {
    stream: TcpStream,
    input: Vec<u8>,
    has_ended: bool,
}

fn serve(listener: &TcpListener) {
    let mut callers: Vec<Caller> = Vec::new();
    loop {
        let is_quiet = callers.iter().any(|caller| !caller.input.is_empty());
        let timeout = if is_quiet { PollTimeout::from(QUIET_MS) } else { PollTimeout::NONE };
        let mut sockets: Vec<PollFd<'_>> =
            callers.iter().map(|caller| PollFd::new(caller.stream.as_fd(), PollFlags::POLLIN)).collect();
        sockets.push(PollFd::new(listener.as_fd(), PollFlags::POLLIN));
        let Ok(count) = poll(&mut sockets, timeout) else { continue };
        let ready: Vec<bool> = sockets.iter().map(|socket| socket.any() == Some(true)).collect();
        for (caller, is_ready) in callers.iter_mut().zip(&ready) {
            caller.hear(*is_ready, count == 0);
        }
        let is_called = ready.last() == Some(&true);
        // Who spoke last stands last; the order among the others stays.
        let mut spoke = ready.iter();
        callers.sort_by_cached_key(|_| spoke.next() == Some(&true));
        for index in (0..callers.len()).rev() {
            if callers[index].has_ended {
                door::unhide(callers.remove(index).stream);
            }
        }
        if is_called {
            if callers.len() == CALLERS_MAX {
                door::unhide(callers.remove(0).stream);
            }
            if let Some(stream) = listener.accept().ok().and_then(|(stream, _)| door::hide(stream)) {
                callers.push(Caller { stream, input: Vec::new(), has_ended: false });
            }
        }
    }
}

impl Caller {
    fn hear(&mut self, is_ready: bool, is_quiet: bool) {
        if is_ready {
            let mut buffer = [0; LINE_BYTES_MAX];
            let count = self.stream.read(&mut buffer).unwrap_or(0);
            self.input.extend_from_slice(&buffer[..count]);
            self.has_ended = count == 0;
        }
        while let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.input.drain(..=end).collect();
            self.answer(&line);
        }
        if (is_quiet || self.has_ended) && !self.input.is_empty() {
            let line = std::mem::take(&mut self.input);
            self.answer(&line);
        }
        self.has_ended |= self.input.len() > LINE_BYTES_MAX;
    }

    fn answer(&mut self, line: &[u8]) {
        let reply = match str::from_utf8(line).map_err(drop).and_then(|line| reply_to(line).ok_or(())) {
            Ok(reply) => reply,
            Err(()) => REFUSED.to_owned(),
        };
        // A caller that takes no answers is let go rather than waited for.
        let written =
            self.stream.set_nonblocking(true).and_then(|()| self.stream.write_all(reply.as_bytes()));
        let restored = self.stream.set_nonblocking(false);
        self.has_ended |= written.and(restored).is_err();
    }
}

/// `None` when it is not understood, or cannot be done.
fn reply_to(line: &str) -> Option<String> {
    match Request::parse(line).ok()? {
        Request::Info => shim::info(),
        Request::Statistics => Some(DONE.to_owned()),
        Request::Destination(destination) => {
            let port = destination.port.or(shim::bind_port())?;
            let address: SocketAddr = resolve::socket_address(&destination.host, port).ok()?;
            let is_done = shim::put(address, destination.share)?;
            watchdog::follow();
            is_done.then(|| DONE.to_owned())
        }
    }
}
