//! The main thread of a pen that serves: control clients, signals, statistics, reload, graceful and plain end.

mod ending;

use crate::autosave::Autosave;
use crate::control::apply::{Engine, Wanted};
use crate::control::calls::Calls;
use crate::control::guarded::guarded;
use crate::control::lookups::bell;
use crate::control::rights::Rights;
use crate::control::server::ControlServer;
use crate::discovery::Discovery;
use crate::imports::Source;
use crate::instance::Instance;
use crate::log::diag::{self, Severity};
use crate::net::itself;
use crate::net::listen::Listener;
use crate::published::lock;
use crate::reload::Reload;
use crate::renewal::Renewal;
use crate::stats;
use crate::supervision::Supervision;
use crate::sys::clock;
use crate::sys::daemon::Detached;
use crate::sys::errors::reason;
use crate::sys::fifo::Fifo;
use crate::sys::files::{self, Written};
use crate::sys::signals::{Request, Signals};
use crate::sys::waking::Waker;
use crate::sys::{limits, memory};
use ending::Ending;
use pen_proto::addr::{Port, ServerSpec};
use pen_proto::commands::Text;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long clients of the control socket get to take their last reply.
const GOODBYE: Duration = Duration::from_millis(500);

/// What reaches the main thread: control clients, and what the process or the program around pen is told.
pub struct Doors {
    control: ControlServer,
    orders: Orders,
}

/// What has pen end or read its file again.
enum Orders {
    /// The process is pen's.
    Signals(Signals),
    /// pen is a part of another program, which gives them.
    Given(Arc<Mutex<Vec<Request>>>),
}

impl Orders {
    fn take(&self) -> Vec<Request> {
        match self {
            Orders::Signals(signals) => signals.take(),
            Orders::Given(given) => std::mem::take(&mut lock(given)),
        }
    }

    fn own_the_process(&self) -> bool {
        matches!(self, Orders::Signals(_))
    }
}

impl Doors {
    /// From now on signals are not fatal but waited for. Call it after the last fork, and before anything is made that
    /// must not be left behind.
    ///
    /// # Errors
    /// Out of descriptors.
    pub fn open(
        control: Vec<Listener>,
        rights: Rights,
        glb: Option<Listener>,
        fifo: Option<Fifo>,
    ) -> Result<Doors, String> {
        let doors = Doors::with(control, rights, |waker| Signals::install(waker).map(Orders::Signals));
        doors.map(|mut doors| {
            doors.control.speak_glb(glb, fifo);
            doors
        })
    }

    /// Of a pen that is a part of another program, to which signals belong. Whoever puts something among the orders wakes
    /// the main thread ([`Doors::waker`]).
    ///
    /// # Errors
    /// Out of descriptors.
    pub fn inside(
        control: Vec<Listener>,
        rights: Rights,
        orders: Arc<Mutex<Vec<Request>>>,
    ) -> Result<Doors, String> {
        Doors::with(control, rights, |_| Ok(Orders::Given(orders)))
    }

    fn with(
        control: Vec<Listener>,
        rights: Rights,
        orders: impl FnOnce(&Waker) -> io::Result<Orders>,
    ) -> Result<Doors, String> {
        let open = || {
            let mut control = ControlServer::new(control, Box::new(clock::monotonic_ms))?;
            control.grant(rights);
            control.limit_clients(limits::control_clients_possible());
            let orders = orders(&control.waker())?;
            Ok(Doors { control, orders })
        };
        open().map_err(|error: io::Error| format!("cannot start: {}", reason(&error)))
    }

    /// By which the main thread is woken.
    pub fn waker(&self) -> Waker {
        self.control.waker()
    }

    /// By which other threads of this process speak.
    pub fn calls(&self) -> Arc<Calls> {
        self.control.calls()
    }
}

/// The main thread of a pen that serves.
pub struct Process {
    engine: Engine<Instance>,
    doors: Doors,
    supervision: Supervision,
    reload: Reload,
    renewal: Renewal,
    discovery: Discovery,
    autosave: Autosave,
    ending: Option<Ending>,
    stopping: bool,
}

impl Process {
    pub fn new(engine: Engine<Instance>, doors: Doors, supervision: Supervision) -> Process {
        let bell = bell(&doors.control.waker());
        let (reload, renewal) = (Reload::new(bell.clone()), Renewal::new(bell.clone()));
        let discovery = Discovery::new(bell);
        let autosave = Autosave::new(&engine);
        Process {
            engine,
            doors,
            supervision,
            reload,
            renewal,
            discovery,
            autosave,
            ending: None,
            stopping: false,
        }
    }

    /// With a file of `-F` that is read in another way.
    pub fn reading(self, source: Source) -> Process {
        Process { reload: self.reload.reading(source), ..self }
    }

    /// Serves until told to end, then ends everything, also after an error. `look` is called after every turn, at least
    /// every `patience`.
    pub fn run(
        mut self,
        detached: Option<Detached>,
        patience: Option<Duration>,
        look: impl FnMut(&mut Engine<Instance>),
    ) -> Result<(), String> {
        let result = self.announce(detached).and_then(|()| self.serve(patience, look));
        if self.hands_over() {
            self.leave_doors();
        }
        self.supervision.stopping();
        self.autosave.end(&mut self.engine);
        if let Some(instance) = self.instance() {
            instance.say_end();
        }
        self.doors.control.say_goodbye(GOODBYE);
        drop(self.doors);
        if let Some(instance) = self.engine.into_running() {
            instance.stop();
        }
        result
    }

    /// Tells everyone who waits for it that pen serves.
    fn announce(&mut self, detached: Option<Detached>) -> Result<(), String> {
        diag::debug!(1, "pen {} starting", env!("CARGO_PKG_VERSION"));
        self.trace_servers();
        if let Some(detached) = detached {
            detached.ready().map_err(|error| format!("cannot go into the background: {}", reason(&error)))?;
        }
        if self.doors.orders.own_the_process() {
            memory::forget_start();
        }
        self.keep_listeners();
        self.supervision.ready();
        Ok(())
    }

    fn serve(
        &mut self,
        patience: Option<Duration>,
        mut look: impl FnMut(&mut Engine<Instance>),
    ) -> Result<(), String> {
        let waker = self.doors.control.waker();
        if let Some(instance) = self.instance() {
            instance.members().answer_to(bell(&waker));
            let bell = waker.clone();
            instance.ring_on_failure(move || waker.wake());
            instance.answer_to(move || bell.wake());
        }
        let waker = self.doors.control.waker();
        diag::ring_for_tick(move || waker.wake());
        while !self.stopping {
            if self.instance().is_some_and(|instance| instance.has_failed()) {
                return Err("a worker has ended; ending too, for half a pen would look alive".into());
            }
            let drain = self.ending.as_ref().map(Ending::patience);
            let status = self.supervision.status_due_ms().map(until);
            let leaving = self.instance().and_then(|instance| instance.leaving_patience());
            let autosave = self.autosave.deadline_ms().map(until);
            let waits = [autosave, patience, drain, status, leaving, self.names_patience(), diag::tick()];
            let patience = waits.into_iter().flatten().min();
            let turned = self.doors.control.turn(patience, &mut self.engine);
            turned.map_err(|error| format!("control: {}", reason(&error)))?;
            for request in self.doors.orders.take() {
                let obeyed = guarded(|| {
                    self.obey(request);
                    Ok(())
                });
                obeyed.unwrap_or_else(|trouble| diag::say(Severity::Error, String::from(trouble)));
            }
            self.finish_reload();
            if self.doors.control.wants_reload() && !self.reload.is_under_way() {
                self.reload();
            }
            self.renew_names();
            self.discover();
            self.autosave.turn(&mut self.engine, clock::monotonic_ms());
            if let Some(instance) = self.instance() {
                instance.look_at_leaving();
                let answered = guarded(|| {
                    instance.answer_visitors();
                    Ok(())
                });
                answered.unwrap_or_else(|trouble| diag::say(Severity::Error, String::from(trouble)));
            }
            look(&mut self.engine);
            self.keep_listeners();
            self.tell_status();
            self.stopping |=
                self.has_drained() || self.instance().is_some_and(|instance| instance.stop_wanted());
        }
        Ok(())
    }

    /// The servers as `-d` shows them at start, in the form of the original.
    fn trace_servers(&self) {
        diag::debug!(1, "servers:");
        for service in &self.engine.numeric().services {
            for (index, entry) in service.servers.iter().enumerate() {
                let Some(entry) = entry else { continue };
                let ServerSpec { host, port, max, hard, weight, prio } = &entry.spec;
                let port = port.as_ref().map(Port::to_string).unwrap_or_default();
                let weight = weight.unwrap_or_default();
                diag::debug!(1, "{index:2} {host}:{port}:{max}:{hard}:{weight}:{prio}");
            }
        }
    }

    fn instance(&mut self) -> Option<&mut Instance> {
        self.engine.running()
    }

    fn obey(&mut self, request: Request) {
        match request {
            Request::Stop => self.stopping = true,
            Request::Reload => self.reload(),
            Request::Statistics => self.statistics(),
            Request::Drain => self.end_gracefully(false),
            Request::HandOver => self.end_gracefully(true),
        }
    }

    fn reload(&mut self) {
        self.supervision.reloading();
        itself::look_around();
        if !self.reload.is_under_way() {
            self.doors.control.reload_begins();
        }
        if !self.reload.is_under_way() {
            self.autosave.reading_begins(&self.engine);
        }
        self.reload.begin(&mut self.engine, clock::monotonic_ms());
    }

    /// Until a reload or a renewal has waited for name servers long enough, or another is due.
    fn names_patience(&self) -> Option<Duration> {
        let deadlines = [self.reload.deadline_ms(), self.renewal.deadline_ms(), self.discovery.deadline_ms()];
        deadlines.into_iter().flatten().min().map(until)
    }

    fn renew_names(&mut self) {
        say(self.renewal.turn(&mut self.engine, clock::monotonic_ms()));
    }

    /// Members that checks have named become servers.
    fn discover(&mut self) {
        let named = self.instance().map(|instance| instance.members().take()).unwrap_or_default();
        let now_ms = clock::monotonic_ms();
        if named.is_empty() && self.discovery.deadline_ms().is_none() {
            return;
        }
        let (engine, discovery) = (&mut self.engine, &mut self.discovery);
        let (news, trouble) = discovery.turn(engine, named, now_ms);
        news.iter().for_each(|line| diag::say(Severity::Notice, line));
        trouble.iter().for_each(|line| diag::once(line, line));
    }

    fn finish_reload(&mut self) {
        let Some(outcome) = self.reload.finish(&mut self.engine, clock::monotonic_ms()) else { return };
        if outcome.is_ok() {
            self.autosave.reading_ends(&self.engine);
        }
        self.doors.control.reload_ends(&outcome);
        say(outcome);
        if !self.reload.is_under_way() {
            self.supervision.ready();
            self.supervision.status_changed();
        }
    }

    /// USR1: into the file of `-w`, or as text to the diagnostics.
    fn statistics(&mut self) {
        let status = self.engine.status(Wanted::Everything);
        match self.engine.config().process.text(Text::WebStats) {
            Some(file) => {
                let page = stats::html::render(&status);
                match files::write_atomically(Path::new(file), page.as_bytes(), files::MODE) {
                    Ok(Written::Whole) => {}
                    Ok(Written::InPlace) => diag::once(
                        "page",
                        format_args!(
                            "web_stats {file}: written in place, and readers may see half of it, because pen may \
                             not write to its directory"
                        ),
                    ),
                    Err(error) => diag::say(
                        Severity::Error,
                        format_args!("Unable to create webstats {file}: {}", reason(&error)),
                    ),
                }
            }
            None => stats::text::blocks(&status).iter().for_each(|block| diag::block(block)),
        }
    }

    /// Has the supervisor keep what this pen listens at, for the next one.
    fn keep_listeners(&mut self) {
        if self.ending.is_none()
            && self.supervision.keeps_sockets()
            && let Some(instance) = self.engine.running()
        {
            let own = instance.metrics_listener().into_iter().chain(self.doors.control.listeners());
            let own: Vec<_> = own.cloned().collect();
            self.supervision.keep([instance.listeners(), own].concat());
        }
    }
}

/// From now until this time; monotonic.
fn until(deadline_ms: u64) -> Duration {
    Duration::from_millis(deadline_ms.saturating_sub(clock::monotonic_ms()))
}

/// What the operator should know, or what is wrong, line by line.
fn say(outcome: Result<Vec<String>, String>) {
    match outcome {
        Ok(news) => news.iter().for_each(|line| diag::say(Severity::Notice, line)),
        Err(reason) => reason.lines().for_each(|line| diag::say(Severity::Error, line)),
    }
}
