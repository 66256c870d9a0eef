//! Asking the pens again and again, beside the loop that serves visitors.
//!
//! Owns the thread that asks (it waits for pens as long as it must), when the next round is due, and the documents made
//! of the last one.

use crate::archive;
use crate::history::History;
use crate::options::{REFRESH_SECONDS_DEFAULT, Settings};
use crate::page;
use crate::watch::{Audience, Watch};
use pen_sys::clock;
use pen_sys::published::Published;
use pen_sys::waking::{Waker, Wakeups, waker};
use pen_web::{Code, Response};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

/// Between two writings of the history file: as much as is lost when the process ends.
const STORE_MS: u64 = 60_000;

/// The figures beside the page, seen from there: where another web server passes visitors on, both have another path in
/// front.
const JSON_LINK: &str = "status.json";

/// What is served.
pub struct Documents {
    page: Response,
    json: Response,
    metrics: Response,
    ready: Response,
}

impl Documents {
    /// What is at this path.
    pub fn at(&self, path: &str) -> Option<Response> {
        match path {
            "/" => Some(self.page.clone()),
            "/status.json" => Some(self.json.clone()),
            "/metrics" => Some(self.metrics.clone()),
            "/healthz" => Some(Response::verdict("ok", &[])),
            "/readyz" => Some(self.ready.clone()),
            _ => None,
        }
    }
}

/// The loop's end: asks for rounds, takes documents.
pub struct Rounds {
    ask: SyncSender<()>,
    news: Wakeups,
    shared: Arc<Published<Documents>>,
    documents: Arc<Documents>,
    due_ms: u64,
    interval_ms: u64,
}

/// The thread's end.
struct Asker {
    watch: Watch,
    refresh_seconds: Option<u32>,
    history_file: Option<PathBuf>,
    stored_ms: u64,
    /// What was said about troubles, which is said once.
    said: Vec<String>,
}

impl Rounds {
    /// Goes through a first round and starts the thread for more.
    ///
    /// # Errors
    /// The history cannot be read, or the system is out of descriptors or threads.
    pub fn start(settings: Settings) -> Result<Rounds, String> {
        let interval_ms = u64::from(settings.refresh_seconds.unwrap_or(REFRESH_SECONDS_DEFAULT)) * 1000;
        let mut asker = Asker::new(settings)?;
        let shared = Arc::new(Published::new(asker.round()));
        let documents = shared.get();
        // One round may wait for its turn; more would not make the figures any newer.
        let (ask, asked) = sync_channel(1);
        let start = || -> std::io::Result<Wakeups> {
            let (bell, news) = waker()?;
            let shared = shared.clone();
            thread::Builder::new()
                .name("rounds".into())
                .spawn(move || asker.serve(&asked, &shared, &bell))?;
            Ok(news)
        };
        let news = start().map_err(|error| format!("cannot start: {error}"))?;
        Ok(Rounds { ask, news, shared, documents, due_ms: clock::monotonic_ms() + interval_ms, interval_ms })
    }

    /// Readable when a round has brought new documents.
    pub fn news(&self) -> BorrowedFd<'_> {
        self.news.as_fd()
    }

    pub fn take_news(&mut self) {
        self.news.drain();
        self.documents = self.shared.get();
    }

    pub fn documents(&self) -> &Arc<Documents> {
        &self.documents
    }

    pub fn due_ms(&self) -> u64 {
        self.due_ms
    }

    /// # Panics
    /// When the thread that asks has panicked.
    pub fn ask_when_due(&mut self, now_ms: u64) {
        if now_ms < self.due_ms {
            return;
        }
        self.due_ms = now_ms + self.interval_ms;
        match self.ask.try_send(()) {
            Ok(()) | Err(TrySendError::Full(())) => {}
            Err(TrySendError::Disconnected(())) => panic!("the thread that asks the pens has ended"),
        }
    }
}

impl Asker {
    fn new(settings: Settings) -> Result<Asker, String> {
        let (history, warning) = match &settings.history {
            Some(file) => archive::load(file)?,
            None => (History::default(), None),
        };
        if let Some(warning) = warning {
            crate::PROGRAM.say(&warning);
        }
        Ok(Asker {
            watch: Watch::new(settings.sources, history, settings.timeout_seconds),
            refresh_seconds: settings.refresh_seconds,
            history_file: settings.history,
            stored_ms: clock::monotonic_ms(),
            said: Vec::new(),
        })
    }

    fn serve(mut self, asked: &Receiver<()>, shared: &Published<Documents>, bell: &Waker) {
        while asked.recv().is_ok() {
            shared.set(self.round());
            bell.wake();
        }
    }

    fn round(&mut self) -> Documents {
        self.watch.ask();
        self.store_when_due();
        let troubles: Vec<String> = self.watch.troubles().map(str::to_string).collect();
        self.say_news(troubles);
        let page = self.watch.page(Audience::Operator, self.refresh_seconds, Some(JSON_LINK));
        let document = |content_type, policy: &str, text: String| {
            Response::new(Code::Ok, content_type, policy, text.into_bytes().into())
        };
        Documents {
            page: document("text/html; charset=utf-8", &page::policy(), page),
            json: document("application/json", "default-src 'none'", self.watch.json()),
            metrics: Response::metrics(self.watch.metrics()),
            ready: Response::verdict("ready", &self.watch.not_ready()),
        }
    }

    fn store_when_due(&mut self) {
        let now_ms = clock::monotonic_ms();
        let Some(file) = self.history_file.as_deref().filter(|_| now_ms >= self.stored_ms + STORE_MS) else {
            return;
        };
        self.stored_ms = now_ms;
        if let Err(sentence) = archive::store(file, self.watch.history()) {
            crate::PROGRAM.say(&sentence);
        }
    }

    fn say_news(&mut self, troubles: Vec<String>) {
        if troubles != self.said {
            troubles.iter().for_each(|sentence| crate::PROGRAM.say(sentence));
            if troubles.is_empty() {
                crate::PROGRAM.say("all is well again");
            }
            self.said = troubles;
        }
    }
}
