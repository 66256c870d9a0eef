//! What was configured of a service: where it listens, its servers, and how it chooses and moves bytes.

use super::{Applied, Groups, MAIN, PROXY_ACCEPT_MAX, SERVERS_MAX, Scoped, ServerEntry};
use crate::balance::Duty;
use crate::tls::TlsOptions;
use pen_proto::addr::{ListenAddr, ServerSpec};
use pen_proto::commands::{
    Address, Assignment, Choice, Command, Entries, Entry, Flag, LogTarget, OneOf, PolicyKind, Question,
    ServerChange, Setting, Text,
};
use pen_proto::names::with_name;
use pen_proto::network::Downstream;
use pen_proto::words::written;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// What an operator should know of a service without a listener: it may be one that was misspelt.
pub const LISTENS_NOWHERE: &str = "listens nowhere";

/// Most addresses of one service: each worker watches them all.
pub const LISTENERS_MAX: usize = 1_024;

/// Most texts of `clone_ignore`: each line of an answer is compared with them in turn.
const CLONE_IGNORE_MAX: usize = 64;

const LISTEN: Setting = Setting::Address(Address::Listen);

/// A server of a service. In words, what a message about it begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Regular(usize),
    Emergency,
    Abuse,
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Which::Regular(index) => write!(f, "server {index}"),
            Which::Emergency => f.write_str("-e"),
            Which::Abuse => f.write_str("-B"),
        }
    }
}

/// One service.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceConfig {
    pub name: Arc<str>,
    pub scoped: Scoped,
    /// Where it listens beside the address of `listen`; each once.
    pub more_listeners: Vec<ListenAddr>,
    /// Who is believed when it says for whom it connects; each once.
    pub proxy_accept: Vec<Downstream>,
    /// The beginnings of lines of answers that are not compared; each once.
    pub clone_ignore: Vec<String>,
    /// Those of `ssl_option` that are on.
    pub ssl_options: TlsOptions,
    /// By index; `None` is a gap left by `server N`.
    pub servers: Vec<Option<ServerEntry>>,
    /// What was said about servers that have no address yet, by index: they are gaps in `servers` until it comes.
    pub unaddressed: BTreeMap<usize, Vec<ServerChange>>,
    /// What servers were told before pen ran that had no address yet, by index.
    pub early_duties: BTreeMap<usize, Duty>,
    pub groups: Groups,
    pub emergency: Option<ServerEntry>,
    pub abuse: Option<ServerEntry>,
}

impl Deref for ServiceConfig {
    type Target = Scoped;

    fn deref(&self) -> &Scoped {
        &self.scoped
    }
}

impl DerefMut for ServiceConfig {
    fn deref_mut(&mut self) -> &mut Scoped {
        &mut self.scoped
    }
}

impl Default for ServiceConfig {
    /// `main` with the defaults of the table, without listeners and servers.
    fn default() -> ServiceConfig {
        ServiceConfig::named(MAIN)
    }
}

impl ServiceConfig {
    /// A service with the defaults of the table, without listeners and servers.
    pub fn named(name: &str) -> ServiceConfig {
        ServiceConfig {
            name: name.into(),
            scoped: Scoped::default(),
            more_listeners: Vec::new(),
            proxy_accept: Vec::new(),
            clone_ignore: Vec::new(),
            ssl_options: TlsOptions::default(),
            servers: Vec::new(),
            unaddressed: BTreeMap::new(),
            early_duties: BTreeMap::new(),
            groups: Groups::default(),
            emergency: None,
            abuse: None,
        }
    }

    /// Where clients connect.
    pub fn listen(&self) -> Option<&ListenAddr> {
        self.values.listen()
    }

    /// Where the log goes.
    pub fn log(&self) -> Option<&LogTarget> {
        self.values.log()
    }

    /// Those, to be changed.
    pub fn listeners_mut(&mut self) -> impl Iterator<Item = &mut ListenAddr> {
        self.scoped.values.listen_mut().into_iter().chain(&mut self.more_listeners)
    }

    /// Everywhere that clients connect.
    pub fn listeners(&self) -> impl Iterator<Item = &ListenAddr> {
        self.listen().into_iter().chain(&self.more_listeners)
    }

    /// Whether whoever serves its clients would go by the same settings. Access lists are the process's.
    pub fn serves_as(&self, other: &ServiceConfig) -> bool {
        self.proxy_accept == other.proxy_accept
            && self.policy() == other.policy()
            && self.clone_ignore == other.clone_ignore
            && self.values.for_workers() == other.values.for_workers()
    }

    /// Its servers, and how each is called in a message.
    pub fn entries(&self) -> impl Iterator<Item = (Which, &ServerEntry)> {
        let regular = self.servers.iter().enumerate().map(|(index, entry)| (Which::Regular(index), entry));
        let special = [(Which::Emergency, &self.emergency), (Which::Abuse, &self.abuse)];
        regular.chain(special).filter_map(|(which, entry)| Some((which, entry.as_ref()?)))
    }

    /// The same, to be changed.
    pub fn entries_mut(&mut self) -> impl Iterator<Item = (Which, &mut ServerEntry)> {
        let regular = self.servers.iter_mut().enumerate();
        let regular = regular.map(|(index, entry)| (Which::Regular(index), entry));
        let special = [(Which::Emergency, &mut self.emergency), (Which::Abuse, &mut self.abuse)];
        regular.chain(special).filter_map(|(which, entry)| Some((which, entry.as_mut()?)))
    }

    /// Carries out what a command of this scope means.
    ///
    /// # Errors
    /// A limit of this file is exceeded, or a server does not exist. The text begins with the command.
    pub(super) fn apply(
        &mut self,
        command: &Command,
        is_running: bool,
        now_seconds: u32,
    ) -> Result<Applied, String> {
        let reply = match command {
            Command::Set(assignment) => {
                if assignment.setting() == LISTEN {
                    self.more_listeners.clear();
                }
                let applied = self.assign(assignment, is_running)?;
                return Ok(self.with_idle_mode(assignment, applied));
            }
            Command::Show(LISTEN) => self.listeners().map(|address| format!("{}\n", address.text)).collect(),
            Command::Show(setting) => return Ok(self.shown(*setting)),
            Command::Unset(setting) => {
                self.values.unset(*setting);
                String::new()
            }
            Command::Add(Entry::CloneIgnore(text)) => self.ignore_lines(text)?,
            Command::Remove(Entry::CloneIgnore(text)) => self.heed_lines(text)?,
            Command::Add(Entry::ProxyAccept(downstream)) => self.trust(*downstream)?,
            Command::Remove(Entry::ProxyAccept(downstream)) => self.distrust(*downstream)?,
            Command::Add(Entry::SslOption(option)) => self.set_tls_option(*option, true)?,
            Command::Remove(Entry::SslOption(option)) => self.set_tls_option(*option, false)?,
            Command::Add(Entry::Listen(address)) => self.add_listener(address)?,
            Command::Remove(Entry::Listen(address)) => self.remove_listener(address)?,
            Command::Clear(Entries::ProxyAccept) => {
                self.proxy_accept.clear();
                String::new()
            }
            Command::Clear(Entries::CloneIgnore) => {
                self.clone_ignore.clear();
                String::new()
            }
            Command::List(Entries::CloneIgnore) => self.ignored_lines(""),
            Command::List(Entries::ProxyAccept) => self.trusted(""),
            Command::Server { server, changes } => {
                self.change_server(self.find(server)?, changes, is_running)?
            }
            Command::AddServer { name, spec, changes } => {
                self.add_server(self.free_place(|_| false), name.as_ref(), spec, changes)?
            }
            Command::ServerDeed { server, deed } => {
                self.do_to_servers(server.as_ref(), *deed, is_running, now_seconds)?
            }
            Command::Group { name, change } => return self.change_group(name, *change, is_running),
            Command::Ask(Question::Mode) => self.values.mode() + "\n",
            _ => return Ok(Applied::NotStored),
        };
        Ok(Applied::Reply(reply))
    }

    /// The modes of [`PolicyKind::Pen`] that are on without effect, because another policy is in force; `None` where there
    /// are none.
    pub fn idle_modes(&self) -> Option<String> {
        let policy = self.policy();
        let modes = [Flag::Hash, Flag::Weight, Flag::Prio].into_iter().filter(|flag| self.flag(*flag));
        let words: Vec<&str> = modes.map(|flag| flag.row().word).collect();
        let is_idle = policy != PolicyKind::Pen && !words.is_empty();
        is_idle.then(|| format!("{}: without effect with policy {}", words.join(", "), policy.word()))
    }

    /// The reply to a command that chooses a policy or switches a mode on says which modes have no effect.
    fn with_idle_mode(&self, assignment: &Assignment, applied: Applied) -> Applied {
        let concerns = matches!(
            assignment,
            Assignment::Choice(Choice::Policy, _)
                | Assignment::Flag(Flag::Hash | Flag::Weight | Flag::Prio, true)
        );
        match (applied, self.idle_modes().filter(|_| concerns)) {
            (Applied::Reply(text), Some(note)) => Applied::Reply(format!("{text}{note}\n")),
            (applied, _) => applied,
        }
    }

    /// What it takes, in a word: `tcp`, `udp` or `dsr`.
    pub fn kind(&self) -> &'static str {
        match (self.text(Text::DsrIf), self.flag(Flag::Udp)) {
            (Some(_), _) => "dsr",
            (None, true) => "udp",
            (None, false) => "tcp",
        }
    }

    /// Whether it listens there.
    pub fn listens_at(&self, address: &ListenAddr) -> bool {
        self.listeners().any(|other| is_same(other, address))
    }

    /// Listens at one more address.
    ///
    /// # Errors
    /// It listens there already, or at too many addresses.
    pub fn add_listener(&mut self, address: &ListenAddr) -> Result<String, String> {
        if self.listens_at(address) {
            return Err(format!("listen add: {} is listened at already", address.text));
        }
        if self.listeners().count() >= LISTENERS_MAX {
            return Err(format!("listen add: want at most {LISTENERS_MAX} addresses"));
        }
        // Not in the place of the first one, which the command line may still give.
        self.more_listeners.push(address.clone());
        Ok(String::new())
    }

    /// Listens at an address no longer.
    ///
    /// # Errors
    /// It does not listen there.
    pub fn remove_listener(&mut self, address: &ListenAddr) -> Result<String, String> {
        if self.listen().is_some_and(|first| is_same(first, address)) {
            self.values.set_address(Address::Listen, None);
            self.on_command_line.remove("listen");
            return Ok(String::new());
        }
        let before = self.more_listeners.len();
        self.more_listeners.retain(|other| !is_same(other, address));
        match self.more_listeners.len() < before {
            true => Ok(String::new()),
            false => Err(format!("listen remove: {} is not listened at", address.text)),
        }
    }

    /// The downstreams that are believed, one a line.
    pub(super) fn trusted(&self, before: &str) -> String {
        self.proxy_accept.iter().map(|downstream| format!("{before}{downstream}\n")).collect()
    }

    /// Puts a server of the command line, as written there, in its place. What is not written stays as commands have set
    /// it.
    ///
    /// # Errors
    /// As [`ServerSpec::parse`]; then nothing has changed.
    pub fn place_server(&mut self, index: usize, text: &str) -> Result<(), String> {
        let (name, text) = with_name(text)?;
        let named = name.map(ServerChange::Name);
        named.iter().try_for_each(|change| self.check_name(index, change))?;
        let present = self.servers.get(index).cloned().flatten();
        let mut entry = present.map_or_else(|| ServerSpec::parse(text).map(ServerEntry::from), Ok)?;
        for earlier in self.unaddressed.get(&index).into_iter().flatten() {
            entry.change(earlier);
        }
        entry.spec = entry.spec.overwritten(text)?;
        named.iter().for_each(|change| entry.change(change));
        entry.duty = self.early_duties.remove(&index).unwrap_or(entry.duty);
        self.unaddressed.remove(&index);
        if index >= self.servers.len() {
            self.servers.resize(index + 1, None);
        }
        self.servers[index] = Some(entry);
        Ok(())
    }

    /// Listens at these addresses as well, after `listen` has ended them.
    pub fn keep_listeners(&mut self, kept: &[ListenAddr]) {
        let missing: Vec<_> = kept.iter().filter(|address| !self.listens_at(address)).cloned().collect();
        self.more_listeners.extend(missing);
    }

    /// The beginnings of lines that are not compared, one a line.
    pub(super) fn ignored_lines(&self, before: &str) -> String {
        self.clone_ignore.iter().map(|text| format!("{before}{}\n", written(text))).collect()
    }

    fn ignore_lines(&mut self, text: &String) -> Result<String, String> {
        if !self.clone_ignore.contains(text) {
            if self.clone_ignore.len() >= CLONE_IGNORE_MAX {
                return Err(format!("clone_ignore: want at most {CLONE_IGNORE_MAX} texts"));
            }
            self.clone_ignore.push(text.clone());
        }
        Ok(String::new())
    }

    fn heed_lines(&mut self, text: &String) -> Result<String, String> {
        if !self.clone_ignore.contains(text) {
            return Err(format!("no clone_ignore: {} is not in the list", written(text)));
        }
        self.clone_ignore.retain(|other| other != text);
        Ok(String::new())
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

    fn change_server(
        &mut self,
        index: usize,
        changes: &[ServerChange],
        is_running: bool,
    ) -> Result<String, String> {
        if index >= SERVERS_MAX {
            return Err(format!("server: want 0..{}, got \"{index}\"", SERVERS_MAX - 1));
        }
        let stored = |change: &&ServerChange| !matches!(change, ServerChange::Blacklist(_));
        changes.iter().try_for_each(|change| self.check_name(index, change))?;
        if index >= self.servers.len() {
            if !changes.iter().any(|change| stored(&change)) {
                // At start it may still come, as an argument of the command line.
                return if is_running { Err(no_such_server(index)) } else { Ok(String::new()) };
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
    pub(super) fn change_slot(&mut self, index: usize, change: &ServerChange) {
        let left = self.group_at(index).filter(|_| matches!(change, ServerChange::Group(_)));
        if let Some(group) = change.group() {
            self.name_group(group);
        }
        match (&mut self.servers[index], change) {
            (Some(entry), _) => entry.change(change),
            (slot, ServerChange::Address(host)) => {
                let mut entry = ServerEntry::from(ServerSpec::at(host.clone()));
                for earlier in self.unaddressed.remove(&index).unwrap_or_default() {
                    entry.change(&earlier);
                }
                entry.duty = self.early_duties.remove(&index).unwrap_or_default();
                *slot = Some(entry);
            }
            (None, _) => {
                let waiting = self.unaddressed.entry(index).or_default();
                waiting.retain(|earlier| !earlier.has_key_of(change));
                waiting.push(change.clone());
            }
        }
        self.leave_group(left);
    }
}

/// Whether both are written for the same address.
pub(super) fn is_same(one: &ListenAddr, other: &ListenAddr) -> bool {
    one.host == other.host && one.port == other.port
}

pub fn no_such_server(index: usize) -> String {
    format!("server {index}: no such server")
}
