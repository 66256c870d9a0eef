//! Who speaks: the process, or one of several pens inside of another program, each with its own level, counts and listener.
//!
//! A thread speaks with the voice of the process unless it was started by [`Voice::with`] or by a thread that was
//! (`crate::threads`). So whoever says something need not know for whom.

use super::{Diag, Severity, Sink, line};
use crate::published::lock;
use std::cell::RefCell;
use std::fmt::Display;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

/// Hears messages: one line each, escaped, without the time.
pub type Given = Box<dyn Fn(Severity, &str) + Send + Sync>;

static PROCESS: Voice = Voice::new(None);

/// No voice says more than this: where nobody is curious, one look at it is all that a message costs which is not said.
static LOUDEST: AtomicU8 = AtomicU8::new(0);

thread_local! {
    /// The voice of this thread, if it is not the one of the process.
    static OWN: RefCell<Option<Arc<Voice>>> = const { RefCell::new(None) };
}

/// What says messages of one pen.
pub struct Voice {
    level: AtomicU8,
    bell: OnceLock<Box<dyn Fn() + Send + Sync>>,
    diag: Mutex<Diag>,
    /// Hears everything in the place of the sink.
    given: Option<Given>,
}

impl Voice {
    const fn new(given: Option<Given>) -> Voice {
        Voice {
            level: AtomicU8::new(0),
            bell: OnceLock::new(),
            diag: Mutex::new(Diag::new(Sink::Stderr)),
            given,
        }
    }

    /// One that says everything to `given`, from whichever thread it is said. It is called without a lock.
    pub fn to(given: Given) -> Arc<Voice> {
        Arc::new(Voice::new(Some(given)))
    }

    /// The voice of this thread; `None` for that of the process.
    pub fn of_this_thread() -> Option<Arc<Voice>> {
        OWN.with_borrow(Clone::clone)
    }

    /// Does something on this thread with this voice; `None` for that of the process.
    pub fn with<T>(voice: Option<Arc<Voice>>, work: impl FnOnce() -> T) -> T {
        /// Also when `work` panics.
        struct Before(Option<Arc<Voice>>);
        impl Drop for Before {
            fn drop(&mut self) {
                OWN.set(self.0.take());
            }
        }
        let _before = Before(OWN.replace(voice));
        work()
    }

    pub(super) fn diag(&self) -> MutexGuard<'_, Diag> {
        // A panic elsewhere must not silence what there is to say about it.
        lock(&self.diag)
    }

    pub(super) fn say(&self, severity: Severity, text: &str) {
        match &self.given {
            Some(given) => given(severity, &line(text)),
            None => self.diag().say(severity, text),
        }
    }

    pub(super) fn block(&self, severity: Severity, text: &str) {
        match &self.given {
            Some(given) => {
                text.lines().filter(|part| !part.is_empty()).for_each(|part| given(severity, &line(part)));
            }
            None => self.diag().block(severity, text),
        }
    }

    pub(super) fn once(&self, severity: Severity, key: &str, text: impl Display, now: Instant) {
        let mut diag = self.diag();
        let (said, is_first) = diag.count(severity, key, text, now);
        self.say_all(diag, &said);
        if is_first && let Some(bell) = self.bell.get() {
            bell();
        }
    }

    pub(super) fn tick(&self, now: Instant) -> Option<Duration> {
        let mut diag = self.diag();
        let (said, next) = diag.due(now);
        self.say_all(diag, &said);
        next
    }

    fn say_all(&self, mut diag: MutexGuard<'_, Diag>, said: &[(Severity, String)]) {
        match &self.given {
            Some(given) => {
                drop(diag);
                said.iter().for_each(|(severity, text)| given(*severity, &line(text)));
            }
            None => diag.say_all(said),
        }
    }

    pub(super) fn ring(&self, bell: impl Fn() + Send + Sync + 'static) {
        // A pen has one main thread.
        let _ = self.bell.set(Box::new(bell));
    }
}

/// Has the voice of this thread do something.
pub(super) fn speak<T>(how: impl FnOnce(&Voice) -> T) -> T {
    match Voice::of_this_thread() {
        Some(own) => how(&own),
        None => how(&PROCESS),
    }
}

/// Messages of [`debug!`](crate::diag::debug) up to this level are said; 0 for none.
pub fn set_level(level: u8) {
    speak(|voice| voice.level.store(level, Ordering::Relaxed));
    LOUDEST.fetch_max(level, Ordering::Relaxed);
}

/// Whether messages of this level are said.
#[inline]
pub fn is_on(level: u8) -> bool {
    level <= LOUDEST.load(Ordering::Relaxed) && speak(|voice| level <= voice.level.load(Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag;
    use crate::threads;
    use std::sync::mpsc::channel;

    #[test]
    fn threads_speak_with_the_voice_of_those_who_started_them() {
        let (sender, said) = channel();
        let sender = Mutex::new(sender);
        let voice = Voice::to(Box::new(move |severity, text| {
            lock(&sender).send((severity, text.to_owned())).unwrap();
        }));
        let work = || {
            diag::set_level(200);
            diag::debug!(200, "debug");
            diag::debug!(201, "not wanted");
            diag::once("key", "twice\n");
            diag::once("key", "twice\n");
            diag::block("one\n\ntwo\n");
            let inner = threads::spawn("inner", || diag::say(Severity::Error, "inner")).unwrap();
            inner.join().unwrap();
        };
        Voice::with(Some(voice), || threads::spawn("outer", work).unwrap().join().unwrap());
        assert!(Voice::of_this_thread().is_none());
        let expected = [
            (Severity::Debug, "debug"),
            (Severity::Warning, "twice\\n"),
            (Severity::Info, "one"),
            (Severity::Info, "two"),
            (Severity::Error, "inner"),
        ];
        let expected = expected.map(|(severity, text)| (severity, text.to_owned()));
        assert_eq!(said.try_iter().collect::<Vec<_>>(), expected);
        assert!(!diag::is_on(200), "the level of one voice is no other's");
    }

    #[test]
    fn who_hears_a_message_may_say_one() {
        let (sender, said) = channel();
        let sender = Mutex::new(sender);
        let voice = Voice::to(Box::new(move |_, text| {
            lock(&sender).send(text.to_owned()).unwrap();
            if text != "answer" {
                diag::once("answer", "answer");
            }
        }));
        Voice::with(Some(voice), || diag::once("question", "question"));
        assert_eq!(said.try_iter().collect::<Vec<_>>(), ["question", "answer"]);
    }
}
