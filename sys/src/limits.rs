//! The descriptor limit and what of it may serve connections.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors kept back from connections: control clients, listeners, logs, epoll and the like, so that the operator
/// always gets in.
const RESERVE: u64 = 100;

/// Of so many descriptors one may be a control client's.
const DESCRIPTORS_PER_CONTROL_CLIENT: u64 = 16;

/// Raises the soft limit of open files to the hard limit and returns what holds now.
pub fn raise_descriptor_limit() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1024 };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        return hard;
    }
    soft
}

/// How many connections fit into the present descriptor limit: two descriptors each, a reserve kept.
pub fn connections_possible() -> u64 {
    let soft = open_files();
    ((soft - RESERVE.min(soft / 2)) / 2).max(1)
}

/// The same for UDP sessions, which have one descriptor each.
pub fn udp_sessions_possible() -> u64 {
    let soft = open_files();
    (soft - RESERVE.min(soft / 2)).max(1)
}

/// The same where both are served: connections and UDP sessions. Sessions get a fourth of the descriptors.
pub fn both_possible() -> (u64, u64) {
    let sessions = (udp_sessions_possible() / 4).max(1);
    ((connections_possible() - sessions / 2).max(1), sessions)
}

/// How many control clients fit: silent ones must not take what connections are meant to have.
pub fn control_clients_possible() -> usize {
    (open_files() / DESCRIPTORS_PER_CONTROL_CLIENT) as usize
}

/// The present limit.
pub fn open_files() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft)
}

/// Whether so many bytes of memory can be had; they are given back at once. For what is allocated in many small pieces,
/// none of which can fail without the end of the process.
///
/// # Errors
/// They cannot.
pub fn memory_for(bytes: usize) -> Result<(), String> {
    let mut probe: Vec<u8> = Vec::new();
    let reserved = probe.try_reserve_exact(bytes).map_err(|_| format!("no memory for {bytes} bytes"));
    // Or the compiler sees that nothing is done with it.
    std::hint::black_box(&probe);
    reserved
}
