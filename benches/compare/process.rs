//! What a program and its children use, as the kernel counts it.

use std::fs;
use std::io;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::time::Duration;

/// The process and its descendants.
pub fn family(pid: u32) -> Vec<u32> {
    let mut family = vec![pid];
    let mut next = 0;
    while next < family.len() {
        for task in tasks(family[next]) {
            let children = fs::read_to_string(task.join("children")).unwrap_or_default();
            family.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
        next += 1;
    }
    family
}

fn tasks(pid: u32) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// Processor time of all threads so far, in user and kernel mode.
///
/// # Errors
/// When the kernel keeps no `schedstat`.
pub fn processor_time(pid: u32) -> io::Result<Duration> {
    time_of(family(pid).into_iter().flat_map(tasks))
}

/// That of the threads whose names begin like this.
///
/// # Errors
/// As above.
pub fn processor_time_of_threads(pid: u32, name: &str) -> io::Result<Duration> {
    let is_meant =
        |task: &PathBuf| fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.starts_with(name));
    time_of(tasks(pid).into_iter().filter(is_meant))
}

fn time_of(tasks: impl Iterator<Item = PathBuf>) -> io::Result<Duration> {
    let mut nanoseconds = 0;
    for task in tasks {
        let text = fs::read_to_string(task.join("schedstat"))?;
        nanoseconds += text.split(' ').next().and_then(|time| time.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// Whether a debugger has all its threads.
pub fn is_traced(pid: u32) -> bool {
    let is_free = |task: PathBuf| {
        let status = fs::read_to_string(task.join("status")).unwrap_or_default();
        status.contains("TracerPid:\t0\n")
    };
    !family(pid).into_iter().flat_map(tasks).any(is_free)
}

/// Memory that is really there, the program's own text included.
pub fn resident_bytes(pid: u32) -> u64 {
    family(pid).into_iter().map(|pid| status_kib(pid, "VmRSS:") << 10).sum()
}

fn status_kib(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

/// Whether somebody has a UDP socket on this address, which nobody can find out by connecting.
pub fn has_datagram_socket(address: SocketAddrV4) -> bool {
    let sockets = fs::read_to_string("/proc/net/udp").unwrap_or_default();
    // As the kernel has it in memory.
    let wanted = format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port());
    sockets.lines().any(|line| line.split_whitespace().nth(1) == Some(&*wanted))
}
