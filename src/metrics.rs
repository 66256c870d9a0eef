//! Metrics and health by HTTP (`metrics_listen`): the thread that serves them, and what it and the main thread say to each
//! other.
//!
//! Visitors are the thread's alone: whatever they do, they hold up neither the main thread nor each other. The thread knows
//! no figures. It asks the main thread, which answers all who wait at once, and no more often than [`FRESH_MS`] allows.

use crate::log::diag::{self, Severity};
use crate::net::listen::Listener;
use crate::published::lock;
use crate::sys::errors::reason;
use crate::sys::waking::{Waker, Wakeups, waker};
use crate::sys::{clock, limits, threads};
use pen_web::{CLIENTS_MAX, Code, Door, Response, Server, Site};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// So long an answer of the main thread is good for everybody who asks the same.
const FRESH_MS: u64 = 100;

/// What is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Document {
    Metrics,
    /// That the main loop answers.
    Health,
    /// Whether clients are served well.
    Readiness,
}

impl Document {
    pub const ALL: [Document; 3] = [Document::Metrics, Document::Health, Document::Readiness];

    fn at(path: &str) -> Option<Document> {
        match path {
            "/metrics" => Some(Document::Metrics),
            "/healthz" => Some(Document::Health),
            "/readyz" => Some(Document::Readiness),
            _ => None,
        }
    }
}

/// The main thread's end. Dropping it leaves the thread running: call [`Metrics::stop`].
pub struct Metrics {
    shared: Arc<Shared>,
    news: Waker,
    thread: JoinHandle<()>,
    /// Where it listens.
    listener: Arc<Listener>,
}

/// What both threads touch.
struct Shared {
    asked: [AtomicBool; Document::ALL.len()],
    /// Wakes the main thread.
    bell: Box<dyn Fn() + Send + Sync>,
    told: Mutex<Told>,
}

/// What the main thread has said since the other looked.
#[derive(Default)]
struct Told {
    answers: [Option<Response>; Document::ALL.len()],
    listener: Option<Arc<Listener>>,
    /// Nobody comes in any more; the thread ends when the last visitor has gone.
    leaving: bool,
    /// pen ends: nothing is waited for.
    ending: bool,
    /// The thread is to end.
    over: bool,
}

impl Metrics {
    /// Serves those who come in at `listener`. `bell` wakes the main thread, which is then to ask [`Metrics::asked`].
    ///
    /// # Errors
    /// Out of descriptors or threads.
    pub fn start(listener: Arc<Listener>, bell: Box<dyn Fn() + Send + Sync>) -> io::Result<Metrics> {
        let (news, wakeups) = waker()?;
        let shared = Arc::new(Shared { asked: Default::default(), bell, told: Mutex::default() });
        let site = Answers {
            shared: shared.clone(),
            news: wakeups,
            doors: vec![door(&listener)],
            known: Default::default(),
            leaving: false,
            ending: false,
            now_ms: clock::monotonic_ms(),
        };
        let server = Server::new(site, limits::control_clients_possible().min(CLIENTS_MAX));
        let serve = move || {
            if let Err(error) = server.run() {
                diag::say(Severity::Error, format_args!("metrics_listen: {}", reason(&error)));
            }
        };
        let thread = threads::spawn("metrics", serve)?;
        Ok(Metrics { shared, news, thread, listener })
    }

    /// Where it listens.
    pub fn listener(&self) -> &Arc<Listener> {
        &self.listener
    }

    /// What visitors wait for. Each is to be answered.
    pub fn asked(&self) -> impl Iterator<Item = Document> + use<> {
        let asked = Document::ALL.map(|document| {
            self.shared.asked[document as usize].swap(false, Ordering::AcqRel).then_some(document)
        });
        asked.into_iter().flatten()
    }

    pub fn answer(&self, document: Document, response: Response) {
        self.tell(|told| told.answers[document as usize] = Some(response));
    }

    /// Goes on at another address. Visitors that are there stay.
    pub fn move_to(&mut self, listener: Arc<Listener>) {
        self.listener = listener.clone();
        self.tell(|told| told.listener = Some(listener));
    }

    /// Lets nobody in any more, and ends the thread when the last visitor has its answer.
    pub fn leave(&self) {
        self.tell(|told| told.leaving = true);
    }

    /// Whether the thread has ended.
    pub fn has_left(&self) -> bool {
        self.thread.is_finished()
    }

    /// The main thread answers nothing any more: pen ends.
    pub fn say_end(&self) {
        self.tell(|told| told.ending = true);
    }

    /// Ends the thread; visitors are cut off.
    pub fn stop(self) {
        self.tell(|told| told.over = true);
        // If it panicked it has said so already.
        let _ = self.thread.join();
    }

    fn tell(&self, what: impl FnOnce(&mut Told)) {
        what(&mut lock(&self.shared.told));
        self.news.wake();
    }
}

fn door(listener: &Arc<Listener>) -> Door {
    Door::new(listener.clone(), listener.address)
}

/// The thread's end.
struct Answers {
    shared: Arc<Shared>,
    news: Wakeups,
    doors: Vec<Door>,
    /// What the main thread said, and until when that is fresh.
    known: [Option<(Response, u64)>; Document::ALL.len()],
    leaving: bool,
    ending: bool,
    now_ms: u64,
}

impl Site for Answers {
    fn answer(&mut self, path: &str) -> Option<Response> {
        let Some(document) = Document::at(path) else { return Some(Response::refusal(Code::NotFound)) };
        if self.ending {
            return Some(Response::verdict("", &["pen ends".into()]));
        }
        let fresh = self.known[document as usize].as_ref().filter(|(_, until_ms)| self.now_ms <= *until_ms);
        if fresh.is_none() && !self.shared.asked[document as usize].swap(true, Ordering::AcqRel) {
            (self.shared.bell)();
        }
        fresh.map(|(response, _)| response.clone())
    }

    fn news(&self) -> BorrowedFd<'_> {
        self.news.as_fd()
    }

    fn take_news(&mut self) -> bool {
        self.news.drain();
        self.now_ms = clock::monotonic_ms();
        let told = std::mem::take(&mut *lock(&self.shared.told));
        for (known, answer) in self.known.iter_mut().zip(told.answers) {
            if let Some(response) = answer {
                *known = Some((response, self.now_ms + FRESH_MS));
            }
        }
        if let Some(listener) = told.listener {
            self.doors = vec![door(&listener)];
        }
        if told.leaving {
            self.leaving = true;
            self.doors.clear();
        }
        self.ending |= told.ending;
        !told.over
    }

    fn leaves(&self) -> bool {
        self.leaving
    }

    fn turn(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        // A page of a thousand servers is not kept for nobody.
        self.known.iter_mut().for_each(|known| drop(known.take_if(|(_, until_ms)| *until_ms < now_ms)));
    }

    fn too_late(&mut self) -> Response {
        Response::verdict("", &["the main loop does not answer".into()])
    }

    fn doors(&self) -> &[Door] {
        &self.doors
    }
}
