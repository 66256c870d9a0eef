//! Checks of servers: one thread for those of all services. What it does is in the crate `checks`.
//!
//! Owns the thread, which is there as long as any server is checked. It changes nothing but what selections know of their
//! servers (`balance/checked.rs`), and nobody waits for it. Called by `instance`, which tells it whom to check.

mod heard;
mod members;
mod own;

pub use members::Members;
pub use own::{Check, CheckedServer, Verdict};
pub use pen_checks::{Asking, Target};

use crate::log::diag::{self, Severity};
use crate::net::poller::Poller;
use crate::service::Service;
use crate::settings::Rounds;
use crate::shared::Shared;
use crate::sys::errors::reason;
use crate::sys::threads;
use heard::{Heard, Here};
use pen_checks::{Inbox, Message, Watcher};
use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

/// What every program finds in its environment, if pen has it.
const ENVIRONMENT: [&str; 3] = ["PATH", "HOME", "LANG"];
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The thread that checks, when there is anything to check.
pub struct Checks {
    shared: Arc<Shared>,
    /// Names of further variables for programs.
    environment: Vec<String>,
    /// What checks have named, for the main thread.
    members: Arc<Members>,
    /// Services with servers to be checked.
    watched: BTreeSet<u16>,
    running: Option<Running>,
    /// Threads that have nothing left to check and see their programs to their end.
    ending: Vec<JoinHandle<()>>,
}

struct Running {
    asking: Asking,
    thread: JoinHandle<()>,
}

impl Checks {
    pub fn new(shared: Arc<Shared>) -> Checks {
        let (environment, members) = (Vec::new(), Arc::default());
        Checks { shared, environment, members, watched: BTreeSet::new(), running: None, ending: Vec::new() }
    }

    /// Where the members are that checks name.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// Has programs find these variables in their environment. Those that run are started again.
    pub fn set_environment(&mut self, names: &str) {
        if self.environment.iter().map(String::as_str).eq(names.split_whitespace()) {
            return;
        }
        self.environment = names.split_whitespace().map(String::from).collect();
        self.tell(Message::Environment(self.environment()));
    }

    /// Checks these servers of a service from now on, and no others of it.
    pub fn follow(&mut self, service: &Arc<Service>, targets: Vec<Target>, rounds: Rounds) {
        if targets.is_empty() {
            service.ask_for_checks_by(None);
            return self.forget(service.number);
        }
        self.watched.insert(service.number);
        if let Err(error) = self.start() {
            diag::say(Severity::Error, format_args!("checks: cannot start: {}", reason(&error)));
        }
        let (shared, members) = (self.shared.clone(), self.members.clone());
        let heard = Heard { service: service.clone(), shared, members };
        self.tell(Message::Follow(Arc::new(heard), targets, rounds));
        service.ask_for_checks_by(self.running.as_ref().map(|running| running.asking.clone()));
    }

    /// Checks no server of this service any more.
    pub fn forget(&mut self, number: u16) {
        if !self.watched.remove(&number) {
            return;
        }
        match self.watched.is_empty() {
            true => self.end(),
            false => self.tell(Message::Forget(number)),
        }
    }

    /// Begins to end the thread and its programs.
    pub fn end(&mut self) {
        self.watched.clear();
        self.tell(Message::Stop);
        self.ending.retain(|thread| !thread.is_finished());
        self.ending.extend(self.running.take().map(|running| running.thread));
    }

    /// Ends them, and waits for that.
    pub fn stop(mut self) {
        self.end();
        for thread in self.ending {
            // It has said why.
            let _ = thread.join();
        }
    }

    fn tell(&self, message: Message) {
        if let Some(running) = &self.running {
            running.asking.inbox.put(message);
            running.asking.waker.wake();
        }
    }

    fn start(&mut self) -> io::Result<()> {
        if self.running.is_some() {
            return Ok(());
        }
        let poller = Poller::new()?;
        let (waker, inbox) = (poller.waker(), Arc::new(Inbox::default()));
        let asking = Asking { inbox, waker };
        let watcher = Watcher::new(poller, Box::new(Here), self.environment(), asking.clone());
        let theirs = asking.inbox.clone();
        let thread = threads::spawn("checks", move || watcher.run(&theirs))?;
        self.running = Some(Running { asking, thread });
        Ok(())
    }

    fn environment(&self) -> Vec<(OsString, OsString)> {
        let names = ENVIRONMENT.iter().copied().chain(self.environment.iter().map(String::as_str));
        let mut environment: Vec<(OsString, OsString)> =
            names.filter_map(|name| Some((name.into(), env::var_os(name)?))).collect();
        if env::var_os("PATH").is_none() {
            environment.push(("PATH".into(), PATH.into()));
        }
        environment
    }
}
