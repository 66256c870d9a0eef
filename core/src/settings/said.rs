//! What a configuration file said, so that its next reading can take back what it says no longer. Pure.
//!
//! Remembers of which settings, servers, services and entries the lines were, not what they said: what is in force is the
//! configuration's business. What a person commanded meanwhile is in no file and stays, unless the file says otherwise.

use super::{Config, MAIN, Scoped, ServerEntry, ServiceConfig, service::is_same};
use crate::acl::{ACL_COUNT, Acl};
use crate::balance::Duty;
use pen_proto::addr::{ListenAddr, ServerSpec};
use pen_proto::commands::{
    Address, Command, Entries, Entry, GroupChange, Scope, ServerChange, ServerDeed, ServiceChange, Setting,
    TlsOption, When,
};
use pen_proto::names::Name;
use pen_proto::network::Downstream;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

const LISTEN: Setting = Setting::Address(Address::Listen);

/// Of what the lines of a file were.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Said {
    process: HashSet<Setting>,
    lists: [SaidOfList; ACL_COUNT],
    services: BTreeMap<String, SaidOfService>,
}

/// Which entries of an access list are the file's: they stand together, after those of the command line and before those
/// of commands.
#[derive(Debug, Clone, Default, PartialEq)]
struct SaidOfList {
    entries: Range<usize>,
    /// The file emptied the list before.
    is_emptied: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct SaidOfService {
    settings: HashSet<Setting>,
    /// Added or removed.
    listeners: Vec<ListenAddr>,
    /// Added or removed.
    downstreams: Vec<Downstream>,
    /// All of them were removed.
    are_downstreams_cleared: bool,
    /// Added or removed.
    ignored: Vec<String>,
    /// All of them were removed.
    are_ignored_cleared: bool,
    tls_options: Vec<TlsOption>,
    servers: BTreeMap<usize, SaidOfServer>,
    /// Which group is in use.
    is_group_used: bool,
    group_policies: BTreeSet<Name>,
    is_removed: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct SaidOfServer {
    /// At most one of each key.
    changes: Vec<ServerChange>,
    has_duty: bool,
    is_removed: bool,
}

impl SaidOfServer {
    fn removed() -> SaidOfServer {
        SaidOfServer { is_removed: true, ..SaidOfServer::default() }
    }

    fn says(&self, change: &ServerChange) -> bool {
        self.changes.iter().any(|other| other.has_key_of(change))
    }

    /// Whether the file says that there is this server.
    pub(super) fn is_there(&self) -> bool {
        self.changes.iter().any(|change| matches!(change, ServerChange::Address(_)))
    }

    fn name(&self) -> Option<&Name> {
        self.changes.iter().find_map(|change| match change {
            ServerChange::Name(name) => Some(name),
            _ => None,
        })
    }

    /// Whether the file gives this server no name and this address.
    fn is_unnamed_at(&self, spec: &ServerSpec) -> bool {
        let is_host =
            |change: &ServerChange| matches!(change, ServerChange::Address(host) if *host == spec.host);
        let port = self.changes.iter().find_map(|change| match change {
            ServerChange::Port(port) => Some(port),
            _ => None,
        });
        self.name().is_none() && self.changes.iter().any(is_host) && port == spec.port.as_ref()
    }

    fn add(&mut self, change: &ServerChange) {
        if !matches!(change, ServerChange::Blacklist(_)) {
            self.changes.retain(|other| !other.has_key_of(change));
            self.changes.push(change.clone());
        }
    }
}

impl Said {
    /// Nothing yet, by a file that is read on top of this configuration.
    pub fn nothing_on(config: &Config) -> Said {
        let mut said = Said::default();
        for (list, acl) in said.lists.iter_mut().zip(&config.process.acls) {
            let length = acl.entries().len();
            list.entries = length..length;
        }
        said
    }

    /// A line that names this service: that makes it, whatever the line says.
    pub fn note_service(&mut self, name: &str) {
        self.service_mut(name).is_removed = false;
    }

    /// One more line. `service` is the one that it is for, `servers` the places of the servers that it is about.
    pub fn note(&mut self, service: &str, command: &Command, servers: &[usize]) {
        let of_process = command.row().is_none_or(|row| row.scope == Scope::Process);
        match command {
            Command::Add(Entry::Acl(list, _)) => self.with_list(*list, |list| list.entries.end += 1),
            Command::Clear(Entries::Acl(list)) => {
                self.with_list(*list, |list| *list = SaidOfList { entries: 0..0, is_emptied: true });
            }
            Command::Set(assignment) if of_process => _ = self.process.insert(assignment.setting()),
            Command::Unset(setting) if of_process => _ = self.process.insert(*setting),
            Command::Service(ServiceChange::Add(name) | ServiceChange::Make(name)) => {
                self.note_service(name);
            }
            Command::Service(ServiceChange::Remove { name, .. }) => {
                *self.service_mut(name) = SaidOfService { is_removed: true, ..SaidOfService::default() };
            }
            _ if of_process => {}
            command => self.service_mut(service).note(command, servers),
        }
    }

    fn with_list(&mut self, list: u8, change: impl FnOnce(&mut SaidOfList)) {
        if let Some(list) = self.lists.get_mut(usize::from(list)) {
            change(list);
        }
    }

    fn service_mut(&mut self, name: &str) -> &mut SaidOfService {
        if !self.services.contains_key(name) {
            self.services.insert(name.to_owned(), SaidOfService::default());
        }
        self.services.get_mut(name).expect("it was just put there")
    }

    pub(super) fn servers_of(&self, service: &str) -> impl Iterator<Item = (usize, &SaidOfServer)> {
        let servers = self.services.get(service).into_iter().flat_map(|service| &service.servers);
        servers.map(|(index, said)| (*index, said))
    }

    /// The server that the file calls so.
    pub(super) fn server_named(&self, service: &str, name: &Name) -> Option<usize> {
        let mut servers = self.servers_of(service);
        servers.find(|(_, said)| said.is_there() && said.name() == Some(name)).map(|(index, _)| index)
    }

    /// The servers without a name that the file has at this address.
    pub(super) fn servers_at(&self, service: &str, spec: &ServerSpec) -> impl Iterator<Item = usize> {
        self.servers_of(service).filter(|(_, said)| said.is_unnamed_at(spec)).map(|(index, _)| index)
    }

    /// What the file said counts until pen is started again: it is told at each reading.
    pub fn keep(&mut self, kept: &OnlyAtStart) {
        match &kept.service {
            Some(service) => self.service_mut(service).settings.insert(kept.setting),
            None => self.process.insert(kept.setting),
        };
    }

    /// A person has removed a server: whoever gets its number is another one.
    pub fn forget_server(&mut self, service: &str, index: usize) {
        self.services.get_mut(service).and_then(|service| service.servers.remove(&index));
    }

    /// A person has removed a service.
    pub fn forget_service(&mut self, service: &str) {
        self.services.remove(service);
    }

    /// A person has emptied an access list.
    pub fn forget_list(&mut self, list: u8) {
        self.with_list(list, |list| list.entries = 0..0);
    }
}

impl SaidOfService {
    fn note(&mut self, command: &Command, servers: &[usize]) {
        match command {
            Command::Set(assignment) => {
                if assignment.setting() == LISTEN {
                    self.listeners.clear();
                }
                self.settings.insert(assignment.setting());
            }
            Command::Unset(setting) => _ = self.settings.insert(*setting),
            Command::Add(Entry::Listen(address)) | Command::Remove(Entry::Listen(address)) => {
                self.listeners.push(address.clone());
            }
            Command::Add(Entry::ProxyAccept(peer)) | Command::Remove(Entry::ProxyAccept(peer)) => {
                self.downstreams.push(*peer);
            }
            Command::Clear(Entries::ProxyAccept) => {
                self.downstreams.clear();
                self.are_downstreams_cleared = true;
            }
            Command::Add(Entry::CloneIgnore(text)) | Command::Remove(Entry::CloneIgnore(text)) => {
                self.ignored.push(text.clone());
            }
            Command::Clear(Entries::CloneIgnore) => {
                self.ignored.clear();
                self.are_ignored_cleared = true;
            }
            Command::Add(Entry::SslOption(option)) | Command::Remove(Entry::SslOption(option)) => {
                self.tls_options.push(*option);
            }
            Command::Server { changes, .. } => {
                for index in servers {
                    let said = self.servers.entry(*index).or_default();
                    changes.iter().for_each(|change| said.add(change));
                }
            }
            Command::AddServer { name, spec, changes } => {
                let all = changes_of(name.as_ref(), spec, changes);
                for index in servers {
                    let said = self.servers.entry(*index).or_default();
                    all.iter().for_each(|change| said.add(change));
                }
            }
            Command::Group { name, change } => match change {
                GroupChange::Use | GroupChange::NotUsed => self.is_group_used = true,
                GroupChange::Policy(_) => _ = self.group_policies.insert(name.clone()),
                GroupChange::Remove => {
                    self.group_policies.remove(name);
                    servers.iter().for_each(|index| _ = self.servers.insert(*index, SaidOfServer::removed()));
                }
            },
            Command::ServerDeed { deed, .. } => {
                for index in servers {
                    match deed {
                        ServerDeed::Enable | ServerDeed::Disable | ServerDeed::Drain(_) => {
                            self.servers.entry(*index).or_default().has_duty = true;
                        }
                        ServerDeed::Remove { .. } => {
                            self.servers.insert(*index, SaidOfServer::removed());
                        }
                        ServerDeed::Reset => {}
                    }
                }
            }
            _ => {}
        }
    }
}

/// `server add` as changes of a server that is there: what was not written stays as it is.
pub fn changes_of(name: Option<&Name>, spec: &ServerSpec, changes: &[ServerChange]) -> Vec<ServerChange> {
    let mut all = vec![ServerChange::Address(spec.host.clone())];
    all.extend(spec.port.clone().map(ServerChange::Port));
    all.extend((spec.max != 0).then_some(ServerChange::Max(spec.max)));
    all.extend((spec.hard != 0).then_some(ServerChange::Hard(spec.hard)));
    all.extend(spec.weight.map(ServerChange::Weight));
    all.extend((spec.prio != 0).then_some(ServerChange::Prio(spec.prio)));
    all.extend(name.cloned().map(ServerChange::Name));
    all.extend_from_slice(changes);
    all
}

/// A configuration on the way to what a file says now.
#[derive(Debug)]
pub struct TakenBack {
    /// For each access list, what commands added after the entries of the file.
    after: [Acl; ACL_COUNT],
    /// Settings that the file says no longer and that count at start only.
    pub only_at_start: Vec<OnlyAtStart>,
}

/// A setting that keeps its value until pen is started again.
#[derive(Debug, Clone, PartialEq)]
pub struct OnlyAtStart {
    /// `None`: it is of the process.
    service: Option<Arc<str>>,
    setting: Setting,
    now: String,
}

/// As it is told.
impl fmt::Display for OnlyAtStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(service) = self.service.as_ref().filter(|service| ***service != *MAIN) {
            write!(f, "service {service}: ")?;
        }
        write!(f, "{}: only at start: now {}", self.setting.row().word, self.now)
    }
}

impl TakenBack {
    /// Takes everything back that the file `last` said and says no longer in `new`: to the value that the command line
    /// gave, `base`, or else to the default.
    pub fn from(config: &mut Config, base: &Config, last: &Said, new: &Said) -> TakenBack {
        let mut taken = TakenBack { after: Default::default(), only_at_start: Vec::new() };
        for setting in sorted(last.process.difference(&new.process)) {
            taken.restore(None, &mut config.process.scoped, &base.process.scoped, setting);
        }
        for (number, after) in taken.after.iter_mut().enumerate() {
            let (last, new) = (&last.lists[number], &new.lists[number]);
            let (acl, base) = (&mut config.process.acls[number], &base.process.acls[number]);
            // What nobody touched is not copied.
            if last.is_about_it() || new.is_about_it() || last.entries.end < acl.entries().len() {
                *after = last.split(acl, (last.is_emptied && !new.is_emptied).then_some(base));
            }
        }
        let nothing = SaidOfService::default();
        for (name, said) in &last.services {
            let (new, base) = (new.services.get(name), base.service(name));
            let is_gone = new.is_none_or(|new| new.is_removed);
            match (config.service(name).is_some(), base) {
                (true, None) if is_gone => config.services.retain(|service| *service.name != **name),
                (false, Some(base)) if said.is_removed && new.is_none_or(|new| !new.is_removed) => {
                    *config.make_service(name) = base.clone();
                }
                (true, base) => {
                    let Some(service) = config.service_mut(name) else { continue };
                    taken.take_back(service, base, said, new.unwrap_or(&nothing));
                }
                (false, _) => {}
            }
        }
        taken
    }

    fn take_back(
        &mut self,
        service: &mut ServiceConfig,
        base: Option<&ServiceConfig>,
        last: &SaidOfService,
        new: &SaidOfService,
    ) {
        let default = ServiceConfig::named(&service.name);
        let base = base.unwrap_or(&default);
        for setting in sorted(last.settings.difference(&new.settings)) {
            self.restore(Some(&service.name), &mut service.scoped, &base.scoped, setting);
            if setting == LISTEN {
                service.keep_listeners(&base.more_listeners);
            }
        }
        for address in &last.listeners {
            let is_said = new.listeners.iter().any(|other| is_same(other, address));
            if !is_said && !base.listens_at(address) {
                service.more_listeners.retain(|other| !is_same(other, address));
            } else if !is_said && !service.listens_at(address) {
                service.more_listeners.push(address.clone());
            }
        }
        let cleared = base.proxy_accept.iter().filter(|_| last.are_downstreams_cleared);
        for peer in last.downstreams.iter().chain(cleared).filter(|peer| !new.downstreams.contains(peer)) {
            match base.proxy_accept.contains(peer) {
                false => service.proxy_accept.retain(|other| other != peer),
                true if service.proxy_accept.contains(peer) => {}
                true => service.proxy_accept.push(*peer),
            }
        }
        let cleared = base.clone_ignore.iter().filter(|_| last.are_ignored_cleared);
        for text in last.ignored.iter().chain(cleared).filter(|text| !new.ignored.contains(text)) {
            match base.clone_ignore.contains(text) {
                false => service.clone_ignore.retain(|other| other != text),
                true if service.clone_ignore.contains(text) => {}
                true => service.clone_ignore.push(text.clone()),
            }
        }
        for option in last.tls_options.iter().filter(|option| !new.tls_options.contains(option)) {
            service.ssl_options.set(*option, base.ssl_options.is_on(*option));
        }
        if last.is_group_used && !new.is_group_used {
            service.groups.used.clone_from(&base.groups.used);
        }
        for name in last.group_policies.difference(&new.group_policies) {
            match base.groups.policies.get(name) {
                Some(policy) => _ = service.groups.policies.insert(name.clone(), *policy),
                None => _ = service.groups.policies.remove(name),
            }
        }
        for (index, said) in &last.servers {
            let nothing = SaidOfServer::default();
            let base = base.servers.get(*index).and_then(Option::as_ref);
            let group = service.group_at(*index);
            take_server_back(service, *index, base, said, new.servers.get(index).unwrap_or(&nothing));
            service.leave_group(group);
        }
        // Two servers may have exchanged their names.
        for (index, said) in &new.servers {
            if let (Some(name), Some(Some(entry))) = (said.name(), service.servers.get_mut(*index))
                && entry.name.as_ref() != Some(name)
            {
                entry.name = None;
            }
        }
    }

    /// Gives a setting the value that it has in `base`.
    fn restore(&mut self, service: Option<&Arc<str>>, scoped: &mut Scoped, base: &Scoped, setting: Setting) {
        let row = setting.row();
        let (now, then) = (scoped.values.get(setting), base.values.get(setting));
        if now == then {
            return;
        }
        if row.when == When::Start {
            let now = scoped.values.said(setting).unwrap_or_else(|| "not set".into());
            self.only_at_start.push(OnlyAtStart { service: service.cloned(), setting, now });
            return;
        }
        if let Setting::Number(number) = setting
            && number.only_grows()
            && base.number(number) < scoped.number(number)
        {
            return;
        }
        match then {
            Some(assignment) => scoped.values.set(&assignment),
            None => scoped.values.unset(setting),
        }
        if base.on_command_line.contains(row.word) {
            scoped.on_command_line.insert(row.word);
        }
    }

    /// Has `note` for a line that is carried out now: who empties a list takes what commands added as well.
    pub fn note(&mut self, command: &Command) {
        if let Command::Clear(Entries::Acl(list)) = command
            && let Some(after) = self.after.get_mut(usize::from(*list))
        {
            after.clear();
        }
    }

    /// Puts back what commands added to the access lists, behind what the file has said now.
    ///
    /// # Errors
    /// A list is too long.
    pub fn finish(&self, config: &mut Config) -> Result<(), String> {
        for (list, after) in self.after.iter().enumerate() {
            for entry in after.entries() {
                config.process.add_to_list(list as u8, *entry)?;
            }
        }
        Ok(())
    }
}

/// In the order of the words, which is that of what is told of them.
fn sorted<'a>(settings: impl Iterator<Item = &'a Setting>) -> Vec<Setting> {
    let mut settings: Vec<Setting> = settings.copied().collect();
    settings.sort_by_key(|setting| setting.row().word);
    settings
}

impl SaidOfList {
    fn is_about_it(&self) -> bool {
        self.is_emptied || !self.entries.is_empty()
    }

    /// Takes the entries of the file off a list, and all that follow, which are returned. `base`: those that stood before
    /// them are these instead.
    fn split(&self, acl: &mut Acl, base: Option<&Acl>) -> Acl {
        let entries = acl.entries();
        let end = self.entries.end.min(entries.len());
        let start = self.entries.start.min(end);
        let after = Acl::from(entries[end..].to_vec());
        match base {
            Some(base) => *acl = base.clone(),
            None => *acl = Acl::from(entries[..start].to_vec()),
        }
        after
    }
}

fn take_server_back(
    service: &mut ServiceConfig,
    index: usize,
    base: Option<&ServerEntry>,
    last: &SaidOfServer,
    new: &SaidOfServer,
) {
    let Some(place) = service.servers.get_mut(index) else { return };
    let Some(entry) = place else {
        if last.is_removed && !new.is_removed {
            *place = base.cloned();
        }
        if let Some(waiting) = service.unaddressed.get_mut(&index) {
            waiting.retain(|change| !last.says(change) || new.says(change));
            if waiting.is_empty() {
                service.unaddressed.remove(&index);
            }
        }
        return;
    };
    if last.is_there() && !new.is_there() && base.is_none() {
        *place = None;
        return;
    }
    let default = ServerEntry::from(ServerSpec::at(entry.spec.host.clone()));
    let before = base.unwrap_or(&default);
    for change in last.changes.iter().filter(|change| !new.says(change)) {
        entry.take_back(change, before);
    }
    if last.has_duty && !new.has_duty {
        entry.duty = base.map_or(Duty::Enabled, |base| base.duty);
    }
}
