//! Ports below the ephemeral range, each given to one user only, in whichever test process of this machine.
//!
//! The kernel takes ephemeral ports for outgoing connections, so a port above 32767 may be taken between being
//! chosen and being bound, or while a mock server is "down".

use nix::sys::socket::{Backlog, listen};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Mutex;

const FIRST: u16 = 10_000;
const BLOCKS: u16 = 220;
const BLOCK: u16 = 100;

/// Blocks of ports that this process has: an abstract name each, which is free again when the process has ended.
struct Ports {
    blocks: Vec<UnixDatagram>,
    next: u16,
    end: u16,
}

static PORTS: Mutex<Ports> = Mutex::new(Ports { blocks: Vec::new(), next: 0, end: 0 });

/// A port that no other call has returned, here or in a test process that still runs. Other programs may have it.
pub fn next_port() -> u16 {
    let mut ports = PORTS.lock().unwrap();
    if ports.next == ports.end {
        // Processes that follow each other begin far apart: the first one's last connections may still be ending.
        let begin = (std::process::id().wrapping_mul(89) % u32::from(BLOCKS)) as u16;
        let (first, block) = (0..BLOCKS)
            .map(|step| FIRST + (begin + step) % BLOCKS * BLOCK)
            .find_map(|first| {
                let name = SocketAddr::from_abstract_name(format!("ports of pen's tests: {first}")).unwrap();
                Some((first, UnixDatagram::bind_addr(&name).ok()?))
            })
            .expect("no block of ports is left");
        ports.blocks.push(block);
        (ports.next, ports.end) = (first, first + BLOCK);
    }
    ports.next += 1;
    ports.next - 1
}

/// A port that nobody listens on or receives on, of whichever address.
pub fn free_port() -> u16 {
    bound_port().local_addr().unwrap().port()
}

/// A port on 127.0.0.1, still bound. Its queue is long: when a busy machine leaves it full, the kernel drops a SYN, and by the
/// time it is sent again pen may have given up.
pub fn bound_port() -> TcpListener {
    let listener = (0..BLOCKS * BLOCK)
        .map(|_| next_port())
        .find_map(|port| {
            let free_elsewhere = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
                && !is_taken(UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)));
            free_elsewhere.then(|| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok())?
        })
        .expect("no free port between 10000 and 32000");
    listen(&listener, Backlog::MAXCONN).unwrap();
    listener
}

/// Not every machine has IPv6.
fn is_taken(bound: std::io::Result<UdpSocket>) -> bool {
    bound.is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
}
