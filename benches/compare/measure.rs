//! The workloads: what is done with a program that runs, and what is counted.

use super::load::{Load, Task};
use super::peers::{Peer, Running, free_listener, long_configuration};
use super::process;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use pen::sys::clock;
use std::fs;
use std::io;
use std::net::{SocketAddr, SocketAddrV4, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Before anything is counted.
const WARM_UP: Duration = Duration::from_millis(300);
/// So many are traced.
const TRACED_ANSWERS: u64 = 2_000;
const GIB: f64 = (1_u64 << 30) as f64;

/// What all measurements have in common.
pub struct Bench<'a> {
    pub directory: &'a Path,
    /// For the programs; the load has another, if there is one.
    pub cores: Vec<usize>,
    /// For programs with several workers.
    pub all_cores: Vec<usize>,
    pub time: Duration,
    pub idle_clients: u64,
    /// Local addresses of clients.
    pub sources: u32,
}

/// A program at work, and the load for it.
struct Scene {
    running: Running,
    load: Load,
}

impl Bench<'_> {
    fn scene(&self, peer: &Peer, extra: &str) -> io::Result<Scene> {
        let servers = [free_listener()?, free_listener()?];
        let addresses: Vec<SocketAddrV4> = servers.iter().map(address_of).collect::<io::Result<_>>()?;
        let cores = if peer.workers > 1 { &self.all_cores } else { &self.cores };
        let running = peer.start(self.directory, cores, &addresses, extra)?;
        let mut load = Load::new(running.address, servers.into(), self.sources)?;
        load.run_for(Duration::from_millis(50))?; // the connection that found it listening ends
        Ok(Scene { running, load })
    }

    /// Processor microseconds for a short connection, with so many clients at a time; connections in a second.
    pub fn connections(&self, peer: &Peer, clients: usize, extra: &str) -> io::Result<Vec<f64>> {
        self.operations(peer, Task::Connect, clients, extra)
    }

    /// Processor microseconds for a round trip on connections that stay; round trips in a second.
    pub fn round_trips(&self, peer: &Peer) -> io::Result<Vec<f64>> {
        self.operations(peer, Task::Ask, 100, "")
    }

    fn operations(&self, peer: &Peer, task: Task, clients: usize, extra: &str) -> io::Result<Vec<f64>> {
        let mut scene = self.scene(peer, extra)?;
        scene.add_clients(task, clients as u64)?;
        scene.load.run_for(WARM_UP)?;
        let (cost, rate) = scene.count(self.time, |load| load.answers)?;
        Ok(vec![cost * 1e6, rate])
    }

    /// Processor seconds for a GiB; Gbit in a second.
    pub fn stream(&self, peer: &Peer, task: Task) -> io::Result<Vec<f64>> {
        let mut scene = self.scene(peer, "")?;
        scene.add_clients(task, 4)?;
        scene.load.run_for(WARM_UP)?;
        let (cost, rate) = scene.count(self.time, |load| load.bytes)?;
        Ok(vec![cost * GIB, rate * 8.0 / 1e9])
    }

    /// All memory for each idle connection; what each added; processor microseconds for a round trip on ten other
    /// connections, before and beside the idle ones.
    pub fn idle(&self, peer: &Peer) -> io::Result<Vec<f64>> {
        let mut scene = self.scene(peer, "")?;
        scene.add_clients(Task::Ask, 10)?;
        scene.load.run_for(WARM_UP)?;
        let (before_cost, _) = scene.count(self.time, |load| load.answers)?;
        let before_bytes = scene.running.resident_bytes();
        while scene.load.accepted < self.idle_clients {
            scene.add_clients(Task::Rest, 50)?;
            let wanted = scene.load.accepted + 50;
            scene.load.run(|load| load.accepted >= wanted)?;
        }
        scene.load.run_for(WARM_UP)?;
        let after_bytes = scene.running.resident_bytes();
        let (after_cost, _) = scene.count(self.time, |load| load.answers)?;
        let idle = self.idle_clients as f64;
        let growth = after_bytes.saturating_sub(before_bytes) as f64;
        Ok(vec![after_bytes as f64 / idle, growth / idle, before_cost * 1e6, after_cost * 1e6])
    }

    /// Milliseconds until it takes connections; the same with a configuration of 10,000 lines; KiB of memory then and
    /// without it; KiB of the program's file.
    pub fn start(&self, peer: &Peer) -> io::Result<Vec<f64>> {
        let servers = [free_listener()?, free_listener()?];
        let addresses: Vec<SocketAddrV4> = servers.iter().map(address_of).collect::<io::Result<_>>()?;
        let program = fs::metadata(&peer.program)?.len();
        let plain = peer.start(self.directory, &self.cores, &addresses, "")?;
        let (plain_start, plain_bytes) = (plain.start, plain.resident_bytes());
        drop(plain);
        let lines = long_configuration(peer, addresses[0]);
        let room = if peer.is_pen() { peer.clone().with_options(&["-S", "1000"]) } else { peer.clone() };
        let long = room.start(self.directory, &self.cores, &addresses, &lines)?;
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        let kib = |bytes: u64| (bytes >> 10) as f64;
        Ok(vec![
            milliseconds(plain_start),
            milliseconds(long.start),
            kib(plain_bytes),
            kib(long.resident_bytes()),
            kib(program),
        ])
    }

    /// System calls for a short connection, one client at a time and 32, and for a round trip on ten connections.
    pub fn system_calls(&self, peer: &Peer) -> io::Result<Vec<f64>> {
        [(Task::Connect, 1), (Task::Connect, 32), (Task::Ask, 10)]
            .into_iter()
            .map(|(task, clients)| self.scene(peer, "")?.system_calls(self.directory, task, clients))
            .collect()
    }
}

impl Scene {
    fn add_clients(&mut self, task: Task, count: u64) -> io::Result<()> {
        (0..count).try_for_each(|_| self.load.add_client(task))
    }

    /// Processor seconds of the program for each of what `counted` counts, and how many of them there were in a second.
    fn count(&mut self, time: Duration, counted: impl Fn(&Load) -> u64) -> io::Result<(f64, f64)> {
        let (start, counted_before) = (clock::now(), counted(&self.load));
        let used_before = self.running.processor_time()?;
        self.load.run_for(time)?;
        let used = self.running.processor_time()? - used_before;
        let count = (counted(&self.load) - counted_before) as f64;
        Ok((used.as_secs_f64() / count, count / start.elapsed().as_secs_f64()))
    }

    /// System calls for each answer, as strace(1) counts them. It slows the program down, which makes no difference to
    /// their number.
    fn system_calls(&mut self, directory: &Path, task: Task, clients: u64) -> io::Result<f64> {
        let file = directory.join("calls");
        let mut tracer = Command::new("strace");
        tracer.args(["-c", "-f", "-q", "-o"]).arg(&file);
        for pid in process::family(self.running.pid()) {
            tracer.arg("-p").arg(pid.to_string());
        }
        let mut tracer = tracer.stdin(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let pid = self.running.pid();
        self.load.run(|_| process::is_traced(pid))?;
        self.add_clients(task, clients)?;
        self.load.run(|load| load.answers >= TRACED_ANSWERS)?;
        nix::sys::signal::kill(Pid::from_raw(tracer.id() as i32), Signal::SIGINT)?;
        tracer.wait()?;
        let text = fs::read_to_string(&file)?;
        let total = text.lines().find(|line| line.ends_with(" total")).unwrap_or("");
        let calls = total.split_whitespace().nth(3).and_then(|calls| calls.parse::<f64>().ok());
        Ok(calls.unwrap_or(f64::NAN) / self.load.answers as f64)
    }
}

fn address_of(listener: &TcpListener) -> io::Result<SocketAddrV4> {
    match listener.local_addr()? {
        SocketAddr::V4(address) => Ok(address),
        SocketAddr::V6(address) => Err(io::Error::other(format!("{address}: not IPv4"))),
    }
}
