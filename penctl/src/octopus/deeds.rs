//! Octopus's commands carried out in pen's language, and what Octopus says of them.

use super::farm::{Farm, MAX_CONNECTIONS, MAX_LOAD, Server};
use super::show::{self, Head};
use super::words::{self, Algorithm, Which, Whom, Wish};
use crate::screen::Screen;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pen_core::imports::octopus::debug_level;
use pen_proto::names::Name;
use pen_sys::control::Session;
use std::net::Ipv4Addr;

/// How long a server that is made is kept from clients until it is disabled; the next command ends it.
const NEW_SECONDS: u32 = 60;
const READ_ONLY: &str = "ERROR: This command not available in read-only mode!";

/// What comes after a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Go,
    Leave,
    /// Another instance is to be chosen.
    Scan,
}

/// Somebody attached to a pen.
pub struct Admin {
    session: Session,
    /// What pen listens at.
    listen: String,
    version: String,
    is_read_only: bool,
    is_machine: bool,
    is_extended: bool,
    is_attached: bool,
    screen: Screen,
}

impl Admin {
    /// # Errors
    /// Pen does not say who it is.
    pub fn new(
        mut session: Session,
        is_read_only: bool,
        is_machine: bool,
        screen: Screen,
    ) -> Result<Admin, String> {
        let is_read_only = is_read_only || session.is_read_only();
        let listen = session.ask("listen")??;
        let version = session.ask("version")??;
        let listen = with_host(listen.split_whitespace().next().unwrap_or("-"));
        let version = version.trim().trim_start_matches("pen ").to_owned();
        Ok(Admin {
            session,
            listen,
            version,
            is_read_only,
            is_machine,
            is_extended: true,
            is_attached: true,
            screen,
        })
    }

    /// Whether pen has answered the last command.
    pub fn is_attached(&self) -> bool {
        self.is_attached
    }

    pub fn greeting(&self) -> String {
        match self.is_machine {
            true => format!("{},{}\n", self.version, self.listen),
            false => format!("Connected to balancer at {}\n", self.listen),
        }
    }

    pub fn welcome(&self) -> String {
        let mode = if self.is_read_only { " (read-only mode)" } else { "" };
        format!("Octopus Interactive Shell{mode}\nenter ? for a list of commands\n")
    }

    pub fn prompt(&self) -> &'static str {
        if self.is_read_only { "octopus (read-only mode)$ " } else { "octopus $ " }
    }

    /// Carries out a line and prints what came of it.
    ///
    /// # Errors
    /// Why not.
    pub fn obey(&mut self, line: &str) -> Result<Next, String> {
        let Some(wish) = words::read(line)? else { return Ok(Next::Go) };
        if self.is_read_only && !wish.only_looks() {
            return Err(READ_ONLY.to_owned());
        }
        let text = match wish {
            Wish::Show => self.show()?,
            Wish::Info => self.info()?,
            Wish::Help => words::help(self.is_read_only),
            Wish::Examples => words::EXAMPLES.to_owned(),
            Wish::Extended => {
                self.is_extended = !self.is_extended;
                format!("Extended output mode {}\n", if self.is_extended { "on" } else { "off" })
            }
            Wish::Quit => {
                self.screen.print("Bye!\n")?;
                return Ok(Next::Leave);
            }
            Wish::Scan => return Ok(Next::Scan),
            Wish::Kill => {
                let text = self.kill()?;
                self.screen.print(&text)?;
                return Ok(Next::Leave);
            }
            wish => self.change(wish)?,
        };
        self.screen.print(&crate::table::harmless(&text))?;
        Ok(Next::Go)
    }

    fn change(&mut self, wish: Wish) -> Result<String, String> {
        match wish {
            Wish::Create { clone, name, ip, port } => self.create(clone, &name, ip, port),
            Wish::Delete(which) => self.with(&which, |server| {
                (
                    vec![format!("server {} remove", server.reference)],
                    format!("Deleting server \"{}\"\n", server.name),
                )
            }),
            Wish::Standby(which) => self.with(&which, |server| {
                let (word, verb) = if server.is_standby { ("no", "Removing") } else { ("yes", "Creating") };
                let text = format!("{verb} standby status for {}\n", server.name);
                (vec![format!("server {} standby {word}", server.reference)], text)
            }),
            Wish::MaxConnections(which, value) => self.with(&which, |server| {
                let text = format!("Setting maximum connections to {value} for server \"{}\"\n", server.name);
                (vec![format!("server {} max {value}", server.reference)], text)
            }),
            Wish::MaxLoad(which, value) => self.with(&which, |server| {
                let text = format!("Setting maximum load to {value:.2} for server \"{}\"\n", server.name);
                (vec![format!("server {} maxload {value}", server.reference)], text)
            }),
            Wish::Enable(whom) => self.switch(&whom, &["Disabled"], "enable", "Enabling"),
            Wish::Disable(whom) => self.switch(&whom, &["Enabled", "Failed"], "disable", "Disabling"),
            Wish::Reset(Whom::All) => self.say("server all reset", "Reset all counters\n"),
            Wish::Reset(Whom::One(which)) => self.with(&which, |server| {
                let text = format!("Reset counters for server \"{}\"\n", server.name);
                (vec![format!("server {} reset", server.reference)], text)
            }),
            Wish::Algorithm(algorithm) => {
                let found = Algorithm::ALL.iter().find(|(known, ..)| *known == algorithm);
                let (_, _, policy, name) = found.copied().unwrap_or(Algorithm::ALL[0]);
                self.say(&format!("policy {policy}"), &format!("Set balancing algorithm to {name}\n"))
            }
            Wish::Overload { strict } => {
                let word = if strict { "strict" } else { "relaxed" };
                let text = format!("Set overload mode to {}\n", word.to_uppercase());
                self.say(&format!("overload {word}"), &text)
            }
            Wish::Clone { enable: true } => self.say("clone_percent 100", "Enabling clone mode\n"),
            Wish::Clone { enable: false } => self.say("clone_percent 0", "Disabling clone mode\n"),
            Wish::Monitor(seconds) => {
                let text = format!("Set monitor interval to {seconds} seconds\n");
                self.say(&format!("check_interval {seconds}"), &text)
            }
            Wish::Debug(level) => {
                self.say(&format!("debug {}", debug_level(level)), &format!("Set debug level to {level}\n"))
            }
            Wish::RebalanceThreshold(value) => {
                let text = format!("Set hash rebalance threshold to {value}\n");
                self.say(&format!("rebalance_threshold {value}"), &text)
            }
            Wish::RebalanceSize(value) => {
                let text = format!("Set hash rebalance size to {value}%\n");
                self.say(&format!("rebalance_size {value}"), &text)
            }
            Wish::RebalanceInterval(0) => self.say("rebalance_interval 0", "Disabled hash rebalancing\n"),
            Wish::RebalanceInterval(value) => {
                let text = format!("Set hash rebalance interval to {value}\n");
                self.say(&format!("rebalance_interval {value}"), &text)
            }
            Wish::Snmp { on: false } => self.say("load none", "Set snmp status to DISABLED\n"),
            Wish::Snmp { on: true } => match self.setting("load").starts_with("snmp") {
                true => Ok("Set snmp status to ENABLED\n".to_owned()),
                false => Err("ERROR: want the community: penctl's command load snmp v1 COMMUNITY".to_owned()),
            },
            // Those that change nothing were carried out already.
            _ => Ok(String::new()),
        }
    }

    /// Has pen do something.
    fn command(&mut self, line: &str) -> Result<String, String> {
        let reply = self.session.ask(line);
        self.is_attached = reply.is_ok();
        reply?.map_err(|trouble| format!("ERROR: {trouble}"))
    }

    fn say(&mut self, line: &str, text: &str) -> Result<String, String> {
        self.command(line).map(|_| text.to_owned())
    }

    /// The value of a setting, or nothing where pen has none of this name.
    fn setting(&mut self, word: &str) -> String {
        self.command(word).map(|value| value.trim().to_owned()).unwrap_or_default()
    }

    fn farm(&mut self) -> Result<Farm, String> {
        let farm = Farm::ask(&mut self.session);
        self.is_attached = farm.is_ok();
        farm
    }

    /// Does something with one server.
    fn with(
        &mut self,
        which: &Which,
        what: impl FnOnce(&Server) -> (Vec<String>, String),
    ) -> Result<String, String> {
        let farm = self.farm()?;
        let (lines, text) = what(farm.find(which)?);
        for line in lines {
            self.command(&line)?;
        }
        Ok(text)
    }

    /// Enables or disables those that are in one of these states, and names each.
    fn switch(&mut self, whom: &Whom, from: &[&str], word: &str, verb: &str) -> Result<String, String> {
        let farm = self.farm()?;
        let servers: Vec<&Server> = match whom {
            Whom::All => farm.servers.iter().collect(),
            Whom::One(which) => vec![farm.find(which)?],
        };
        let mut text = String::new();
        for server in servers.into_iter().filter(|server| from.contains(&server.status)) {
            self.command(&format!("server {} {word}", server.reference))?;
            text += &format!("{verb} server \"{}\"\n", server.name);
        }
        Ok(text)
    }

    /// A server that gets no client until somebody enables it.
    fn create(&mut self, clone: bool, name: &str, ip: Ipv4Addr, port: u16) -> Result<String, String> {
        let (kind, role) = if clone { ("clone", " role clone") } else { ("member", "") };
        let name = Name::parse(name).map_err(|trouble| format!("ERROR: Invalid name: {trouble}"))?;
        let max = or_number(&self.setting("max"), MAX_CONNECTIONS);
        self.command(&format!("server add {name}={ip}:{port}{role} max {max} blacklist {NEW_SECONDS}"))?;
        self.command(&format!("server {name} disable"))?;
        self.command(&format!("server {name} blacklist 0"))?;
        Ok(format!("created {kind} server \"{name}\" successfully\n"))
    }

    fn head(&mut self) -> Head {
        let policy = self.setting("policy");
        let algorithm = Algorithm::ALL.iter().find(|(_, _, word, _)| *word == policy);
        let cloning = match self.setting("clones").split_whitespace().next() {
            Some("enabled") => "Enabled",
            Some("failed") => "Failed",
            _ => "Disabled",
        };
        let loads = self.setting("load");
        Head {
            listen: self.listen.clone(),
            algorithm: algorithm.map_or(policy.clone(), |(_, _, _, name)| (*name).to_owned()),
            cloning: cloning.to_owned(),
            overload: if self.setting("overload") == "strict" { "Strict" } else { "Relaxed" }.to_owned(),
            loads: !loads.is_empty() && loads != "none",
        }
    }

    fn show(&mut self) -> Result<String, String> {
        let farm = self.farm()?;
        Ok(match self.is_machine {
            true => show::machine(&farm),
            false => show::table(&self.head(), &farm, self.is_extended),
        })
    }

    fn info(&mut self) -> Result<String, String> {
        let (farm, head) = (self.farm()?, self.head());
        let pid = self.setting("pid");
        let (ip, port) = self.listen.rsplit_once(':').unwrap_or((&self.listen, "-"));
        let (ip, port) = (ip.to_owned(), port.to_owned());
        let source = or(self.setting("source"), "0.0.0.0");
        let socket = self.session.address().text().to_owned();
        let mut value = |word: &str, default: &str| or(self.setting(word), default);
        let snmp = if head.loads { "Enabled" } else { "Disabled" };
        let groups = [
            (
                "Process info",
                vec![
                    ("version", value("version", "-")),
                    ("balancer pid", pid.clone()),
                    ("monitor pid", pid),
                    ("shared memory id", "-".to_owned()),
                    ("shared memory file", socket),
                    ("debug level", value("debug", "0")),
                ],
            ),
            (
                "Network info",
                vec![
                    ("listening IP", ip),
                    ("listening port", port),
                    ("member outbound IP", source.clone()),
                    ("clone outbound IP", source),
                    ("file descriptor limit", "-".to_owned()),
                    ("session limit", value("conn_max", "0")),
                ],
            ),
            (
                "Balancing algorithm info",
                vec![
                    ("algorithm", head.algorithm),
                    ("clone mode", head.cloning),
                    ("overload mode", head.overload),
                    ("session weight", value("session_weight", "0.1")),
                    ("default max conn limit", value("max", &MAX_CONNECTIONS.to_string())),
                    ("default max load limit", value("maxload", &format!("{MAX_LOAD:.2}"))),
                ],
            ),
            (
                "Monitor info",
                vec![
                    ("interval", value("check_interval", "-")),
                    ("check timeout", value("check_timeout", "-")),
                    ("SNMP status", snmp.to_owned()),
                ],
            ),
            (
                "URI Hash info",
                vec![
                    ("table size", value("uri_table", "-")),
                    ("rebalance threshold", value("rebalance_threshold", "-")),
                    ("rebalance size", value("rebalance_size", "-")),
                    ("rebalance interval", value("rebalance_interval", "-")),
                ],
            ),
        ];
        Ok(show::groups(&groups).trim_end().to_owned() + "\n" + &show::assignments(&farm))
    }

    /// Ends pen, as whoever may send it a signal.
    fn kill(&mut self) -> Result<String, String> {
        let pid = self.command("pid")?;
        let pid = pid.trim().parse().map_err(|_| format!("ERROR: no process number: {pid}"))?;
        kill(Pid::from_raw(pid), Signal::SIGTERM)
            .map_err(|error| format!("ERROR: process {pid}: {}", error.desc()))?;
        Ok(format!("monitor pid: {pid}\nbalancer pid: {pid}\n"))
    }
}

/// Octopus shows an address in any case.
fn with_host(listen: &str) -> String {
    match listen.parse::<u16>() {
        Ok(port) => format!("0.0.0.0:{port}"),
        Err(_) => listen.to_owned(),
    }
}

fn or(value: String, default: &str) -> String {
    if value.is_empty() { default.to_owned() } else { value }
}

fn or_number(value: &str, default: u32) -> u32 {
    value.parse().unwrap_or(default)
}
