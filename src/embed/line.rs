//! How threads of the program reach the main thread of a balancer.

use super::error::Error;
use crate::control::apply::{Engine, Request};
use crate::control::calls::{Calls, Said};
use crate::control::guarded::guarded;
use crate::instance::Instance;
use crate::log::diag::{self, Severity, Voice};
use crate::published::lock;
use crate::sys::signals;
use crate::sys::waking::Waker;
use pen_proto::commands::Command;
use pen_proto::names::Name;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

/// What is to be asked of a pen that runs.
type Question = Box<dyn FnOnce(&mut Engine<Instance>) + Send>;

/// Questions that the main thread has not answered yet; `None` when it answers no more.
#[derive(Clone)]
pub(super) struct Questions(Arc<Mutex<Option<Vec<Question>>>>);

impl Default for Questions {
    fn default() -> Questions {
        Questions(Arc::new(Mutex::new(Some(Vec::new()))))
    }
}

impl Questions {
    /// For the main thread, in every turn.
    pub fn answer(&self, engine: &mut Engine<Instance>) {
        let questions = lock(&self.0).as_mut().map(std::mem::take).unwrap_or_default();
        for question in questions {
            let answered = guarded(|| {
                question(engine);
                Ok(())
            });
            answered.unwrap_or_else(|trouble| diag::say(Severity::Error, String::from(trouble)));
        }
    }

    /// Who waits gets no answer.
    pub fn end(&self) {
        *lock(&self.0) = None;
    }
}

/// Reaches the main thread of one balancer.
pub(super) struct Line {
    pub calls: Arc<Calls>,
    pub waker: Waker,
    pub questions: Questions,
    pub orders: Arc<Mutex<Vec<signals::Request>>>,
    /// That of its threads.
    pub voice: Arc<Voice>,
}

impl Line {
    /// Has the main thread answer something.
    ///
    /// # Errors
    /// It has ended, or this is a thread of the balancer.
    pub fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Engine<Instance>) -> T + Send + 'static,
    ) -> Result<T, Error> {
        self.refuse_own_thread()?;
        let (caller, answer) = channel();
        // Whoever asked waits, or has given up.
        let question: Question = Box::new(move |engine| _ = caller.send(question(engine)));
        match &mut *lock(&self.questions.0) {
            Some(questions) => questions.push(question),
            None => return Err(Error::ended()),
        }
        self.waker.wake();
        answer.recv().map_err(|_| Error::ended())
    }

    /// Has a line carried out that somebody wrote.
    ///
    /// # Errors
    /// What is wrong with it; or as [`Line::ask`].
    pub fn say(&self, line: &str, service: Option<Name>) -> Result<String, Error> {
        self.call(Said::Line(line.to_owned(), service))
    }

    /// Has a command carried out for a service.
    ///
    /// # Errors
    /// As [`Line::say`].
    pub fn command(&self, service: Option<Name>, command: Command) -> Result<String, Error> {
        self.call(Said::Request(Request::of(service, command)))
    }

    fn call(&self, said: Said) -> Result<String, Error> {
        self.refuse_own_thread()?;
        match self.calls.say(said).recv() {
            Ok(reply) => reply.map_err(Error::refused),
            Err(_) => Err(Error::ended()),
        }
    }

    /// Gives an order, and does not wait.
    pub fn order(&self, order: signals::Request) {
        lock(&self.orders).push(order);
        self.waker.wake();
    }

    /// Whether this is a thread of the balancer, which cannot wait for it.
    pub fn is_own_thread(&self) -> bool {
        Voice::of_this_thread().is_some_and(|voice| Arc::ptr_eq(&voice, &self.voice))
    }

    fn refuse_own_thread(&self) -> Result<(), Error> {
        if self.is_own_thread() { Err(Error::own_thread()) } else { Ok(()) }
    }
}
