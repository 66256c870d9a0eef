//! The load of servers, as SNMP agents, agents and programs say it; and what becomes of a server whose agent says more.

use super::checks::{first_is, statuses};
use super::checks_exec::script;
use crate::common::backend::Backend;
use crate::common::pen::{Pen, Start};
use crate::common::ports::free_port;
use crate::common::process::hears_datagrams;
use crate::common::programs::all_installed;
use crate::common::real::Server;
use crate::common::tempdir::TempDir;
use crate::common::wait::eventually;
use nix::unistd::Uid;
use pen_proto::status::{ServerState, ServerStatus, Status};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

/// Twenty times a second, in turn.
fn with_load(servers: &[Backend; 2], load: &str) -> Start {
    Pen::before(servers).options("-r").command("check_interval 0.05").command(format!("load {load}"))
}

fn two() -> [Backend; 2] {
    ["A", "B"].map(Backend::named)
}

/// Waits until this is so of the first server, and returns what is known of it.
fn first(pen: &Pen, what: &str, is_so: impl Fn(&ServerStatus) -> bool) -> ServerStatus {
    eventually(what, || statuses(pen).swap_remove(0), is_so)
}

fn first_load(pen: &Pen, load: &str) -> ServerStatus {
    let is_so = |server: &ServerStatus| server.load.map(|load| load.to_string()).as_deref() == Some(load);
    first(pen, &format!("load {load}"), is_so)
}

fn unknown(pen: &Pen, why: &str) -> ServerStatus {
    let is_so = |server: &ServerStatus| server.load_error.as_deref().is_some_and(|error| error.contains(why));
    let server = first(pen, why, is_so);
    assert_eq!((server.load, server.state), (None, Some(ServerState::Up)), "unknown is no load and not down");
    server
}

/// An agent that says the present line to everybody who connects.
struct Agent {
    line: Arc<Mutex<String>>,
    door: Backend,
}

impl Agent {
    fn saying(line: &str) -> Agent {
        let line = Arc::new(Mutex::new(line.to_owned()));
        let said = line.clone();
        let door = Backend::serving(move |mut stream| {
            let line = said.lock().unwrap().clone();
            let _ = stream.write_all(line.as_bytes());
        });
        Agent { line, door }
    }

    fn says(&self, line: &str) {
        *self.line.lock().unwrap() = line.to_owned();
    }
}

/// Net-snmp's agent on a port of 127.0.0.1, not as root, with files of its own; it shows its load to `shown`, and to
/// `hidden` what Debian's configuration shows.
fn snmpd() -> Option<(Server, u16)> {
    if !all_installed(&[("snmpd", "snmpd"), ("setpriv", "util-linux")]) {
        return None;
    }
    let (dir, port) = (TempDir::new(), free_port());
    let path = |name: &str| dir.path().join(name).display().to_string();
    let text = format!(
        "agentaddress udp:127.0.0.1:{port}\nview systemonly included .1.3.6.1.2.1.1\n\
         view systemonly included .1.3.6.1.2.1.25.1\nrocommunity hidden default -V systemonly\n\
         rocommunity shown 127.0.0.1\n"
    );
    fs::write(path("snmpd.conf"), text).unwrap();
    fs::create_dir(path("persistent")).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(path("persistent"), fs::Permissions::from_mode(0o777)).unwrap();
    let (config, persistent) = (path("snmpd.conf"), format!("SNMP_PERSISTENT_DIR={}", path("persistent")));
    let as_nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let mut words = if Uid::effective().is_root() { as_nobody.to_vec() } else { Vec::new() };
    words.extend(["env", "MIBS=", &persistent, "/usr/sbin/snmpd", "-f", "-Lo", "-I", "-smux", "-C", "-c"]);
    words.push(&config);
    let server = Server::start(dir, format!("127.0.0.1:{port}"), "setpriv", &words, || hears_datagrams(port));
    Some((server, port))
}

#[test]
fn a_real_snmp_agent_tells_the_load_or_pen_tells_why_not() {
    let Some((mut agent, port)) = snmpd() else { return };
    let servers = two();
    let pen = with_load(&servers, &format!("snmp v1 shown port {port}")).command("check_timeout 5").start();
    let average = || {
        let text = fs::read_to_string("/proc/loadavg").unwrap();
        text.split_whitespace().next().unwrap().parse::<f64>().unwrap()
    };
    for version in ["v1", "v2c"] {
        pen.control(&format!("load snmp {version} shown port {port}"));
        // The agent looks every few seconds; the average of a minute moves slowly.
        let is_near = |server: &ServerStatus| {
            let load = server.load.map(|load| f64::from(load.thousandths()) / 1000.0);
            load.is_some_and(|load| (load - average()).abs() < 2.0 + average() / 4.0)
        };
        let server = first(&pen, "the load average of this machine", is_near);
        assert_eq!(server.load_error, None);
        assert_eq!(server.load_from, Some(format!("snmp {version} (hidden) port {port}")));
    }
    for version in ["v1", "v2c"] {
        pen.control(&format!("load snmp {version} hidden port {port}"));
        unknown(&pen, "add \"view systemonly included .1.3.6.1.4.1.2021.10\" to Debian's snmpd.conf");
    }
    pen.control("check_timeout 0.1");
    pen.control(&format!("load snmp secret port {port}"));
    unknown(&pen, "the community is wrong, or the agent does not listen at this address");
    agent.stop();
    unknown(&pen, "no SNMP agent at UDP port");
    assert_eq!(pen.asks(4).matches('A').count(), 2, "servers of unknown load are used");
    let told = pen.stderr();
    assert!(told.contains("the load of server 0") && told.contains("is unknown"), "{told}");
}

#[test]
fn an_agent_tells_the_load_and_its_silence_is_no_load() {
    let (servers, agent) = (two(), Agent::saying("0.42\n"));
    let pen = with_load(&servers, &format!("agent {}", agent.door.port())).start();
    let server = first_load(&pen, "0.42");
    assert_eq!(server.load_from, Some(format!("agent {}", agent.door.port())));
    agent.says("0.5 what?\n");
    unknown(&pen, "agent: it says \"0.5 what?\"");
    agent.says("1.25");
    first_load(&pen, "1.25");
    agent.door.pause();
    unknown(&pen, "connect: connection refused");
    assert_eq!(pen.asks(4).matches('A').count(), 2);
    agent.door.resume();
    first_load(&pen, "1.25");
    let told = |word: &str| pen.stderr().lines().filter(|line| line.contains(word)).count();
    let called = format!("the load of server 0 ({}) is", servers[0]);
    assert_eq!((told(&format!("{called} unknown: connect")), told(&format!("{called} known again"))), (1, 2));
    pen.control("load none");
    first(&pen, "nobody to ask", |server| server.load.is_none() && server.load_from.is_none());
}

#[test]
fn a_server_may_have_a_source_of_its_own_and_a_disabled_one_is_asked_too() {
    let (servers, agent) = (two(), Agent::saying("3\n"));
    let pen = with_load(&servers, "none").start();
    pen.control(&format!("server 0 load agent {}", agent.door.port()));
    first_load(&pen, "3");
    pen.control("server 0 disable");
    agent.says("4\n");
    assert_eq!(first_load(&pen, "4").state, Some(ServerState::Disabled));
    assert_eq!(statuses(&pen)[1].load_from, None);
}

#[test]
fn words_of_an_agent_drain_and_return_a_server_beside_a_check() {
    let (servers, agent) = (two(), Agent::saying("up ready 100%\n"));
    let pen = with_load(&servers, "none").command("check connect").start();
    pen.control(&format!("server 0 load agent {}", agent.door.port()));
    first_is(&pen, ServerState::Up, "");
    for (line, state, reason) in [
        ("drain\n", ServerState::Draining, "its agent says drain"),
        ("maint\n", ServerState::Disabled, "its agent says maint"),
        ("ready down # no database\n", ServerState::Down, "its agent says down: no database"),
        ("up\n", ServerState::Up, ""),
        ("stopped\n", ServerState::Down, "its agent says stopped"),
    ] {
        agent.says(line);
        first_is(&pen, state, reason);
        let used = pen.asks(4).matches('A').count();
        assert_eq!(used, if state == ServerState::Up { 2 } else { 0 }, "{line}");
        assert_eq!(statuses(&pen)[0].since_epoch_seconds.is_some(), state != ServerState::Up, "{line}");
    }
    // Its word is nothing against what the check finds.
    servers[0].pause();
    agent.says("up\n");
    first_is(&pen, ServerState::Down, "connect: connection refused");
    servers[0].resume();
    first_is(&pen, ServerState::Up, "");
}

#[test]
fn an_agent_checks_its_server() {
    let (servers, agent) = (two(), Agent::saying("75%\n"));
    let pen = with_load(&servers, "none").start();
    pen.control(&format!("server 0 check agent {}", agent.door.port()));
    let seen = |server: &ServerStatus| server.check_us.is_some();
    assert_eq!(first(&pen, "the first check", seen).state, Some(ServerState::Up));
    for (line, state, reason) in [
        ("failed#disk\n", ServerState::Down, "its agent says failed: disk"),
        ("up 2.5\n", ServerState::Up, ""),
        ("drain\n", ServerState::Draining, "its agent says drain"),
        ("ready\n", ServerState::Up, ""),
    ] {
        agent.says(line);
        first_is(&pen, state, reason);
    }
    agent.says("up 2.5\n");
    first_load(&pen, "2.5");
    agent.door.pause();
    first_is(&pen, ServerState::Down, "connect: connection refused");
    // A failed connect is not cleared by it.
    agent.door.resume();
    first_is(&pen, ServerState::Up, "");
    pen.control("blacklist 3600");
    servers[0].pause();
    assert_eq!(pen.asks(2), "BB");
    let before = agent.door.accepted();
    eventually("more words", || agent.door.accepted(), |count| *count > before + 2);
    first_is(&pen, ServerState::Down, "connect failed");
}

#[test]
fn a_program_tells_the_load() {
    const SCRIPT: &str =
        "while read word && [ \"$word\" = poll ]; do cat \"$(dirname \"$0\")/say\" || echo nothing; done\n";
    let servers = two();
    let start = with_load(&servers, "none");
    let program = script(&start, SCRIPT);
    fs::write(start.path("say"), "0.75\n").unwrap();
    let pen = start.command(format!("server 0 load exec {} x", program.display())).start();
    first_load(&pen, "0.75");
    fs::remove_file(pen.path("say")).unwrap();
    unknown(&pen, "the program: it says \"nothing\"");
    pen.control("server 0 load exec /nowhere/at/all");
    unknown(&pen, "cannot start /nowhere/at/all");
}

#[test]
fn communities_are_written_and_not_shown() {
    let servers = two();
    let pen = with_load(&servers, "snmp v1 hush").command("debug 1").start();
    pen.control("server 1 load snmp hush2 port 1161");
    pen.control("server 1 max 7 load snmp \"hush2\" port 1162");
    assert_eq!(pen.control("load"), "snmp v1 (hidden)\n");
    let file = pen.path("saved.conf");
    pen.control(&format!("write {}", file.display()));
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.contains("\nload snmp v1 hush\n") && text.contains("\nserver 1 load snmp v2c hush2 port 1162\n")
    );
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    for question in ["servers json", "status json", "servers", "status", "metrics"] {
        assert!(!pen.control(question).contains("hush"), "{question}");
    }
    assert!(!pen.stderr().contains("hush"), "{}", pen.stderr());
    pen.control("load snmp hush3");
    let told = pen.control(&format!("diff {} reverse", file.display()));
    assert!(told.contains("load snmp v2c (hidden)") && !told.contains("hush"), "{told}");
    let read = Pen::before(Vec::<String>::new()).options("-r").config(&text).start();
    assert_eq!(read.control("load"), "snmp v1 (hidden)\n");
    assert_eq!(statuses(&read)[1].load_from.as_deref(), Some("snmp v2c (hidden) port 1162"));
}

#[test]
fn clients_go_to_the_server_with_the_least_load() {
    let (servers, agents) = (two(), ["0.5\n", "2.5\n"].map(Agent::saying));
    let start =
        Pen::before(&servers).options("-r").command("check_interval 0.05").command("policy least_load");
    let start = start.command("maxload 4").command("session_weight 0.1");
    let pen = agents.iter().enumerate().fold(start, |start, (index, agent)| {
        start.command(format!("server {index} load agent {}", agent.door.port()))
    });
    let pen = pen.start();
    let known = |all: &Vec<ServerStatus>| all.iter().all(|server| server.load.is_some());
    eventually("both loads", || statuses(&pen), known);
    assert_eq!(pen.asks(4), "AAAA");
    let told = statuses(&pen);
    assert_eq!((told[0].effective_load, told[1].effective_load), (Some(12), Some(62)));
    let status: Status = serde_json::from_str(&pen.control("status json")).unwrap();
    assert_eq!(status.load_percent, Some(37), "3 of 8");
    let metrics = pen.control("metrics");
    assert!(metrics.contains("pen_load_ratio 0.37\n") && metrics.contains("} 0.5\n"), "{metrics}");
    assert!(pen.control("status").contains("62 % of maxload"));
    agents[0].says("3\n");
    first_load(&pen, "3");
    assert_eq!(pen.asks(4), "BBBB");
    agents[1].door.pause();
    eventually("an unknown load", || statuses(&pen), |all| all[1].load.is_none());
    assert_eq!(pen.asks(2), "AA", "a load that is known is preferred");
}

#[test]
fn strict_overload_turns_clients_away_until_a_server_has_time() {
    let (servers, agents) = (two(), ["5\n", "5\n"].map(Agent::saying));
    let pen = with_load(&servers, "none").command("overload strict").command("maxload 4").start();
    for (index, agent) in agents.iter().enumerate() {
        pen.control(&format!("server {index} load agent {}", agent.door.port()));
    }
    first_is(&pen, ServerState::Full, "load 5 of 4");
    eventually("both", || statuses(&pen), |all| all[1].state == Some(ServerState::Full));
    assert_eq!(pen.asks(2), "--", "nobody takes them");
    pen.control("overload relaxed");
    first_is(&pen, ServerState::Up, "");
    assert_eq!(pen.asks(2).len(), 2);
    pen.control("overload strict");
    pen.control("server 1 maxload 6");
    eventually("one", || statuses(&pen), |all| all[1].state == Some(ServerState::Up));
    assert_eq!(pen.asks(3), "BBB");
}

#[test]
fn a_standby_server_is_used_when_no_other_can_be() {
    let servers = two();
    let pen = with_load(&servers, "none").command("check connect").command("server 1 standby yes").start();
    let second = |state: ServerState| {
        eventually("the second", || statuses(&pen).swap_remove(1), |server| server.state == Some(state));
    };
    second(ServerState::Standby);
    assert!(statuses(&pen)[1].standby);
    assert_eq!(pen.asks(3), "AAA");
    pen.control("server 0 drain");
    assert_eq!(pen.asks(2), "BB");
    pen.control("server 0 enable");
    servers[0].pause();
    first_is(&pen, ServerState::Down, "");
    assert_eq!(pen.asks(2), "BB");
    servers[0].resume();
    first_is(&pen, ServerState::Up, "");
    assert_eq!(pen.asks(2), "AA");
    let file = pen.path("saved.conf");
    pen.control(&format!("write {}", file.display()));
    assert!(fs::read_to_string(&file).unwrap().contains(" standby yes"));
    pen.control("server 1 standby no");
    second(ServerState::Up);
}

#[test]
fn connections_of_a_server_that_is_down_are_kept_or_closed() {
    let (servers, agent) = (two(), Agent::saying("up\n"));
    let pen = with_load(&servers, "none").start();
    pen.control("server 1 disable");
    pen.control(&format!("server 0 check agent {}", agent.door.port()));
    first(&pen, "the first check", |server| server.check_us.is_some());
    let mut client = pen.connect();
    assert_eq!(client.line(), "A");
    agent.says("down\n");
    first_is(&pen, ServerState::Down, "");
    client.send("still here\n");
    assert_eq!(client.line(), "still here", "keep is the default");
    pen.control("on_down close");
    client.ending();
    agent.says("up\n");
    first_is(&pen, ServerState::Up, "");
    let mut client = pen.connect();
    assert_eq!(client.line(), "A");
    agent.says("down\n");
    client.ending();
    assert_eq!(statuses(&pen)[0].connections, 0);
}
