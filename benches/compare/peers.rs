//! The programs that are compared, and how each is started so that all have the same work to do.

use super::bare;
use super::process;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::Pid;
use pen_sys::clock;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

/// So long a program may take until it listens.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// More connections than any workload opens.
const CONNECTIONS_MAX: u64 = 20_000;
/// Descriptors that are for no connection.
const DESCRIPTORS_SPARE: u64 = 500;

/// The program that pen is compatible with.
const ORIGINAL: &str = "Pen 0.34.1";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// pen's command line.
    Pen,
    Haproxy,
    Nginx,
    /// See `bare`.
    Bare,
}

/// What clients speak with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Speech {
    Tcp,
    /// With the certificate and key in this file.
    Tls(PathBuf),
    /// UDP; with `once`, one answer is all that a client waits for.
    Udp {
        once: bool,
    },
}

/// What a clone does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copying {
    /// What servers do.
    Served,
    /// It is connected to and reads nothing.
    Stalled,
}

/// A program with its settings.
#[derive(Debug, Clone)]
pub struct Peer {
    pub name: String,
    pub program: PathBuf,
    kind: Kind,
    /// Processor cores it may use, and workers it starts.
    pub workers: usize,
    splice: bool,
    speech: Speech,
    /// For pen: more options, before the listening address.
    options: Vec<String>,
    /// For pen: how many servers; half of them are the first, half the second.
    servers: usize,
    /// For pen: it has a clone too.
    pub clone: Option<Copying>,
}

/// One that runs. Ended by its own process number.
pub struct Running {
    child: Child,
    pub address: SocketAddrV4,
    /// From the start until it took connections.
    pub start: Duration,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, which the measurement has noticed.
        let _ = nix::sys::signal::kill(Pid::from_raw(self.child.id() as i32), nix::sys::signal::SIGTERM);
        let _ = self.child.wait();
    }
}

impl Running {
    pub fn processor_time(&self) -> io::Result<Duration> {
        process::processor_time(self.child.id())
    }

    /// Of pen: what those of its threads have taken that serve connections.
    pub fn processor_time_of_workers(&self) -> io::Result<Duration> {
        process::processor_time_of_threads(self.child.id(), "worker")
    }

    pub fn resident_bytes(&self) -> u64 {
        process::resident_bytes(self.child.id())
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

/// How many connections the descriptor limit allows through a program; each needs two.
pub fn connections_possible() -> u64 {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
    (limit.saturating_sub(DESCRIPTORS_SPARE) / 2).min(CONNECTIONS_MAX)
}

fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/bin", "/sbin"].map(PathBuf::from);
    let mut candidates = std::env::split_paths(&path).chain(system).map(|directory| directory.join(program));
    candidates.find(|candidate| candidate.is_file())
}

impl Peer {
    /// This pen.
    pub fn ours(name: &str) -> Peer {
        Peer::like_pen(name, Path::new(env!("CARGO_BIN_EXE_pen")))
    }

    /// Any program with pen's command line.
    pub fn like_pen(name: &str, program: &Path) -> Peer {
        Peer {
            name: name.into(),
            program: program.into(),
            kind: Kind::Pen,
            workers: 1,
            splice: false,
            speech: Speech::Tcp,
            options: Vec::new(),
            servers: 2,
            clone: None,
        }
    }

    /// What is left when everything is left out but the streams.
    pub fn bare(name: &str) -> Peer {
        let program = std::env::current_exe().unwrap_or_default();
        Peer { kind: Kind::Bare, ..Peer::like_pen(name, &program) }
    }

    /// The others that are installed.
    pub fn installed() -> Vec<Peer> {
        let mut peers = Vec::new();
        for (name, program, kind, splice) in [
            (ORIGINAL, "pen", Kind::Pen, false),
            ("haproxy", "haproxy", Kind::Haproxy, false),
            ("haproxy, splice", "haproxy", Kind::Haproxy, true),
            ("nginx", "nginx", Kind::Nginx, false),
        ] {
            match found(program) {
                Some(path) => peers.push(Peer { kind, splice, ..Peer::like_pen(name, &path) }),
                None => eprintln!("{program} is not installed and left out"),
            }
        }
        peers
    }

    pub fn splices(&self) -> bool {
        self.splice
    }

    /// Whether it is the pen that was built with this.
    pub fn is_ours(&self) -> bool {
        self.program == Path::new(env!("CARGO_BIN_EXE_pen"))
    }

    /// Whether it is a Pen of any kind, which can be given more options.
    pub fn is_pen(&self) -> bool {
        self.kind == Kind::Pen
    }

    /// Whether it can serve clients that speak this. The original blocks all others while it shakes hands with one.
    pub fn speaks(&self, speech: &Speech) -> bool {
        match speech {
            Speech::Tcp => true,
            Speech::Tls(_) => self.name != ORIGINAL && !self.splice,
            Speech::Udp { .. } => self.kind != Kind::Haproxy,
        }
    }

    pub fn speaking(mut self, speech: Speech) -> Peer {
        self.speech = speech;
        self
    }

    pub fn with_options(mut self, options: &[&str]) -> Peer {
        self.options = options.iter().map(ToString::to_string).collect();
        self
    }

    pub fn with_servers(mut self, servers: usize) -> Peer {
        self.servers = servers;
        self
    }

    pub fn with_clone(mut self, clone: Option<Copying>) -> Peer {
        self.clone = clone;
        self
    }

    pub fn with_workers(mut self, workers: usize) -> Peer {
        self.workers = workers;
        self
    }

    /// Starts it in `directory`, on these cores, and waits until it takes connections. `extra` are lines for its
    /// configuration file, in its own language.
    ///
    /// # Errors
    /// When it cannot be started or ends; what it said is part of the message.
    pub fn start(
        &self,
        directory: &Path,
        cores: &[usize],
        servers: &[SocketAddrV4],
        extra: &str,
    ) -> io::Result<Running> {
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, free_listener()?.local_addr()?.port());
        let mut command = self.command(directory, address, servers, extra)?;
        let output = fs::File::create(directory.join("output"))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).current_dir(directory);
        let start = clock::now();
        let child = spawn_on(&mut command, cores)?;
        let mut running = Running { child, address, start: Duration::ZERO };
        while !self.listens(address) {
            if start.elapsed() > START_PATIENCE || running.child.try_wait()?.is_some() {
                let said = fs::read_to_string(directory.join("output")).unwrap_or_default();
                return Err(io::Error::other(format!("{} does not start: {command:?}: {said}", self.name)));
            }
            std::thread::yield_now();
        }
        running.start = start.elapsed();
        Ok(running)
    }

    fn listens(&self, address: SocketAddrV4) -> bool {
        match self.speech {
            Speech::Udp { .. } => process::has_datagram_socket(address),
            _ => TcpStream::connect(address).is_ok(),
        }
    }

    fn command(
        &self,
        directory: &Path,
        address: SocketAddrV4,
        servers: &[SocketAddrV4],
        extra: &str,
    ) -> io::Result<Command> {
        let mut command = Command::new(&self.program);
        let file = directory.join("configuration");
        match self.kind {
            Kind::Pen => {
                fs::write(&file, extra)?;
                command.args(["-f", "-x", &connections_possible().to_string()]);
                if self.servers > 2 {
                    command.args(["-S", &self.servers.to_string()]);
                }
                if !extra.is_empty() {
                    command.arg("-F").arg(&file);
                }
                match &self.speech {
                    Speech::Tcp => {}
                    Speech::Tls(certificate) => {
                        command.arg("-E").arg(certificate);
                    }
                    Speech::Udp { .. } => {
                        command.args(["-U", "-r"]);
                    }
                }
                command.args(&self.options).arg(address.to_string());
                command.args(servers.iter().cycle().take(self.servers).map(ToString::to_string));
            }
            Kind::Haproxy => {
                fs::write(&file, self.haproxy(address, servers, extra))?;
                command.args(["-db", "-q", "-f"]).arg(&file);
            }
            Kind::Nginx => {
                fs::write(&file, self.nginx(directory, address, servers, extra))?;
                command.arg("-p").arg(directory).arg("-c").arg(&file);
            }
            Kind::Bare => {
                // Of the lines it understands the one with a clone's address.
                let clone = extra.split_once(" port ").and_then(|(_, rest)| rest.split(' ').next());
                command.args([bare::WORD, &address.to_string(), &servers[0].to_string()]);
                command.args(clone.map(|port| format!("127.0.0.1:{port}")));
            }
        }
        Ok(command)
    }

    fn haproxy(&self, address: SocketAddrV4, servers: &[SocketAddrV4], extra: &str) -> String {
        let splice = if self.splice { "  option splice-request\n  option splice-response\n" } else { "" };
        let tls = match &self.speech {
            Speech::Tls(certificate) => format!(" ssl crt {} ssl-min-ver TLSv1.3", certificate.display()),
            _ => String::new(),
        };
        let servers = servers.iter().enumerate();
        let servers: String =
            servers.map(|(index, server)| format!("  server s{index} {server}\n")).collect();
        format!(
            "global\n  nbthread {}\n  maxconn {}\n  maxpipes 64\ndefaults\n  mode tcp\n  \
             timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n{splice}listen all\n  bind {address}{tls}\n  \
             balance roundrobin\n{servers}{extra}",
            self.workers,
            connections_possible(),
        )
    }

    fn nginx(
        &self,
        directory: &Path,
        address: SocketAddrV4,
        servers: &[SocketAddrV4],
        extra: &str,
    ) -> String {
        // Debian builds `stream` as a module.
        let module = Path::new("/usr/lib/nginx/modules/ngx_stream_module.so");
        let load =
            if module.exists() { format!("load_module {};\n", module.display()) } else { String::new() };
        let user = if nix::unistd::geteuid().is_root() { "user root;\n" } else { "" };
        let (kind, speech) = match &self.speech {
            Speech::Tcp => (" backlog=4096", String::new()),
            Speech::Tls(certificate) => {
                let file = certificate.display();
                let lines =
                    format!("ssl_protocols TLSv1.3; ssl_certificate {file}; ssl_certificate_key {file};");
                (" ssl backlog=4096", lines)
            }
            Speech::Udp { once: true } => (" udp", "proxy_responses 1;".into()),
            Speech::Udp { once: false } => (" udp", String::new()),
        };
        let (allow, servers_of) = extra.split_once("---\n").unwrap_or((extra, ""));
        let servers: String = servers.iter().map(|server| format!("server {server};\n")).collect();
        format!(
            "{load}{user}daemon off;\nworker_processes {};\npid {}/nginx.pid;\nerror_log stderr error;\n\
             events {{ worker_connections {}; }}\nstream {{\nupstream all {{ {servers}{servers_of} }}\n\
             server {{ listen {address}{kind}; {speech} proxy_pass all; proxy_timeout 1h; {allow} }}\n}}\n",
            self.workers,
            directory.display(),
            2 * connections_possible(),
        )
    }
}

/// Starts a program that may use these cores.
pub fn spawn_on(command: &mut Command, cores: &[usize]) -> io::Result<Child> {
    let own_cores = sched_getaffinity(Pid::from_raw(0))?;
    sched_setaffinity(Pid::from_raw(0), &set_of(cores)?)?;
    let child = command.spawn();
    sched_setaffinity(Pid::from_raw(0), &own_cores)?;
    child
}

fn set_of(cores: &[usize]) -> nix::Result<CpuSet> {
    let mut set = CpuSet::new();
    cores.iter().try_for_each(|core| set.set(*core))?;
    Ok(set)
}

/// Listens on a port that the kernel gives to no client.
pub fn free_listener() -> io::Result<TcpListener> {
    on_free_port(TcpListener::bind)
}

/// Has a port that the kernel gives to no client.
pub fn free_datagram_socket() -> io::Result<UdpSocket> {
    on_free_port(UdpSocket::bind)
}

fn on_free_port<T>(open: impl Fn(SocketAddrV4) -> io::Result<T>) -> io::Result<T> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let ports = (0..5_000).map(|_| 10_000 + NEXT.fetch_add(1, Ordering::Relaxed) % 5_000);
    let mut opened = ports.filter_map(|port| open(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).ok());
    opened.next().ok_or_else(|| io::Error::other("no free port from 10000 to 15000"))
}

/// A configuration file of 10,000 lines for any of them: nine thousand clients that are kept out, a thousand servers.
pub fn long_configuration(peer: &Peer, server: SocketAddrV4) -> String {
    let denied = |index: usize| Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 0).to_bits() + index as u32);
    let lines = |count: usize, line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<String>();
    let port = server.port();
    match peer.kind {
        Kind::Pen => {
            lines(9_000, &|index| format!("acl 1 deny {}\n", denied(index)))
                + &lines(1_000, &|index| format!("server {index} address 127.0.0.1 port {port}\n"))
        }
        Kind::Bare => String::new(),
        Kind::Haproxy => {
            lines(9_000, &|index| format!("  tcp-request connection reject if {{ src {} }}\n", denied(index)))
                + &lines(1_000, &|index| format!("  server t{index} {server}\n"))
        }
        Kind::Nginx => {
            lines(9_000, &|index| format!("deny {};\n", denied(index)))
                + "---\n"
                + &lines(1_000, &|_| format!("server {server};\n"))
        }
    }
}
