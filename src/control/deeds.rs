//! What is done to the running pen by commands that set nothing.

use super::apply::{Engine, save};
use super::queries;
use super::request::Placed;
use super::running::{Deed, Running, Wanted};
use crate::log::local_time;
use crate::settings::{MAIN, ServiceConfig};
use pen_proto::commands::{Action, Command, Flag, Scope, ServerChange, ServiceChange, Text};
use pen_proto::status::{ServiceLine, Status};
use std::sync::Arc;

impl<R: Running> Engine<R> {
    /// `blacklist` is a deed, not a setting: it is done when the servers it names are there.
    pub(super) fn blacklist_in(&mut self, placed: &Placed) {
        let Command::Server { index, changes } = &placed.command else { return };
        let Ok(service) = self.config.meant(placed.service.as_deref()).map(|service| service.name.clone())
        else {
            return;
        };
        for change in changes {
            if let ServerChange::Blacklist(seconds) = *change {
                let (service, server) = (service.clone(), *index);
                match &mut self.running {
                    Some(running) => {
                        running.act(Deed::Blacklist { service, server, seconds });
                    }
                    None => self.early_blacklists.push((service, server, seconds)),
                }
            }
        }
    }

    /// Carries out a command about the running pen.
    pub(super) fn act_on(&mut self, placed: &Placed) -> Result<String, String> {
        let service = match placed.command.row().map(|row| row.scope) {
            Some(Scope::Service) if !self.config.services.is_empty() => {
                self.config.meant(placed.service.as_deref())?.name.clone()
            }
            _ => self.first_service(),
        };
        match &placed.command {
            Command::Ask(question) => self.answer(question, &service),
            Command::Service(ServiceChange::Remove { name, now: true }) => {
                if let Some(running) = &mut self.running {
                    running.act(Deed::Cut { service: (**name).into() });
                }
                Ok(String::new())
            }
            Command::Do(Action::Close(number)) => Ok(self.close(*number)),
            Command::Do(Action::Exit) => Ok(self.exit()),
            Command::Do(Action::Session) => {
                Err("session: only on a control socket, as the first command".into())
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
        let text = self.config.write(&local_time::stamp(&local_time::now()).to_string());
        save(file, &text).map_err(|trouble| format!("write {file}: {trouble}"))?;
        Ok(String::new())
    }
}
