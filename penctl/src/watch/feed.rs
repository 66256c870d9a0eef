//! Asks pen once a second, on a thread of its own, so that one that hangs holds up no key.

use super::clones::Clones;
use pen_proto::names::Name;
use pen_proto::status::{ServerStatus, ServiceLine};
use pen_proto::words::written;
use pen_sys::clock;
use pen_sys::control::{Address, Patience, Session};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// From one look at pen to the next.
const LOOK: Duration = Duration::from_secs(1);
/// How long pen may take for an answer before it counts as lost.
const SILENCE: Duration = Duration::from_secs(5);

/// What is known at a moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// Milliseconds of a clock that never goes back.
    pub at_ms: u64,
    pub epoch_seconds: u64,
    pub version: String,
    pub pid: String,
    pub is_read_only: bool,
    pub services: Vec<ServiceLine>,
    /// The one that the servers belong to.
    pub service: String,
    pub servers: Vec<ServerStatus>,
    /// Of that service, where it has some.
    pub clones: Option<Clones>,
}

/// What the thread has to tell.
#[allow(clippy::large_enum_variant, reason = "there is one a second")]
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    Seen(Snapshot),
    /// Pen cannot be reached, for this reason.
    Lost(String),
    /// What came of a command, with the command.
    Done(String, Result<String, String>),
}

enum Wish {
    Turn(String),
    Command(String),
}

/// The thread that asks. It ends when this is dropped and its question is answered.
pub struct Feed {
    wishes: Sender<Wish>,
    news: Receiver<News>,
}

impl Feed {
    pub fn start(address: Address) -> Feed {
        let (wishes, wished) = channel();
        let (told, news) = channel();
        thread::spawn(move || ask(&address, &wished, &told));
        Feed { wishes, news }
    }

    /// From now on servers of this service are wanted.
    pub fn turn_to(&self, service: String) {
        // The thread outlives this, so it hears.
        let _ = self.wishes.send(Wish::Turn(service));
    }

    pub fn command(&self, command: String) {
        let _ = self.wishes.send(Wish::Command(command));
    }

    /// What has come in since this was asked last.
    pub fn news(&self) -> impl Iterator<Item = News> {
        self.news.try_iter()
    }
}

/// Until nobody wants to know.
fn ask(address: &Address, wished: &Receiver<Wish>, told: &Sender<News>) {
    let mut asking = Asking::default();
    loop {
        let news = asking.look(address);
        let news = news.map_or_else(
            |trouble| {
                asking.session = None;
                News::Lost(trouble)
            },
            News::Seen,
        );
        if told.send(news).is_err() {
            return;
        }
        match wished.recv_timeout(LOOK) {
            Ok(Wish::Turn(name)) => asking.service = Some(name),
            Ok(Wish::Command(command)) => {
                let reply = opened(address, &mut asking.session).and_then(|session| session.ask(&command)?);
                let _ = told.send(News::Done(command, reply));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn opened<'a>(address: &Address, session: &'a mut Option<Session>) -> Result<&'a mut Session, String> {
    if session.is_none() {
        let patience = Patience { connect: SILENCE, queue: SILENCE, silence: SILENCE, ..Patience::default() };
        *session = Some(Session::open_with(address.clone(), patience)?);
    }
    session.as_mut().ok_or_else(|| "no session".to_owned())
}

/// What is remembered from one look to the next.
#[derive(Default)]
struct Asking {
    session: Option<Session>,
    /// The one that is wanted; until somebody wants one, the first.
    service: Option<String>,
    pid: String,
    version: String,
    /// This pen, an older one, has no command `clones`.
    knows_no_clones: bool,
}

impl Asking {
    fn look(&mut self, address: &Address) -> Result<Snapshot, String> {
        let session = opened(address, &mut self.session)?;
        let pid = session.ask("pid")??;
        if self.pid != pid {
            self.version = session.ask("version")??.trim().to_owned();
            (self.pid, self.knows_no_clones) = (pid, false);
        }
        let services: Vec<ServiceLine> = listing(session, "services json")?;
        let is_there = |name: &String| services.iter().any(|service| service.name == *name);
        let wanted = self.service.clone().filter(is_there).or_else(|| Some(services.first()?.name.clone()));
        let (mut servers, mut clones) = (Vec::new(), None);
        // What is no name of a service, pen has not said.
        if let Some(name) = wanted.as_ref().filter(|name| Name::parse(name).is_ok()) {
            let of_service = format!("service {}", written(name));
            servers = listing(session, &format!("{of_service} servers json"))?;
            if !self.knows_no_clones {
                let reply = session.ask(&format!("{of_service} clones json"))?;
                self.knows_no_clones = reply.is_err();
                clones = reply.ok().and_then(|json| Clones::read(&json));
            }
        }
        Ok(Snapshot {
            at_ms: clock::monotonic_ms(),
            epoch_seconds: clock::epoch_ms() / 1000,
            version: self.version.clone(),
            pid: self.pid.trim().to_owned(),
            is_read_only: session.is_read_only(),
            services,
            service: wanted.unwrap_or_default(),
            servers,
            clones,
        })
    }
}

fn listing<T: serde::de::DeserializeOwned>(session: &mut Session, command: &str) -> Result<T, String> {
    let json = session.ask(command)??;
    serde_json::from_str(&json).map_err(|error| format!("{command}: not what this pen tells: {error}"))
}
