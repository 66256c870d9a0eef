//! Programs whose servers are watched: which they reach, what they notice of it, and what is left when they end.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod common;

use common::{Refusing, library, program, server};
use pen_sys::clock;
use pen_sys::tempdir::TempDir;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..4_000 {
        if is_so() {
            return;
        }
        clock::wait_ms(5);
    }
    panic!("never: {what}");
}

/// A program that runs with the library.
struct Watched {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Watched {
    fn start(way: &str, bind: u16, targets: &[String], variables: &[(&str, &str)]) -> Watched {
        let mut command = Command::new("/usr/bin/python3");
        command.arg(program("watched.py")).args([way, &bind.to_string()]);
        command.env("LD_PRELOAD", library()).env("PEN_BIND", bind.to_string());
        command.env("PEN_TARGETS", targets.join(",")).envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Watched { child, said }
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn reaches(&mut self) -> String {
        self.tell("");
        self.line()
    }

    /// It reaches only these from some time on.
    fn comes_to_reach(&mut self, servers: &[&str]) {
        eventually("it reaches only those", || {
            let reached: Vec<String> = (0..6).map(|_| self.reaches()).collect();
            reached.iter().all(|reached| servers.contains(&reached.as_str()))
                && servers.iter().all(|server| reached.iter().any(|reached| reached == server))
        });
    }

    /// Ends its input, and answers what it said on standard error.
    fn errors(mut self) -> String {
        drop(self.child.stdin.take());
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        self.child.wait().unwrap();
        errors
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ended = self.child.wait();
    }
}

/// Servers with the states that a program finds them in.
struct States {
    directory: TempDir,
    ports: Vec<u16>,
    bind: Refusing,
}

impl States {
    fn new(names: &[&'static str]) -> States {
        let ports = names.iter().map(|name| server(name)).collect();
        States { directory: TempDir::new(), ports, bind: Refusing::new() }
    }

    fn path(&self) -> &str {
        self.directory.path().to_str().unwrap()
    }

    /// By renaming: a program never reads half of it.
    fn set(&self, number: usize, state: &str) {
        let next = self.directory.path().join("next");
        fs::write(&next, format!("{state}\n")).unwrap();
        fs::rename(next, self.directory.path().join(self.ports[number].to_string())).unwrap();
    }

    fn start(&self, way: &str, targets: usize, variables: &[(&str, &str)]) -> Watched {
        let targets: Vec<String> =
            self.ports[..targets].iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let check = format!("exec:'{}' \"one word\" -p$SECRET", program("check.sh").display());
        let ours = [("STATES", self.path()), ("SECRET", "x"), ("GLB_WATCHDOG", &check)];
        let variables: Vec<_> = ours.into_iter().chain(variables.iter().copied()).collect();
        Watched::start(way, self.bind.port, &targets, &variables)
    }

    /// The programs that were started: their numbers, and all of their words.
    fn started(&self) -> Vec<(u32, String)> {
        let text = fs::read_to_string(self.directory.path().join("started")).unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        lines.map(|(pid, rest)| (pid.parse().unwrap(), rest.to_owned())).collect()
    }

    fn nobody_is_left(&self, what: &str) {
        let is_gone = |(pid, _): &(u32, String)| !Path::new(&format!("/proc/{pid}")).exists();
        eventually(what, || self.started().iter().all(is_gone));
    }
}

#[test]
fn a_program_says_which_servers_are_used() {
    let servers = States::new(&["a", "b"]);
    servers.set(0, "3");
    servers.set(1, "1");
    let mut watched = servers.start("on_demand", 2, &[("GLB_OPTIONS", "-i 0.02 1")]);
    // The first connect waits for the first word about each.
    assert_eq!([(); 4].map(|()| watched.reaches()), ["a"; 4]);
    servers.set(1, "3");
    watched.comes_to_reach(&["a", "b"]);
    servers.set(0, "2");
    watched.comes_to_reach(&["b"]);
    servers.set(1, "0");
    watched.comes_to_reach(&["a"]);
    servers.set(0, "1");
    watched.comes_to_reach(&["EHOSTDOWN"]);
    servers.set(0, "3");
    watched.comes_to_reach(&["a"]);
    let started = servers.started();
    assert_eq!(started.len(), 2, "each is started once: {started:?}");
    for (port, words) in
        servers.ports.iter().map(|port| (port, format!("127.0.0.1:{port} one word -px none")))
    {
        assert!(started.iter().any(|(_, said)| *said == words), "{port}: {started:?}");
    }
    assert_eq!(watched.errors(), "");
    servers.nobody_is_left("its programs are gone");
}

#[test]
fn a_program_does_not_notice_that_its_servers_are_watched() {
    let servers = States::new(&["a", "b"]);
    servers.set(0, "3");
    servers.set(1, "1");
    let mut watched = servers.start("notices", 2, &[("PEN_CHECK_INTERVAL", "0.02")]);
    assert_eq!(watched.line(), "a True");
    assert_eq!(watched.line(), "no child");
    // It has closed all descriptors that it knows; its servers are watched all the same, and programs that die are started
    // again.
    servers.set(1, "3");
    let first = format!("127.0.0.1:{} ", servers.ports[0]);
    let (first, _) = servers.started().into_iter().find(|(_, words)| words.starts_with(&first)).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(first as i32), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
    eventually("it is started again", || servers.started().len() == 3);
    watched.tell("");
    let said = watched.line();
    assert!(["a [] 2", "b [] 2"].contains(&&*said), "{said}");
    watched.tell("");
    let said = watched.line();
    assert!(said.starts_with("child ") && said.ends_with(" 2"), "{said}");
    drop(watched);
    servers.nobody_is_left("programs of both processes are gone");
}

#[test]
fn no_program_is_left_however_a_process_ends() {
    for how in ["exit", "_exit", "kill", "exec"] {
        let servers = States::new(&["a"]);
        servers.set(0, "3");
        let mut watched = servers.start("ends", 1, &[("STUBBORN", "yes")]);
        assert_eq!(watched.line(), "a");
        assert_eq!(servers.started().len(), 1);
        watched.tell(how);
        servers.nobody_is_left(how);
    }
}

/// An HTTP server that always answers this.
fn web(answer: &'static str) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in listener.incoming() {
            let _left: Result<_, _> = client.and_then(|mut client: TcpStream| {
                client.write_all(answer.as_bytes())?;
                client.shutdown(std::net::Shutdown::Write)?;
                // What was asked is read, or else the end would be a reset.
                client.read_to_end(&mut Vec::new())
            });
        }
    });
    port
}

#[test]
fn servers_are_asked_over_the_network() {
    let (good, bad) = (web("HTTP/1.1 200 OK\r\n\r\na"), web("HTTP/1.1 500 No\r\n\r\nb"));
    let refusing = Refusing::new();
    let agents = [web("up\n"), web("down # broken\n")];
    let own_port = agents.map(|port| format!("agent {port}"));
    for (check, wanted) in [
        ("http /health", "a"),
        ("http / status 500", "b"),
        (r#"send "HELO\r\n" expect "200 OK""#, "a"),
        ("send \"\" expect No", "b"),
        ("connect", "ab"),
        (&own_port[0], "ab"),
        (&own_port[1], "EHOSTDOWN"),
    ] {
        let targets = [good, bad, refusing.port].map(|port| format!("127.0.0.1:{port}"));
        let bind = Refusing::new();
        // Clients of the one that refuses go to the next at once: without a check nobody could tell.
        let variables = [("PEN_WATCHDOG", check), ("PEN_OPTIONS", "-v 1"), ("PEN_CHECK_TIMEOUT", "5")];
        let mut watched = Watched::start("on_demand", bind.port, &targets, &variables);
        let reached: Vec<String> = (0..4).map(|_| watched.reaches()).collect();
        let is_wanted =
            |reached: &String| *reached == wanted || (wanted == "ab" && "ab".contains(&**reached));
        assert!(reached.iter().all(is_wanted), "{check}: {reached:?}");
        let errors = watched.errors();
        let refused =
            format!("libpen: server 2 (127.0.0.1:{}) is down: connect: connection refused\n", refusing.port);
        assert_eq!(errors.contains(&refused), !check.starts_with("agent"), "{check}: {errors}");
    }
}

#[test]
fn members_that_a_program_names_are_servers() {
    let servers = States::new(&["a", "b", "c"]);
    let [_, b, c] = servers.ports[..] else { unreachable!() };
    servers.set(0, &format!("3 127.0.0.1:{b},localhost:{c}:2"));
    servers.set(1, "3");
    servers.set(2, "3");
    let mut watched = servers.start("on_demand", 1, &[("GLB_OPTIONS", "-D -i 0.02 1")]);
    assert_eq!(watched.reaches(), "a");
    watched.comes_to_reach(&["a", "b", "c"]);
    servers.set(0, &format!("3 127.0.0.1:{b}"));
    watched.comes_to_reach(&["a", "b"]);
    // One that names nobody removes nobody.
    servers.set(0, "3");
    servers.set(1, "1");
    watched.comes_to_reach(&["a"]);
    servers.set(1, "3");
    watched.comes_to_reach(&["a", "b"]);
}

#[test]
fn a_program_that_fails_is_told_once_and_takes_its_server_down() {
    let servers = States::new(&["a"]);
    let variables = [("FAILS", "no \x1b password"), ("PEN_CHECK_INTERVAL", "0.02")];
    let mut watched = servers.start("on_demand", 1, &variables);
    assert_eq!([(); 3].map(|()| watched.reaches()), ["EHOSTDOWN"; 3]);
    let called = format!("server 0 (127.0.0.1:{})", servers.ports[0]);
    let reason = "the program ended with status 7: no \\x1b password";
    assert_eq!(watched.errors(), format!("libpen: {called}: {reason}\n"));
}
