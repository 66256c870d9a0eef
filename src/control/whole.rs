//! `diff FILE` and `apply FILE`: a file that says the whole configuration, and the way to it.
//!
//! The file is read onto what it cannot say: what only the start of pen can give, what checks have found, and the settings
//! of the process. Its lines find the services and servers that there are, as on reload. What of the services is not said
//! then has its default, or goes. The commands that lead there are carried out like any others.

use super::apply::Engine;
use super::draft::{Draft, Reply, WANT_LISTENER};
use super::guarded::guarded;
use super::names::names_in;
use super::request::{Done, Door, Placed, Request, Whole, WholeDeed};
use super::running::Running;
use crate::config::Errors;
use crate::settings::{
    Applied, Config, Reading, Said, ServiceConfig, check, difference, only_at_start, settle_ports,
};
use pen_proto::commands::{
    AclEntry, Address, Assignment, Command, Entries, Entry, ServerChange, ServerDeed, ServiceChange, Setting,
    Text, before_community, without_community,
};
use pen_proto::parse;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What the file says.
struct Target {
    config: Config,
    said: Said,
}

impl<R: Running> Engine<R> {
    /// The names that must be known before the file is applied.
    pub(super) fn names_of_whole(&self, request: &Request, whole: &Whole) -> Vec<String> {
        let is_applied = whole.wanted == WholeDeed::Apply;
        let lines = guarded(|| {
            let target = self.target(&request.commands, &whole.file)?;
            difference(&self.config, &target.config)
        });
        // What is wrong is told when it is carried out.
        let commands = lines.ok().filter(|_| is_applied).map(|lines| commands_of(&lines));
        commands.unwrap_or_default().iter().flat_map(|placed| names_in(&placed.command)).collect()
    }

    /// Does with the file what is wanted.
    ///
    /// # Errors
    /// What is wrong in the file, a line each, or cannot be carried out; then nothing has changed.
    pub(super) fn carry_out_whole(
        &mut self,
        request: &Request,
        whole: &Whole,
        door: Door,
    ) -> Result<Done, String> {
        let (target, lines, remarks) = guarded(|| {
            let target = self.target(&request.commands, &whole.file)?;
            let (from, to) = match whole.wanted {
                WholeDeed::Compare { reverse: true } => (&target.config, &self.config),
                _ => (&self.config, &target.config),
            };
            let (lines, remarks) = (difference(from, to)?, only_at_start(from, to));
            Ok((target, lines, remarks))
        })?;
        let remarks = remarks.iter().map(|remark| format!("# {remark}\n"));
        let shown: String = match whole.wanted {
            WholeDeed::Apply => lines.iter().map(|line| format!("{}\n", without_community(line))).collect(),
            WholeDeed::Compare { reverse } => lines.iter().map(|line| to_carry_out(line, reverse)).collect(),
        };
        let reply = remarks.fold(shown, |reply, remark| reply + &remark);
        if whole.wanted != WholeDeed::Apply {
            return Ok(Done { reply, warnings: Vec::new() });
        }
        let commands = Request { commands: commands_of(&lines), ..Request::default() };
        let done = self.carry_out(&commands, door)?;
        if self.config.process.text(Text::ConfigFile) == Some(&whole.file) {
            self.said = target.said;
            self.written = Some(self.config.write(""));
            self.note_places(request);
        }
        Ok(Done { reply, warnings: done.warnings })
    }

    /// The configuration that the lines of a file say.
    fn target(&self, commands: &[Placed], file: &str) -> Result<Target, String> {
        let mut commands: Vec<Placed> =
            commands.iter().filter(|placed| configures(&placed.command)).cloned().collect();
        let nothing = Said::default();
        let mut reading = Reading::new(&self.config, &self.base, &nothing);
        for Placed { service, command, .. } in &mut commands {
            reading.settle(service, command);
        }
        let config = self.unsaid(&commands);
        let said = Said::nothing_on(&config);
        let mut draft = Draft::of(config, Some(said));
        let (mut errors, mut named) = (Errors::default(), BTreeSet::new());
        for placed in &commands {
            named.extend(placed.service.as_ref().map(|name| name.to_string()));
            match &placed.command {
                Command::Service(ServiceChange::Make(name)) => _ = named.insert(name.to_string()),
                Command::Service(ServiceChange::Remove { name, .. }) => _ = named.remove(&**name),
                _ => {}
            }
            if let Err(trouble) = self.say(&mut draft, placed) {
                match &placed.place {
                    Some(place) => errors.push(place, trouble),
                    None => errors.push(file, trouble),
                }
            }
        }
        if !errors.is_empty() {
            return Err(errors.to_string());
        }
        let Draft { mut config, said, .. } = draft;
        for service in &mut config.services {
            let listens = self.config.service(&service.name).and_then(listens_by_command_line);
            if let Some(address) = listens.filter(|_| service.listen().is_none()) {
                let service = Arc::make_mut(service);
                service.values.set_address(Address::Listen, Some(address));
                service.on_command_line.insert("listen");
                named.insert(service.name.to_string());
            }
        }
        config.services.retain(|service| named.contains(&*service.name));
        let listens = |config: &Config| config.services.iter().any(|it| it.listeners().next().is_some());
        if config.services.is_empty() || (listens(&self.config) && !listens(&config)) {
            return Err(format!("{file}: {WANT_LISTENER}"));
        }
        config.process.is_running = true;
        settle_ports(&mut config);
        check(&config).map_err(|trouble| format!("{file}: {trouble}"))?;
        Ok(Target { config, said: said.unwrap_or_default() })
    }

    /// What there is and the file does not say.
    fn unsaid(&self, commands: &[Placed]) -> Config {
        let services = self.config.services.iter().map(|service| Arc::new(service.unsaid())).collect();
        let mut config = Config::new(self.config.process.clone(), services);
        // As at start, when everything may be said.
        config.process.is_running = false;
        for placed in commands {
            if let Command::Add(Entry::Acl(list, AclEntry { .. })) | Command::Clear(Entries::Acl(list)) =
                placed.command
                && let Some(list) = config.process.acls.get_mut(usize::from(list))
            {
                list.clear();
            }
        }
        config
    }

    /// One line of the file.
    fn say(&self, draft: &mut Draft, placed: &Placed) -> Result<(), String> {
        if let Some(service) = &placed.service {
            draft.config.find_or_make(service)?;
        }
        let servers = draft.servers_of(placed);
        let service = placed.service.as_deref();
        let applied = match &placed.command {
            command if draft.config.is_so(service, command) => Applied::Reply(String::new()),
            Command::AddServer { .. } => self.add_server(&mut draft.config, placed, Door::File)?,
            command => draft.apply(service, command, 0)?,
        };
        let reply = match applied {
            Applied::Reply(text) => Reply::Ready(text),
            Applied::ReplyLater | Applied::NotStored => Reply::Later,
        };
        draft.note(placed, servers, &reply);
        Ok(())
    }
}

/// Whether the command says something of the configuration.
fn configures(command: &Command) -> bool {
    match command {
        Command::Ask(_)
        | Command::Do(_)
        | Command::Show(_)
        | Command::List(_)
        | Command::Explained(_)
        | Command::ServerDeed { deed: ServerDeed::Reset, .. } => false,
        Command::Server { changes, .. } => {
            !changes.iter().all(|change| matches!(change, ServerChange::Blacklist(_)))
        }
        _ => true,
    }
}

/// As a line of a file that can be carried out. A community is not shown, so a remark tells how it is set, behind what
/// else the line says.
fn to_carry_out(line: &str, reverse: bool) -> String {
    let Some(before) = before_community(line) else { return format!("{line}\n") };
    let command = parse::line(&before).ok().flatten().and_then(|line| line.command);
    let rest = match command {
        Some(Command::Server { changes, .. }) if changes.is_empty() => String::new(),
        Some(_) => format!("{before}\n"),
        None => String::new(),
    };
    let way = if reverse { "" } else { "apply the file, or " };
    let shown = without_community(line);
    format!("{rest}# {shown}: the community is not shown: {way}say the line with the community\n")
}

/// The address that only the command line gives.
fn listens_by_command_line(service: &ServiceConfig) -> Option<pen_proto::commands::AddressValue> {
    let setting = Setting::Address(Address::Listen);
    let given = service.on_command_line.contains(setting.row().word);
    match service.values.get(setting).filter(|_| given)? {
        Assignment::Address(_, address) => Some(address),
        _ => None,
    }
}

/// Lines that [`difference`] made.
fn commands_of(lines: &[String]) -> Vec<Placed> {
    let read = lines.iter().filter_map(|line| parse::line(line).ok().flatten());
    read.filter_map(|line| Some(Placed { place: None, service: line.service, command: line.command? }))
        .collect()
}
