//! Names of servers that are looked up again and again, as `resolve` says, while pen serves.
//!
//! Owns when each service is due. Nobody waits for it; what a round finds, the engine carries out. Called by the main
//! loop, which says what is returned here.

use crate::control::apply::{Engine, Running};
use crate::control::lookups::{Bell, LOOKUP_MS, Lookups};
use crate::control::names::names_of_servers;
use pen_proto::commands::Number;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Rounds of look-ups, one at a time.
pub struct Renewal {
    lookups: Lookups,
    is_under_way: bool,
    /// When the names of each service are due, in a pen that looks any up again.
    due_ms: HashMap<Arc<str>, u64>,
}

impl Renewal {
    /// `bell` rings when [`Renewal::turn`] may have something to do.
    pub fn new(bell: Bell) -> Renewal {
        Renewal { lookups: Lookups::new(bell), is_under_way: false, due_ms: HashMap::new() }
    }

    /// Ends a round if everything is known that can be known in time, or begins one for the services that are due; never
    /// waits. Returns what the operator should know.
    ///
    /// # Errors
    /// The running pen cannot follow.
    pub fn turn<R: Running>(&mut self, engine: &mut Engine<R>, now_ms: u64) -> Result<Vec<String>, String> {
        let told = match self.lookups.collect(now_ms).pop() {
            Some((_, found)) => {
                self.is_under_way = false;
                engine.renew(found)
            }
            None => Ok(Vec::new()),
        };
        if !self.is_under_way {
            let names = self.names_due(engine, now_ms);
            if !names.is_empty() {
                self.is_under_way = true;
                self.lookups.ask(names, engine.lookup(), now_ms, LOOKUP_MS);
            }
        }
        told
    }

    /// When [`Renewal::turn`] has something to do although nobody rings.
    pub fn deadline_ms(&self) -> Option<u64> {
        match self.is_under_way {
            true => self.lookups.deadline_ms(),
            false => self.due_ms.values().min().copied(),
        }
    }

    /// Those of the services whose time is over, which begins anew.
    fn names_due<R: Running>(&mut self, engine: &Engine<R>, now_ms: u64) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        let mut due_ms = HashMap::new();
        for service in &engine.config().services {
            let interval_ms = service.number(Number::Resolve).saturating_mul(1000);
            if interval_ms == 0 {
                continue;
            }
            let next_ms = now_ms.saturating_add(interval_ms);
            // A shorter interval than before counts at once.
            let due = self.due_ms.get(&service.name).map_or(next_ms, |due_ms| next_ms.min(*due_ms));
            if due <= now_ms {
                names.extend(names_of_servers(service).map(String::from));
            }
            due_ms.insert(service.name.clone(), if due <= now_ms { next_ms } else { due });
        }
        self.due_ms = due_ms;
        names
    }
}
