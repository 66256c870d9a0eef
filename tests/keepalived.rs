//! Two machines with pen and the real keepalived, as docs/two-machines.md sets them up: the address goes to the other one
//! when pen is gone, and comes back with it.
//!
//! Needs root and ip(8). The test runs itself again on the host of the client; see [`common::network`].

mod common;

use common::backend::greet_and_echo;
use common::client::Client;
use common::network::{Network, Started};
use common::programs::{all_installed, find, ours};
use common::tempdir::TempDir;
use common::wait::eventually;
use std::net::{SocketAddr, TcpListener};
use std::thread;

const PAGE: &str = include_str!("../docs/two-machines.md");
const ADDRESS: &str = "192.0.2.80";

fn machines(network: &mut Network) -> Result<(), String> {
    network.add_switched(&[
        ("lb1", &["192.0.2.11/24"]),
        ("lb2", &["192.0.2.12/24"]),
        ("client", &["192.0.2.9/24", "192.0.2.21/24", "192.0.2.22/24"]),
    ])
}

/// A file of the page, without the line that names it.
fn file(name: &str) -> &'static str {
    let block = PAGE.split("\n```\n").find_map(|block| block.strip_prefix(&format!("# {name}\n")));
    block.unwrap_or_else(|| panic!("no {name} on the page"))
}

/// The shell commands of the page that begin so.
fn command(begin: &str) -> &'static str {
    PAGE.lines().find(|line| line.starts_with(begin)).unwrap_or_else(|| panic!("no {begin} on the page"))
}

/// A server at the address of the page.
fn serve(address: &str) {
    let listener = TcpListener::bind(address).unwrap();
    thread::spawn(move || listener.incoming().for_each(|stream| greet_and_echo("A", stream.unwrap())));
}

/// One of the two.
struct Machine<'a> {
    network: &'a Network,
    name: &'static str,
    dir: TempDir,
}

impl<'a> Machine<'a> {
    fn new(network: &'a Network, name: &'static str, priority: u32) -> Machine<'a> {
        let dir = TempDir::new();
        network.run(name, command("sysctl")).unwrap();
        dir.file("pen.conf", file("pen.conf"));
        let control = dir.path().join("control");
        let asks = format!("{} {} ", ours("penctl").display(), control.display());
        let keepalived = file("keepalived.conf")
            .replace("/usr/local/bin/penctl /run/pen/control ", &asks)
            .replace("script_user pen", "script_user root")
            .replace("priority 100", &format!("priority {priority}"));
        assert!(keepalived.contains(&asks), "{keepalived}");
        dir.file("keepalived.conf", &keepalived);
        Machine { network, name, dir }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn pen(&self) -> Started {
        let pen = env!("CARGO_BIN_EXE_pen");
        let (control, file) = (self.path("control"), self.path("pen.conf"));
        self.network.start(self.name, &[pen, "-f", "-u", "root", "-C", &control, "-F", &file])
    }

    /// With files of its own beside those of the other, and in the foreground.
    fn keepalived(&self) -> Started {
        let words = command("keepalived").replace("keepalived.conf", &self.path("keepalived.conf"));
        let mut words: Vec<&str> = words.split(' ').collect();
        let program = find(words[0]).unwrap().display().to_string();
        words[0] = &program;
        let (pid, vrrp) = (self.path("pid"), self.path("vrrp"));
        words.extend(["-n", "-p", &pid, "-r", &vrrp]);
        self.network.start(self.name, &words)
    }

    fn has_address(&self) -> bool {
        self.network.output(self.name, "ip -o addr show dev eth0").unwrap().contains(&format!(" {ADDRESS}/"))
    }
}

#[test]
fn the_address_follows_pen() {
    if !all_installed(&[("keepalived", "keepalived")]) {
        return;
    }
    Network::inside("the_address_follows_pen", "client", machines, |network| {
        ["192.0.2.21:80", "192.0.2.22:80"].into_iter().for_each(serve);
        let (one, two) = (Machine::new(network, "lb1", 100), Machine::new(network, "lb2", 90));
        let (pen, _other_pen) = (one.pen(), two.pen());
        let _keepers = [one.keepalived(), two.keepalived()];
        let who = || (one.has_address(), two.has_address());
        let to: SocketAddr = (ADDRESS.parse::<std::net::IpAddr>().unwrap(), 80).into();
        eventually("the first to have the address", who, |who| *who == (true, false));
        assert_eq!(Client::connect(to).line(), "A");
        drop(pen);
        eventually("the second to have it", who, |who| *who == (false, true));
        assert_eq!(Client::connect(to).line(), "A");
        let _pen = one.pen();
        eventually("the first to have it again", who, |who| *who == (true, false));
        assert_eq!(Client::connect(to).line(), "A");
    });
}
