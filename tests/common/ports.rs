//! Ports below the ephemeral range, each given to one user only, in whichever test process of this machine.
//!
//! The kernel takes ephemeral ports for outgoing connections, so a port above 32767 may be taken between being
//! chosen and being bound, or while a mock server is "down".

//!
//! No port is tried by binding it: a program that another thread starts at that moment inherits the socket, and keeps the port
//! until it has begun.

use nix::sys::socket::{Backlog, listen};
use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Mutex;

const FIRST: u16 = 10_000;
const BLOCKS: u16 = 220;
const BLOCK: u16 = 100;

/// Blocks of ports that this process has: an abstract name each, which is free again when the process has ended.
struct Ports {
    blocks: Vec<UnixDatagram>,
    left: Vec<u16>,
}

static PORTS: Mutex<Ports> = Mutex::new(Ports { blocks: Vec::new(), left: Vec::new() });

/// A port that nobody listens on or receives on, of whichever address, and that no other call has returned, here or in a test
/// process that still runs.
pub fn free_port() -> u16 {
    let mut ports = PORTS.lock().unwrap();
    while ports.left.is_empty() {
        // Processes that follow each other begin far apart: the first one's last connections may still be ending.
        let begin = (std::process::id().wrapping_mul(89) % u32::from(BLOCKS)) as u16;
        let (first, block) = (0..BLOCKS)
            .map(|step| FIRST + (begin + step) % BLOCKS * BLOCK)
            .find_map(|first| {
                let name = SocketAddr::from_abstract_name(format!("ports of pen's tests: {first}")).unwrap();
                Some((first, UnixDatagram::bind_addr(&name).ok()?))
            })
            .expect("no block of ports is left");
        let taken = taken();
        ports.blocks.push(block);
        ports.left = (first..first + BLOCK).rev().filter(|port| !taken.contains(port)).collect();
    }
    ports.left.pop().expect("not empty")
}

/// Ports that other programs listen or receive on. Not every machine has IPv6.
fn taken() -> HashSet<u16> {
    let mut ports = HashSet::new();
    for protocol in ["tcp", "tcp6", "udp", "udp6"] {
        let table = std::fs::read_to_string(format!("/proc/net/{protocol}")).unwrap_or_default();
        for line in table.lines().skip(1) {
            // Its number, the local address and port, the remote ones, the state, which is 0A for a listener.
            let columns: Vec<&str> = line.split_ascii_whitespace().collect();
            if protocol.starts_with("udp") || columns[3] == "0A" {
                let (_, port) = columns[1].rsplit_once(':').expect("a port");
                ports.insert(u16::from_str_radix(port, 16).expect("a port"));
            }
        }
    }
    ports
}

/// A port on 127.0.0.1, still bound. Its queue is long: when a busy machine leaves it full, the kernel drops a SYN, and by the
/// time it is sent again pen may have given up.
pub fn bound_port() -> TcpListener {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, free_port())).expect("a free port");
    listen(&listener, Backlog::MAXCONN).unwrap();
    listener
}
