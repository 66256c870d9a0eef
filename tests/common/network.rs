//! Networks of several hosts, made of network namespaces. Needs root and ip(8).
//!
//! A test runs itself again inside one of the hosts ([`Network::inside`]): pen, the harness and what it starts live
//! there. The others are reached by name.

use super::{programs, skip, skip_without};
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

/// Set, to what the names of the namespaces begin with, when the test runs inside one of them.
const PREFIX: &str = "PEN_TEST_NETWORK";

/// Hosts that go when this does.
pub struct Network {
    prefix: String,
    hosts: Vec<String>,
}

impl Network {
    /// Builds hosts by `build`, then runs `check` inside `host`. `test` is the full name of the calling test.
    pub fn inside(
        test: &str,
        host: &str,
        build: fn(&mut Network) -> Result<(), String>,
        check: fn(&Network),
    ) {
        if let Ok(prefix) = std::env::var(PREFIX) {
            return check(&Network { prefix, hosts: Vec::new() });
        }
        if !super::root() {
            return skip("network namespaces need root");
        }
        for (program, package) in [("ip", "iproute2"), ("python3", "python3"), ("curl", "curl")] {
            if !programs::is_installed(program) {
                return skip_without(package);
            }
        }
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let prefix = format!("pen-{}-{}-", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let mut network = Network { prefix, hosts: Vec::new() };
        if let Err(reason) = build(&mut network) {
            return skip(&reason);
        }
        network.run_inside(test, host);
    }

    fn run_inside(&self, test: &str, host: &str) {
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(host)]).arg(program).args([test, "--exact", "--nocapture"]);
        assert!(command.env(PREFIX, &self.prefix).status().unwrap().success(), "see above");
    }

    /// Adds a host with nothing but a loopback interface.
    ///
    /// # Errors
    /// Why there are no namespaces here.
    pub fn add_host(&mut self, host: &str) -> Result<(), String> {
        let name = self.name(host);
        execute(Command::new("ip").args(["netns", "add", &name]))?;
        self.hosts.push(name);
        self.run(host, "ip link set lo up")
    }

    /// Adds hosts with an `eth0` each at a common switch, and these addresses.
    ///
    /// # Errors
    /// What cannot be made here.
    pub fn add_switched(&mut self, hosts: &[(&str, &[&str])]) -> Result<(), String> {
        self.add_host("switch")?;
        self.run("switch", "ip link add bridge type bridge && ip link set bridge up")?;
        for (host, addresses) in hosts {
            self.add_host(host)?;
            let name = self.name(host);
            let port = format!("ip link add {host} type veth peer name eth0 netns {name}");
            self.run("switch", &format!("{port} && ip link set {host} master bridge up"))?;
            self.address(host, "eth0", addresses)?;
        }
        Ok(())
    }

    /// Connects two hosts by a cable.
    ///
    /// # Errors
    /// What cannot be made here.
    pub fn connect(&self, one: (&str, &str, &[&str]), other: (&str, &str, &[&str])) -> Result<(), String> {
        let far = self.name(other.0);
        self.run(one.0, &format!("ip link add {} type veth peer name {} netns {far}", one.1, other.1))?;
        [one, other]
            .into_iter()
            .try_for_each(|(host, device, addresses)| self.address(host, device, addresses))
    }

    fn address(&self, host: &str, device: &str, addresses: &[&str]) -> Result<(), String> {
        for address in addresses {
            // Without waiting for others to object to an IPv6 address.
            let nodad = if address.contains("::") { " nodad" } else { "" };
            self.run(host, &format!("ip addr add {address} dev {device}{nodad}"))?;
        }
        self.run(host, &format!("ip link set {device} up"))
    }

    /// Runs a shell script on a host.
    ///
    /// # Errors
    /// What it said.
    pub fn run(&self, host: &str, script: &str) -> Result<(), String> {
        self.output(host, script).map(drop)
    }

    /// The same, with what it wrote.
    pub fn output(&self, host: &str, script: &str) -> Result<String, String> {
        execute(Command::new("ip").args(["netns", "exec", &self.name(host), "sh", "-ec", script]))
    }

    /// Starts a program on a host; it ends with the value.
    pub fn start(&self, host: &str, words: &[&str]) -> Started {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(host)]).args(words);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Started(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    /// What `work` returns when it runs in a thread on a host. Sockets that it makes stay there.
    pub fn on<T: Send>(&self, host: &str, work: impl FnOnce() -> T + Send) -> T {
        let file = File::open(Path::new("/run/netns").join(self.name(host))).unwrap();
        thread::scope(|scope| {
            let there = || {
                setns(file, CloneFlags::CLONE_NEWNET).unwrap();
                work()
            };
            scope.spawn(there).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Bytes that a host has received and sent over an interface.
    pub fn bytes(&self, host: &str, device: &str) -> (u64, u64) {
        let number = |name| {
            let path = format!("cat /sys/class/net/{device}/statistics/{name}");
            self.output(host, &path).unwrap().trim().parse().unwrap()
        };
        (number("rx_bytes"), number("tx_bytes"))
    }

    fn name(&self, host: &str) -> String {
        format!("{}{host}", self.prefix)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for host in &self.hosts {
            // It exists: it was made.
            let _ = execute(Command::new("ip").args(["netns", "del", host]));
        }
    }
}

/// A program on a host.
pub struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        // ip(8) has become the program itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn execute(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// The blocks of shell commands below a heading of the recipes, in order.
pub fn recipe(heading: &str) -> Vec<String> {
    let text = concat!(
        include_str!("../../docs/recipes.md"),
        include_str!("../../docs/client-address.md"),
        include_str!("../../docs/direct-server-return.md"),
    );
    let start = text.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading} in the recipes"));
    let body = &text[start + heading.len() + 2..];
    let level = heading.chars().take_while(|c| *c == '#').count();
    let end = (1..=level).filter_map(|level| body.find(&format!("\n{} ", "#".repeat(level)))).min();
    let body = &body[..end.unwrap_or(body.len())];
    let blocks = body.split("\n```sh\n").skip(1);
    blocks.map(|block| block.split("\n```").next().unwrap().to_string()).collect()
}

/// The words of a command line in a recipe, as a shell would take it apart: single quotes and nothing else.
pub fn shell_words(line: &str) -> Vec<String> {
    let (mut words, mut quoted) = (Vec::new(), false);
    for piece in line.trim().split('\'') {
        match quoted {
            true => words.push(piece.to_string()),
            false => words.extend(piece.split_whitespace().map(String::from)),
        }
        quoted = !quoted;
    }
    words
}

/// Runs a shell script on the host where the test runs.
///
/// # Panics
/// When it fails.
pub fn here(script: &str) {
    execute(Command::new("sh").args(["-ec", script])).unwrap();
}
