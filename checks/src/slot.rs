//! A server under check: what is under way, what was found out so far, and what the operator hears of it.

use crate::probe::Probe;
use crate::program::{Ending, Job};
use crate::snmp::Ask;
use crate::target::Target;
use crate::watched::{Surroundings, Watched};
use pen_core::balance::{Health, Reading};
use pen_core::checks::Tracker;
use pen_core::checks::latency::Latency;
use pen_core::checks::program::Member;
use pen_core::loads::snmp::Object;
use pen_core::settings::of_service;
use pen_sys::diag::Severity;
use pen_sys::net::poller::Poller;
use std::sync::Arc;
use std::time::Instant;

/// A server under check.
pub struct Slot {
    pub service: Arc<dyn Watched>,
    pub target: Target,
    pub tracker: Tracker,
    /// Why it is not up, as was told last.
    pub reason: Arc<str>,
    pub work: Work,
    pub latency: Latency,
    /// What its program named when it was ready last; nobody when it is not ready.
    pub members: Vec<Member>,
    /// Changes with every probe, so that what is told of an earlier one is not taken for it.
    pub turn: u32,
    pub began: Instant,
    pub began_seconds: u32,
    /// Whether its load was known, as was told last.
    pub is_load_known: bool,
    /// What its SNMP agent shows.
    pub object: Object,
}

pub enum Work {
    Nothing,
    /// A check of the program around pen, on a thread of its own.
    Own {
        turn: u32,
        is_late: bool,
    },
    Probe(Box<Probe>),
    Program(Box<Job>),
    Snmp(Box<Ask>),
}

impl Work {
    /// Whether an answer is due; a program that runs may have given its own.
    pub fn is_under_way(&self) -> bool {
        match self {
            Work::Nothing => false,
            Work::Program(job) => job.is_asked(),
            Work::Own { .. } | Work::Probe(_) | Work::Snmp(_) => true,
        }
    }
}

/// What has come of a check.
pub struct Outcome {
    pub health: Health,
    pub reason: String,
    /// There is no need for more checks to be sure.
    pub is_certain: bool,
    /// It was answered.
    pub is_answered: bool,
}

impl Outcome {
    pub fn good() -> Outcome {
        Outcome { health: Health::Up, reason: String::new(), is_certain: false, is_answered: true }
    }

    pub fn bad(reason: impl Into<String>) -> Outcome {
        Outcome { health: Health::Down, reason: reason.into(), is_certain: false, is_answered: false }
    }

    /// Of a program that is not there to be asked.
    pub fn lost(reason: impl Into<String>) -> Outcome {
        Outcome { is_certain: true, ..Outcome::bad(reason) }
    }
}

/// Takes what is under way out of the poller.
pub fn forget(poller: &Poller, slot: &Slot) {
    match &slot.work {
        Work::Nothing | Work::Own { .. } => {}
        Work::Probe(probe) => poller.forget(probe.fd()),
        Work::Snmp(ask) => poller.forget(ask.fd()),
        Work::Program(job) => {
            for output in job.outputs().into_iter().flatten() {
                // It is not there when it could not be added.
                let _ = poller.remove_listener(output);
            }
        }
    }
}

impl Slot {
    /// What is under way is not wanted any more.
    pub fn end(&mut self, now_ms: u64) -> Option<Ending> {
        match std::mem::replace(&mut self.work, Work::Nothing) {
            Work::Program(mut job) => job.end(now_ms),
            Work::Probe(_) | Work::Snmp(_) | Work::Own { .. } | Work::Nothing => None,
        }
    }

    /// What was read of its load, if that is news.
    pub fn tell_load(&mut self, here: &dyn Surroundings, reading: &Reading) {
        let called = &self.target.called;
        let (severity, text) = match reading {
            Reading::Unknown(why) if self.is_load_known || self.reason != *why => {
                (Severity::Warning, format!("the load of {called} is unknown: {why}"))
            }
            Reading::Said(_) if !self.is_load_known => {
                (Severity::Notice, format!("the load of {called} is known again"))
            }
            _ => return,
        };
        self.is_load_known = matches!(reading, Reading::Said(_));
        self.reason = if let Reading::Unknown(why) = reading { why.clone() } else { "".into() };
        here.say(severity, &of_service(self.service.name(), &text));
    }

    /// The word of its agent is another than before.
    pub fn tell_word(&self, here: &dyn Surroundings, word: &str) {
        let text = format!("{}: {word}", self.target.called);
        here.say(Severity::Notice, &of_service(self.service.name(), &text));
    }

    pub fn tell(&self, here: &dyn Surroundings, before: Option<Health>, health: Health) {
        let (called, reason) = (&self.target.called, &self.reason);
        let text = match (before, health) {
            (None, Health::Up) if !self.target.is_news => return,
            (_, Health::Up) => format!("{called} is up"),
            (_, Health::Avoid) => format!("{called} is to be avoided: {reason}"),
            (_, Health::Down) => format!("{called} is down: {reason}"),
        };
        let severity = match health {
            Health::Up => Severity::Notice,
            Health::Avoid | Health::Down => Severity::Warning,
        };
        here.say(severity, &of_service(self.service.name(), &text));
    }
}
