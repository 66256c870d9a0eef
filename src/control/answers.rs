//! Answers questions, from a snapshot of the running pen.

use super::apply::{Engine, Running, Wanted, save};
use super::queries;
use crate::settings::ServiceConfig;
use crate::sys::files::MODE;
use pen_core::stats;
use pen_proto::addr::quoted;
use pen_proto::commands::{Listing, OneOf, Question, Text};
use pen_proto::help;
use pen_proto::status::{GroupLine, ServerStatus, Status};

impl<R: Running> Engine<R> {
    /// The reply to a question that the configuration alone cannot answer.
    pub(super) fn answer(&mut self, question: &Question, service: &str) -> Result<String, String> {
        match question {
            Question::ClientOf(end) => {
                let running = self.running.as_mut();
                queries::client_of(*end, &running.map(|it| it.seen_from(*end)).unwrap_or_default())
            }
            Question::Clients(listing) => {
                Ok(queries::clients(&self.status_of(Wanted::Clients, service), *listing))
            }
            Question::Clones(listing) => {
                Ok(queries::clones(&self.status_of(Wanted::Servers, service), *listing))
            }
            Question::Connection(number) => {
                Ok(queries::connection(&self.status_of(Wanted::Connections, service), *number))
            }
            Question::Connections(listing) => {
                Ok(queries::connections(&self.status_of(Wanted::Connections, service), *listing))
            }
            Question::Getinfo => Ok(self.glb_info(service)),
            Question::Getstat => Ok(self.glb_statistics(service)),
            Question::Groups(listing) => {
                let status = self.status_of(Wanted::Servers, service);
                let groups = self.config().service(service).map(|service| groups(service, &status));
                Ok(queries::groups(&groups.unwrap_or_default(), *listing))
            }
            Question::Help(None) => Ok(help::help()),
            Question::Help(Some(word)) => {
                help::help_for(word).ok_or_else(|| format!("help: no such command: {}", quoted(word)))
            }
            Question::Metrics => Ok(stats::prometheus::render(&self.status(Wanted::Figures))),
            Question::Pid => Ok(format!("{}\n", std::process::id())),
            Question::Recent(seconds) => {
                Ok(queries::recent(&self.status_of(Wanted::Clients, service), u64::from(*seconds)))
            }
            Question::Services(listing) => Ok(queries::services(&self.services(), *listing)),
            Question::Servers(listing) => {
                Ok(queries::servers(&self.status_of(Wanted::Servers, service), *listing))
            }
            Question::Socket(descriptor) => {
                Ok(queries::socket(&self.status_of(Wanted::Connections, service), *descriptor))
            }
            Question::Status(Listing::Json) => {
                Ok(stats::json::render(&self.status_of(Wanted::Everything, service)))
            }
            Question::Status(Listing::Text) => self.page(),
            Question::Version => Ok(format!("pen {}\n", env!("CARGO_PKG_VERSION"))),
            // Of these the configuration knows everything.
            Question::Control | Question::Mode => Ok(String::new()),
        }
    }

    /// The HTML page, which the file of `-w` gets too.
    fn page(&mut self) -> Result<String, String> {
        let page = stats::html::render(&self.status(Wanted::Everything));
        if let Some(file) = self.config().process.text(Text::WebStats).filter(|_| !self.is_trial) {
            save(file, &page, MODE).map_err(|trouble| format!("web_stats {file}: {trouble}"))?;
        }
        Ok(page)
    }
}

/// What `groups` tells of a service.
fn groups(service: &ServiceConfig, status: &Status) -> Vec<GroupLine> {
    let in_use = service.group_in_use();
    let line = |name: &pen_proto::names::Name| {
        let servers = || status.servers.iter().filter(|server| server.group.as_deref() == Some(name));
        GroupLine {
            name: name.to_string(),
            in_use: in_use == Some(name),
            connections: servers().map(|server| u64::from(server.connections)).sum(),
            servers: servers().count() as u64,
            up: servers().filter(|server| ServerStatus::is_up(server)).count() as u64,
            policy: service.policy_of(Some(name)).word().to_owned(),
        }
    };
    service.groups().into_iter().map(line).collect()
}
