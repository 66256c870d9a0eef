//! The traffic log (`log FILE`, `log HOST:PORT`): a line for every read from a client, or a JSON object for every
//! ended connection.
//!
//! Each worker owns a [`TrafficLog`] and puts finished lines into the queue of the writer thread;
//! datagrams it sends itself. The main thread owns the [`LogHub`]: it hands the workers their logs and switches the
//! target while they run. One thread writes the files of all hubs. Opening files and looking up names is the main thread's business, so that a target that does
//! not work is an error of the command that named it.

use super::diag;
use super::record::ConnectionRecord;
use super::writer::{Order, WriterThread};
use crate::net::itself;
use crate::sys::errors::reason;
use crate::sys::published::lock;
use pen_proto::addr::ClientAddr;
use pen_proto::logline;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::Thread;

/// Lines that may wait for the writer; when there are more, new ones are dropped and counted.
pub const QUEUE_BYTES_MAX: usize = 4 << 20;

/// More than most lines have: memory is looked for before a line is written.
const LINE_BYTES_EXPECTED: usize = 4 << 10;

/// Where the traffic log goes at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Target {
    /// There is none: nothing needs to be prepared.
    Off,
    /// [`TrafficLog::line`] and [`TrafficLog::json`] write.
    File,
    /// [`TrafficLog::datagram`] writes.
    Network,
}

/// What the main thread opened for the traffic log.
pub enum Output {
    /// Opened for appending.
    File(File),
    /// From `connect`.
    Network(UdpSocket),
}

/// A socket for datagrams to a log server, IPv4 or IPv6, that never waits. Nothing is sent yet, and whether anybody
/// listens there does not matter.
///
/// # Errors
/// What the system says, for example when there is no route.
pub fn connect(server: SocketAddr) -> io::Result<UdpSocket> {
    let any = match server {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let open = || {
        let socket = UdpSocket::bind(any)?;
        socket.set_nonblocking(true)?;
        socket.connect(server)?;
        Ok(socket)
    };
    let first = open()?;
    // With the log server's own port at this end it would send to itself, and the log server could not start.
    if itself::has_met_itself(first.as_fd(), &server) { open() } else { Ok(first) }
}

/// The main thread's end: makes the workers' logs, switches the target, ends the writer.
pub struct LogHub {
    shared: Arc<Shared>,
    thread: WriterThread,
    /// The thread knows this log, since the first file.
    is_written: bool,
}

impl LogHub {
    /// No target, no thread. Set the first target after the last fork: threads do not survive one.
    pub fn new() -> LogHub {
        LogHub::with_thread(WriterThread::default())
    }

    /// A log of its own that the same thread writes.
    pub fn another(&self) -> LogHub {
        LogHub::with_thread(self.thread.clone())
    }

    fn with_thread(thread: WriterThread) -> LogHub {
        LogHub { shared: Arc::new(Shared::new()), thread, is_written: false }
    }

    /// A log for one more worker.
    pub fn traffic_log(&self) -> TrafficLog {
        TrafficLog::new(self.shared.clone())
    }

    /// Where the log goes from now on; `None` ends it. Lines that are waiting still go to the old target.
    ///
    /// # Errors
    /// When the writer thread cannot be started; the target is what it was.
    pub fn set_target(&mut self, output: Option<Output>) -> io::Result<()> {
        match output {
            Some(Output::File(file)) => {
                if !self.is_written {
                    self.thread.add(self.shared.clone())?;
                    self.is_written = true;
                }
                self.order(Order::SetFile(Some(file)));
                self.shared.set_target(Target::File);
            }
            Some(Output::Network(socket)) => {
                self.shared.set_socket(Some(socket));
                self.shared.set_target(Target::Network);
                self.release_file();
            }
            None => {
                self.shared.set_target(Target::Off);
                self.shared.set_socket(None);
                self.release_file();
            }
        }
        Ok(())
    }

    pub fn target(&self) -> Target {
        self.shared.target()
    }

    /// Lines and datagrams lost since the start, because the disk was full, the writer too slow or the log server
    /// unreachable.
    pub fn dropped_lines(&self) -> u64 {
        self.shared.dropped_lines()
    }

    /// Writes what is waiting, and returns the final [`LogHub::dropped_lines`]. For the end, when the workers have
    /// stopped.
    pub fn shutdown(mut self) -> u64 {
        if let Some(done) = self.stop()
            && done.recv().is_err()
        {
            diag::say(diag::Severity::Error, "the log writer failed");
        }
        self.dropped_lines()
    }

    fn release_file(&self) {
        if self.is_written {
            self.order(Order::SetFile(None));
        }
    }

    /// `None` when there is nothing to wait for.
    fn stop(&mut self) -> Option<Receiver<()>> {
        let (sender, done) = channel();
        mem::take(&mut self.is_written).then(|| {
            self.order(Order::Stop(sender));
            done
        })
    }

    fn order(&self, order: Order) {
        self.shared.order(order);
        if let Some(thread) = self.shared.writer.get() {
            thread.unpark();
        }
    }
}

impl Default for LogHub {
    fn default() -> LogHub {
        LogHub::new()
    }
}

impl Drop for LogHub {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A worker's end. Never waits for a file, a peer or another worker.
pub struct TrafficLog {
    shared: Arc<Shared>,
    socket: Option<Arc<UdpSocket>>,
    socket_version: u64,
    /// The datagram in the making; kept for its memory.
    datagram: Vec<u8>,
}

impl TrafficLog {
    /// One more end of the same log.
    pub fn another(&self) -> TrafficLog {
        TrafficLog::new(self.shared.clone())
    }

    fn new(shared: Arc<Shared>) -> TrafficLog {
        TrafficLog { shared, socket: None, socket_version: 0, datagram: Vec::new() }
    }

    /// What is wanted now; cheap enough to ask for every read.
    #[inline]
    pub fn target(&self) -> Target {
        self.shared.target()
    }

    /// `CLIENT EPOCH SERVER DATA`, to the file. `data` is all that was read; the format takes what it needs.
    pub fn line(&mut self, client: &ClientAddr, epoch_seconds: u64, server_address: &str, data: &[u8]) {
        self.append(|lines| logline::write_line(lines, *client, epoch_seconds, server_address, data));
    }

    /// An ended connection, to the file.
    pub fn json(&mut self, record: &ConnectionRecord<'_>) {
        self.append(|lines| record.write(lines));
    }

    /// `+ CLIENT SERVER DATA`, to the log server, in one datagram. That none listens there stops nothing.
    pub fn datagram(&mut self, client: &ClientAddr, server_address: &str, data: &[u8]) {
        let mut datagram = mem::take(&mut self.datagram);
        datagram.clear();
        logline::write_datagram(&mut datagram, *client, server_address, data);
        if let Some(socket) = self.socket()
            && let Err(error) = send(&socket, &datagram)
        {
            self.shared.drop_lines(1);
            diag::once("log datagram", format_args!("cannot send to the log server: {}", reason(&error)));
        }
        self.datagram = datagram;
    }

    fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        {
            let lines = &mut lock(&self.shared.queue).lines;
            let end = lines.len();
            let has_memory = lines.try_reserve(LINE_BYTES_EXPECTED).is_ok();
            if has_memory {
                write(lines);
            }
            if !has_memory || lines.len() > QUEUE_BYTES_MAX {
                lines.truncate(end);
                self.shared.drop_lines(1);
            }
        }
        self.shared.wake_writer();
    }

    /// Taken from the hub when it was exchanged there, else from memory.
    fn socket(&mut self) -> Option<Arc<UdpSocket>> {
        let version = self.shared.socket_version.load(Ordering::Acquire);
        if version != self.socket_version {
            self.socket = lock(&self.shared.socket).clone();
            self.socket_version = version;
        }
        self.socket.clone()
    }
}

/// A refusal belongs to an earlier datagram and keeps this one from being sent: Linux reports it instead of sending.
fn send(socket: &UdpSocket, datagram: &[u8]) -> io::Result<usize> {
    match socket.send(datagram) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            let sent = socket.send(datagram);
            sent.and(Err(error))
        }
        sent => sent,
    }
}

/// What waits for the writer.
#[derive(Default)]
pub(super) struct Queue {
    /// What came after the last order.
    pub lines: Vec<u8>,
    /// Each with the lines that came before it: they are for the file that was in use then, and no later one is.
    pub orders: VecDeque<(Vec<u8>, Order)>,
}

/// What the hub, the workers and the writer have in common.
pub(super) struct Shared {
    target: AtomicU8,
    socket: Mutex<Option<Arc<UdpSocket>>>,
    /// Counts the changes of `socket`, so that workers look only when there was one.
    socket_version: AtomicU64,
    /// One queue for all workers keeps the lines in the order in which things happened; its lock is held for as long
    /// as one line takes to write.
    pub queue: Mutex<Queue>,
    dropped_lines: AtomicU64,
    /// Whether the writer waits to be woken for the next line.
    pub writer_asleep: AtomicBool,
    pub writer: OnceLock<Thread>,
}

impl Shared {
    pub fn new() -> Shared {
        Shared {
            target: AtomicU8::new(Target::Off as u8),
            socket: Mutex::new(None),
            socket_version: AtomicU64::new(0),
            queue: Mutex::new(Queue::default()),
            dropped_lines: AtomicU64::new(0),
            writer_asleep: AtomicBool::new(false),
            writer: OnceLock::new(),
        }
    }

    /// Leaves an order for the writer, who is to be woken for it.
    pub fn order(&self, order: Order) {
        let mut queue = lock(&self.queue);
        let before = mem::take(&mut queue.lines);
        queue.orders.push_back((before, order));
    }

    pub fn drop_lines(&self, count: u64) {
        self.dropped_lines.fetch_add(count, Ordering::Relaxed);
    }

    pub fn dropped_lines(&self) -> u64 {
        self.dropped_lines.load(Ordering::Relaxed)
    }

    #[inline]
    fn target(&self) -> Target {
        match self.target.load(Ordering::Relaxed) {
            value if value == Target::File as u8 => Target::File,
            value if value == Target::Network as u8 => Target::Network,
            _ => Target::Off,
        }
    }

    fn set_target(&self, target: Target) {
        self.target.store(target as u8, Ordering::Relaxed);
    }

    fn set_socket(&self, socket: Option<UdpSocket>) {
        *lock(&self.socket) = socket.map(Arc::new);
        self.socket_version.fetch_add(1, Ordering::Release);
    }

    /// Once per sleep of the writer, not once per line: while it is awake it looks by itself.
    ///
    /// No line is overlooked: the writer sets the flag before it looks into the queue for the last time, a worker
    /// reads it after it has put a line there, and the lock of the queue puts one of them first.
    fn wake_writer(&self) {
        if self.writer_asleep.load(Ordering::Relaxed)
            && self.writer_asleep.swap(false, Ordering::Acquire)
            && let Some(writer) = self.writer.get()
        {
            writer.unpark();
        }
    }
}

#[cfg(test)]
#[path = "traffic_tests.rs"]
mod tests;
