//! The running balancer as the main thread sees it: workers, and the services that they serve.
//!
//! Services come and go while it runs. Each has a number as long as it is there and until its last connection has ended;
//! the first service has number 0.

mod alarm;

use crate::balance::{LiveServers, ServerId};
use crate::clones::Tally;
use crate::hooks::Embedding;
use crate::net::listen::Listener;
use crate::net::poller::Poller;
use crate::net::tls::Tls;
use crate::room::Kinds;
use crate::service::{Service, ServiceParts};
use crate::settings::{ProcessSettings, Settings};
use crate::shared::{Detail, Message, Report, ServiceReport, Services, Shared, Which};
use crate::sys::threads;
use crate::worker::Worker;
use alarm::{Alarm, RaisedAtEnd};
use pen_proto::status::{Calls, ConnectionStatus, ServerTimes, Totals};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long the main thread waits for the answer of a busy worker.
const ANSWER_WAIT: Duration = Duration::from_secs(1);
/// Most services, those included that were removed and have connections still.
pub const SERVICES_MAX: usize = 1 << 16;

/// What a runtime is started with.
pub struct Parts {
    /// How many workers there are; never 0.
    pub workers: usize,
    pub process: ProcessSettings,
    /// They get their numbers in this order.
    pub services: Vec<ServiceParts>,
    /// What a `dummy` pen answers; `None` for the original's words.
    pub dummy_name: Option<String>,
}

/// Handle on the workers. Dropping it leaves them running: call [`Runtime::stop`].
pub struct Runtime {
    shared: Arc<Shared>,
    /// By number, as published.
    services: Services,
    /// Removed, and perhaps with connections still.
    leaving: Vec<Weak<Service>>,
    threads: Vec<JoinHandle<()>>,
    alarm: Arc<Alarm>,
}

/// What the workers answered to a question.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// In the order of their numbers, also those that were removed and have connections still.
    pub services: Vec<ServiceSnapshot>,
    /// What was counted for services that are no more.
    pub ended: Totals,
    /// Connects to servers under way.
    pub pending_connects: u64,
    pub connections_used: u64,
    /// Effective limit after `conn_max` and the descriptor limit.
    pub connections_max: u64,
    pub workers: u32,
    /// No more fit, and somebody has to wait.
    pub full: bool,
    pub calls: Calls,
}

/// What the workers know of a service.
#[derive(Debug, Default)]
pub struct ServiceSnapshot {
    pub number: u16,
    pub name: String,
    /// It was removed, and its last connections are awaited.
    pub leaving: bool,
    /// In the order of their numbers, with [`Detail::Each`].
    pub connections: Vec<ConnectionStatus>,
    /// How many there are.
    pub open: u64,
    pub live: LiveServers,
    /// How long servers took, since start.
    /// `None` where no connection had a clone.
    pub clones: Option<Box<Tally>>,
    pub times: HashMap<ServerId, ServerTimes>,
    pub totals: Totals,
    /// Number of the connection opened last.
    pub connections_last: u64,
    /// When that was; monotonic.
    last_ms: Option<u64>,
    /// Ready connections to servers, in no particular order; a server may occur several times.
    pub idlers: Vec<(ServerId, usize)>,
}

impl Snapshot {
    /// Of all services together, since the start.
    pub fn totals(&self) -> Totals {
        let mut sum = self.ended.clone();
        self.services.iter().for_each(|service| sum.add(&service.totals));
        sum.pending_connects = self.pending_connects;
        sum
    }
}

impl ServiceSnapshot {
    fn of(service: &Service, leaving: bool) -> ServiceSnapshot {
        let (number, name) = (service.number, service.name.clone());
        ServiceSnapshot { number, name, leaving, ..ServiceSnapshot::default() }
    }

    fn add(&mut self, report: ServiceReport) {
        self.connections.extend(report.connections);
        self.open += report.open;
        self.live.merge(&report.live);
        if let Some(clones) = &report.clones {
            self.clones.get_or_insert_default().add(clones);
        }
        report.times.iter().for_each(|(server, times)| self.times.entry(*server).or_default().add(times));
        self.idlers.extend(report.idlers);
        self.totals.add(&report.totals);
        if let Some((number, at_ms)) = report.last.filter(|last| Some(last.1) >= self.last_ms) {
            self.last_ms = Some(at_ms);
            self.connections_last = u64::from(number);
        }
    }
}

impl Runtime {
    /// Starts the workers.
    ///
    /// # Errors
    /// When a poller or a thread cannot be made, or there are too many services; then no worker is left running.
    pub fn start(parts: Parts) -> io::Result<Runtime> {
        Runtime::start_in(parts, None)
    }

    /// The same inside of another program.
    ///
    /// # Errors
    /// As [`Runtime::start`].
    pub fn start_in(parts: Parts, embedding: Option<Embedding>) -> io::Result<Runtime> {
        let pollers = (0..parts.workers).map(|_| Poller::new()).collect::<io::Result<Vec<_>>>()?;
        let services = parts.services.into_iter().enumerate();
        let services: Services =
            services.map(|(number, parts)| Some(Arc::new(Service::new(number as u16, parts)))).collect();
        if services.len() > SERVICES_MAX {
            return Err(io::Error::other(format!("want at most {SERVICES_MAX} services")));
        }
        let sessions_first = services.iter().flatten().next().is_some_and(|service| service.is_udp);
        let wakers = pollers.iter().map(Poller::waker);
        let shared = Arc::new(Shared::new(parts.process, parts.dummy_name, sessions_first, wakers));
        embedding.into_iter().for_each(|embedding| shared.embed(embedding));
        let (threads, leaving) = (Vec::new(), Vec::new());
        let mut runtime = Runtime { shared, services, leaving, threads, alarm: Arc::default() };
        runtime.services.iter().flatten().for_each(|service| runtime.wake_when_found(service));
        runtime.publish();
        let ready = pollers.into_iter().enumerate();
        let ready = ready.map(|(number, poller)| Worker::new(number, runtime.shared.clone(), poller));
        for (number, worker) in ready.collect::<io::Result<Vec<_>>>()?.into_iter().enumerate() {
            let alarm = RaisedAtEnd(runtime.alarm.clone());
            let work = move || {
                let _alarm = alarm;
                worker.run();
            };
            match threads::spawn(format!("worker {number}"), work) {
                Ok(thread) => runtime.threads.push(thread),
                Err(error) => {
                    runtime.stop();
                    return Err(error);
                }
            }
        }
        Ok(runtime)
    }

    /// Lets `bell` ring when a worker ends before [`Runtime::stop`]. Look at [`Runtime::has_failed`] afterwards.
    pub fn ring_on_failure(&self, bell: impl Fn() + Send + 'static) {
        self.alarm.answer_to(bell);
    }

    /// Whether a worker has ended by itself; it has said why.
    pub fn has_failed(&self) -> bool {
        self.alarm.is_raised()
    }

    /// Takes up a service. Its listeners are heard at once.
    ///
    /// # Errors
    /// There are too many.
    pub fn add_service(&mut self, parts: ServiceParts) -> Result<u16, String> {
        let number = self.free_number()?;
        let service = Arc::new(Service::new(number, parts));
        self.wake_when_found(&service);
        let at = usize::from(number);
        if at >= self.services.len() {
            self.services.resize(at + 1, None);
        }
        self.services[at] = Some(service);
        self.publish();
        Ok(number)
    }

    /// Takes a service away. Returns when every worker has taken in who waited at its listeners, so that these are closed
    /// when nobody else has them. Its connections go on until they end, or, with `now`, are closed; sessions end with
    /// their listeners.
    pub fn remove_service(&mut self, number: u16, now: bool) {
        if self.services.get(usize::from(number)).is_some_and(Option::is_some) {
            // Not when the last connection has ended: somebody else may want to listen there.
            self.set_listeners(number, Vec::new());
        }
        let Some(service) = self.services.get_mut(usize::from(number)).and_then(Option::take) else { return };
        self.leaving.push(Arc::downgrade(&service));
        drop(service);
        self.publish();
        match now {
            true => _ = self.close(Which::Service(number)),
            false => _ = self.snapshot(Detail::Sums), // a worker follows before it answers
        }
    }

    /// A number that no worker has a connection of.
    fn free_number(&mut self) -> Result<u16, String> {
        self.leaving.retain(|service| service.strong_count() > 0);
        let leaving: Vec<_> = self.leaving.iter().filter_map(Weak::upgrade).collect();
        let is_free = |number: &usize| {
            let is_served = self.services.get(*number).is_some_and(Option::is_some);
            !is_served && leaving.iter().all(|service| usize::from(service.number) != *number)
        };
        let free = (0..SERVICES_MAX).find(is_free);
        free.map(|number| number as u16).ok_or_else(|| format!("want at most {SERVICES_MAX} services"))
    }

    /// Tells the workers which services there are.
    fn publish(&self) {
        self.limit_room();
        self.shared.services().set(self.services.clone());
        self.shared.announce();
    }

    fn limit_room(&self) {
        let has = |is_udp: bool| self.services.iter().flatten().any(|service| service.is_udp == is_udp);
        let kinds = Kinds { tcp: has(false), udp: has(true) };
        self.shared.room().limit(&self.shared.process().get(), kinds);
    }

    /// Has the workers woken when a certificate of the service was looked for.
    fn wake_when_found(&self, service: &Service) {
        let shared = Arc::downgrade(&self.shared);
        service.tls().get().on_found(move || {
            if let Some(shared) = shared.upgrade() {
                shared.announce();
            }
        });
    }

    /// The services by number.
    pub fn services(&self) -> &[Option<Arc<Service>>] {
        &self.services
    }

    /// The service with this number. Whoever keeps it keeps its number from being used again.
    ///
    /// # Panics
    /// There is none.
    pub fn service(&self, number: u16) -> &Arc<Service> {
        self.services[usize::from(number)].as_ref().expect("a service that was not removed")
    }

    /// Publishes new settings of the process; workers pick them up at once.
    pub fn set_process(&self, process: ProcessSettings) {
        self.shared.process().set(process);
        self.limit_room();
        self.shared.announce();
    }

    /// Publishes new settings of a service; workers pick them up at once. What it takes, connections or datagrams, stays.
    pub fn set_settings(&self, service: u16, settings: Settings) {
        self.service(service).set_settings(settings);
        self.shared.announce();
    }

    /// Has new sessions of a service begun with this; open ones go on.
    pub fn set_tls(&self, service: u16, tls: Tls) {
        let service = self.service(service);
        service.tls().set(tls);
        self.wake_when_found(service);
        self.shared.announce();
    }

    /// Replaces the listeners of a service; those that are in both lists are left alone, and connections stay. An empty
    /// list stops accepting for good. Returns when every worker has taken in who waited at the old ones, so that these are
    /// closed when nobody else has them.
    pub fn set_listeners(&self, service: u16, listeners: Vec<Arc<Listener>>) {
        self.service(service).listeners().set(listeners);
        self.shared.announce();
        self.snapshot(Detail::Sums); // a worker follows before it answers
    }

    /// The listeners of a service.
    pub fn listeners(&self, service: u16) -> Arc<Vec<Arc<Listener>>> {
        self.service(service).listeners().get()
    }

    /// What the workers share, for the thread of direct server return.
    pub fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// Connections and sessions of all services.
    pub fn connections_used(&self) -> u64 {
        self.shared.room().used()
    }

    /// UDP: clients of a service that are not known yet are no longer heard; the others go on.
    pub fn drain(&self, service: u16) {
        self.service(service).drain();
        self.shared.announce();
    }

    /// UDP: what clients of a service send from now on is left to the next pen.
    pub fn hear_no_more(&self, service: u16) {
        self.service(service).hear_no_more();
        self.shared.announce();
        self.snapshot(Detail::Sums); // a worker follows before it answers
    }

    pub fn sessions_used(&self) -> u64 {
        self.shared.room().sessions_used()
    }

    /// Servers have changed: workers look whether their idlers are still in the right places.
    pub fn servers_changed(&self) {
        self.shared.announce();
    }

    /// Asks every worker; a worker that does not answer within a second is left out.
    pub fn snapshot(&self, detail: Detail) -> Snapshot {
        let answers = self.ask(|asker| Message::Report(detail, asker));
        let room = self.shared.room();
        let served = self.services.iter().flatten().map(|service| ServiceSnapshot::of(service, false));
        let leaving = self.leaving.iter().filter_map(Weak::upgrade);
        let mut services: Vec<_> =
            served.chain(leaving.map(|service| ServiceSnapshot::of(&service, true))).collect();
        services.sort_by_key(|service| service.number);
        let mut snapshot = Snapshot {
            services,
            connections_used: room.used(),
            connections_max: room.max(),
            workers: self.threads.len() as u32,
            full: room.is_full(),
            ..Snapshot::default()
        };
        while let Ok(Report { services, ended, calls }) = answers.recv_timeout(ANSWER_WAIT) {
            snapshot.ended.add(&ended);
            snapshot.calls.add(calls);
            for report in services {
                let known = snapshot.services.binary_search_by_key(&report.number, |service| service.number);
                match known {
                    Ok(at) => snapshot.services[at].add(report),
                    Err(_) => snapshot.ended.add(&report.totals), // it is about to be gone
                }
            }
        }
        snapshot.pending_connects = room.pending();
        for service in &mut snapshot.services {
            service.connections.sort_by_key(|connection| connection.number);
        }
        snapshot
    }

    /// The connections and sessions that servers see from this address, each with the number of its service.
    pub fn seen_from(&self, end: SocketAddr) -> Vec<(u16, ConnectionStatus)> {
        let answers = self.ask(|asker| Message::SeenFrom(end, asker));
        let mut found = Vec::new();
        while let Ok(more) = answers.recv_timeout(ANSWER_WAIT) {
            found.extend(more);
        }
        found
    }

    /// Closes a connection by number; false when there is none.
    pub fn close_connection(&self, number: u32) -> bool {
        let (worker, which) = self.shared.local_number(number);
        let (asker, answer) = mpsc::channel();
        self.shared.post(worker, Message::Close(which, asker));
        answer.recv_timeout(ANSWER_WAIT).is_ok_and(|closed| closed > 0)
    }

    /// Closes all connections of a service with one of its servers. Returns how many there were.
    pub fn close_server(&self, service: u16, server: ServerId) -> usize {
        self.close(Which::Server(service, server))
    }

    /// Closes all connections of a service, which may have been removed. Returns how many there were.
    pub fn close_service(&self, service: u16) -> usize {
        self.close(Which::Service(service))
    }

    fn close(&self, which: Which) -> usize {
        let (mut closed, answers) = (0, self.ask(|asker| Message::Close(which, asker)));
        while let Ok(count) = answers.recv_timeout(ANSWER_WAIT) {
            closed += count;
        }
        closed
    }

    /// Puts a question to every worker.
    fn ask<T>(&self, question: impl Fn(mpsc::Sender<T>) -> Message) -> mpsc::Receiver<T> {
        let (asker, answers) = mpsc::channel();
        for worker in 0..self.threads.len() {
            self.shared.post(worker, question(asker.clone()));
        }
        answers
    }

    /// Closes all connections and waits for the workers to end.
    pub fn stop(&mut self) {
        for worker in 0..self.threads.len() {
            self.shared.post(worker, Message::Stop);
        }
        for thread in self.threads.drain(..) {
            // A worker that panicked has said so already.
            let _ = thread.join();
        }
    }
}
