//! Programs that know nothing of libpen, started with it: which server they reach, and what they see of it. Every way
//! in which they wait for a connect is tried with servers that refuse before and between those that accept.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod common;

use common::{Refusing, library, program, server};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::OnceLock;

/// Two servers that accept, two that refuse, and the address that programs connect to.
struct Farm {
    bind: Refusing,
    dead: [Refusing; 2],
    targets: String,
}

impl Farm {
    fn new() -> Farm {
        let dead = [Refusing::new(), Refusing::new()];
        let ports = [dead[0].port, server("a"), dead[1].port, server("b")];
        let targets: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        Farm { bind: Refusing::new(), targets: targets.join(","), dead }
    }

    fn start(&self, command: &mut Command) -> Output {
        let bind = self.bind.port.to_string();
        let command = command.env("LD_PRELOAD", library()).env("GLB_BIND", bind);
        let command = command.env("GLB_TARGETS", &self.targets);
        command.output().unwrap()
    }

    /// What the Python program prints.
    fn python(&self, way: &str, times: usize) -> Vec<String> {
        let port = self.bind.port.to_string();
        let arguments = [way, &port, &times.to_string()];
        lines(way, self.start(Command::new("python3").arg(program("client.py")).args(arguments)))
    }

    /// What the C program prints.
    fn c(&self, way: &str) -> Vec<String> {
        lines(way, self.start(Command::new(compiled()).args([way, &self.bind.port.to_string()])))
    }
}

fn lines(way: &str, output: Output) -> Vec<String> {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{way}: {}: {errors}", output.status);
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn compiled() -> &'static Path {
    static COMPILED: OnceLock<PathBuf> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("client-{}", std::process::id()));
        let mut compile = Command::new("cc");
        compile.args(["-Wall", "-Werror", "-pthread", "-o"]).arg(&to).arg(program("client.c"));
        let output = compile.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        to
    })
}

/// Each server that accepts got its share, and nobody met one that refuses.
fn assert_shared(way: &str, said: &[String]) {
    let count = |name: &str| said.iter().filter(|said| *said == name).count();
    let (a, b) = (count("a"), count("b"));
    assert!(a + b == said.len() && a.abs_diff(b) <= 2, "{way}: {said:?}");
}

#[test]
fn every_way_to_wait_ends_at_a_server_that_accepts() {
    let farm = Farm::new();
    for way in [
        "blocking",
        "with_timeout",
        "mapped",
        "poll",
        "selected",
        "epoll",
        "epoll_edge",
        "epoll_once",
        "epoll_before",
        "connect_again",
        "connect_twice",
        "duplicate",
        "fast_open",
        "event_loop",
        "bind_first",
    ] {
        let said = farm.python(way, 6);
        assert_eq!(said.len(), 6, "{way}");
        assert_shared(way, &said);
    }
}

#[test]
fn what_python_does_not_call_works_as_well() {
    let farm = Farm::new();
    for way in
        ["ppoll", "pselect", "epoll_pointer", "dup2", "reused_number", "vfork", "made_blocking", "errno"]
    {
        let said = farm.c(way);
        assert!(matches!(said.as_slice(), [said] if said == "a" || said == "b"), "{way}: {said:?}");
    }
    for way in ["cancel", "threads", "time_is_over"] {
        assert_eq!(farm.c(way), ["ok"], "{way}");
    }
}

#[test]
fn processes_do_not_all_begin_with_the_same_server() {
    let farm = Farm::new();
    let forked = farm.python("fork", 30);
    assert_eq!(forked.len(), 30);
    assert!(forked.contains(&"a".to_owned()) && forked.contains(&"b".to_owned()), "{forked:?}");
    let started: Vec<String> = (0..30).flat_map(|_| farm.c("ppoll")).collect();
    assert!(started.contains(&"a".to_owned()) && started.contains(&"b".to_owned()), "{started:?}");
}

#[test]
fn when_all_refuse_the_program_sees_a_refusal() {
    let mut farm = Farm::new();
    let targets = farm.dead.each_ref().map(|dead| format!("127.0.0.1:{}", dead.port));
    for targets in [targets.join(","), targets[0].clone()] {
        farm.targets = targets;
        for way in ["refused", "refused_later", "refused_to_writer"] {
            assert_eq!(farm.python(way, 3), ["ECONNREFUSED"; 3], "{way}");
        }
    }
}

#[test]
fn everything_else_is_left_alone() {
    let farm = Farm::new();
    assert_eq!(farm.python("datagrams", 1), ["True"]);
    assert_eq!(farm.python("elsewhere", 1), ["True"]);
    assert_eq!(farm.python("threads", 1), ["1 1"]);
}

#[test]
fn programs_of_others_reach_a_server() {
    let farm = Farm::new();
    let port = farm.bind.port;
    let perl = format!(
        "use IO::Socket::INET; for (1..6) {{ my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', \
         PeerPort => {port}, Timeout => 10) or die $@; print <$s>, \"\\n\"; }}"
    );
    let said = lines("perl", farm.start(Command::new("perl").args(["-e", &perl])));
    assert_eq!(said.len(), 6);
    assert_shared("perl", &said);
    let url = format!("telnet://127.0.0.1:{port}");
    let said = lines("curl", farm.start(Command::new("curl").args(["-s", "--max-time", "10", &url])));
    assert_shared("curl", &said);
    let bash = format!("for i in 1 2 3 4; do cat </dev/tcp/127.0.0.1/{port}; echo; done");
    let said = lines("bash", farm.start(Command::new("bash").args(["-c", &bash])));
    // A process of its own opens each, and each process begins anew: chance may send all to the same.
    assert!(said.len() == 4 && said.iter().all(|server| server == "a" || server == "b"), "bash: {said:?}");
}

/// A program with a control socket, which connects when it is told to.
struct OnDemand {
    child: Child,
    said: BufReader<ChildStdout>,
    control: u16,
}

impl OnDemand {
    fn start(farm: &Farm) -> OnDemand {
        let control = common::ports::free_port();
        let mut command = Command::new("/usr/bin/python3");
        command.arg(program("client.py")).args(["on_demand", &farm.bind.port.to_string(), "1"]);
        command.env("LD_PRELOAD", library()).env("GLB_TARGETS", &farm.targets);
        command.env("GLB_OPTIONS", format!("-c {control} {}", farm.bind.port));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        let mut program = OnDemand { child, said, control };
        assert_eq!(program.line(), "ready");
        program
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Which server it reaches now.
    fn connects(&mut self) -> String {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        self.line()
    }

    /// What its control socket answers before it ends.
    fn control(&self, lines: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.control)).unwrap();
        stream.write_all(lines.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply
    }
}

impl Drop for OnDemand {
    fn drop(&mut self) {
        // It ends when its input does.
        drop(self.child.stdin.take());
        let _ended = self.child.wait();
    }
}

#[test]
fn servers_are_changed_through_the_control_socket_of_the_program() {
    let (a, b) = (server("a"), server("b"));
    let mut farm = Farm::new();
    farm.targets = format!("127.0.0.1:{a}:2");
    let mut program = OnDemand::start(&farm);
    assert_eq!(program.connects(), "a");
    assert_eq!(program.control(&format!("127.0.0.1:{b}\n127.0.0.1:{a}:-1\ngetstat\n")), "Ok\nOk\nOk\n");
    assert_eq!([program.connects(), program.connects()], ["b", "b"]);
    let table = program.control("GETINFO");
    let row = format!("      127.0.0.1:{b:<5} :    1.000   1.000\n");
    assert!(table.starts_with("Router:\n") && table.ends_with("\nDestinations: 1\n"), "{table}");
    assert!(table.contains(&row), "{table}");
    assert_eq!(program.control(&format!("127.0.0.1:{a}:-1\nnonsense here\n")), "Error\nError\n");
    assert_eq!(program.control(&format!("127.0.0.1:{b}:0")), "Ok\n");
    assert_eq!(program.connects(), "EHOSTDOWN");
    let forgotten: Vec<_> =
        (0..20).map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, program.control)).unwrap()).collect();
    assert_eq!(program.control(&format!("127.0.0.1:{b}:0.5")), "Ok\n");
    drop(forgotten);
    assert_eq!(program.connects(), "b");
}

#[test]
fn policies_and_weights_are_those_of_pen() {
    let mut farm = Farm::new();
    let (a, b) = (server("a"), server("b"));
    farm.targets = format!("127.0.0.1:{a}:3,127.0.0.1:{b}");
    let with = |options: &str| {
        let mut command = Command::new("python3");
        command.arg(program("client.py")).args(["poll", &farm.bind.port.to_string(), "12"]);
        let options = format!("{options} -t 4 {}", farm.bind.port);
        let said = lines(&options, farm.start(command.env("GLB_OPTIONS", &options)));
        said.iter().filter(|said| *said == "a").count()
    };
    assert_eq!(with("--round"), 9);
    assert_eq!(with("--single"), 12);
    assert_eq!(with("-T"), 12);
    assert!([0, 12].contains(&with("--source")));
}

#[test]
fn malformed_settings_are_said_once_and_the_program_goes_its_own_way() {
    let port = server("itself");
    let bind = port.to_string();
    for (variable, value, reason) in [
        ("GLB_TARGETS", "127.0.0.1:x", "GLB_TARGETS: port: want 0..65535, got \"x\""),
        (
            "PEN_POLICY",
            "best\n",
            "PEN_POLICY: want round_robin, least_conn, single, random or source, got \"best\"",
        ),
        ("GLB_OPTIONS", "--frobnicate", "GLB_OPTIONS: option \"--frobnicate\" is unknown"),
    ] {
        let mut command = Command::new("python3");
        command.arg(program("client.py")).args(["blocking", &bind, "1"]);
        command.env("LD_PRELOAD", library()).env("GLB_BIND", &bind).env("GLB_TARGETS", "127.0.0.1:1");
        let output = command.env(variable, value).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), format!("libpen: {reason}\n"));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "itself\n");
    }
}

#[test]
fn the_library_brings_no_other_libraries() {
    let library = fs::read(library()).unwrap();
    let has = |word: &str| library.windows(word.len()).any(|bytes| bytes == word.as_bytes());
    assert!(has("libc.so.6") && !has("libssl") && !has("aws_lc"));
}
