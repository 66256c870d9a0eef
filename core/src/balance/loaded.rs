//! The load of servers, and the words of their agents: what becomes of what was read. Pure: who reads is elsewhere, and so is
//! what an answer means (`loads/`).
//!
//! Owns what is known of the load, and how an agent's word counts beside those of clients, checks and the operator: it takes a
//! server out of use and gives it back, and it clears nothing that others found. Without an answer the load is unknown at once;
//! words count until several answers in a row have failed to come.

use super::selection::Selection;
use super::servers::{Endpoint, Server, ServerId};
use crate::loads::agent::{Finds, Said, Wish};
use pen_proto::commands::LoadSource;
use pen_proto::load::Load;
use pen_proto::weight::{WEIGHT_MAX, Weight};
use std::sync::Arc;

/// After so many rounds in a row without an answer an agent's words do not count any more.
const SILENT_ROUNDS: u8 = 3;

/// Whom an agent's word keeps away, and since when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AgentWord {
    /// Nobody.
    #[default]
    Nothing,
    /// Everybody, as the administrator of the server wants.
    Maint { since_seconds: u32 },
    /// The same; connections that it has go on.
    Drain { since_seconds: u32 },
    /// Everybody: the server finds that it does not serve.
    Down { since_seconds: u32 },
}

impl AgentWord {
    pub fn since_seconds(self) -> Option<u32> {
        match self {
            AgentWord::Nothing => None,
            AgentWord::Maint { since_seconds }
            | AgentWord::Drain { since_seconds }
            | AgentWord::Down { since_seconds } => Some(since_seconds),
        }
    }

    /// The same, since this second.
    fn at(self, since_seconds: u32) -> AgentWord {
        match self {
            AgentWord::Nothing => AgentWord::Nothing,
            AgentWord::Maint { .. } => AgentWord::Maint { since_seconds },
            AgentWord::Drain { .. } => AgentWord::Drain { since_seconds },
            AgentWord::Down { .. } => AgentWord::Down { since_seconds },
        }
    }
}

/// What was read of the load of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    Said(Said),
    /// By an agent that checks the server. What it says of the load counts if nobody else is asked for that.
    Beside(Said),
    /// Why there is no answer.
    Unknown(Arc<str>),
}

/// What is known of a server's load, and what its agent said beside that.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    pub load: Option<Load>,
    /// Why it is unknown.
    pub error: Option<Arc<str>>,
    percent: Option<u32>,
    max: Option<u32>,
    wish: Option<Wish>,
    /// Why the server finds itself down.
    down: Option<Arc<str>>,
    silent_rounds: u8,
}

impl Loaded {
    fn take(&mut self, reading: &Reading, is_asked: bool) {
        match reading {
            Reading::Said(said) | Reading::Beside(said) => {
                if matches!(reading, Reading::Said(_)) || !is_asked {
                    self.silent_rounds = 0;
                    self.load = said.load;
                    self.error = None;
                }
                self.percent = said.percent.or(self.percent);
                self.max = said.max.or(self.max);
                self.wish = said.wish.or(self.wish);
                match &said.finds {
                    Some(Finds::Up) => self.down = None,
                    Some(Finds::Down(why)) => self.down = Some(why.as_str().into()),
                    None => {}
                }
            }
            Reading::Unknown(why) => {
                self.silent_rounds = self.silent_rounds.saturating_add(1);
                self.load = None;
                self.error = Some(why.clone());
                if self.silent_rounds >= SILENT_ROUNDS {
                    (self.percent, self.max, self.wish, self.down) = Default::default();
                }
            }
        }
    }

    fn word(&self) -> AgentWord {
        let since_seconds = 0;
        match (self.wish, &self.down) {
            (Some(Wish::Maint), _) => AgentWord::Maint { since_seconds },
            (Some(Wish::Drain), _) => AgentWord::Drain { since_seconds },
            (_, Some(_)) => AgentWord::Down { since_seconds },
            _ => AgentWord::Nothing,
        }
    }

    /// What the agent's word is, as a reason.
    pub fn reason(&self) -> String {
        let word = match (self.wish, &self.down) {
            (Some(Wish::Maint), _) => "maint",
            (Some(Wish::Drain), _) => "drain",
            (_, Some(why)) => why,
            _ => "up",
        };
        format!("its agent says {word}")
    }

    /// The weight that counts of a server with this one.
    pub fn share_of(&self, weight: Weight) -> Weight {
        let Some(percent) = self.percent else { return weight };
        let product = u64::from(weight.thousandths()) * u64::from(percent) / 100;
        let least = u64::from(percent > 0 && weight > Weight::ZERO);
        // The bound makes it fit.
        Weight::of_thousandths(product.clamp(least, u64::from(WEIGHT_MAX) * 1000) as u32)
    }

    /// The maximum of connections of a server with this one; 0 is none. An agent takes room away and gives it back.
    pub fn max_of(&self, max: u32) -> u32 {
        match self.max.unwrap_or(0) {
            0 => max,
            own if max == 0 => own,
            own => own.min(max),
        }
    }
}

impl Server {
    /// Nothing is known of its load, and no agent has said anything.
    pub(super) fn forget_load(&mut self) {
        self.loaded = None;
        self.standing.agent = AgentWord::Nothing;
    }

    /// True when the word of its agent is another than before.
    fn take_load(&mut self, reading: &Reading, now_seconds: u32) -> bool {
        let is_asked = self.setup.load_source != LoadSource::None;
        let loaded = self.loaded.get_or_insert_default();
        loaded.take(reading, is_asked);
        let (before, word) = (self.standing.agent, loaded.word());
        let is_same = before.at(0) == word;
        if !is_same {
            self.standing.agent = word.at(now_seconds);
        }
        !is_same
    }

    /// Its load in percent of the most that it should have, where both are known.
    pub fn effective_load_percent(&self) -> Option<u32> {
        self.load()
            .filter(|_| self.setup.maxload > Load::default())
            .map(|load| load.percent_of(self.setup.maxload))
    }

    /// Whether it gets no new clients because of its load.
    pub fn is_overloaded(&self) -> bool {
        self.setup.is_strict && self.effective_load_percent().is_some_and(|percent| percent > 100)
    }

    /// Its load, as far as it is known.
    pub fn load(&self) -> Option<Load> {
        self.loaded.as_ref()?.load
    }
}

impl Selection {
    /// Takes in what was read of the load of the server at this endpoint. Says nothing about one that is elsewhere by now:
    /// `None`. Otherwise what its agent says, if that is another word than before.
    pub fn loaded(
        &mut self,
        server: ServerId,
        endpoint: &Endpoint,
        reading: &Reading,
        now_seconds: u32,
    ) -> Option<Option<String>> {
        self.servers.get(server).filter(|server| server.setup.endpoint.is_same_server(endpoint))?;
        self.servers.tell_time(now_seconds);
        let (is_news, is_weight, reason) = self.servers.change(server, |server| {
            let before = (server.weight(), server.max(), server.is_overloaded());
            let is_news = server.take_load(reading, now_seconds);
            let reason = server.loaded.as_ref().map(|loaded| loaded.reason()).unwrap_or_default();
            (
                is_news || before != (server.weight(), server.max(), server.is_overloaded()),
                before.0 != server.weight(),
                (is_news, reason),
            )
        })?;
        if is_weight {
            self.servers.weights_changed();
            self.policies.servers_changed(&self.servers);
        }
        if is_news {
            self.queue.changed();
        }
        Some(Some(reason.1).filter(|_| reason.0))
    }
}

#[cfg(test)]
#[path = "loaded_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "loaded_policy_tests.rs"]
mod policy_tests;
