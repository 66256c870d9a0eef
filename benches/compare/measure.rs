//! The workloads: what is done with a program that runs, and what is counted.

use super::datagrams::{DatagramLoad, Habit};
use super::load::{Generator, Load, Task};
use super::peers::{Copying, Peer, Running, Speech, free_datagram_socket, free_listener, long_configuration};
use super::process;
use super::reader::Reader;
use super::runs::{RunLoad, Way};
use super::wire;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use pen_sys::clock;
use rustls::ClientConfig;
use std::fs;
use std::io;
use std::net::{SocketAddr, SocketAddrV4, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// Before anything is counted.
const WARM_UP: Duration = Duration::from_millis(300);
/// So many are traced.
const TRACED_ANSWERS: u64 = 2_000;
/// More UDP clients than any program remembers as it starts: from then on each new one takes the place of another.
const CLIENTS_FORGOTTEN: u64 = 12_000;
/// Datagrams of all clients together.
const UNDER_WAY: usize = 64;
/// At a time. The store of rustls keeps 8 tickets of a server, and each client brings two before it takes one.
const TLS_CLIENTS: u64 = 4;
/// So many of a hundred TLS connections must have taken up a session where they are counted as such.
const RESUMED_PERCENT: u64 = 99;
/// `clone_queue`.
const QUEUE_BYTES: usize = 64 << 20;
/// In lines of configuration: where a server listens, and where metrics are read once a second.
pub const SERVER_PORT: &str = "SERVER_PORT";
pub const METRICS_ADDRESS: &str = "METRICS_ADDRESS";
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
    /// With its key, for those that speak TLS. Or why there is none.
    pub certificate: Result<PathBuf, String>,
}

/// A program at work, and the load for it.
struct Scene<L> {
    /// Whoever reads its metrics: gone before it is.
    _reader: Option<Reader>,
    running: Running,
    load: L,
    /// A clone that reads nothing.
    _stalled: Option<TcpListener>,
}

impl Bench<'_> {
    fn scene(&self, peer: &Peer, extra: &str) -> io::Result<Scene<Load>> {
        self.scene_of(peer, extra, None)
    }

    fn scene_of(&self, peer: &Peer, extra: &str, tls: Option<Arc<ClientConfig>>) -> io::Result<Scene<Load>> {
        let servers = [free_listener()?, free_listener()?];
        let addresses: Vec<SocketAddrV4> = servers.iter().map(address_of).collect::<io::Result<_>>()?;
        let cores = if peer.workers > 1 { &self.all_cores } else { &self.cores };
        let (mut copies, mut stalled) = (None, None);
        let mut lines = extra.to_owned();
        if let Some(copying) = peer.clone {
            let listener = free_listener()?;
            let port = listener.local_addr()?.port();
            // With room for what waits while the load, which is one thread, serves others.
            lines +=
                &format!("server 2 address 127.0.0.1 port {port} role clone\nclone_queue {QUEUE_BYTES}\n");
            match copying {
                Copying::Served => copies = Some(listener),
                Copying::Stalled => stalled = Some(listener),
            }
        }
        let metrics = address_of(&free_listener()?)?;
        let lines = lines
            .replace(SERVER_PORT, &addresses[0].port().to_string())
            .replace(METRICS_ADDRESS, &metrics.to_string());
        let running = peer.start(self.directory, cores, &addresses, &lines)?;
        let reader = lines.contains("metrics_listen").then(|| Reader::begin(metrics));
        let mut load = Load::new(running.address, servers.into(), copies, self.sources, tls)?;
        load.run_for(Duration::from_millis(50))?; // the connection that found it listening ends
        Ok(Scene { running, load, _reader: reader, _stalled: stalled })
    }

    /// Processor microseconds for a short connection, with so many clients at a time; connections in a second.
    pub fn connections(&self, peer: &Peer, clients: usize, extra: &str) -> io::Result<Vec<f64>> {
        self.operations(peer, Task::Connect, clients, extra)
    }

    /// The same for a pen, and behind the first what of it its workers alone need.
    pub fn connections_by_workers(&self, peer: &Peer, clients: usize, extra: &str) -> io::Result<Vec<f64>> {
        let mut scene = self.scene(peer, extra)?;
        scene.add_clients(Task::Connect, clients as u64)?;
        scene.load.run_for(WARM_UP)?;
        let (used_before, answers_before) = (scene.running.processor_time_of_workers()?, scene.load.answers);
        let (cost, rate) = scene.count(self.time, Load::answers)?;
        let used = scene.running.processor_time_of_workers()? - used_before;
        let answers = (scene.load.answers - answers_before) as f64;
        Ok(vec![cost * 1e6, used.as_secs_f64() / answers * 1e6, rate])
    }

    /// Processor microseconds for a round trip on connections that stay; round trips in a second.
    pub fn round_trips(&self, peer: &Peer, extra: &str) -> io::Result<Vec<f64>> {
        self.operations(peer, Task::Ask, 100, extra)
    }

    fn operations(&self, peer: &Peer, task: Task, clients: usize, extra: &str) -> io::Result<Vec<f64>> {
        let mut scene = self.scene(peer, extra)?;
        scene.add_clients(task, clients as u64)?;
        scene.load.run_for(WARM_UP)?;
        let (cost, rate) = scene.count(self.time, Load::answers)?;
        Ok(vec![cost * 1e6, rate])
    }

    fn tls_scene(&self, peer: &Peer, resumes: bool) -> io::Result<Scene<Load>> {
        let certificate = self.certificate.as_ref().map_err(|why| io::Error::other(why.clone()))?;
        let peer = peer.clone().speaking(Speech::Tls(certificate.clone()));
        self.scene_of(&peer, "", Some(wire::terms(certificate, resumes)?))
    }

    /// Processor microseconds for a connection with a TLS handshake, which takes up an earlier session or does not;
    /// connections in a second.
    pub fn handshakes(&self, peer: &Peer, resumes: bool) -> io::Result<Vec<f64>> {
        let mut scene = self.tls_scene(peer, resumes)?;
        scene.add_clients(Task::Connect, TLS_CLIENTS)?;
        scene.load.run_for(WARM_UP)?;
        let before = (scene.load.answers, scene.load.resumed);
        let (cost, rate) = scene.count(self.time, Load::answers)?;
        let (answers, resumed) = (scene.load.answers - before.0, scene.load.resumed - before.1);
        if resumes && resumed * 100 < answers * RESUMED_PERCENT {
            return Err(io::Error::other(format!(
                "of {answers} sessions only {resumed} were taken up again"
            )));
        }
        Ok(vec![cost * 1e6, rate])
    }

    /// Processor seconds for a GiB that goes to clients with TLS; Gbit in a second.
    pub fn tls_stream(&self, peer: &Peer) -> io::Result<Vec<f64>> {
        self.stream_in(self.tls_scene(peer, false)?, Task::Take)
    }

    /// Processor microseconds for a datagram and its answer; how many in a second; how many in a million are lost.
    pub fn datagrams(&self, peer: &Peer, habit: Habit) -> io::Result<Vec<f64>> {
        let servers = [free_datagram_socket()?, free_datagram_socket()?];
        let addresses: Vec<SocketAddrV4> =
            servers.iter().map(|server| internet(server.local_addr()?)).collect::<io::Result<_>>()?;
        let speech = Speech::Udp { once: habit == Habit::Leave };
        let running = peer.clone().speaking(speech).start(self.directory, &self.cores, &addresses, "")?;
        let clients = match habit {
            Habit::Stay { window } => UNDER_WAY / window,
            Habit::Leave => UNDER_WAY,
        };
        let load = DatagramLoad::new(running.address, servers.into(), habit, clients)?;
        let mut scene = Scene { running, load, _reader: None, _stalled: None };
        scene.load.run(|load| load.answers() + load.lost >= CLIENTS_FORGOTTEN)?;
        let lost_before = scene.load.lost;
        let answers_before = scene.load.answers();
        let (cost, rate) = scene.count(self.time, DatagramLoad::answers)?;
        // Those still under way at the end are no loss, those given up before and answered late are none either.
        let lost = scene.load.lost.saturating_sub(lost_before) as f64;
        let answered = (scene.load.answers() - answers_before) as f64;
        Ok(vec![cost * 1e6, rate, lost / (lost + answered) * 1e6])
    }

    /// Processor seconds for a GiB of runs of datagrams; Gbit in a second; how many datagrams in a million are lost.
    pub fn datagram_stream(&self, peer: &Peer, way: Way) -> io::Result<Vec<f64>> {
        let servers = [free_datagram_socket()?, free_datagram_socket()?];
        let addresses: Vec<SocketAddrV4> =
            servers.iter().map(|server| internet(server.local_addr()?)).collect::<io::Result<_>>()?;
        let peer = peer.clone().speaking(Speech::Udp { once: false });
        let running = peer.start(self.directory, &self.cores, &addresses, "")?;
        let load = RunLoad::new(running.address, servers.into(), way)?;
        let mut scene = Scene { running, load, _reader: None, _stalled: None };
        scene.load.run_for(WARM_UP)?;
        let (lost_before, came_before) = (scene.load.lost, scene.load.datagrams());
        let (cost, rate) = scene.count(self.time, RunLoad::bytes)?;
        let lost = (scene.load.lost - lost_before) as f64;
        let came = (scene.load.datagrams() - came_before) as f64;
        Ok(vec![cost * GIB, rate * 8.0 / 1e9, lost / (lost + came) * 1e6])
    }

    /// Processor seconds for a GiB; Gbit in a second.
    pub fn stream(&self, peer: &Peer, task: Task) -> io::Result<Vec<f64>> {
        self.stream_in(self.scene(peer, "")?, task)
    }

    fn stream_in(&self, mut scene: Scene<Load>, task: Task) -> io::Result<Vec<f64>> {
        scene.add_clients(task, 4)?;
        scene.load.run_for(WARM_UP)?;
        let (cost, rate) = scene.count(self.time, |load| load.bytes)?;
        Ok(vec![cost * GIB, rate * 8.0 / 1e9])
    }

    /// The same, and how much of it a clone got too, in percent.
    pub fn copied_stream(&self, peer: &Peer, task: Task) -> io::Result<Vec<f64>> {
        let mut scene = self.scene(peer, "")?;
        scene.add_clients(task, 4)?;
        scene.load.run_for(WARM_UP)?;
        let (bytes_before, copied_before) = (scene.load.bytes, scene.load.copied_bytes);
        let (cost, rate) = scene.count(self.time, |load| load.bytes)?;
        let bytes = (scene.load.bytes - bytes_before) as f64;
        let copied = (scene.load.copied_bytes - copied_before) as f64;
        Ok(vec![cost * GIB, rate * 8.0 / 1e9, copied / bytes * 100.0])
    }

    /// Processor microseconds for a round trip on connections that stay; round trips in a second; microseconds that 99 of
    /// 100 took at most.
    pub fn timed_round_trips(&self, peer: &Peer) -> io::Result<Vec<f64>> {
        let mut scene = self.scene(peer, "")?;
        scene.add_clients(Task::Ask, 100)?;
        scene.load.run_for(WARM_UP)?;
        scene.load.trip_us = Some(Vec::new());
        let (cost, rate) = scene.count(self.time, Load::answers)?;
        let mut trips = scene.load.trip_us.take().unwrap_or_default();
        trips.sort_unstable();
        let p99_us = trips.get(trips.len() * 99 / 100).map_or(f64::NAN, |us| f64::from(*us));
        Ok(vec![cost * 1e6, rate, p99_us])
    }

    /// All memory for each idle connection; what each added; processor microseconds for a round trip on ten other
    /// connections, before and beside the idle ones.
    pub fn idle(&self, peer: &Peer) -> io::Result<Vec<f64>> {
        let mut scene = self.scene(peer, "")?;
        scene.add_clients(Task::Ask, 10)?;
        scene.load.run_for(WARM_UP)?;
        let (before_cost, _) = scene.count(self.time, Load::answers)?;
        let before_bytes = scene.running.resident_bytes();
        while scene.load.accepted < self.idle_clients {
            scene.add_clients(Task::Rest, 50)?;
            let wanted = scene.load.accepted + 50;
            scene.load.run(|load| load.accepted >= wanted)?;
        }
        scene.load.run_for(WARM_UP)?;
        let after_bytes = scene.running.resident_bytes();
        let (after_cost, _) = scene.count(self.time, Load::answers)?;
        let idle = self.idle_clients as f64;
        let growth = after_bytes.saturating_sub(before_bytes) as f64;
        Ok(vec![after_bytes as f64 / idle, growth / idle, before_cost * 1e6, after_cost * 1e6])
    }

    /// What each idle connection with TLS added; all memory for each.
    pub fn tls_idle(&self, peer: &Peer) -> io::Result<Vec<f64>> {
        let mut scene = self.tls_scene(peer, false)?;
        let before_bytes = scene.running.resident_bytes();
        while scene.load.accepted < self.idle_clients {
            scene.add_clients(Task::Rest, 10)?;
            let wanted = scene.load.accepted + 10;
            scene.load.run(|load| load.accepted >= wanted)?;
        }
        scene.load.run_for(WARM_UP)?;
        let after_bytes = scene.running.resident_bytes();
        let idle = self.idle_clients as f64;
        Ok(vec![after_bytes.saturating_sub(before_bytes) as f64 / idle, after_bytes as f64 / idle])
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

impl<L: Generator> Scene<L> {
    /// Processor seconds of the program for each of what `counted` counts, and how many of them there were in a second.
    fn count(&mut self, time: Duration, counted: impl Fn(&L) -> u64) -> io::Result<(f64, f64)> {
        let (start, counted_before) = (clock::now(), counted(&self.load));
        let used_before = self.running.processor_time()?;
        self.load.run_for(time)?;
        let used = self.running.processor_time()? - used_before;
        let count = (counted(&self.load) - counted_before) as f64;
        Ok((used.as_secs_f64() / count, count / start.elapsed().as_secs_f64()))
    }
}

impl Scene<Load> {
    fn add_clients(&mut self, task: Task, count: u64) -> io::Result<()> {
        (0..count).try_for_each(|_| self.load.add_client(task))
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
    internet(listener.local_addr()?)
}

fn internet(address: SocketAddr) -> io::Result<SocketAddrV4> {
    match address {
        SocketAddr::V4(address) => Ok(address),
        SocketAddr::V6(address) => Err(io::Error::other(format!("{address}: not IPv4"))),
    }
}
