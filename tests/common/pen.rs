//! The balancer under test: started in the foreground, ready when it says so, killed when dropped.

use super::client::Client;
use super::ports::free_port;
use super::process::{descriptors, hears_datagrams, kill_processes_in, listening, status_field};
use super::tempdir::TempDir;
use super::wait::{PATIENCE, eventually, watch};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pen_sys::control::{Address, Patience};
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// Whose program is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Make {
    Ours,
    /// Pen 0.34.1: it cannot say that it is ready, so one looks whether it listens.
    Original,
}

/// Where distributions put the original.
pub const ORIGINAL: &str = "/usr/bin/pen";

/// A command line in the making.
#[derive(Debug)]
pub struct Start {
    make: Make,
    before: Vec<String>,
    options: Vec<String>,
    servers: Vec<String>,
    listen: String,
    foreground: bool,
    /// Argument of `-C`.
    control: Option<String>,
    dir: TempDir,
}

/// A running balancer.
#[derive(Debug)]
pub struct Pen {
    pub make: Make,
    /// Where it listens. Meaningless when the scenario chose a Unix socket.
    pub address: SocketAddr,
    child: Child,
    ended: Option<ExitStatus>,
    dir: TempDir,
}

/// What a program that ended by itself left behind.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Start {
    /// Option words, separated by blanks.
    pub fn options(mut self, words: &str) -> Start {
        self.options.extend(words.split_whitespace().map(String::from));
        self
    }

    /// One option word that may contain blanks.
    pub fn word(mut self, word: impl Display) -> Start {
        self.options.push(word.to_string());
        self
    }

    /// A command executed at start, by `-O`.
    pub fn command(self, command: impl Display) -> Start {
        self.word("-O").word(command)
    }

    pub fn server(mut self, server: impl Display) -> Start {
        self.servers.push(server.to_string());
        self
    }

    pub fn listen(mut self, address: impl Display) -> Start {
        self.listen = address.to_string();
        self
    }

    /// Words before the program: another program that executes it, for example `prlimit --nofile=64`.
    pub fn through(mut self, words: &str) -> Start {
        self.before.extend(words.split_whitespace().map(String::from));
        self
    }

    /// A word before the program that may contain blanks.
    pub fn through_script(mut self, script: &str) -> Start {
        self.before.push(script.to_string());
        self
    }

    /// Creates a directory in the directory of this scenario.
    pub fn directory(self, name: &str) -> Start {
        fs::create_dir(self.path(name)).unwrap();
        self
    }

    /// Chooses the program; otherwise ours, or `PEN_UNDER_TEST`.
    pub fn make(mut self, make: Make) -> Start {
        self.make = make;
        self
    }

    /// Leaves out `-f`.
    pub fn in_background(mut self) -> Start {
        self.foreground = false;
        self
    }

    /// Leaves out the control socket that the harness otherwise asks for.
    pub fn without_control(mut self) -> Start {
        self.control = None;
        self
    }

    /// Chooses where control clients are awaited.
    pub fn control_at(mut self, address: impl Display) -> Start {
        self.control = Some(address.to_string());
        self
    }

    /// A path in the directory of this scenario.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Creates a file in the directory of this scenario.
    pub fn file(self, name: &str, text: &str) -> Start {
        self.dir.file(name, text);
        self
    }

    /// `-F` with a file of these lines.
    pub fn config(self, lines: &str) -> Start {
        let path = self.dir.file("pen.conf", lines);
        self.word("-F").word(path.display())
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// When it ends instead, with what it said.
    pub fn start(self) -> Pen {
        let notify = notify_socket(self.dir.path());
        let mut command = self.to_command();
        command.env("NOTIFY_SOCKET", format!("@{}", notify_name(self.dir.path())));
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let address = self.listen.parse().unwrap_or_else(|_| ([127, 0, 0, 1], 1).into());
        let mut pen = Pen { make: self.make, address, child, ended: None, dir: self.dir };
        let make = self.make;
        let ready = move || match make {
            Make::Ours => is_ready(&notify),
            Make::Original => listening(address.port()) || hears_datagrams(address.port()),
        };
        let look = || {
            pen.assert_alive(&command);
            ready()
        };
        eventually("pen to be ready", look, |ready| *ready);
        pen
    }

    /// Starts it in the background, where only its pid file (`-p pen.pid`) tells which process it is.
    ///
    /// # Panics
    /// When the parent fails, or there is no pid file once it has ended.
    pub fn start_daemon(self) -> Daemon {
        let address = self.listen.parse().expect("a listen address");
        let (parent, dir) = self.run_and_keep();
        assert_eq!(parent.code, Some(0), "{parent:?}");
        let pid =
            fs::read_to_string(dir.path().join("pen.pid")).expect("a pid file once the parent has ended");
        let pid = pid.parse().unwrap_or_else(|_| panic!("pid file {pid:?}"));
        Daemon { pid, address, parent, dir }
    }

    /// Runs it to its end, which must come soon.
    pub fn run(self) -> Ended {
        let (ended, dir) = self.run_and_keep();
        // A daemon that should not have come to life is not left behind.
        kill_processes_in(dir.path());
        ended
    }

    /// The same; the directory stays as long as the second value.
    pub fn run_and_keep(self) -> (Ended, TempDir) {
        let mut command = self.to_command();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let status = wait_for(&mut child).unwrap_or_else(|| {
            kill_child(&mut child);
            panic!("{command:?} did not end within {PATIENCE:?}\n{}", read(&self.path("stderr")))
        });
        let [stdout, stderr] = ["stdout", "stderr"].map(|name| read(&self.path(name)));
        (Ended { code: status.code(), stdout, stderr }, self.dir)
    }

    /// The words after the program's name.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        if self.foreground {
            words.push("-f".to_string());
        }
        if let Some(control) = &self.control {
            words.extend(["-C".to_string(), control.clone()]);
            if super::root() && !self.options.iter().any(|word| word.starts_with("-u")) {
                words.extend(["-u", "root"].map(String::from));
            }
        }
        words.extend(self.options.iter().cloned());
        words.extend((!self.listen.is_empty()).then(|| self.listen.clone()));
        words.extend(self.servers.iter().cloned());
        words
    }

    fn to_command(&self) -> Command {
        let mut words = self.before.clone();
        words.push(program(self.make));
        words.extend(self.words());
        let mut command = Command::new(&words[0]);
        let file = |name| Stdio::from(File::create(self.path(name)).unwrap());
        command.args(&words[1..]).current_dir(self.dir.path());
        command.stdin(Stdio::null()).stdout(file("stdout")).stderr(file("stderr"));
        command.env_remove("NOTIFY_SOCKET");
        command
    }
}

impl Pen {
    /// In front of these servers, with no options.
    pub fn before<S: Display>(servers: impl IntoIterator<Item = S>) -> Start {
        let make = if std::env::var_os("PEN_UNDER_TEST").is_some() { Make::Original } else { Make::Ours };
        let dir = TempDir::new();
        Start {
            make,
            before: Vec::new(),
            options: Vec::new(),
            servers: servers.into_iter().map(|server| server.to_string()).collect(),
            listen: format!("127.0.0.1:{}", free_port()),
            foreground: true,
            control: Some(dir.path().join("control").display().to_string()),
            dir,
        }
    }

    /// Nothing but these words: no listener, no server, no `-f`.
    pub fn bare(words: &str) -> Start {
        Pen::before([] as [&str; 0]).listen("").without_control().in_background().options(words)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A path in the directory of this scenario, which is pen's working directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The text of a file there, empty if there is none.
    pub fn text(&self, name: &str) -> String {
        read(&self.path(name))
    }

    pub fn stderr(&self) -> String {
        self.text("stderr")
    }

    /// The control socket's reply to one command.
    pub fn control(&self, command: &str) -> String {
        self.try_control(command).unwrap_or_else(|error| panic!("control command {command:.200}: {error}"))
    }

    pub fn try_control(&self, command: &str) -> std::io::Result<String> {
        let address = Address::parse(&self.path("control").to_string_lossy()).expect("a path");
        let patience = Patience { connect: PATIENCE, silence: PATIENCE, ..Patience::default() };
        let reply = address.converse(command, patience, usize::MAX)?;
        Ok(String::from_utf8_lossy(&reply).into_owned())
    }

    /// A control connection on which nothing was said yet.
    pub fn control_stream(&self) -> std::io::Result<UnixStream> {
        let stream = UnixStream::connect(self.path("control"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    pub fn connect_from(&self, source: &str) -> Client {
        Client::connect_from(source, self.address)
    }

    /// The name of the server that a new connection reaches, "-" when pen closes it.
    pub fn ask(&self) -> String {
        self.ask_from("127.0.0.1")
    }

    pub fn ask_from(&self, source: &str) -> String {
        self.connect_from(source).try_line().unwrap_or_else(|| "-".to_string())
    }

    /// The names for so many connections, one after the other.
    pub fn asks(&self, count: usize) -> String {
        (0..count).map(|_| self.ask()).collect()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid() as i32), signal).expect("pen is gone");
    }

    /// Begins a graceful stop (USR2) and waits until nobody can connect any more.
    pub fn drain(&self) {
        self.signal(Signal::SIGUSR2);
        let refuses = || TcpStream::connect(self.address).is_err() && !listening(self.address.port());
        eventually("the listener to close", refuses, |refused| *refused);
    }

    /// Lowers its limit to the descriptors that it has and so many more.
    pub fn leave_descriptors(&self, more: usize) {
        let limit = format!("--nofile={0}:{0}", descriptors(self.pid()) + more);
        let mut prlimit = Command::new("prlimit");
        assert!(prlimit.args(["--pid", &self.pid().to_string(), &limit]).status().unwrap().success());
    }

    /// Keeps it from running until SIGCONT.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
        let state = || status_field(self.pid(), "State");
        eventually("pen to stand still", state, |state| state.starts_with('T'));
    }

    /// Waits for its end and returns the exit code, `None` when a signal ended it.
    pub fn wait(&mut self) -> Option<i32> {
        let status = wait_for(&mut self.child)
            .unwrap_or_else(|| panic!("pen did not end within {PATIENCE:?}\n{}", read(&self.path("stderr"))));
        self.ended = Some(status);
        status.code()
    }

    fn assert_alive(&mut self, command: &Command) {
        if let Some(status) = self.child.try_wait().unwrap() {
            self.ended = Some(status);
            panic!("{command:?} ended at start: {status}\n{}{}", self.text("stdout"), self.stderr());
        }
    }
}

impl Drop for Pen {
    fn drop(&mut self) {
        let died = self.ended.is_none() && self.child.try_wait().unwrap().is_some();
        kill_child(&mut self.child);
        if std::thread::panicking() {
            eprintln!("--- stderr of pen\n{}---", self.stderr());
        } else {
            assert!(!died, "pen died during the test\n{}", self.stderr());
        }
    }
}

/// A balancer in the background; killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    pub pid: i32,
    pub address: SocketAddr,
    /// What the process that was started said and returned.
    pub parent: Ended,
    dir: TempDir,
}

impl Daemon {
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid), signal).expect("pen is gone");
    }

    /// Whether the process runs; one that waits to be reaped does not.
    pub fn alive(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, fields)| !fields.starts_with('Z'))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        kill_processes_in(self.dir.path());
    }
}

/// The reply to a control command given from `source` over TCP; empty when pen turns the client away.
pub fn control_over_tcp(source: &str, to: SocketAddr, command: &str) -> String {
    let mut client = Client::connect_from(source, to);
    let mut reply = Vec::new();
    // Turning away may reset the connection at any point.
    let _ = client.stream.write_all(format!("{command}\n").as_bytes());
    let _ = client.stream.read_to_end(&mut reply);
    String::from_utf8_lossy(&reply).into_owned()
}

/// Writes, half-closes and reads the reply.
pub fn converse(mut stream: UnixStream, bytes: &[u8]) -> String {
    stream.write_all(bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).unwrap();
    String::from_utf8_lossy(&reply).into_owned()
}

fn program(make: Make) -> String {
    match make {
        Make::Ours => env!("CARGO_BIN_EXE_pen").to_string(),
        Make::Original => std::env::var("PEN_UNDER_TEST").unwrap_or_else(|_| ORIGINAL.to_string()),
    }
}

fn notify_name(dir: &Path) -> String {
    format!("pen-ready{}", dir.display())
}

/// In the abstract name space, which a pen without privileges or in a jail still reaches.
fn notify_socket(dir: &Path) -> UnixDatagram {
    let address = std::os::unix::net::SocketAddr::from_abstract_name(notify_name(dir)).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

fn is_ready(notify: &UnixDatagram) -> bool {
    let mut message = [0; 4096];
    notify
        .recv(&mut message)
        .is_ok_and(|length| String::from_utf8_lossy(&message[..length]).lines().any(|line| line == "READY=1"))
}

/// `None` when it does not end within [`PATIENCE`].
fn wait_for(child: &mut Child) -> Option<ExitStatus> {
    watch(|| child.try_wait().unwrap(), Option::is_some).unwrap_or_default()
}

fn kill_child(child: &mut Child) {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

fn read(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
