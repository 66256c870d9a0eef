//! What a program says of a balancer before it starts.

use super::balancer::Balancer;
use super::error::Error;
use super::service::Service;
use super::start;
use crate::hooks::{Event, Hook};
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
    pub(super) hook: Option<Hook>,
}

impl Builder {
    pub(super) fn new() -> Builder {
        let (lines, services) = (Vec::new(), Vec::new());
        Builder { lines, services, control: None, file: None, messages: Box::new(|_, _| {}), hook: None }
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
        self.messages = Box::new(move |severity, text| hear(Severity::of(severity), text));
        self
    }

    /// Has `hear` get what happens to connections and UDP sessions: [`Event`]. The last one that is given counts. Without
    /// this, connections pay nothing for it. Direct server return tells nothing.
    ///
    /// It is called by the threads that serve clients, one for each processor, and all connections of the thread wait
    /// meanwhile: it must be quick, and must not block or call the balancer. Counting in an atomic number, and
    /// [`try_send`](std::sync::mpsc::SyncSender::try_send) into a channel, are what it is for.
    ///
    /// ```
    /// use pen::{Balancer, EventKind, Service};
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// let down_bytes = Arc::new(AtomicU64::new(0));
    /// let counter = down_bytes.clone();
    /// let builder = Balancer::builder().events(move |event| {
    ///     if let EventKind::Closed { down_bytes, .. } = event.kind {
    ///         counter.fetch_add(down_bytes, Ordering::Relaxed);
    ///     }
    /// });
    /// # let _ = builder;
    /// ```
    pub fn events(mut self, hear: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Builder {
        self.hook = Some(Hook::new(hear));
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

impl Severity {
    fn of(severity: diag::Severity) -> Severity {
        match severity {
            diag::Severity::Debug => Severity::Debug,
            diag::Severity::Info => Severity::Info,
            diag::Severity::Notice => Severity::Notice,
            diag::Severity::Warning => Severity::Warning,
            diag::Severity::Error => Severity::Error,
        }
    }
}
