//! What is known of a pen, and what the person who watches wants to see of it. Pure.

use super::clones::Clones;
use super::feed::{News, Snapshot};
use super::history::{Counts, History, Rates};
use crate::table::harmless;
use pen_proto::readable::duration;
use pen_proto::status::{ServerState, ServerStatus, ServiceLine, special};
use std::collections::HashMap;

/// A server as it was seen last, with what came of comparing it with before.
#[derive(Debug, Clone, Default)]
pub struct Row {
    pub status: ServerStatus,
    /// `None` until it was seen twice.
    pub rates: Option<Rates>,
    pub history: History,
}

impl Row {
    /// Its name, or its number.
    pub fn name(&self) -> String {
        match (&self.status.name, special::name(self.status.index)) {
            (Some(name), _) => harmless(name),
            (None, Some(name)) => name.into(),
            (None, None) => self.status.index.to_string(),
        }
    }

    /// Where it is.
    pub fn address(&self) -> String {
        let status = &self.status;
        match &status.address[..] {
            "" => "-".into(),
            path if path.contains('/') => harmless(path),
            v6 if v6.contains(':') => format!("[{}]:{}", harmless(v6), status.port),
            v4 => format!("{}:{}", harmless(v4), status.port),
        }
    }

    pub fn counts(&self) -> Counts {
        Counts {
            opened: self.status.connections_total,
            sent_bytes: self.status.sent_bytes,
            received_bytes: self.status.received_bytes,
        }
    }

    /// Whether it is the one that was there: its number may have gone to another.
    fn is_same(&self, other: &ServerStatus) -> bool {
        let (one, other) = (&self.status, other);
        (one.index, &one.name, &one.address, one.port)
            == (other.index, &other.name, &other.address, other.port)
    }
}

/// By what servers are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Number,
    Name,
    /// The worst first.
    State,
    /// The most first, as those that follow.
    Connections,
    Rate,
    Bytes,
}

impl Order {
    const ALL: [(Order, &'static str); 6] = [
        (Order::Number, "number"),
        (Order::Name, "name"),
        (Order::State, "state"),
        (Order::Connections, "connections"),
        (Order::Rate, "rate"),
        (Order::Bytes, "bytes"),
    ];

    pub fn word(self) -> &'static str {
        Order::ALL.iter().find(|(order, _)| *order == self).map_or("", |(_, word)| word)
    }

    pub fn next(self) -> Order {
        let place = Order::ALL.iter().position(|(order, _)| *order == self).unwrap_or(0);
        Order::ALL[(place + 1) % Order::ALL.len()].0
    }
}

/// What is to be done to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    Drain,
    Disable,
    Enable,
    Blacklist,
}

impl Deed {
    pub fn word(self) -> &'static str {
        match self {
            Deed::Drain => "drain",
            Deed::Disable => "disable",
            Deed::Enable => "enable",
            Deed::Blacklist => "blacklist",
        }
    }
}

/// A deed that waits for the person's yes. It is for the server that was chosen then, whatever is chosen now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub deed: Deed,
    /// As it is called.
    pub server: String,
    pub service: String,
    /// Of a blacklisting, as typed so far.
    pub seconds: String,
}

/// What keys are for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Look,
    Help,
    /// The filter is typed.
    Filter,
    Ask(Question),
}

/// How pen is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    Connecting,
    Up,
    /// And tried again.
    Lost(String),
}

/// Everything that there is to see.
pub struct Model {
    pub address: String,
    pub link: Link,
    pub version: String,
    pub pid: String,
    pub is_read_only: bool,
    pub services: Vec<ServiceLine>,
    pub service: String,
    rows: Vec<Row>,
    /// Beside the members, where there are some.
    pub clones: Option<Clones>,
    /// Of all servers together.
    pub total: Option<Rates>,
    pub total_history: History,
    at_ms: u64,
    epoch_seconds: u64,
    pub order: Order,
    pub is_reversed: bool,
    pub filter: String,
    /// The server that the cursor is on, by its number.
    chosen: Option<i32>,
    pub mode: Mode,
    /// What came of the last command; whether it went wrong.
    pub notice: Option<(String, bool)>,
    /// Servers that were shown at once when it was drawn last.
    pub page: usize,
}

impl Model {
    pub fn new(address: &str) -> Model {
        Model {
            address: harmless(address),
            link: Link::Connecting,
            version: String::new(),
            pid: String::new(),
            is_read_only: false,
            services: Vec::new(),
            service: String::new(),
            rows: Vec::new(),
            clones: None,
            total: None,
            total_history: History::default(),
            at_ms: 0,
            epoch_seconds: 0,
            order: Order::Number,
            is_reversed: false,
            filter: String::new(),
            chosen: None,
            mode: Mode::Look,
            notice: None,
            page: 1,
        }
    }

    /// Takes what has become known.
    pub fn learn(&mut self, news: News) {
        match news {
            News::Seen(snapshot) => self.see(snapshot),
            News::Lost(trouble) => self.link = Link::Lost(harmless(&trouble)),
            News::Done(command, Ok(_)) => {
                self.notice = Some((format!("done: {}", harmless(&command)), false))
            }
            News::Done(_, Err(trouble)) => self.notice = Some((harmless(&trouble), true)),
        }
    }

    fn see(&mut self, snapshot: Snapshot) {
        let is_same_pen = self.pid == snapshot.pid && self.service == snapshot.service;
        let elapsed_ms = snapshot.at_ms.saturating_sub(self.at_ms);
        let mut before: HashMap<i32, Row> = match is_same_pen {
            true => self.rows.drain(..).map(|row| (row.status.index, row)).collect(),
            false => HashMap::new(),
        };
        let mut total = Rates::default();
        let mut knows_all = is_same_pen;
        let row = |status: ServerStatus| {
            let old = before.remove(&status.index).filter(|old| old.is_same(&status));
            let mut row = Row { status, ..Row::default() };
            if let Some(old) = old {
                row.rates = row.counts().since(&old.counts(), elapsed_ms);
                row.history = old.history;
            }
            match row.rates {
                Some(rates) => {
                    row.history.push(rates.opened);
                    total.opened += rates.opened;
                    total.sent_bytes += rates.sent_bytes;
                    total.received_bytes += rates.received_bytes;
                }
                None => knows_all = false,
            }
            row
        };
        self.rows = snapshot.servers.into_iter().map(row).collect();
        if !is_same_pen {
            self.total_history = History::default();
        }
        self.total = (knows_all || (is_same_pen && total != Rates::default())).then_some(total);
        self.total_history.push(self.total.map_or(0.0, |total| total.opened));
        self.link = Link::Up;
        (self.version, self.pid) = (harmless(&snapshot.version), harmless(&snapshot.pid));
        (self.at_ms, self.epoch_seconds) = (snapshot.at_ms, snapshot.epoch_seconds);
        self.is_read_only = snapshot.is_read_only;
        (self.services, self.service) = (snapshot.services, snapshot.service);
        self.clones = snapshot.clones;
    }

    /// The servers to be shown, in their order.
    pub fn shown(&self) -> Vec<&Row> {
        let filter = self.filter.to_lowercase();
        let fits = |row: &&Row| {
            let state = row.status.state().word();
            filter.is_empty()
                || [&row.name()[..], &row.address(), state]
                    .iter()
                    .any(|it| it.to_lowercase().contains(&filter))
        };
        let mut rows: Vec<&Row> = self.rows.iter().filter(fits).collect();
        let rate = |row: &Row| row.rates.unwrap_or_default();
        let badness = |row: &Row| {
            let state = row.status.state();
            let place = ServerState::ALL.iter().position(|it| *it == state);
            (std::cmp::Reverse(state.level()), place)
        };
        match self.order {
            Order::Number => {}
            Order::Name => rows.sort_by_cached_key(|row| row.name()),
            Order::State => rows.sort_by_key(|row| badness(row)),
            Order::Connections => rows.sort_by_key(|row| std::cmp::Reverse(row.status.connections)),
            Order::Rate => rows.sort_by(|one, other| rate(other).opened.total_cmp(&rate(one).opened)),
            Order::Bytes => rows.sort_by(|one, other| {
                let bytes = |row: &Row| rate(row).sent_bytes + rate(row).received_bytes;
                bytes(other).total_cmp(&bytes(one))
            }),
        }
        if self.is_reversed {
            rows.reverse();
        }
        rows
    }

    /// Where the cursor is among those that are shown; on the first if the chosen one is not.
    pub fn cursor(&self, shown: &[&Row]) -> usize {
        let is_chosen = |row: &&Row| Some(row.status.index) == self.chosen;
        shown.iter().position(is_chosen).unwrap_or(0)
    }

    /// Moves the cursor by so many servers, no further than the ends.
    pub fn go(&mut self, by: isize) {
        let shown = self.shown();
        let at = self.cursor(&shown).saturating_add_signed(by).min(shown.len().saturating_sub(1));
        self.chosen = shown.get(at).map(|row| row.status.index);
    }

    /// The service so many places further, around the end.
    pub fn neighbour(&self, by: isize) -> Option<String> {
        let count = self.services.len() as isize;
        let at = self.services.iter().position(|service| service.name == self.service)? as isize;
        (count > 1).then(|| self.services[(at + by).rem_euclid(count) as usize].name.clone())
    }

    /// Asks whether a deed is to be done to the server under the cursor.
    pub fn ask(&mut self, deed: Deed) {
        let shown = self.shown();
        let Some(row) = shown.get(self.cursor(&shown)) else { return };
        let refusal = match () {
            () if self.is_read_only => Some(format!("{}: you may only look here", deed.word())),
            () if self.link != Link::Up => Some(format!("{}: pen cannot be reached", deed.word())),
            () if row.status.index < 0 => Some(format!("{}: not for the {} server", deed.word(), row.name())),
            () => None,
        };
        // Pen takes both; a name stays with its server.
        let server = row.status.name.clone().unwrap_or_else(|| row.status.index.to_string());
        match refusal {
            Some(refusal) => self.notice = Some((refusal, true)),
            None => {
                self.mode = Mode::Ask(Question {
                    deed,
                    server,
                    service: self.service.clone(),
                    seconds: String::new(),
                });
            }
        }
    }

    /// Servers by state, the trouble first: `1 down, 2 full, 7 up`.
    pub fn states(&self) -> Vec<(usize, ServerState)> {
        let count = |state: ServerState| self.rows.iter().filter(|row| row.status.state() == state).count();
        let mut states: Vec<_> = ServerState::ALL.into_iter().map(|state| (count(state), state)).collect();
        states.retain(|(count, _)| *count > 0);
        states.sort_by_key(|(_, state)| std::cmp::Reverse(state.level()));
        states
    }

    pub fn connections(&self) -> u64 {
        self.rows.iter().map(|row| u64::from(row.status.connections)).sum()
    }

    /// The worst that is said of a server, with its reason and since when, for the line below the list.
    pub fn about(&self, row: &Row) -> String {
        let state = row.status.state();
        let reason = row.status.reason.as_deref().map(|reason| format!(": {}", harmless(reason)));
        let since = row.status.since_epoch_seconds;
        let since = since.map(|since| format!(" for {}", duration(self.epoch_seconds.saturating_sub(since))));
        format!(
            "{} is {}{}{}",
            row.name(),
            state.word(),
            since.unwrap_or_default(),
            reason.unwrap_or_default()
        )
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
pub mod tests;
