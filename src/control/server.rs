//! The control sockets: takes callers in, hears their commands, gives each its reply, and lets none of them hold up the
//! others or pen.
//!
//! One poll(2) over at most [`CLIENTS_MAX`] clients on the main thread; the balancing goes on elsewhere. What a command
//! does is `apply.rs`'s business, what is said to one client `client.rs`'s. Called by the main loop.

use super::apply::{Door, Engine, Request, Running};
use super::calls::{Call, Calls, Reply, Said};
use super::client::Client;
use super::guarded::guarded;
use super::lookups::{Found, LOOKUP_MS, Lookups, bell};
use super::rights::Rights;
use super::session::{Heard, LINE_BYTES_MAX};
use crate::log::diag::{self, Severity};
use crate::net::listen::Listener;
use crate::sys::errors::reason;
use crate::sys::fifo::Fifo;
use crate::sys::socket::accept;
use crate::sys::waking::{Waker, Wakeups, waker};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pen_proto::addr::ClientAddr;
use pen_proto::commands::{Number, Reach, without_community};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

/// Clients at once. For one more the silent one that was active least recently is dropped.
pub const CLIENTS_MAX: usize = 64;
/// How long callers are left in the queue when one cannot be accepted.
const ACCEPT_PAUSE_MS: u64 = 100;
/// Callers taken per turn and socket, so that a flood of them does not keep clients from being heard.
const ACCEPTS_PER_TURN: usize = 16;

/// Milliseconds of a clock that never goes back.
pub type Clock = Box<dyn Fn() -> u64>;

/// The control sockets and those who talk on them.
pub struct ControlServer {
    listeners: Vec<Arc<Listener>>,
    /// From this one on they take lines of GLB's language.
    glb_from: usize,
    /// By the order in which they came.
    clients: BTreeMap<u64, Client>,
    /// Number of the next client.
    next: u64,
    lookups: Lookups,
    /// Requests that wait for the addresses of the names in them, and whose they are, by question.
    waiting: BTreeMap<u64, (Asker, Request)>,
    reloads: Reloads,
    /// What other threads of this process say.
    calls: Arc<Calls>,
    waker: Waker,
    wakeups: Wakeups,
    /// Given up for a caller when descriptors run out, so that the operator always gets in.
    spare: Option<File>,
    clients_max: usize,
    rights: Rights,
    accept_again_ms: u64,
    clock: Clock,
}

impl ControlServer {
    /// Serves the callers of `listeners`; there may be none.
    ///
    /// # Errors
    ///
    /// Out of descriptors.
    pub fn new(listeners: Vec<Listener>, clock: Clock) -> io::Result<ControlServer> {
        let (waker, wakeups) = waker()?;
        Ok(ControlServer {
            glb_from: listeners.len(),
            listeners: listeners.into_iter().map(Arc::new).collect(),
            clients: BTreeMap::new(),
            next: 0,
            lookups: Lookups::new(bell(&waker)),
            waiting: BTreeMap::new(),
            reloads: Reloads::default(),
            calls: Arc::new(Calls::new(waker.clone())),
            waker,
            wakeups,
            spare: open_spare(),
            clients_max: CLIENTS_MAX,
            rights: Rights::new(None, None),
            accept_again_ms: 0,
            clock,
        })
    }

    /// Serves no more clients at once than this, at least one and at most [`CLIENTS_MAX`]: where descriptors are few,
    /// control clients must leave the others theirs.
    pub fn limit_clients(&mut self, clients_max: usize) {
        self.clients_max = clients_max.clamp(1, CLIENTS_MAX);
    }

    /// Says who may give commands, and not only look.
    pub fn grant(&mut self, rights: Rights) {
        self.rights = rights;
    }

    /// Takes lines of GLB's language as well, from those who call at this listener or write to the FIFO.
    pub fn speak_glb(&mut self, listener: Option<Listener>, fifo: Option<Fifo>) {
        self.listeners.extend(listener.map(Arc::new));
        if let Some(fifo) = fifo {
            let now_ms = (self.clock)();
            self.clients.insert(self.next, Client::behind(fifo, now_ms));
            self.next += 1;
        }
    }

    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// By which other threads of this process speak.
    pub fn calls(&self) -> Arc<Calls> {
        self.calls.clone()
    }

    /// Where callers are awaited.
    pub fn listeners(&self) -> &[Arc<Listener>] {
        &self.listeners
    }

    /// Waits until a client wants something, the waker was woken, or `timeout` is over (`None`: for ever), and does
    /// what is to be done. May return early with nothing done.
    ///
    /// # Errors
    ///
    /// poll(2) failed although no client could be given up. Trouble with a client is that client's alone.
    pub fn turn<R: Running>(&mut self, timeout: Option<Duration>, engine: &mut Engine<R>) -> io::Result<()> {
        let ready = match self.wait(timeout) {
            Ok(ready) => ready,
            // poll(2) takes no more sockets than the descriptor limit, even if they were opened before it was lowered.
            Err(_) if self.drop_a_silent_client() => return Ok(()),
            Err(error) => return Err(error),
        };
        if ready.woken {
            self.wakeups.drain();
        }
        let now_ms = (self.clock)();
        for client in &ready.clients {
            if let Some(client) = self.clients.get_mut(client) {
                client.exchange(now_ms);
            }
        }
        self.finish_lookups(engine, now_ms);
        for call in self.calls.take() {
            self.hear_call(call, engine, now_ms);
        }
        let numbers: Vec<u64> = self.clients.keys().copied().collect();
        for number in numbers {
            let served = guarded(|| {
                self.serve(number, engine, now_ms);
                Ok(())
            });
            if let Err(trouble) = served {
                diag::once("control client", format_args!("control: {}", String::from(trouble)));
                self.clients.remove(&number);
            }
        }
        self.clients.retain(|_, client| !client.is_gone());
        if self.spare.is_none() {
            self.spare = open_spare();
        }
        for listener in ready.listeners {
            self.accept_from(listener, engine, now_ms);
        }
        Ok(())
    }

    /// Takes no more callers in; those who call now are for the next pen.
    pub fn accept_no_more(&mut self) {
        self.listeners.clear();
    }

    /// Whether a client is in the middle of something, or may be about to say it.
    pub fn is_busy(&self) -> bool {
        let now_ms = (self.clock)();
        self.clients.values().any(|client| client.is_busy(now_ms))
    }

    /// Gives clients what is still pending for them, for at most `patience`; for the end of pen, so that whoever said
    /// `exit` gets its reply.
    pub fn say_goodbye(&mut self, patience: Duration) {
        let end_ms = (self.clock)() + patience.as_millis() as u64;
        self.clients.retain(|_, client| !client.talk.pending().is_empty());
        self.listeners.clear();
        self.lookups.clear();
        self.waiting.clear();
        self.reloads = Reloads::default();
        loop {
            let now_ms = (self.clock)();
            self.clients.retain(|_, client| !client.is_gone() && !client.talk.pending().is_empty());
            if self.clients.is_empty() || now_ms >= end_ms {
                return;
            }
            let Ok(ready) = self.wait(Some(Duration::from_millis(end_ms - now_ms))) else { return };
            for client in ready.clients {
                if let Some(client) = self.clients.get_mut(&client) {
                    client.exchange(now_ms);
                }
            }
        }
    }

    fn wait(&self, timeout: Option<Duration>) -> io::Result<Ready> {
        let now_ms = (self.clock)();
        let may_accept = now_ms >= self.accept_again_ms;
        let mut sockets = vec![PollFd::new(self.wakeups.as_fd(), PollFlags::POLLIN)];
        let listeners = if may_accept { &self.listeners[..] } else { &[] };
        sockets.extend(listeners.iter().map(|listener| PollFd::new(listener.as_fd(), PollFlags::POLLIN)));
        let awaited: Vec<(u64, &Client)> = self
            .clients
            .iter()
            .filter(|(_, client)| !client.interest().is_empty())
            .map(|(number, client)| (*number, client))
            .collect();
        sockets.extend(awaited.iter().map(|(_, client)| PollFd::new(client.as_fd(), client.interest())));
        match poll(&mut sockets, self.patience(timeout, now_ms)) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(Ready::default()),
            Err(errno) => return Err(errno.into()),
        }
        let is_ready = |socket: &PollFd<'_>| socket.any() == Some(true);
        let (clients_from, listeners_from) = (1 + listeners.len(), 1);
        Ok(Ready {
            woken: is_ready(&sockets[0]),
            listeners: (0..listeners.len())
                .filter(|index| is_ready(&sockets[listeners_from + index]))
                .collect(),
            clients: awaited
                .iter()
                .zip(&sockets[clients_from..])
                .filter(|(_, socket)| is_ready(socket))
                .map(|((number, _), _)| *number)
                .collect(),
        })
    }

    /// How long nothing can happen by itself.
    fn patience(&self, timeout: Option<Duration>, now_ms: u64) -> PollTimeout {
        let asked_ms = timeout.map(|timeout| now_ms.saturating_add(timeout.as_millis() as u64));
        let accept_ms = Some(self.accept_again_ms).filter(|&again_ms| again_ms > now_ms);
        let lookups = self.lookups.deadline_ms();
        let clients = self.clients.values().filter_map(|client| match client.has_work() {
            true => Some(now_ms),
            false => client.deadline_ms(),
        });
        match clients.chain(lookups).chain(asked_ms).chain(accept_ms).min() {
            Some(at_ms) => {
                let wait_ms = at_ms.saturating_sub(now_ms).min(i32::MAX as u64);
                PollTimeout::try_from(wait_ms).unwrap_or(PollTimeout::MAX)
            }
            None => PollTimeout::NONE,
        }
    }

    /// Executes at most one line of a client, so that one with many does not keep the others waiting.
    fn serve<R: Running>(&mut self, number: u64, engine: &mut Engine<R>, now_ms: u64) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        match client.hear(now_ms) {
            Heard::Nothing | Heard::End => {}
            Heard::NotText => client.reply(&Err("a command is UTF-8 text".into()), now_ms),
            Heard::TooLong => {
                client.reply(&Err(format!("a line has at most {LINE_BYTES_MAX} bytes")), now_ms);
                client.give_up();
            }
            Heard::Line(line) => self.execute(number, &line, engine, now_ms),
        }
        if let Some(client) = self.clients.get_mut(&number) {
            // Sees a client off in the turn in which it got its last reply.
            if client.talk.is_over() {
                client.hear(now_ms);
            }
            client.expire(now_ms);
        }
    }

    fn execute<R: Running>(&mut self, number: u64, line: &str, engine: &mut Engine<R>, now_ms: u64) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        if client.talk.is_session() && line.trim() == "quit" {
            client.reply(&Ok(String::new()), now_ms);
            client.talk.finish();
            return;
        }
        diag::debug!(1, "control: {}: {}", client.name, without_community(line));
        // Before `include` reads a file.
        let allowed = self.rights.check_line(line, client.reach);
        let understood = allowed.and_then(|()| match client.talk.is_glb() {
            true => guarded(|| engine.understand_glb(line, None)).map_err(String::from),
            false => engine.understand(line, client.service.as_ref()),
        });
        let understood = understood.and_then(|request| self.rights.check_request(request, client.reach));
        let reply = match understood {
            Ok(Request { header: Some(name), .. }) => client.turn_to(name, engine),
            Ok(request) if request.is_session() && !client.talk.is_session() => {
                client.talk.open_session();
                let rights = if client.reach == Reach::Everything { "" } else { " read-only" };
                Ok(format!("pen {}{rights}\n", env!("CARGO_PKG_VERSION")))
            }
            Ok(request) => return self.carry_out(Asker::Client(number), request, engine, now_ms),
            Err(trouble) => Err(trouble),
        };
        client.reply(&reply, now_ms);
    }

    /// Carries a request out, at once or when what it waits for is known.
    fn carry_out<R: Running>(&mut self, asker: Asker, request: Request, engine: &mut Engine<R>, now_ms: u64) {
        let waits_for_reload = request.is_reload();
        if waits_for_reload || !engine.needs_resolving(&request).is_empty() {
            if let Some(client) = asker.client(&mut self.clients) {
                client.wait();
            }
            if waits_for_reload {
                return self.reloads.wanted.push(asker);
            }
            let question = self.lookups.ask(request.names(), engine.lookup(), now_ms, LOOKUP_MS);
            self.waiting.insert(question, (asker, request));
            return;
        }
        let reply = carry_out(engine, &request, self.door(&asker));
        self.reply(&asker, &reply, now_ms);
    }

    /// What another thread of this process said.
    fn hear_call<R: Running>(&mut self, call: Call, engine: &mut Engine<R>, now_ms: u64) {
        let understood = match call.said {
            Said::Line(line, service) => {
                diag::debug!(1, "control: {line}");
                engine.understand(&line, service.as_ref())
            }
            Said::Request(request) => Ok(request),
        };
        let asker = Asker::Call(call.caller);
        match understood {
            Ok(Request { header: Some(name), .. }) => {
                self.reply(&asker, &Err(format!("service {name}: want a command")), now_ms);
            }
            Ok(request) if request.is_session() => {
                self.reply(&asker, &Err("session: want a control socket".into()), now_ms);
            }
            Ok(request) => self.carry_out(asker, request, engine, now_ms),
            Err(trouble) => self.reply(&asker, &Err(trouble), now_ms),
        }
    }

    /// Who asks from this process may do everything.
    fn door(&self, asker: &Asker) -> Door {
        match asker {
            Asker::Client(number) => self.clients.get(number).map_or(Door::Network, |client| client.door),
            Asker::Call(_) => Door::Control,
        }
    }

    fn reply(&mut self, asker: &Asker, reply: &Reply, now_ms: u64) {
        match asker {
            // What a client that has gone asked for is answered to nobody.
            Asker::Client(number) => {
                if let Some(client) = self.clients.get_mut(number) {
                    client.reply(reply, now_ms);
                }
            }
            Asker::Call(caller) => _ = caller.send(reply.clone()),
        }
    }

    /// Carries out the commands whose names are known now, and gives up on those that waited too long.
    fn finish_lookups<R: Running>(&mut self, engine: &mut Engine<R>, now_ms: u64) {
        for (question, found) in self.lookups.collect(now_ms) {
            self.finish_lookup(question, found, engine, now_ms);
        }
    }

    fn finish_lookup<R: Running>(
        &mut self,
        question: u64,
        found: Found,
        engine: &mut Engine<R>,
        now_ms: u64,
    ) {
        let Some((asker, request)) = self.waiting.remove(&question) else { return };
        // What a client that has gone asked for is not done.
        if matches!(&asker, Asker::Client(number) if !self.clients.contains_key(number)) {
            return;
        }
        let door = self.door(&asker);
        let reply = engine.learn(found).and_then(|()| carry_out(engine, &request, door));
        self.reply(&asker, &reply, now_ms);
    }

    /// Whether clients want a reload that has not begun. Who begins it says so with [`ControlServer::reload_begins`].
    pub fn wants_reload(&self) -> bool {
        !self.reloads.wanted.is_empty()
    }

    /// A reload begins: whoever wants one gets the result of this one.
    pub fn reload_begins(&mut self) {
        self.reloads.begun.append(&mut self.reloads.wanted);
    }

    /// A reload has ended with what the operator should know, or with what is wrong.
    pub fn reload_ends(&mut self, outcome: &Result<Vec<String>, String>) {
        let news = |news: &Vec<String>| news.iter().map(|line| format!("{line}\n")).collect::<String>();
        let (reply, now_ms) = (outcome.as_ref().map(news).map_err(String::clone), (self.clock)());
        for asker in std::mem::take(&mut self.reloads.begun) {
            self.reply(&asker, &reply, now_ms);
        }
    }

    fn accept_from<R: Running>(&mut self, index: usize, engine: &Engine<R>, now_ms: u64) {
        let mut made_room = false;
        for attempt in 0..ACCEPTS_PER_TURN {
            match accept(self.listeners[index].as_fd()) {
                Ok((socket, address)) => {
                    self.welcome(socket, address, index >= self.glb_from, engine, now_ms);
                    if made_room {
                        return;
                    }
                }
                Err(error) => match Errno::from_raw(error.raw_os_error().unwrap_or(0)) {
                    Errno::EAGAIN => return,
                    Errno::EINTR | Errno::ECONNABORTED => {}
                    // accept(2) wants a descriptor even when nobody waits: only poll(2) knows that somebody does.
                    Errno::EMFILE | Errno::ENFILE if attempt > 0 => return,
                    Errno::EMFILE | Errno::ENFILE if self.free_a_descriptor() => made_room = true,
                    _ => {
                        diag::once(
                            "control accept",
                            format_args!("control: cannot accept: {}", reason(&error)),
                        );
                        self.accept_again_ms = now_ms + ACCEPT_PAUSE_MS;
                        return;
                    }
                },
            }
        }
    }

    /// Takes a caller in, unless `control_acl` or a full house forbids it.
    fn welcome<R: Running>(
        &mut self,
        socket: OwnedFd,
        address: Option<SocketAddr>,
        is_glb: bool,
        engine: &Engine<R>,
        now_ms: u64,
    ) {
        if let Some(address) = address
            && !control_acl_permits(engine, address.into())
        {
            diag::once("control_acl", format_args!("do_ctrl: not from there: {address}"));
            return;
        }
        let reach = if address.is_some() { Reach::Everything } else { self.rights.of(socket.as_fd()) };
        if !self.has_room_for(reach) {
            let trouble = format_args!("control: more than {} clients at work", self.clients_max);
            diag::once("control clients", trouble);
            return;
        }
        let name = address.map_or_else(|| "local".into(), |address| address.to_string());
        let door = if address.is_some() { Door::Network } else { Door::Control };
        let client = if is_glb { Client::of_glb } else { Client::new };
        self.clients.insert(self.next, client(socket, name, door, now_ms).with(reach));
        self.next += 1;
    }

    /// Whether there is room for another client, for which a silent one may have to go. Those who only look have half of
    /// the places, and give them up to those who may do more, whatever they are doing.
    fn has_room_for(&mut self, reach: Reach) -> bool {
        let looks = |client: &Client| client.reach < Reach::Everything;
        let looking = self.clients.values().filter(|client| looks(client)).count();
        if reach < Reach::Everything && looking >= (self.clients_max / 2).max(1) {
            return self.drop_one(|client| looks(client) && client.is_silent());
        }
        self.clients.len() < self.clients_max
            || self.drop_one(|client| looks(client) && client.is_silent())
            || (reach == Reach::Everything && (self.drop_one(looks) || self.drop_a_silent_client()))
    }

    /// Makes room for one descriptor: the spare one, or that of a silent client. False when there is none.
    fn free_a_descriptor(&mut self) -> bool {
        self.spare.take().is_some() || self.drop_a_silent_client()
    }

    /// Drops the silent client that was active least recently.
    fn drop_a_silent_client(&mut self) -> bool {
        self.drop_one(Client::is_silent)
    }

    /// Drops of these clients the one that was active least recently. False when there is none.
    fn drop_one(&mut self, is_meant: impl Fn(&Client) -> bool) -> bool {
        let meant = self.clients.iter().filter(|(_, client)| is_meant(client));
        let longest = meant.min_by_key(|(_, client)| client.active_ms()).map(|(number, _)| *number);
        longest.and_then(|number| self.clients.remove(&number)).is_some()
    }
}

/// Whose request it is.
enum Asker {
    /// By number.
    Client(u64),
    /// Another thread of this process.
    Call(Sender<Reply>),
}

impl Asker {
    fn client<'a>(&self, clients: &'a mut BTreeMap<u64, Client>) -> Option<&'a mut Client> {
        match self {
            Asker::Client(number) => clients.get_mut(number),
            Asker::Call(_) => None,
        }
    }
}

/// Those that wait for the result of a reload.
#[derive(Default)]
struct Reloads {
    /// Of the one under way.
    begun: Vec<Asker>,
    /// Of the next one, for the file may have changed since that one read it.
    wanted: Vec<Asker>,
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.calls.end();
    }
}

/// What a wait brought.
#[derive(Default)]
struct Ready {
    woken: bool,
    /// By index.
    listeners: Vec<usize>,
    /// By number.
    clients: Vec<u64>,
}

fn open_spare() -> Option<File> {
    File::open("/dev/null").ok()
}

fn control_acl_permits<R: Running>(engine: &Engine<R>, address: ClientAddr) -> bool {
    let process = &engine.config().process;
    let list = process.number(Number::ControlAcl) as usize;
    process.acls.get(list).is_none_or(|acl| acl.permits(address, &process.countries))
}

fn carry_out<R: Running>(engine: &mut Engine<R>, request: &Request, door: Door) -> Result<String, String> {
    let done = engine.carry_out(request, door)?;
    // A reply is what its command is known to answer.
    done.warnings.iter().for_each(|warning| diag::say(Severity::Notice, warning));
    Ok(done.reply)
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
