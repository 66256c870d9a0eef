//! `penctl --as octopuslb-admin` and a link of that name, before pens that stand in for Octopus: its options, its words, what
//! it prints, and the regression scenarios of its own project.

use crate::common::backend::{Backend, echo};
use crate::common::client::Client;
use crate::common::pen::Ended;
use crate::common::programs::ours;
use crate::common::wait::eventually;
use crate::octopus::Farm;
use pen_proto::commands::{OneOf, PolicyKind, ROWS, SERVER_KEYS};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::thread;

/// Whether pen has the command, or the key of a server.
fn knows(word: &str) -> bool {
    ROWS.iter().any(|row| row.word == word) || SERVER_KEYS.iter().any(|key| key.word == word)
}

/// Somebody at the shell of a farm.
trait Admin {
    /// With `-e`, for the only instance of its run directory.
    fn admin(&self, command: &str) -> Ended;
    fn attach(&self, words: &[&str], stdin: &str) -> Ended;
    fn does(&self, command: &str, said: &str);
    /// Its lines for programs, as fields.
    fn lines(&self) -> Vec<Vec<String>>;
}

impl Admin for Farm {
    fn admin(&self, command: &str) -> Ended {
        self.attach(&["-d", self.path("run").to_str().unwrap(), "-e", command], "")
    }

    fn attach(&self, words: &[&str], stdin: &str) -> Ended {
        let link = self.path("octopuslb-admin");
        if !link.exists() {
            symlink(ours("penctl"), &link).unwrap();
        }
        let mut command = Command::new(link);
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    fn does(&self, command: &str, said: &str) {
        let ended = self.admin(command);
        let greeting = format!("Connected to balancer at 127.0.0.1:{}\n", self.port);
        assert_eq!(
            (ended.code, &ended.stdout, ended.stderr.as_str()),
            (Some(0), &(greeting + said), ""),
            "{command}"
        );
    }

    fn lines(&self) -> Vec<Vec<String>> {
        let ended = self.attach(&["-f", self.socket().to_str().unwrap(), "-m", "-e", "show"], "");
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let lines = ended.stdout.lines().skip(1);
        lines.map(|line| line.split(',').map(str::to_owned).collect()).collect()
    }
}

fn request(farm: &Farm, number: usize) {
    let mut client = Client::connect(farm.address());
    let line = format!("GET /page/{number} HTTP/1.0");
    assert_eq!(client.exchange(&line), line);
}

fn requests(farm: &Farm, count: usize) {
    (0..count).for_each(|number| request(farm, number));
}

/// Waits until so many sessions are over, in all.
fn completed(farm: &Farm, count: u64) -> Vec<u64> {
    let counts = || farm.lines().iter().map(|line| line[9].parse().unwrap()).collect::<Vec<u64>>();
    eventually("the counts", counts, |counts| counts.iter().sum::<u64>() == count)
}

fn started(count: usize) -> (Vec<Backend>, Farm) {
    let servers: Vec<Backend> = (0..count).map(|_| Backend::serving(echo)).collect();
    let farm = Farm::new(&servers.iter().collect::<Vec<_>>());
    let ended = farm.admin("show");
    assert_eq!(
        (ended.code, &*ended.stderr),
        (Some(255), "ERROR: Could not find any instances\n"),
        "before the start"
    );
    let started = farm.start();
    assert_eq!(started.status.code(), Some(0), "{started:?}");
    (servers, farm)
}

#[test]
fn every_algorithm_completes_every_request_with_and_without_a_member() {
    let (_servers, farm) = started(3);
    let policies = PolicyKind::ALL.iter().map(|policy| policy.word()).collect::<Vec<_>>();
    for (word, policy, name) in [
        ("rr", "round_robin", "Round Robin"),
        ("ll", "least_load", "Least Load"),
        ("lc", "least_conn", "Least Connections"),
        ("hash", "uri_hash", "Hash"),
        ("static", "uri_static", "Static"),
    ] {
        if !policies.contains(&policy) {
            continue;
        }
        farm.does(&format!("algorithm {word}"), &format!("Set balancing algorithm to {name}\n"));
        farm.does("reset all", "Reset all counters\n");
        requests(&farm, 100);
        completed(&farm, 100);
        farm.does("disable member 0", "Disabling server \"web0\"\n");
        farm.does("reset all", "Reset all counters\n");
        requests(&farm, 100);
        assert_eq!(completed(&farm, 100)[0], 0, "{word}");
        farm.does("enable member 0", "Enabling server \"web0\"\n");
        let shown = farm.admin("show").stdout;
        assert!(
            shown.contains(&format!("127.0.0.1:{}, Algorithm: {name}, Cloning: Disabled\n", farm.port)),
            "{shown}"
        );
    }
    assert_eq!(farm.start().status.code(), Some(255), "a second one");
    request(&farm, 1);
}

#[test]
fn a_standby_takes_what_a_full_member_does_not() {
    if !knows("standby") {
        return;
    }
    let (_servers, farm) = started(2);
    farm.does("maxc member 0 1", "Setting maximum connections to 1 for server \"web0\"\n");
    farm.does("standby member 1", "Creating standby status for web1\n");
    assert_eq!(farm.lines()[1][4], "(S)");
    farm.does("reset all", "Reset all counters\n");
    thread::scope(|scope| {
        (0..20).for_each(|_| drop(scope.spawn(|| requests(&farm, 10))));
    });
    let counts = completed(&farm, 200);
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    farm.does("maxc member 0 500", "Setting maximum connections to 500 for server \"web0\"\n");
    farm.does("standby member 1", "Removing standby status for web1\n");
}

#[test]
fn members_come_and_go() {
    let (_servers, farm) = started(2);
    let more = Backend::serving(echo);
    farm.does(
        &format!("create member web2 127.0.0.1 {}", more.port()),
        "created member server \"web2\" successfully\n",
    );
    assert_eq!(farm.lines()[2][..4], ["Member", "2", "web2", "Disabled"]);
    farm.does("enable all", "Enabling server \"web2\"\n");
    farm.does("delete member 0", "Deleting server \"web0\"\n");
    let numbers = || farm.lines().iter().map(|line| line[1].clone()).collect::<Vec<_>>();
    eventually("the member to be gone", numbers, |numbers| numbers == &["1", "2"]);
    farm.does("reset m 1", "Reset counters for server \"web1\"\n");
    requests(&farm, 20);
    assert!(more.accepted() > 0);
    for (command, trouble) in [
        ("delete member 0", "ERROR: Invalid member ID!\n"),
        ("delete c 0", "ERROR: Invalid clone ID!\n"),
        ("delete server 1", "ERROR: Invalid type: want member or clone, got \"server\"\n"),
        ("algorithm HASHED", "ERROR: Argument 1 invalid: want algorithm rr|lc|ll|hash|static\n"),
        ("bogus", "ERROR: Unknown command \"bogus\", ? lists them\n"),
        ("create web2 127.0.0.1 80", "ERROR: "),
    ] {
        let ended = farm.admin(command);
        assert_eq!(ended.code, Some(255), "{command}");
        assert!(ended.stderr.starts_with(trouble), "{command}: {ended:?}");
    }
}

#[test]
fn clones_come_and_go() {
    if !knows("role") || !knows("clone_percent") {
        return;
    }
    let (_servers, farm) = started(1);
    farm.does("clone enable", "Enabling clone mode\n");
    let clones: Vec<Backend> = (0..2).map(|_| Backend::serving(echo)).collect();
    for count in 1..=2 {
        for (number, clone) in clones[..count].iter().enumerate() {
            farm.does(
                &format!("create clone test{number} 127.0.0.1 {}", clone.port()),
                &format!("created clone server \"test{number}\" successfully\n"),
            );
            farm.does(&format!("enable clone {number}"), &format!("Enabling server \"test{number}\"\n"));
        }
        requests(&farm, 20);
        eventually("copies", || clones[count - 1].accepted(), |accepted| *accepted > 0);
        for number in (0..count).rev() {
            farm.does(&format!("disable clone {number}"), &format!("Disabling server \"test{number}\"\n"));
            farm.does(&format!("delete clone {number}"), &format!("Deleting server \"test{number}\"\n"));
        }
        eventually("the clones to be gone", || farm.lines().len(), |lines| *lines == 1);
    }
    farm.does("clone disable", "Disabling clone mode\n");
}

#[test]
fn kill_ends_it_and_it_starts_again_with_more_to_say() {
    let (servers, farm) = started(1);
    for level in ["", "debug_level=5"] {
        if !level.is_empty() {
            farm.configure(&servers.iter().collect::<Vec<_>>(), level);
            // The port is free when the process has ended, a moment after its socket is gone.
            eventually("another start", || farm.start().status.code(), |code| *code == Some(0));
            assert_eq!(farm.control("debug"), "3\n");
        }
        let pid = farm.pid().unwrap();
        farm.does("kill", &format!("monitor pid: {pid}\nbalancer pid: {pid}\n"));
        eventually("the end", || farm.socket().exists(), |is_there| !is_there);
    }
}

#[test]
fn the_shell_has_octopuss_greeting_prompt_and_read_only_mode() {
    let (_servers, farm) = started(1);
    let socket = farm.socket();
    let run = farm.path("run");
    let name = socket.file_name().unwrap().to_str().unwrap();
    let words = ["-d", run.to_str().unwrap(), "-f", name];
    let shell = farm.attach(&words, "x\ns\ndebug 2\nbogus\n\n?\nexamples\nq\n");
    assert_eq!(shell.code, Some(0), "{shell:?}");
    let head = format!(
        "Connected to balancer at 127.0.0.1:{0}\nOctopus Interactive Shell\nenter ? for a list of commands\n\
         octopus $ Extended output mode off\noctopus $ 127.0.0.1:{0}, Algorithm: Round Robin, Cloning: Disabled\n     \
         type   #             name    status       ip-address port     c\n   \
         Member   0             web0   Enabled        127.0.0.1 ",
        farm.port
    );
    assert!(shell.stdout.starts_with(&head), "{}", shell.stdout);
    assert!(shell.stdout.contains("octopus $ Set debug level to 2\noctopus $ octopus $ octopus $ [s]how "));
    assert!(shell.stdout.ends_with("octopus $ Bye!\n"), "{}", shell.stdout);
    assert_eq!(shell.stderr, "ERROR: Unknown command \"bogus\", ? lists them\n");
    let read_only = farm.attach(&[&words[..], &["-r"]].concat(), "disable 0\n?\nexit\n");
    assert!(read_only.stdout.contains("Octopus Interactive Shell (read-only mode)\n"), "{read_only:?}");
    assert!(read_only.stdout.contains("octopus (read-only mode)$ "), "{read_only:?}");
    assert_eq!(read_only.stderr, "ERROR: This command not available in read-only mode!\n");
    assert!(!read_only.stdout.contains("[c]reate"));
    assert_eq!(farm.lines()[0][3], "Enabled");
    let machine = farm.attach(&[&words[..], &["-m", "-e", "show"]].concat(), "").stdout;
    let (version, line) = machine.split_once('\n').unwrap();
    assert_eq!(version, format!("{},127.0.0.1:{}", env!("CARGO_PKG_VERSION"), farm.port));
    assert_eq!(line.trim_end().split(',').count(), 15, "{line}");
    let info = farm.admin("info").stdout;
    for group in [
        "Process info\n",
        "Network info\n",
        "Balancing algorithm info\n",
        "Monitor info\n",
        "URI Hash info\n",
    ] {
        assert!(info.contains(group), "{info}");
    }
    assert!(info.contains(&format!("  balancer pid                   {}\n", farm.pid().unwrap())), "{info}");
    assert_eq!(farm.attach(&["-x"], "").code, Some(255));
    assert!(farm.attach(&["-h"], "").stdout.starts_with("Usage: octopuslb-admin [-f SHM_FILE]"));
}

#[test]
fn one_of_several_instances_is_chosen() {
    let (_servers, farm) = started(1);
    let (_more, other) = started(1);
    let joined = farm.path("run").join("octopus-1.14-other");
    symlink(other.socket(), joined).unwrap();
    let run = farm.path("run").display().to_string();
    let shell = farm.attach(&["-d", &run], "1\nscan\n0\nquit\n");
    assert_eq!(shell.code, Some(0), "{shell:?}");
    assert!(
        shell.stdout.starts_with(&format!("select an instance...\n0: {run}/octopus-1.14-127.0.0.1-")),
        "{shell:?}"
    );
    for port in [farm.port, other.port] {
        assert!(shell.stdout.contains(&format!("Connected to balancer at 127.0.0.1:{port}\n")), "{shell:?}");
    }
    assert_eq!(farm.attach(&["-d", &run], "7\n").code, Some(255));
}
