//! UDP servers and clients, on any loopback address.

use super::ports::free_port;
use super::wait::PATIENCE;
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};
use std::collections::BTreeSet;
use std::fmt;
use std::io::{ErrorKind, IoSlice};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// No datagram is longer.
pub const LARGEST: usize = 65_507;

type Handler = Arc<dyn Fn(&UdpSocket, &[u8], SocketAddr) + Send + Sync>;

/// A server that handles each datagram with a closure. Its `Display` is the specification pen takes.
pub struct UdpServer {
    address: SocketAddr,
    handler: Handler,
    seen: Arc<Mutex<Seen>>,
    running: Option<(JoinHandle<()>, Arc<AtomicBool>)>,
}

#[derive(Default)]
struct Seen {
    peers: BTreeSet<SocketAddr>,
    datagrams: Vec<Vec<u8>>,
}

impl UdpServer {
    /// Answers with its name, a colon, and what it got.
    pub fn named(name: &str) -> UdpServer {
        UdpServer::at(&format!("127.0.0.1:{}", free_port()), name)
    }

    pub fn at(address: &str, name: &str) -> UdpServer {
        let name = name.to_string();
        UdpServer::handling(address, move |socket, datagram, peer| {
            let answer = [name.as_bytes(), b":", datagram].concat();
            socket.send_to(&answer, peer).expect("answer");
        })
    }

    /// Takes what comes and says nothing.
    pub fn mute() -> UdpServer {
        UdpServer::handling(&format!("127.0.0.1:{}", free_port()), |_, _, _| {})
    }

    pub fn handling(
        address: &str,
        handler: impl Fn(&UdpSocket, &[u8], SocketAddr) + Send + Sync + 'static,
    ) -> UdpServer {
        let mut server = UdpServer {
            address: address.parse().unwrap(),
            handler: Arc::new(handler),
            seen: Arc::default(),
            running: None,
        };
        server.resume();
        server
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the port: whoever sends there gets an ICMP error.
    pub fn pause(&mut self) {
        if let Some((thread, stop)) = self.running.take() {
            stop.store(true, SeqCst);
            // Wakes it up.
            UdpSocket::bind(if self.address.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" })
                .and_then(|waker| waker.send_to(b"", self.address))
                .expect("wake the server");
            thread.join().expect("the server's thread");
        }
    }

    pub fn resume(&mut self) {
        let socket = UdpSocket::bind(self.address).unwrap();
        let (handler, seen, stop) =
            (self.handler.clone(), self.seen.clone(), Arc::new(AtomicBool::new(false)));
        let told = stop.clone();
        let serve = move || {
            let mut buffer = vec![0; 70_000];
            loop {
                let (length, peer) = socket.recv_from(&mut buffer).expect("receive");
                if told.load(SeqCst) {
                    return;
                }
                {
                    let mut seen = seen.lock().unwrap();
                    seen.peers.insert(peer);
                    seen.datagrams.push(buffer[..length].to_vec());
                }
                handler(&socket, &buffer[..length], peer);
            }
        };
        self.running = Some((thread::spawn(serve), stop));
    }

    /// Where datagrams came from.
    pub fn peers(&self) -> BTreeSet<SocketAddr> {
        self.seen.lock().unwrap().peers.clone()
    }

    pub fn datagrams(&self) -> Vec<Vec<u8>> {
        self.seen.lock().unwrap().datagrams.clone()
    }
}

impl Drop for UdpServer {
    fn drop(&mut self) {
        self.pause();
    }
}

impl fmt::Display for UdpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// Sends a run of datagrams as one message.
pub fn send_run(socket: &UdpSocket, bytes: &[u8], size: u16, to: SocketAddr) {
    let control = [ControlMessage::UdpGsoSegments(&size)];
    let to = SockaddrStorage::from(to);
    let sent = sendmsg(socket.as_raw_fd(), &[IoSlice::new(bytes)], &control, MsgFlags::empty(), Some(&to));
    assert_eq!(sent.expect("send a run"), bytes.len());
}

/// A client with a port of its own.
pub struct UdpClient {
    pub socket: UdpSocket,
    to: SocketAddr,
}

impl UdpClient {
    pub fn new(to: SocketAddr) -> UdpClient {
        UdpClient::from(if to.is_ipv4() { "127.0.0.1" } else { "::1" }, to)
    }

    /// From this address and a port that no client before had, to be a new client for pen.
    pub fn from(source: &str, to: SocketAddr) -> UdpClient {
        let source: std::net::IpAddr = source.parse().unwrap();
        let socket = UdpSocket::bind((source, free_port())).expect("a free port");
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        UdpClient { socket, to }
    }

    pub fn send(&self, datagram: impl AsRef<[u8]>) {
        self.socket.send_to(datagram.as_ref(), self.to).expect("send");
    }

    /// Sends these bytes as one message that the system makes datagrams of this size of (UDP_SEGMENT), as QUIC programs do.
    pub fn send_run(&self, bytes: &[u8], size: u16) {
        send_run(&self.socket, bytes, size, self.to);
    }

    /// The next answer, which must come from the address that was asked.
    pub fn answer(&self) -> Vec<u8> {
        let mut buffer = vec![0; 70_000];
        let (length, from) = self.socket.recv_from(&mut buffer).expect("no answer came");
        assert_eq!(from, self.to, "another address answers");
        buffer.truncate(length);
        buffer
    }

    /// Sends and takes the answer, as text.
    pub fn ask(&self, question: &str) -> String {
        self.send(question);
        String::from_utf8(self.answer()).expect("text")
    }

    /// The name of the server that answers.
    pub fn server(&self) -> String {
        let answer = self.ask("?");
        answer.split(':').next().unwrap_or_default().to_string()
    }

    /// Whether nothing comes for a moment.
    pub fn hears_nothing(&self) -> bool {
        self.socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let nothing = self.socket.recv_from(&mut [0; 16]);
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        nothing.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }

    /// Whether no answer comes for a moment. One that comes stays where it is.
    pub fn waits_in_vain(&self) -> bool {
        self.socket.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
        let nothing = self.socket.peek_from(&mut [0; 16]).is_err();
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        nothing
    }

    /// Asks again and again until somebody answers, as clients of name servers do; how often it asked, and who answered.
    pub fn insist(&self, question: &str) -> (u32, String) {
        self.socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let answered = (1..=40).find_map(|count| {
            self.send(question);
            let mut buffer = [0; 1024];
            let length = self.socket.recv(&mut buffer).ok()?;
            Some((count, String::from_utf8_lossy(&buffer[..length]).into_owned()))
        });
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        answered.expect("no answer came")
    }
}
