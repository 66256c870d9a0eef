//! Ports below the ephemeral range, each given to one user only.
//!
//! The kernel takes ephemeral ports for outgoing connections, so a port above 32767 may be taken between being
//! chosen and being bound, or while a mock server is "down".

use nix::sys::socket::{Backlog, listen};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

const FIRST: u32 = 10_000;
const COUNT: u32 = 22_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A port on 127.0.0.1 that nobody listens on.
pub fn free_port() -> u16 {
    bound_port().local_addr().unwrap().port()
}

/// The same, still bound. Its queue is long: when a busy machine leaves it full, the kernel drops a SYN, and by the time
/// it is sent again pen may have given up.
pub fn bound_port() -> TcpListener {
    // Test processes that run at the same time start at different places.
    let start = std::process::id().wrapping_mul(7_919);
    let listener = (0..COUNT)
        .find_map(|_| {
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            let port = FIRST + start.wrapping_add(step) % COUNT;
            TcpListener::bind(("127.0.0.1", port as u16)).ok()
        })
        .expect("no free port between 10000 and 32000");
    listen(&listener, Backlog::MAXCONN).unwrap();
    listener
}
