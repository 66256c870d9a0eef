//! What the operator configured, as values. Pure: nothing here opens, binds or looks anything up.
//!
//! [`Settings`] is what workers read (swapped as a whole on change); [`Config`] is everything, including what only the
//! main thread uses. Commands change a `Config` through [`Config::apply`]; `control/apply` makes the running pen follow.
//! How a `Config` becomes commands again is in `settings/write.rs`.

mod fit;
mod process;
mod rules;
mod tls;
mod values;
mod write;

pub use fit::{check, settle_ports};
pub use process::ProcessSettings;
pub use values::Values;

use crate::acl::{ACL_COUNT, Acl, CountrySource};
use crate::tls::{TlsOptions, ciphers};
use pen_proto::addr::{ClientAddr, ListenAddr, ServerSpec};
use pen_proto::commands::{
    AclEntry, Answer, Assignment, Command, Entries, Entry, Flag, LogTarget, Number, OneOf, ProxyHeader,
    Question, ServerChange, ServerTls, Setting, SniNames, Text,
};
use pen_proto::network::Downstream;
use std::collections::{BTreeMap, BTreeSet};
use std::mem::discriminant;
use std::net::IpAddr;

/// Most servers there may be. A larger number in `server N` is more likely a typo than a farm.
pub const SERVERS_MAX: usize = 4096;
/// Most entries of one access list. A client does not notice how many there are; this is for the memory, 64 to 90 MB.
pub const ACL_ENTRIES_MAX: usize = 1_000_000;
/// Most networks of `proxy_accept`: each new client is compared with them in turn.
pub const PROXY_ACCEPT_MAX: usize = 1024;

/// What whoever serves clients goes by; swapped as a whole.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    values: Values,
    /// Who is believed when it says for whom it connects; each once.
    pub proxy_accept: Vec<Downstream>,
    pub acls: [Acl; ACL_COUNT],
    /// Whom the access lists ask for countries; what `geoip` names, once it is read.
    pub countries: CountrySource,
}

impl Settings {
    pub fn flag(&self, flag: Flag) -> bool {
        self.values.flag(flag)
    }

    pub fn set_flag(&mut self, flag: Flag, on: bool) {
        self.values.set_flag(flag, on);
    }

    pub fn number(&self, number: Number) -> u64 {
        self.values.number(number)
    }

    pub fn set_number(&mut self, number: Number, value: u64) {
        self.values.set_number(number, value);
    }

    /// What is one of a few words, by the type of its values: `choice::<HttpMode>()`.
    pub fn choice<T: OneOf>(&self) -> T {
        self.values.choice()
    }

    pub fn set_choice<T: OneOf>(&mut self, value: T) {
        self.values.set_choice(value);
    }

    /// Local address of upstream sockets.
    pub fn source(&self) -> Option<IpAddr> {
        self.values.source()
    }

    /// The list of addresses that the tarpit takes; `None`: there is no tarpit.
    pub fn tarpit_acl(&self) -> Option<usize> {
        self.values.tarpit_acl()
    }

    /// How servers are chosen, as Pen's `mode` answers.
    pub fn mode(&self) -> String {
        self.values.mode()
    }

    /// Whether this peer is a downstream, which says for whom it sends.
    pub fn trusts(&self, peer: ClientAddr) -> bool {
        self.proxy_accept.iter().any(|downstream| downstream.includes(peer))
    }
}

/// A configured server, the list its clients must pass, and how they are announced to it.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerEntry {
    pub spec: ServerSpec,
    /// In a numeric configuration: the addresses that the host's name has beside that of `spec`, for when that one fails.
    pub more: Vec<IpAddr>,
    /// In a numeric configuration: the host's name, that `spec` and `more` were looked up for; else empty.
    pub host_name: String,
    pub acl: u8,
    pub proxy: ProxyHeader,
    pub tls: ServerTls,
    pub sni: SniNames,
}

impl From<ServerSpec> for ServerEntry {
    /// The server with list 0, no PROXY header and no TLS, as the command line gives it.
    fn from(spec: ServerSpec) -> ServerEntry {
        let (tls, sni) = (ServerTls::default(), SniNames::default());
        ServerEntry {
            spec,
            more: Vec::new(),
            host_name: String::new(),
            acl: 0,
            proxy: ProxyHeader::None,
            tls,
            sni,
        }
    }
}

impl ServerEntry {
    /// Blacklisting is no property of the configuration and changes nothing here.
    fn change(&mut self, change: &ServerChange) {
        match change {
            ServerChange::Acl(list) => self.acl = *list,
            ServerChange::Address(host) => self.spec.host = host.clone(),
            ServerChange::Port(port) => self.spec.port = Some(port.clone()),
            ServerChange::Max(max) => self.spec.max = *max,
            ServerChange::Hard(hard) => self.spec.hard = *hard,
            ServerChange::Weight(weight) => self.spec.weight = Some(*weight),
            ServerChange::Prio(prio) => self.spec.prio = *prio,
            ServerChange::Sni(names) => self.sni = names.clone(),
            ServerChange::Tls(tls) => self.tls = tls.clone(),
            ServerChange::Proxy(header) => self.proxy = *header,
            ServerChange::Blacklist(_) => {}
        }
    }
}

/// Everything that was configured.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    pub values: Values,
    /// Who is believed when it says for whom it connects; each once.
    pub proxy_accept: Vec<Downstream>,
    pub acls: [Acl; ACL_COUNT],
    /// What the file of `geoip` says. Whoever makes the configuration effective reads it.
    pub countries: CountrySource,
    /// Those of `ssl_option` that are on.
    pub ssl_options: TlsOptions,
    /// By index; `None` is a gap left by `server N`.
    pub servers: Vec<Option<ServerEntry>>,
    /// What was said about servers that have no address yet, by index: they are gaps in `servers` until it comes.
    pub unaddressed: BTreeMap<usize, Vec<ServerChange>>,
    pub emergency: Option<ServerEntry>,
    pub abuse: Option<ServerEntry>,
    /// Words of commands whose value came as an option or argument. The listening address and what counts at start only
    /// stay there: [`Config::write`] does not put them into a file that the command line would then contradict.
    pub on_command_line: BTreeSet<&'static str>,
    /// Whether pen runs: from then on the default of a number that only grows is as good as a value that was set.
    pub running: bool,
}

/// What [`Config::apply`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// A value was set or asked for; the reply with its line ends, often empty.
    Reply(String),
    /// A value was set or asked for; only the running pen knows the reply.
    ReplyLater,
    /// The command is about the running pen and left the configuration alone.
    NotStored,
}

impl Config {
    pub fn flag(&self, flag: Flag) -> bool {
        self.values.flag(flag)
    }

    pub fn number(&self, number: Number) -> u64 {
        self.values.number(number)
    }

    pub fn text(&self, text: Text) -> Option<&str> {
        self.values.text(text)
    }

    /// Where clients connect.
    pub fn listen(&self) -> Option<&ListenAddr> {
        self.values.listen()
    }

    /// Where the log goes.
    pub fn log(&self) -> Option<&LogTarget> {
        self.values.log()
    }

    /// What whoever serves clients goes by.
    pub fn settings(&self) -> Settings {
        Settings {
            values: self.values.for_workers(),
            proxy_accept: self.proxy_accept.clone(),
            acls: self.acls.clone(),
            countries: self.countries.clone(),
        }
    }

    /// Arranges the access lists, and shares those that are as they were with `before`. It changes no answer; to be done
    /// before settings are published, so that workers need not walk the lists.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn arrange_lists(&mut self, before: &Config) -> Result<(), String> {
        for (number, (list, before)) in self.acls.iter_mut().zip(&before.acls).enumerate() {
            if list == before {
                list.clone_from(before);
            }
            list.arrange().map_err(|_| no_memory_for_list(number as u8, list))?;
        }
        Ok(())
    }

    /// Carries out what a command means for the configuration, all or nothing. Values are taken as the parser passed
    /// them, within the bounds of their rows.
    ///
    /// # Errors
    /// A limit of this file is exceeded, or a server does not exist. The text begins with the command.
    pub fn apply(&mut self, command: &Command) -> Result<Applied, String> {
        let reply = match command {
            Command::Set(assignment) => return self.assign(assignment),
            Command::Unset(setting) => {
                self.values.unset(*setting);
                String::new()
            }
            Command::Show(setting) => return Ok(self.shown(*setting)),
            Command::Add(entry) => self.add(*entry)?,
            Command::Remove(entry) => self.remove(*entry)?,
            Command::Clear(entries) => self.clear(*entries)?,
            Command::List(entries) => self.listed(*entries, ""),
            Command::Server { index, changes } => self.change_server(usize::from(*index), changes)?,
            Command::Ask(Question::Control) => {
                self.values.control().map(|address| format!("{address}\n")).unwrap_or_default()
            }
            Command::Ask(Question::Mode) => self.values.mode() + "\n",
            Command::Explained(why) => format!("{why}\n"),
            Command::Ask(_) | Command::Do(_) => return Ok(Applied::NotStored),
        };
        Ok(Applied::Reply(reply))
    }

    /// Gives a setting its value, unless it only grows and this one is smaller.
    fn assign(&mut self, assignment: &Assignment) -> Result<Applied, String> {
        let setting = assignment.setting();
        let row = setting.row();
        let said = match assignment {
            Assignment::Text(Text::SslCiphers, list) => {
                let choice = ciphers::choose(list).map_err(|reason| format!("{}: {reason}", row.word))?;
                Some(choice.to_string())
            }
            _ => None,
        };
        self.on_command_line.remove(row.word);
        let yields = !self.running && self.values.is_default(setting);
        match assignment {
            Assignment::Number(number, value)
                if number.only_grows() && !yields && *value < self.number(*number) => {}
            _ => self.values.set(assignment),
        }
        match row.kind.answer() {
            Answer::Silent => Ok(Applied::Reply(said.unwrap_or_default())),
            _ => Ok(self.shown(setting)),
        }
    }

    /// The reply to the question for a setting.
    fn shown(&self, setting: Setting) -> Applied {
        let row = setting.row();
        let value = self.values.said(setting);
        Applied::Reply(match row.kind.answer() {
            Answer::Value | Answer::Silent => value.map(|value| value + "\n").unwrap_or_default(),
            Answer::IdleTimeout => format!("Idle timeout: {} seconds\n", value.unwrap_or_default()),
            Answer::OrNone => format!("{} = {}\n", row.word, value.as_deref().unwrap_or("-1")),
            Answer::Idlers => return Applied::ReplyLater,
        })
    }

    fn add(&mut self, entry: Entry) -> Result<String, String> {
        match entry {
            Entry::Acl(list, entry) => self.add_to_list(list, entry),
            Entry::ProxyAccept(downstream) => self.trust(downstream),
            Entry::SslOption(option) => self.set_tls_option(option, true),
        }
    }

    fn remove(&mut self, entry: Entry) -> Result<String, String> {
        match entry {
            Entry::Acl(list, _) => Err(format!("acl {list}: want no acl {list}, which empties the list")),
            Entry::ProxyAccept(downstream) => self.distrust(downstream),
            Entry::SslOption(option) => self.set_tls_option(option, false),
        }
    }

    fn clear(&mut self, entries: Entries) -> Result<String, String> {
        match entries {
            Entries::Acl(list) => self.list(list)?.clear(),
            Entries::ProxyAccept => self.proxy_accept.clear(),
        }
        Ok(String::new())
    }

    /// Puts a server of the command line, as written there, in its place. What is not written stays as commands have set
    /// it.
    ///
    /// # Errors
    /// As [`ServerSpec::parse`]; then nothing has changed.
    pub fn place_server(&mut self, index: usize, text: &str) -> Result<(), String> {
        let present = self.servers.get(index).cloned().flatten();
        let mut entry = present.map_or_else(|| ServerSpec::parse(text).map(ServerEntry::from), Ok)?;
        for earlier in self.unaddressed.get(&index).into_iter().flatten() {
            entry.change(earlier);
        }
        entry.spec = entry.spec.overwritten(text)?;
        self.unaddressed.remove(&index);
        if index >= self.servers.len() {
            self.servers.resize(index + 1, None);
        }
        self.servers[index] = Some(entry);
        Ok(())
    }

    fn add_to_list(&mut self, list: u8, entry: AclEntry) -> Result<String, String> {
        let acl = self.list(list)?;
        if acl.entries().len() >= ACL_ENTRIES_MAX {
            return Err(format!("acl {list}: want at most {ACL_ENTRIES_MAX} entries"));
        }
        match acl.push(entry) {
            Ok(()) => Ok(String::new()),
            Err(_) => Err(no_memory_for_list(list, acl)),
        }
    }

    fn trust(&mut self, downstream: Downstream) -> Result<String, String> {
        let trusted = &mut self.proxy_accept;
        if !trusted.contains(&downstream) {
            if trusted.len() >= PROXY_ACCEPT_MAX {
                return Err(format!("proxy_accept: want at most {PROXY_ACCEPT_MAX} networks"));
            }
            trusted.push(downstream);
        }
        Ok(String::new())
    }

    fn distrust(&mut self, downstream: Downstream) -> Result<String, String> {
        if !self.proxy_accept.contains(&downstream) {
            return Err(format!("no proxy_accept: {downstream} is not in the list"));
        }
        self.proxy_accept.retain(|other| *other != downstream);
        Ok(String::new())
    }

    fn list(&mut self, list: u8) -> Result<&mut Acl, String> {
        let last = ACL_COUNT - 1;
        self.acls.get_mut(usize::from(list)).ok_or_else(|| format!("acl: want 0..{last}, got \"{list}\""))
    }

    fn change_server(&mut self, index: usize, changes: &[ServerChange]) -> Result<String, String> {
        if index >= SERVERS_MAX {
            return Err(format!("server: want 0..{}, got \"{index}\"", SERVERS_MAX - 1));
        }
        let stored = |change: &&ServerChange| !matches!(change, ServerChange::Blacklist(_));
        if index >= self.servers.len() {
            if !changes.iter().any(|change| stored(&change)) {
                // At start it may still come, as an argument of the command line.
                return if self.running { Err(no_such_server(index)) } else { Ok(String::new()) };
            }
            let more = index + 1 - self.servers.len();
            self.servers.try_reserve(more).map_err(|_| format!("server {index}: no memory"))?;
            self.servers.resize(index + 1, None);
        }
        for change in changes.iter().filter(stored) {
            self.change_slot(index, change);
        }
        Ok(String::new())
    }

    /// A change to a server without address waits in `unaddressed`; the address makes it a server.
    fn change_slot(&mut self, index: usize, change: &ServerChange) {
        match (&mut self.servers[index], change) {
            (Some(entry), _) => entry.change(change),
            (slot, ServerChange::Address(host)) => {
                let mut entry = ServerEntry::from(ServerSpec::at(host.clone()));
                for earlier in self.unaddressed.remove(&index).unwrap_or_default() {
                    entry.change(&earlier);
                }
                *slot = Some(entry);
            }
            (None, _) => {
                let waiting = self.unaddressed.entry(index).or_default();
                waiting.retain(|earlier| discriminant(earlier) != discriminant(change));
                waiting.push(change.clone());
            }
        }
    }
}

fn no_memory_for_list(list: u8, acl: &Acl) -> String {
    format!("acl {list}: no memory for more than {} entries", acl.entries().len())
}

pub fn no_such_server(index: usize) -> String {
    format!("server {index}: no such server")
}

#[cfg(test)]
mod tests;
