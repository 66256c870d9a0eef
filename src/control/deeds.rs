//! What is done to the running pen by commands that set nothing.

use super::apply::{Engine, save};
use super::draft::said_in;
use super::queries;
use super::request::{Door, Placed};
use super::running::{Deed, Running, Wanted};
use crate::imports;
use crate::log::local_time;
use crate::settings::{Applied, Config, MAIN, SERVERS_MAX, ServerEntry, ServiceConfig, Which};
use crate::sys::files::MODE;
use pen_proto::commands::{
    Action, Command, Flag, Question, Scope, ServerChange, ServerDeed, ServiceChange, Text,
};
use pen_proto::names::ServerRef;
use pen_proto::status::{ServiceLine, Status};
use std::sync::Arc;

impl<R: Running> Engine<R> {
    /// Does what a command asked for beside what it set.
    pub(super) fn do_deed(&mut self, deed: Deed) {
        match (&mut self.running, deed) {
            (Some(running), deed) => _ = running.act(deed),
            (None, Deed::Blacklist { service, server, seconds }) => {
                self.early_blacklists.push((service, server, seconds));
            }
            // Nothing has happened yet.
            (None, _) => {}
        }
    }

    /// Adds a server to `config`, under a number that nobody holds. One that has the name already is changed when a file
    /// says it again. The reply is the number.
    pub(super) fn add_server(
        &self,
        config: &mut Config,
        placed: &Placed,
        door: Door,
    ) -> Result<Applied, String> {
        let Command::AddServer { name, spec, changes } = &placed.command else {
            return Ok(Applied::NotStored);
        };
        if placed.service.is_none() && config.services.is_empty() {
            config.make_service(MAIN);
        }
        let service = config.meant(placed.service.as_deref())?.name.clone();
        let (running, followed) = (&self.running, self.numeric().service(&service));
        let before = self.config.service(&service);
        let Some(config) = config.service_mut(&service) else { return Ok(Applied::NotStored) };
        let known = name.as_ref().filter(|_| door == Door::File).and_then(|name| config.named_server(name));
        if let Some(index) = known {
            config.place_server(index, &spec.to_string())?;
            return config.change_added(index, changes).map(Applied::Reply);
        }
        let has = |service: Option<&ServiceConfig>, index| service.is_some_and(|it| it.has_server(index));
        // Servers that were made of a name have numbers too.
        let is_held = |index| config.has_server(index) || has(followed, index);
        let index = match running {
            Some(running) => {
                // One that goes at the same time is another server.
                let unused = running.free_number(&service, &|index| is_held(index) || has(before, index));
                match unused < SERVERS_MAX {
                    true => unused,
                    false => running.free_number(&service, &is_held),
                }
            }
            None => config.free_place(|_| false),
        };
        let reply = config.add_server(index, name.as_ref(), spec, changes)?;
        if let Some(entry) = config.servers.get_mut(index).and_then(Option::as_mut) {
            entry.is_discovered = door == Door::Check;
        }
        Ok(Applied::Reply(reply))
    }

    /// What a command asks for of a server that was made of a name, by its name or number: only the running pen has it.
    /// `None` for any other command.
    ///
    /// # Errors
    /// What is wanted can be had only of all that were made of the name.
    pub(super) fn deeds_to_member(
        &self,
        config: &Config,
        placed: &Placed,
    ) -> Result<Option<Vec<Deed>>, String> {
        let (Command::Server { server, .. } | Command::ServerDeed { server: Some(server), .. }) =
            &placed.command
        else {
            return Ok(None);
        };
        let Ok(configured) = config.meant(placed.service.as_deref()) else { return Ok(None) };
        if configured.find(server).is_ok_and(|index| configured.has_server(index)) {
            return Ok(None);
        }
        let is_it = |number: usize, entry: &ServerEntry| match server {
            ServerRef::Name(name) => entry.member_name().is_some_and(|member| member == **name),
            ServerRef::Number(wanted) => usize::from(*wanted) == number,
        };
        let members = self.numeric().service(&configured.name).into_iter().flat_map(ServiceConfig::entries);
        let found = members.into_iter().find_map(|(which, entry)| match which {
            Which::Regular(number) if is_it(number, entry) => Some((number, entry.member?.of)),
            _ => None,
        });
        let Some((number, of)) = found else { return Ok(None) };
        // Numbers of servers fit.
        let (service, number) = (&configured.name, number as u16);
        let blacklist = |change: &ServerChange| match *change {
            ServerChange::Blacklist(seconds) => {
                Some(Deed::Blacklist { service: service.clone(), server: number, seconds })
            }
            _ => None,
        };
        let deeds = match &placed.command {
            Command::Server { changes, .. } => changes.iter().map(blacklist).collect(),
            Command::ServerDeed { deed: ServerDeed::Reset, .. } => {
                Some(vec![Deed::Reset { service: service.clone(), server: number }])
            }
            _ => None,
        };
        let whole = || format!("server {server}: is made of server {of}: want server {of}, for all that are");
        deeds.map(Some).ok_or_else(whole)
    }

    /// Carries out a command about the running pen.
    pub(super) fn act_on(&mut self, placed: &Placed) -> Result<String, String> {
        let is_named =
            placed.service.is_some() && matches!(placed.command, Command::Ask(Question::Status(_)));
        let service = match placed.command.row().map(|row| row.scope) {
            _ if is_named => self.config.meant(placed.service.as_deref())?.name.clone(),
            Some(Scope::Service) if !self.config.services.is_empty() => {
                self.config.meant(placed.service.as_deref())?.name.clone()
            }
            _ => self.first_service(),
        };
        match &placed.command {
            Command::Ask(question) => self.answer(question, &service),
            Command::Do(Action::Close(number)) => Ok(self.close(*number)),
            Command::Do(Action::Exit) => Ok(self.exit()),
            Command::Do(Action::Session) => {
                Err("session: only on a control socket, as the first command".into())
            }
            Command::Do(action @ (Action::Reload | Action::Apply(_) | Action::Diff { .. })) => {
                Err(format!("{}: only on a control socket", action.word()))
            }
            Command::Do(Action::Write(file)) => self.write(file.as_deref()),
            // Of all settings only this one is known no better than by the running pen.
            Command::Show(_) | Command::Set(_) => {
                Ok(queries::idlers(&self.status_of(Wanted::Servers, &service)))
            }
            _ => Ok(String::new()),
        }
    }

    /// A snapshot of the running pen; before it runs, of what is configured.
    pub fn status(&mut self, wanted: Wanted) -> Status {
        let service = self.first_service();
        self.status_of(wanted, &service)
    }

    /// The same from where this service stands.
    pub(super) fn status_of(&mut self, wanted: Wanted, service: &str) -> Status {
        match &mut self.running {
            Some(running) => running.ask(wanted, service),
            None => self.config.service(service).map(queries::configured).unwrap_or_default(),
        }
    }

    /// What `services` tells; before pen runs, of what is configured.
    pub(super) fn services(&mut self) -> Vec<ServiceLine> {
        let connections = self.running.as_mut().map(Running::connections).unwrap_or_default();
        let line = |service: &Arc<ServiceConfig>| ServiceLine {
            name: service.name.to_string(),
            kind: service.kind().to_string(),
            connections: connections.get(&service.name).copied().unwrap_or(0),
            servers: service.servers.iter().flatten().count() as u64,
            listen: service.listeners().map(|address| address.text.clone()).collect(),
        };
        self.config.services.iter().map(line).collect()
    }

    /// `main`, or else the one that was made first.
    fn first_service(&self) -> Arc<str> {
        let services = &self.config.services;
        let main = services.iter().find(|service| &*service.name == MAIN);
        main.or(services.first()).map_or_else(|| MAIN.into(), |service| service.name.clone())
    }

    fn close(&mut self, number: u32) -> String {
        match self.running.as_mut().is_some_and(|running| running.act(Deed::Close { number })) {
            true => format!("Forcibly closing connection {number}\n"),
            false => queries::out_of_range(number),
        }
    }

    /// Before pen runs there is nothing to leave, as in Pen.
    fn exit(&mut self) -> String {
        let Some(running) = &mut self.running else { return String::new() };
        if !self.config.process.flag(Flag::ExitEnabled) {
            return "Exit is not enabled; restart with -X flag\n".into();
        }
        running.act(Deed::Stop);
        String::new()
    }

    fn write(&mut self, file: Option<&str>) -> Result<String, String> {
        let file = file.or(self.config.process.text(Text::ConfigFile));
        let file = file.ok_or("write: want a file name, as pen was started without -F")?;
        if let Some(owner) = imports::owner_of(file) {
            return Err(format!("write {file}: this is a file of {owner}; want another name"));
        }
        if self.is_trial {
            return Ok(String::new());
        }
        let text = self.config.write(&local_time::stamp(&local_time::now()).to_string());
        // A community in it is for nobody else to read.
        let mode = if self.config.has_secret() { 0o600 } else { MODE };
        save(file, &text, mode).map_err(|trouble| format!("write {file}: {trouble}"))?;
        if self.config.process.text(Text::ConfigFile) == Some(file) {
            self.has_saved(&text);
            self.written = Some(self.config.write(""));
        }
        Ok(String::new())
    }

    /// The file of `-F` says this from now on.
    pub fn has_saved(&mut self, text: &str) {
        self.said = said_in(text);
    }

    /// What the file of `-F` says, without the time, if a command has written or applied it since this was asked.
    pub fn take_written(&mut self) -> Option<String> {
        self.written.take()
    }

    /// How often the configuration may have changed since start.
    pub fn changes(&self) -> u64 {
        self.changes
    }
}

/// What a command asks for beside what it sets. It is done when the servers it names are there; `config` is as it was
/// before the command.
pub(super) fn deeds_of(config: &Config, placed: &Placed) -> Vec<Deed> {
    let meant = || config.meant(placed.service.as_deref()).ok();
    let name = || meant().map_or_else(|| MAIN.into(), |service| service.name.clone());
    match &placed.command {
        Command::Server { server, changes } => {
            let index = || match server {
                ServerRef::Number(number) => Some(*number),
                // Numbers of servers fit.
                server => meant()?.find(server).ok().map(|index| index as u16),
            };
            let blacklist = |change: &ServerChange| match *change {
                ServerChange::Blacklist(seconds) => {
                    Some(Deed::Blacklist { service: name(), server: index()?, seconds })
                }
                _ => None,
            };
            changes.iter().filter_map(blacklist).collect()
        }
        Command::ServerDeed { server, deed } => {
            let places = meant().and_then(|service| service.places_of(server.as_ref()).ok());
            let numbers = places.into_iter().flatten().map(|index| index as u16);
            match deed {
                ServerDeed::Reset => numbers.map(|server| Deed::Reset { service: name(), server }).collect(),
                ServerDeed::Remove { now: true } => {
                    numbers.map(|server| Deed::CutServer { service: name(), server }).collect()
                }
                _ => Vec::new(),
            }
        }
        Command::Service(ServiceChange::Remove { name, now: true }) => {
            vec![Deed::Cut { service: (**name).into() }]
        }
        _ => Vec::new(),
    }
}
