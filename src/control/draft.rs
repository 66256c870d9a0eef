//! A configuration on the way to another one, and the configuration file that is read again.

use super::apply::Engine;
use super::countries;
use super::guarded::guarded;
use super::places::Places;
use super::plan::Refresh;
use super::request::{Done, Door, Placed, Request};
use super::running::{Deed, Running};
use crate::settings::{Applied, Config, MAIN, Reading, Said, ServiceConfig, TakenBack};
use pen_proto::commands::{
    Address, Command, Entries, GroupChange, Scope, ServerDeed, ServiceChange, Setting, Text,
};
use pen_proto::names::ServerRef;
use pen_proto::parse;
use std::sync::Arc;

/// What pen wants before it serves, and keeps wanting.
pub const WANT_LISTENER: &str = "want a listening address, as an argument or by the command listen";

/// What is opened although its name is the same as before.
pub struct Again {
    pub refresh: Refresh,
    pub countries: countries::Reading,
}

impl Again {
    /// Everything, on reload; the log unless that was done already.
    pub fn on_reload(log: bool) -> Again {
        let refresh = Refresh { log, tls: true, is_reload: true };
        Again { refresh, countries: countries::Reading::Renewed }
    }
}

/// Where a draft stands after a list of commands.
pub struct Draft {
    pub config: Config,
    /// One for each command.
    pub replies: Vec<Reply>,
    /// What is to be done, and by which command.
    pub deeds: Vec<(usize, Deed)>,
    pub warnings: Vec<String>,
    /// What the lines are about, when they are those of the file.
    pub said: Option<Said>,
    /// What others are about that are in no file.
    forgotten: Vec<Forgotten>,
    again: Option<Rereading>,
}

/// The file is read again.
struct Rereading {
    taken: TakenBack,
    /// As it was when everything had been taken back.
    before: Config,
}

/// What a person took away: what the file said of it is about nothing any more.
enum Forgotten {
    List(u8),
    Server(Arc<str>, usize),
    Service(String),
}

pub enum Reply {
    Ready(String),
    /// The command, or its reply, is about the running pen: it is carried out when the whole draft is in force.
    Later,
}

impl Draft {
    /// Nothing has changed yet.
    pub fn of(config: Config, said: Option<Said>) -> Draft {
        let (replies, deeds, warnings, forgotten) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Draft { config, replies, deeds, warnings, said, forgotten, again: None }
    }

    /// What a command means for the configuration.
    ///
    /// # Errors
    /// As [`Config::apply`].
    pub fn apply(
        &mut self,
        service: Option<&str>,
        command: &Command,
        now_seconds: u32,
    ) -> Result<Applied, String> {
        let applied = self.config.apply(service, command, now_seconds)?;
        let Some(again) = &mut self.again else { return Ok(applied) };
        again.taken.note(command);
        // Read again, the line ends no listener that a person has added.
        if let Command::Set(assignment) = command
            && assignment.setting() == Setting::Address(Address::Listen)
            && let Some(before) = again.before.service(service.unwrap_or(MAIN))
            && let Some(now) = self.config.service_mut(&before.name)
        {
            now.keep_listeners(&before.more_listeners);
        }
        Ok(applied)
    }

    /// The servers that a command is about, as they are called before it is carried out.
    pub fn servers_of(&self, placed: &Placed) -> Vec<usize> {
        let meant = || self.config.meant(placed.service.as_deref()).ok();
        match &placed.command {
            Command::Server { server, .. } | Command::ServerDeed { server: Some(server), .. } => match server
            {
                ServerRef::Number(number) => vec![usize::from(*number)],
                server => meant().and_then(|service| service.find(server).ok()).into_iter().collect(),
            },
            Command::Group { name, change: GroupChange::Remove } => {
                meant().map(|service| service.places_in(name)).unwrap_or_default()
            }
            Command::ServerDeed { server: None, .. } => {
                meant().and_then(|service| service.places_of(None).ok()).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    /// Notes what a command was about that was carried out.
    pub fn note(&mut self, placed: &Placed, mut servers: Vec<usize>, reply: &Reply) {
        let command = &placed.command;
        if let (Some(said), Some(service)) = (&mut self.said, &placed.service) {
            said.note_service(service);
        }
        if let (Command::AddServer { .. }, Reply::Ready(number)) = (command, reply) {
            servers.extend(number.trim().parse::<usize>());
        }
        let is_of_service = command.row().is_some_and(|row| row.scope == Scope::Service);
        let meant = is_of_service.then(|| self.config.meant(placed.service.as_deref()).ok()).flatten();
        let meant = meant.map_or_else(|| MAIN.into(), |service| service.name.clone());
        match (&mut self.said, command) {
            (Some(said), command) => said.note(&meant, command, &servers),
            (None, Command::Clear(Entries::Acl(list))) => self.forgotten.push(Forgotten::List(*list)),
            (
                None,
                Command::ServerDeed { deed: ServerDeed::Remove { .. }, .. }
                | Command::Group { change: GroupChange::Remove, .. },
            ) => {
                let servers = servers.into_iter().map(|index| Forgotten::Server(meant.clone(), index));
                self.forgotten.extend(servers);
            }
            (None, Command::Service(ServiceChange::Remove { name, .. })) => {
                self.forgotten.push(Forgotten::Service(name.to_string()));
            }
            _ => {}
        }
    }
}

impl<R: Running> Engine<R> {
    /// What the command line gives, which is what is left when the file says nothing any more.
    pub fn set_base(&mut self, base: Config) {
        self.base = base;
    }

    /// Has commands write no files from now on.
    pub fn only_try(&mut self) {
        self.is_trial = true;
    }

    /// The lines of the file are these, carried out or not.
    pub fn note_places(&mut self, request: &Request) {
        self.places = Arc::new(Places::of(&request.commands));
    }

    /// Where the lines of the file stand.
    pub fn places(&self) -> Arc<Places> {
        self.places.clone()
    }

    #[cfg(test)]
    pub fn base(&self) -> &Config {
        &self.base
    }

    /// Carries out the lines of the configuration file that is read again, and takes back what it said and says no longer.
    /// Certificates, the file of countries and, unless that was done already, the log are opened again in any case.
    ///
    /// # Errors
    ///
    /// As [`Engine::carry_out`], a log that cannot be opened, and a file with which nobody would listen.
    pub fn carry_out_reload(&mut self, mut request: Request, log: bool) -> Result<Done, String> {
        let draft = guarded(|| Ok(self.begin_rereading(&mut request)))?;
        self.perform_from(draft, &request.commands, Door::File, Again::on_reload(log))
    }

    fn begin_rereading(&self, request: &mut Request) -> Draft {
        let mut reading = Reading::new(&self.config, &self.base, &self.said);
        for Placed { service, command, .. } in &mut request.commands {
            reading.settle(service, command);
        }
        let mut config = self.config.clone();
        let taken = TakenBack::from(&mut config, &self.base, &self.said, &reading.end());
        let mut said = Said::nothing_on(&config);
        let mut warnings = Vec::new();
        for kept in &taken.only_at_start {
            said.keep(kept);
            warnings.push(format!("{}: {kept}", self.file()));
        }
        let before = config.clone();
        let draft = Draft::of(config, Some(said));
        Draft { warnings, again: Some(Rereading { taken, before }), ..draft }
    }

    /// What is left to do when all lines are carried out.
    pub(super) fn end_rereading(&self, draft: &mut Draft) -> Result<(), String> {
        let Some(again) = &draft.again else { return Ok(()) };
        again.taken.finish(&mut draft.config).map_err(|trouble| format!("{}: {trouble}", self.file()))?;
        let listens = |service: &Arc<ServiceConfig>| service.listeners().next().is_some();
        let is_silent = |config: &Config| {
            config.service(MAIN).is_some_and(|service| service.listeners().next().is_none())
        };
        let (before, after) = (&self.config, &draft.config);
        let is_deaf = before.services.iter().any(listens) && !after.services.iter().any(listens);
        match is_deaf
            || after.services.is_empty() && !before.services.is_empty()
            || is_silent(after) && !is_silent(before)
        {
            true => Err(format!("{}: {WANT_LISTENER}", self.file())),
            false => Ok(()),
        }
    }

    /// Remembers what the file has said, or forgets what it said of what there is no longer.
    pub(super) fn remember(&mut self, draft: &mut Draft) {
        if let Some(said) = draft.said.take() {
            self.said = said;
        }
        for forgotten in draft.forgotten.drain(..) {
            match forgotten {
                Forgotten::List(list) => self.said.forget_list(list),
                Forgotten::Server(service, index) => self.said.forget_server(&service, index),
                Forgotten::Service(name) => self.said.forget_service(&name),
            }
        }
    }

    fn file(&self) -> &str {
        self.config.process.text(Text::ConfigFile).unwrap_or("-F")
    }
}

/// What a file says that was just written.
pub(super) fn said_in(text: &str) -> Said {
    let (mut said, mut header) = (Said::default(), None);
    for line in text.lines().filter_map(|line| parse::line(line).ok().flatten()) {
        let Some(command) = line.command else {
            header = line.service;
            header.iter().for_each(|name| said.note_service(name));
            continue;
        };
        let servers = match &command {
            Command::Server { server: ServerRef::Number(number), .. }
            | Command::ServerDeed { server: Some(ServerRef::Number(number)), .. } => {
                vec![usize::from(*number)]
            }
            _ => Vec::new(),
        };
        said.note(header.as_deref().unwrap_or(MAIN), &command, &servers);
    }
    said
}
