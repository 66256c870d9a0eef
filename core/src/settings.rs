//! What the operator configured, as values. Pure: nothing here opens, binds or looks anything up.
//!
//! [`Settings`] is what workers read (swapped as a whole on change); [`Config`] is everything, including what only the
//! main thread uses. Commands change a `Config` through [`Config::apply`]; `control/apply` makes the running pen follow.
//! How a `Config` becomes commands again is in `settings/write.rs`.

mod fit;
mod process;
mod rules;
mod tls;
mod write;

pub use fit::{check, settle_ports};
pub use process::ProcessSettings;

use crate::acl::{ACL_COUNT, Acl, CountrySource};
use crate::tls::TlsSettings;
use pen_proto::addr::{ClientAddr, ListenAddr, ServerSpec};
use pen_proto::commands::{
    AclEntry, Answer, Command, FastClose, Flag, Form, HttpMode, LogFormat, LogTarget, Number, ProxyHeader,
    ROWS, ServerChange, ServerTls, SniNames,
};
use pen_proto::network::Downstream;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::mem::discriminant;
use std::net::IpAddr;

/// Most servers there may be. A larger number in `server N` is more likely a typo than a farm.
pub const SERVERS_MAX: usize = 4096;
/// Most entries of one access list. A client does not notice how many there are; this is for the memory, 64 to 90 MB.
pub const ACL_ENTRIES_MAX: usize = 1_000_000;
/// Most networks of `proxy_accept`: each new client is compared with them in turn.
pub const PROXY_ACCEPT_MAX: usize = 1024;

/// Values that decide how connections are accepted, chosen and relayed.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    flags: [bool; Flag::COUNT],
    numbers: [u64; Number::COUNT],
    pub tcp_fastclose: FastClose,
    pub log_format: LogFormat,
    pub http: HttpMode,
    /// Who is believed when it says for whom it connects; each once.
    pub proxy_accept: Vec<Downstream>,
    /// Local address of upstream sockets.
    pub source: Option<IpAddr>,
    /// The list of addresses that the tarpit takes; `None`: there is no tarpit.
    pub tarpit_acl: Option<u8>,
    pub acls: [Acl; ACL_COUNT],
    /// Whom the access lists ask for countries; what `geoip` names, once it is read.
    pub countries: CountrySource,
}

impl Settings {
    pub fn flag(&self, flag: Flag) -> bool {
        self.flags[flag as usize]
    }
    pub fn set_flag(&mut self, flag: Flag, on: bool) {
        self.flags[flag as usize] = on;
    }
    /// Whether this peer is a downstream, which says for whom it sends.
    pub fn trusts(&self, peer: ClientAddr) -> bool {
        self.proxy_accept.iter().any(|downstream| downstream.includes(peer))
    }

    pub fn number(&self, number: Number) -> u64 {
        self.numbers[number as usize]
    }
    pub fn set_number(&mut self, number: Number, value: u64) {
        self.numbers[number as usize] = value;
    }
}

impl Settings {
    /// Arranges the access lists, and shares those that are as they were with `before`. It changes no answer; to be done
    /// before settings are published, so that workers need not walk the lists.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn arrange_lists(&mut self, before: &Settings) -> Result<(), String> {
        for (number, (list, before)) in self.acls.iter_mut().zip(&before.acls).enumerate() {
            if list == before {
                list.clone_from(before);
            }
            list.arrange().map_err(|_| no_memory_for_list(number as u8, list))?;
        }
        Ok(())
    }

    /// How servers are chosen, as Pen's `mode` answers: each word preceded by `no` when it is off.
    pub fn mode(&self) -> String {
        let words = [Flag::Hash, Flag::Roundrobin, Flag::Stubborn, Flag::Weight, Flag::Prio].map(|flag| {
            let no = if self.flag(flag) { "" } else { "no " };
            format!("{no}{}", flag.row().word)
        });
        words.join(" ")
    }
}

impl Default for Settings {
    /// The defaults of the command table.
    fn default() -> Settings {
        let mut settings = Settings {
            flags: [false; Flag::COUNT],
            numbers: [0; Number::COUNT],
            tcp_fastclose: FastClose::default(),
            log_format: LogFormat::default(),
            http: HttpMode::default(),
            proxy_accept: Vec::new(),
            source: None,
            tarpit_acl: None,
            acls: Default::default(),
            countries: CountrySource::default(),
        };
        for row in ROWS {
            match row.form {
                Form::Flag { flag, default } => settings.set_flag(flag, default),
                Form::Number { number, default, .. } => settings.set_number(number, default),
                Form::Own | Form::Gone(_) | Form::OptionOnly => {}
            }
        }
        settings
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
    pub settings: Settings,
    /// By index; `None` is a gap left by `server N`.
    pub servers: Vec<Option<ServerEntry>>,
    /// What was said about servers that have no address yet, by index: they are gaps in `servers` until it comes.
    pub unaddressed: BTreeMap<usize, Vec<ServerChange>>,
    pub emergency: Option<ServerEntry>,
    pub abuse: Option<ServerEntry>,
    pub tls: TlsSettings,
    pub listen: Option<ListenAddr>,
    pub control: Option<ListenAddr>,
    pub log: Option<LogTarget>,
    /// File of countries. Its content is in `settings.countries`; whoever makes the configuration effective reads it.
    pub geoip: Option<String>,
    pub web_stats: Option<String>,
    pub config_file: Option<String>,
    pub pid_file: Option<String>,
    pub user: Option<String>,
    /// Directory of `-j`.
    pub jail: Option<String>,
    /// The interface for direct server return.
    pub dsr_if: Option<String>,
    pub foreground: bool,
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
    /// Carries out what a command means for the configuration, all or nothing. Numbers are taken as the parser passed
    /// them, within the bounds of their rows.
    ///
    /// # Errors
    /// A limit of this file is exceeded, or a server does not exist. The text begins with the command.
    pub fn apply(&mut self, command: &Command) -> Result<Applied, String> {
        let sets =
            matches!(command, Command::SetFlag(..) | Command::SetNumber(..) | Command::Listen(Some(_)));
        if let Some(row) = command.row().filter(|_| sets) {
            self.on_command_line.remove(row.word);
        }
        let reply = match command {
            Command::SetFlag(flag, on) => {
                self.settings.set_flag(*flag, *on);
                String::new()
            }
            Command::ShowNumber(number) => return Ok(self.number_reply(*number)),
            Command::SetNumber(number, value) => return Ok(self.set_number(*number, *value)),
            Command::Acl { list, entry } => self.add_to_list(*list, *entry)?,
            Command::NoAcl(list) => self.empty_list(*list)?,
            Command::Control => line(&self.control),
            Command::Explained(why) => format!("{why}\n"),
            Command::Geoip(file) => set_or_show(&mut self.geoip, file),
            Command::NoGeoip => unset(&mut self.geoip),
            Command::Http(mode) => {
                self.settings.http = *mode;
                String::new()
            }
            Command::ProxyAccept(None) => self.proxy_accept_lines(""),
            Command::ProxyAccept(Some(downstream)) => self.trust(*downstream)?,
            Command::NoProxyAccept(downstream) => self.distrust(*downstream)?,
            Command::Listen(address) => set_or_show(&mut self.listen, address),
            Command::Log(target) => set_or_show(&mut self.log, target),
            Command::NoLog => unset(&mut self.log),
            Command::LogFormat(format) => set_or_show_value(&mut self.settings.log_format, *format),
            Command::Mode => self.settings.mode() + "\n",
            Command::Server { index, changes } => self.change_server(usize::from(*index), changes)?,
            Command::Source(source) => {
                self.settings.source = *source;
                String::new()
            }
            Command::SslClientCertificate(value) => {
                set_or_show_value(&mut self.tls.client_certificate, *value)
            }
            Command::SslOption(option, on) => self.set_tls_option(*option, *on)?,
            Command::Ssl(text, value) => self.set_tls_text(*text, value.as_deref())?,
            Command::NoSsl(text) => {
                self.tls.set_text(*text, None);
                String::new()
            }
            Command::DsrIf(name) => set_or_show(&mut self.dsr_if, name),
            Command::ShowTarpit => self.tarpit_reply(),
            Command::Tarpit(list) => {
                self.settings.tarpit_acl = *list;
                self.tarpit_reply()
            }
            Command::TcpFastclose(None) => format!("{}\n", self.settings.tcp_fastclose),
            Command::TcpFastclose(Some(fast_close)) => {
                self.settings.tcp_fastclose = *fast_close;
                String::new()
            }
            Command::WebStats(file) => set_or_show(&mut self.web_stats, file),
            Command::NoWebStats => unset(&mut self.web_stats),
            Command::Clients(_)
            | Command::Close(_)
            | Command::Connection(_)
            | Command::Connections(_)
            | Command::Exit
            | Command::Help(_)
            | Command::Include(_)
            | Command::Metrics
            | Command::Pid
            | Command::Recent(_)
            | Command::Servers(_)
            | Command::Session
            | Command::Socket(_)
            | Command::Status(_)
            | Command::Version
            | Command::Write(_) => return Ok(Applied::NotStored),
        };
        Ok(Applied::Reply(reply))
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

    fn set_number(&mut self, number: Number, value: u64) -> Applied {
        let Form::Number { default, answer, .. } = number.row().form else {
            unreachable!("Number::row finds rows of this form only");
        };
        let present = self.settings.number(number);
        let yields = !self.running && present == default;
        if value >= present || yields || !number.only_grows() {
            self.settings.set_number(number, value);
        }
        if answer == Answer::Silent { Applied::Reply(String::new()) } else { self.number_reply(number) }
    }

    fn number_reply(&self, number: Number) -> Applied {
        let value = self.settings.number(number);
        match number.row().form {
            Form::Number { answer: Answer::IdleTimeout, .. } => {
                Applied::Reply(format!("Idle timeout: {value} seconds\n"))
            }
            Form::Number { answer: Answer::Idlers, .. } => Applied::ReplyLater,
            _ => Applied::Reply(format!("{value}\n")),
        }
    }

    fn tarpit_reply(&self) -> String {
        format!("tarpit_acl = {}\n", self.settings.tarpit_acl.map_or(-1, i32::from))
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

    fn empty_list(&mut self, list: u8) -> Result<String, String> {
        self.list(list)?.clear();
        Ok(String::new())
    }

    fn trust(&mut self, downstream: Downstream) -> Result<String, String> {
        let trusted = &mut self.settings.proxy_accept;
        if !trusted.contains(&downstream) {
            if trusted.len() >= PROXY_ACCEPT_MAX {
                return Err(format!("proxy_accept: want at most {PROXY_ACCEPT_MAX} networks"));
            }
            trusted.push(downstream);
        }
        Ok(String::new())
    }

    fn distrust(&mut self, downstream: Option<Downstream>) -> Result<String, String> {
        let trusted = &mut self.settings.proxy_accept;
        match downstream {
            None => trusted.clear(),
            Some(downstream) if trusted.contains(&downstream) => trusted.retain(|other| *other != downstream),
            Some(downstream) => return Err(format!("no proxy_accept: {downstream} is not in the list")),
        }
        Ok(String::new())
    }

    fn list(&mut self, list: u8) -> Result<&mut Acl, String> {
        let last = ACL_COUNT - 1;
        self.settings
            .acls
            .get_mut(usize::from(list))
            .ok_or_else(|| format!("acl: want 0..{last}, got \"{list}\""))
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

/// The value and a line end, or nothing.
fn line<T: Display>(value: &Option<T>) -> String {
    value.as_ref().map(|value| format!("{value}\n")).unwrap_or_default()
}

fn set_or_show<T: Clone + Display>(place: &mut Option<T>, value: &Option<T>) -> String {
    if value.is_some() {
        place.clone_from(value);
    }
    line(place)
}

fn set_or_show_value<T: Display>(place: &mut T, value: Option<T>) -> String {
    if let Some(value) = value {
        *place = value;
    }
    format!("{place}\n")
}

fn unset<T>(place: &mut Option<T>) -> String {
    *place = None;
    String::new()
}

#[cfg(test)]
mod tests;
