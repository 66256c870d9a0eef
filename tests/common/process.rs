//! What /proc tells about a process, and the file descriptor limit of this one.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::net::SocketAddrV4;
use std::path::Path;
use std::time::Duration;

use super::wait::meanwhile;

/// A field of `/proc/PID/status`, for example `Groups`.
pub fn status_field(pid: u32, field: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is gone");
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {field} in /proc/{pid}/status")).trim().to_string()
}

/// Resident memory.
pub fn rss_kib(pid: u32) -> u64 {
    let text = status_field(pid, "VmRSS");
    text.trim_end_matches(" kB").parse().expect(&text)
}

/// Open file descriptors.
pub fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("the process is gone").count()
}

/// Processor time used so far, in ticks of 10 ms (`USER_HZ` is 100 on Linux).
pub fn cpu_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is gone");
    // The command name may hold anything; the fields start after its closing parenthesis with number 3.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Processor time used in a second or a little more, in percent of a core.
pub fn cpu_percent(pid: u32) -> u64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let before = cpu_ticks(pid);
    let passed = meanwhile(Duration::from_secs(1));
    let ticks = cpu_ticks(pid) - before;
    (ticks as f64 / TICKS_PER_SECOND / passed.as_secs_f64() * 100.0) as u64
}

/// Whether the kernel has a TCP socket listening on the port (any address). Unlike a connect, asking disturbs nobody.
pub fn listening(port: u16) -> bool {
    const LISTEN: &str = "0A";
    sockets_on(port).iter().any(|fields| fields[3] == LISTEN)
}

/// Whether somebody takes UDP datagrams at the port (any address).
pub fn hears_datagrams(port: u16) -> bool {
    let suffix = format!(":{port:04X}");
    ["/proc/net/udp", "/proc/net/udp6"].iter().any(|table| {
        let text = fs::read_to_string(table).unwrap_or_default();
        let mut rows = text.lines().skip(1);
        rows.any(|row| row.split_whitespace().nth(1).is_some_and(|local| local.ends_with(&suffix)))
    })
}

/// Whether a socket is bound to exactly this address and awaits clients or datagrams.
pub fn is_served(address: SocketAddrV4) -> bool {
    const AWAITS: [&str; 2] = ["0A", "07"];
    let local = format!("{:08X}:{:04X}", u32::from_le_bytes(address.ip().octets()), address.port());
    ["/proc/net/tcp", "/proc/net/udp"].iter().any(|table| {
        let text = fs::read_to_string(table).unwrap_or_default();
        let mut rows = text.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
        rows.any(|fields| fields[1] == local && AWAITS.contains(&fields[3]))
    })
}

/// Whether the connection from this local port has its keepalive timer running.
pub fn has_keepalive_timer(port: u16) -> bool {
    const KEEPALIVE: &str = "02:";
    sockets_on(port).iter().any(|fields| fields[5].starts_with(KEEPALIVE))
}

/// Whether a connect to this port is waiting for an answer.
pub fn connecting(port: u16) -> bool {
    const SYN_SENT: &str = "02";
    sockets(2, port).iter().any(|fields| fields[3] == SYN_SENT)
}

/// Whether there is an open connection from this local port.
pub fn connected(port: u16) -> bool {
    const ESTABLISHED: &str = "01";
    sockets_on(port).iter().any(|fields| fields[3] == ESTABLISHED)
}

/// Whether the peer of a connection from this local port has everything, the end of file included.
pub fn delivered(port: u16) -> bool {
    const FIN_WAIT2: &str = "05";
    sockets_on(port).iter().any(|fields| fields[3] == FIN_WAIT2)
}

/// The sockets with this local port.
fn sockets_on(port: u16) -> Vec<Vec<String>> {
    sockets(1, port)
}

/// The rows of /proc/net/tcp and tcp6 with this port in a field: number, local, remote, state, queues, timer, ...
fn sockets(field: usize, port: u16) -> Vec<Vec<String>> {
    let suffix = format!(":{port:04X}");
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    let rows = tables.iter().flat_map(|table| table.lines().skip(1));
    let fields = rows.map(|row| row.split_whitespace().map(String::from).collect::<Vec<_>>());
    fields.filter(|fields| fields[field].ends_with(&suffix)).collect()
}

/// Kills the processes that work in this directory: a daemon whose pid is not known otherwise.
pub fn kill_processes_in(directory: &Path) {
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == directory) {
            // It may end by itself at this moment.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// Raises the descriptor limit of the test process as far as it may go and returns it.
pub fn raise_descriptor_limit() -> u64 {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    hard
}
