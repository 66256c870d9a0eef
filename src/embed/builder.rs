//! What a program says of a balancer before it starts.

use super::balancer::Balancer;
use super::error::Error;
use super::service::Service;
use super::start;
use crate::log::diag::{self, Given};
use std::path::PathBuf;

/// Describes a [`Balancer`]: services, settings, and whom it tells what happens.
///
/// What is said is carried out in this order: lines of [`Builder::command`], services, the configuration file. Nothing is
/// opened before [`Builder::start`], which also tells mistakes.
#[must_use = "a builder does nothing until it is started"]
pub struct Builder {
    pub(super) lines: Vec<String>,
    pub(super) services: Vec<Service>,
    pub(super) control: Option<String>,
    pub(super) file: Option<PathBuf>,
    pub(super) messages: Given,
}

impl Builder {
    pub(super) fn new() -> Builder {
        let (lines, services) = (Vec::new(), Vec::new());
        Builder { lines, services, control: None, file: None, messages: Box::new(|_, _| {}) }
    }

    /// One more service.
    pub fn service(mut self, service: Service) -> Builder {
        self.services.push(service);
        self
    }

    /// Lines of the language of commands, one or more, as they stand in a configuration file: settings of the process such
    /// as `threads 2`, access lists, and whole services behind `service NAME`. `docs/commands.md` lists them.
    ///
    /// Settings of the process are the balancer's alone; option letters such as `-u` or `-p`, which are about a process
    /// of pen's own, are not among them.
    pub fn command(mut self, lines: impl Into<String>) -> Builder {
        self.lines.push(lines.into());
        self
    }

    /// Opens a control socket, as the option `-C` does: for `penctl` and other programs, a path (only this user may use
    /// it) or an address. Whoever can reach it commands the balancer.
    pub fn control(mut self, address: impl ToString) -> Builder {
        self.control = Some(address.to_string());
        self
    }

    /// A configuration file, read at the start and again by the command `reload`.
    pub fn config_file(mut self, path: impl Into<PathBuf>) -> Builder {
        self.file = Some(path.into());
        self
    }

    /// Has `hear` get every message for an operator: a line, escaped, without the time. Without this they go nowhere.
    ///
    /// It is called by the threads of the balancer, those that serve clients included, and must not block.
    pub fn messages(mut self, hear: impl Fn(Severity, &str) + Send + Sync + 'static) -> Builder {
        self.messages = Box::new(move |severity, text| hear(severity.into(), text));
        self
    }

    /// Opens everything and begins to serve. Names of hosts are looked up first, so this may take as long as name servers
    /// do. Threads of the balancer do the rest: the calling one is free.
    ///
    /// # Errors
    /// What is wrong with the description, or what the system does not give. Then nothing is left open.
    pub fn start(self) -> Result<Balancer, Error> {
        start::start(self)
    }
}

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// What the command `debug` asked for.
    Debug,
    /// What was asked for.
    Info,
    /// Something that an operator should know.
    Notice,
    /// Something is wrong with a server or a client.
    Warning,
    /// The balancer cannot do what it should.
    Error,
}

impl From<diag::Severity> for Severity {
    fn from(severity: diag::Severity) -> Severity {
        match severity {
            diag::Severity::Debug => Severity::Debug,
            diag::Severity::Info => Severity::Info,
            diag::Severity::Notice => Severity::Notice,
            diag::Severity::Warning => Severity::Warning,
            diag::Severity::Error => Severity::Error,
        }
    }
}
