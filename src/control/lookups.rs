//! Look-ups of host names under way: all of a question at once, off the main thread, with one deadline for each question.
//!
//! Owns short-lived threads, at most [`THREADS_MAX`] at once, and what is known so far about each question. A thread that
//! hangs at a name server that says nothing cannot be ended: its name is not asked for by another one meanwhile, and
//! whoever asks for it again waits for the same answer. Knows neither requests nor clients; called by `server.rs` for
//! those and by `reload.rs`, and by `apply.rs` for the start, which may wait.

use super::guarded::guarded;
use super::names::{Addresses, Lookup};
use crate::sys::clock;
use crate::sys::threads;
use crate::sys::waking::Waker;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Builder;
use std::time::Duration;

/// How long a question waits for name servers.
pub const LOOKUP_MS: u64 = 5_000;
/// As [`LOOKUP_MS`] at start, where nobody else waits: by then every resolver has given up.
pub const LOOKUP_AT_START_MS: u64 = 60_000;
/// Threads at once. More names than this wait for their turn.
const THREADS_MAX: usize = 128;
/// What the resolver library needs of a stack is much less.
const STACK_BYTES: usize = 512 << 10;

/// What was found out about each name of a question.
pub type Found = Vec<(String, Result<Addresses, String>)>;

/// Called on a look-up's thread when [`Lookups::collect`] has its answer.
pub type Bell = Arc<dyn Fn() + Send + Sync>;

/// Wakes a thread.
pub fn bell(waker: &Waker) -> Bell {
    let waker = waker.clone();
    Arc::new(move || waker.wake())
}

/// Questions, each about some names.
pub struct Lookups {
    sender: Sender<(String, Result<Addresses, String>)>,
    receiver: Receiver<(String, Result<Addresses, String>)>,
    bell: Bell,
    /// Names that threads look up now.
    under_way: BTreeSet<String>,
    queue: VecDeque<(String, Lookup)>,
    questions: BTreeMap<u64, Question>,
    next: u64,
}

struct Question {
    missing: BTreeSet<String>,
    found: Found,
    patience_ms: u64,
    until_ms: u64,
}

/// Looks up some names at once and waits for what is found, at most `patience_ms`.
pub fn look_up_and_wait(names: Vec<String>, lookup: Lookup, patience_ms: u64) -> Found {
    let mut lookups = Lookups::new(Arc::new(|| {}));
    lookups.ask(names, lookup, clock::monotonic_ms(), patience_ms);
    loop {
        let now_ms = clock::monotonic_ms();
        if let Some((_, found)) = lookups.collect(now_ms).pop() {
            return found;
        }
        let until_ms = lookups.deadline_ms().unwrap_or(now_ms);
        lookups.wait(Duration::from_millis(until_ms.saturating_sub(now_ms)));
    }
}

impl Lookups {
    pub fn new(bell: Bell) -> Lookups {
        let (sender, receiver) = channel();
        let (under_way, queue, questions) = (BTreeSet::new(), VecDeque::new(), BTreeMap::new());
        Lookups { sender, receiver, bell, under_way, queue, questions, next: 0 }
    }

    /// Asks for the addresses of some names, to be found within `patience_ms`. Returns the question's number, under which
    /// [`Lookups::collect`] answers.
    pub fn ask(
        &mut self,
        names: impl IntoIterator<Item = String>,
        lookup: Lookup,
        now_ms: u64,
        patience_ms: u64,
    ) -> u64 {
        let missing: BTreeSet<String> = names.into_iter().collect();
        let is_asked = |lookups: &Lookups, name: &String| {
            lookups.under_way.contains(name)
                || lookups.questions.values().any(|other| other.missing.contains(name))
        };
        let new: Vec<_> = missing.iter().filter(|name| !is_asked(self, name)).cloned().collect();
        self.queue.extend(new.into_iter().map(|name| (name, lookup)));
        let number = self.next;
        self.next += 1;
        self.questions.insert(
            number,
            Question { missing, found: Vec::new(), patience_ms, until_ms: now_ms + patience_ms },
        );
        self.start_threads();
        number
    }

    /// The questions of which everything was found out, or whose time is over; never waits.
    pub fn collect(&mut self, now_ms: u64) -> Vec<(u64, Found)> {
        while let Ok((name, result)) = self.receiver.try_recv() {
            self.under_way.remove(&name);
            self.learn(&name, &result);
        }
        self.start_threads();
        let is_over = |question: &Question| question.missing.is_empty() || question.until_ms <= now_ms;
        let over: Vec<u64> = self
            .questions
            .iter()
            .filter(|(_, question)| is_over(question))
            .map(|(number, _)| *number)
            .collect();
        let answers =
            over.into_iter().filter_map(|number| Some((number, self.questions.remove(&number)?.end())));
        let answers = answers.collect();
        self.queue
            .retain(|(name, _)| self.questions.values().any(|question| question.missing.contains(name)));
        answers
    }

    /// When [`Lookups::collect`] has something to answer although nobody rings.
    pub fn deadline_ms(&self) -> Option<u64> {
        let deadline_ms =
            |question: &Question| if question.missing.is_empty() { 0 } else { question.until_ms };
        self.questions.values().map(deadline_ms).min()
    }

    /// Waits for an answer to some name, at most so long.
    pub fn wait(&mut self, patience: Duration) {
        if let Ok((name, result)) = self.receiver.recv_timeout(patience) {
            self.under_way.remove(&name);
            self.learn(&name, &result);
        }
    }

    /// Forgets every question.
    pub fn clear(&mut self) {
        self.questions.clear();
        self.queue.clear();
    }

    fn learn(&mut self, name: &str, result: &Result<Addresses, String>) {
        for question in self.questions.values_mut() {
            if let Some(name) = question.missing.take(name) {
                question.found.push((name, result.clone()));
            }
        }
    }

    fn start_threads(&mut self) {
        while self.under_way.len() < THREADS_MAX
            && let Some((name, lookup)) = self.queue.pop_front()
        {
            match self.start(name.clone(), lookup) {
                Ok(()) => {
                    self.under_way.insert(name);
                }
                Err(error) if self.under_way.is_empty() => {
                    self.learn(&name, &Err(format!("cannot start a thread to look up {name:?}: {error}")));
                }
                // When one of the others has ended there may be room.
                Err(_) => return self.queue.push_front((name, lookup)),
            }
        }
    }

    fn start(&self, name: String, lookup: Lookup) -> std::io::Result<()> {
        let (sender, bell) = (self.sender.clone(), self.bell.clone());
        let work = move || {
            let result = guarded(|| lookup(&name)).map_err(String::from);
            // Fails only when nobody waits any more.
            let _ = sender.send((name, result));
            bell();
        };
        let thread = Builder::new().name("pen-names".into()).stack_size(STACK_BYTES);
        threads::spawn_by(thread, work).map(drop)
    }
}

impl Question {
    /// What was found, in the order of names; what was not is an error.
    fn end(mut self) -> Found {
        let late = |name: String| {
            let seconds = self.patience_ms / 1000;
            let trouble = format!("host {name:?}: no answer from the name server within {seconds} seconds");
            (name, Err(trouble))
        };
        self.found.extend(std::mem::take(&mut self.missing).into_iter().map(late));
        self.found.sort_by(|left, right| left.0.cmp(&right.0));
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Condvar, Mutex};

    const SECONDS: u64 = 1_000;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    /// Nothing else has a deadline here.
    fn collect(lookups: &mut Lookups) -> Vec<(u64, Found)> {
        loop {
            let answers = lookups.collect(0);
            if !answers.is_empty() {
                return answers;
            }
            lookups.wait(Duration::from_secs(30));
        }
    }

    #[test]
    fn all_names_of_a_question_are_looked_up_at_once() {
        static BEGUN: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());
        let together: Lookup = |name| {
            let (begun, all) = (&BEGUN.0, &BEGUN.1);
            *begun.lock().unwrap() += 1;
            all.notify_all();
            drop(all.wait_while(begun.lock().unwrap(), |begun| *begun < 8).unwrap());
            Ok([10, 0, 0, name.len() as u8].into())
        };
        let asked: Vec<String> = (1..=8).map(|length| "x".repeat(length)).collect();
        let found = look_up_and_wait(asked.clone(), together, 30 * SECONDS);
        let expected = asked.iter().map(|name| (name.clone(), Ok([10, 0, 0, name.len() as u8].into())));
        assert_eq!(found, expected.collect::<Found>());
        assert_eq!(look_up_and_wait(Vec::new(), together, 0), []);
    }

    #[test]
    fn a_name_is_looked_up_once_for_all_who_ask_and_a_mistake_is_an_answer() {
        static GATE: Mutex<usize> = Mutex::new(0);
        let lookup: Lookup = |name| {
            *GATE.lock().unwrap() += 1;
            assert_ne!(name, "bad", "on purpose");
            Ok([10, 0, 0, 1].into())
        };
        let mut lookups = Lookups::new(Arc::new(|| {}));
        let closed = GATE.lock().unwrap();
        let first = lookups.ask(names(&["a", "bad", "a"]), lookup, 0, SECONDS);
        let second = lookups.ask(names(&["a"]), lookup, 0, 2 * SECONDS);
        assert_eq!((lookups.deadline_ms(), lookups.collect(0)), (Some(SECONDS), vec![]));
        let late = lookups.collect(SECONDS);
        assert_eq!(late.len(), 1);
        let (number, found) = &late[0];
        assert_eq!((*number, found.len()), (first, 2));
        let trouble = found[0].1.as_ref().unwrap_err();
        assert_eq!(trouble, "host \"a\": no answer from the name server within 1 seconds");
        let third = lookups.ask(names(&["bad"]), lookup, 0, SECONDS);
        drop(closed);
        let mut answers = collect(&mut lookups);
        while answers.len() < 2 {
            answers.extend(collect(&mut lookups));
        }
        answers.sort_by_key(|(number, _)| *number);
        assert_eq!(answers[0], (second, vec![("a".into(), Ok([10, 0, 0, 1].into()))]));
        assert_eq!((answers[1].0, &answers[1].1[0].0[..]), (third, "bad"));
        assert!(answers[1].1[0].1.as_ref().unwrap_err().starts_with("internal error: "));
        assert_eq!(*GATE.lock().unwrap_or_else(|poisoned| poisoned.into_inner()), 2);
    }

    #[test]
    fn more_names_than_threads_wait_for_their_turn() {
        let asked: Vec<String> = (0..3 * THREADS_MAX).map(|number| format!("host{number}")).collect();
        let found = look_up_and_wait(asked.clone(), |_| Ok([10, 0, 0, 1].into()), 30 * SECONDS);
        assert_eq!(found.len(), asked.len());
        assert!(found.iter().all(|(_, result)| result.is_ok()));
    }
}
