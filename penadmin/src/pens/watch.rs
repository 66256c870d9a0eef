//! What was last seen of a pen: its services and servers, and how they did in the last minutes.
//!
//! A thread for each pen asks every second while somebody looks, and every ten seconds otherwise, so that the curves have
//! a past. Rows are JSON as pen wrote them: what a newer pen says passes through.

use super::Pen;
use pen_sys::clock;
use pen_sys::control::Session;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use std::{io, thread};

/// How often a pen is asked that somebody looks at, and how often otherwise.
const LOOKED_AT_MS: u64 = 1_000;
const ALONE_MS: u64 = 10_000;
/// So long after the last look somebody still looks.
const LOOK_MS: u64 = 15_000;
/// How long a pen may take for an answer to its watch.
const SILENCE: Duration = Duration::from_secs(5);
/// An answer is late after that.
const LATE_MS: u64 = 4_000;
/// How many samples each service has; five minutes while somebody looks.
const SAMPLES_MAX: usize = 300;
/// How many services of a pen have samples.
const CURVES_MAX: usize = 256;

/// One row of a listing.
pub type Row = Map<String, Value>;

/// A service with its servers.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    pub name: String,
    /// Of `services json`.
    pub row: Row,
    /// Of `servers json`.
    pub servers: Vec<Row>,
}

/// How a service did at some time: what the page draws.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Sample {
    pub epoch_ms: u64,
    pub connections: u64,
    /// Connections to its servers, per second.
    pub opened: f64,
    /// Bytes per second, from clients to servers.
    pub up_bytes: f64,
    /// And back.
    pub down_bytes: f64,
}

/// All that was seen, at one time.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// `None` before the first answer, and while there is none.
    pub services: Option<Vec<Service>>,
    /// Why there is no answer.
    pub trouble: Option<String>,
    /// As the pen calls itself.
    pub version: String,
    /// The commands that it knows.
    pub words: BTreeSet<String>,
    /// By service, the oldest sample first.
    pub history: BTreeMap<String, VecDeque<Sample>>,
    /// By the monotonic clock; when the pen was asked.
    asked_ms: u64,
}

/// The counters that rates are made of, at some time.
#[derive(Debug, Clone, Copy, Default)]
struct Counters {
    at_ms: u64,
    opened: u64,
    up_bytes: u64,
    down_bytes: u64,
}

/// The memory of a watch, and the bell of its thread.
#[derive(Default)]
pub struct Watch {
    view: Mutex<Arc<View>>,
    /// By the monotonic clock; when somebody last looked.
    looked_ms: AtomicU64,
    bell: Condvar,
    rung: Mutex<bool>,
}

impl Watch {
    /// What was last seen. Whoever calls this looks: the pen is asked more often for a while.
    pub fn look(&self) -> Arc<View> {
        let now_ms = clock::monotonic_ms();
        let before = self.looked_ms.swap(now_ms.max(1), Ordering::SeqCst);
        if before == 0 || now_ms.saturating_sub(before) > LOOK_MS {
            self.ring();
        }
        self.view()
    }

    /// Has the pen asked at once, after something was changed.
    pub fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.bell.notify_one();
    }

    fn view(&self) -> Arc<View> {
        let view = self.view.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let late_ms = clock::monotonic_ms().saturating_sub(view.asked_ms);
        let patience_ms = LATE_MS + if self.is_looked_at() { LOOKED_AT_MS } else { ALONE_MS };
        match view.trouble {
            None if view.services.is_none() || late_ms > patience_ms => {
                let trouble = format!("no answer for {} seconds", late_ms / 1000);
                Arc::new(View { services: None, trouble: Some(trouble), ..(*view).clone() })
            }
            _ => view,
        }
    }

    fn is_looked_at(&self) -> bool {
        let looked_ms = self.looked_ms.load(Ordering::SeqCst);
        looked_ms > 0 && clock::monotonic_ms().saturating_sub(looked_ms) <= LOOK_MS
    }

    fn put(&self, view: View) {
        *self.view.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(view);
    }

    /// Waits until it is time to ask again.
    fn wait(&self) {
        let pause_ms = if self.is_looked_at() { LOOKED_AT_MS } else { ALONE_MS };
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = Duration::from_millis(pause_ms);
        let waited = self.bell.wait_timeout_while(rung, pause, |rung| !*rung);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

/// Starts the thread that watches the pen, for as long as the program runs.
///
/// # Errors
/// Out of threads.
pub fn start(pen: &Arc<Pen>) -> io::Result<()> {
    let pen = pen.clone();
    pen.watch.put(View { asked_ms: clock::monotonic_ms(), ..View::default() });
    thread::Builder::new().name("watch".into()).spawn(move || {
        let mut eye = Eye::default();
        loop {
            pen.watch.put(eye.open(&pen));
            pen.watch.wait();
        }
    })?;
    Ok(())
}

/// What a watch keeps from one look to the next.
#[derive(Default)]
struct Eye {
    session: Option<Session>,
    version: String,
    words: BTreeSet<String>,
    counters: BTreeMap<String, Counters>,
    history: BTreeMap<String, VecDeque<Sample>>,
}

impl Eye {
    fn open(&mut self, pen: &Pen) -> View {
        let asked_ms = clock::monotonic_ms();
        let seen = self.see(pen);
        let (services, trouble) = match seen {
            Ok(services) => {
                self.sample(&services, clock::monotonic_ms(), clock::epoch_ms());
                (Some(services), None)
            }
            Err(reason) => {
                self.session = None;
                self.counters.clear();
                (None, Some(reason))
            }
        };
        View {
            services,
            trouble,
            version: self.version.clone(),
            words: self.words.clone(),
            history: self.history.clone(),
            asked_ms,
        }
    }

    fn see(&mut self, pen: &Pen) -> Result<Vec<Service>, String> {
        let session = match &mut self.session {
            Some(session) => session,
            None => {
                let mut session = pen.session(SILENCE)?;
                self.version = session.ask("version")?.unwrap_or_default().trim().to_string();
                self.words = words(&session.ask("help")?.unwrap_or_default());
                self.session.insert(session)
            }
        };
        let mut services = Vec::new();
        for row in rows(session, "services json")? {
            let name = row.get("name").and_then(Value::as_str).unwrap_or_default().to_string();
            // One that was removed a moment ago is no trouble.
            let servers = match session.ask(&format!("service {name} servers json"))? {
                Ok(text) => parse(&text)?,
                Err(_) => continue,
            };
            services.push(Service { name, row, servers });
        }
        Ok(services)
    }

    fn sample(&mut self, services: &[Service], at_ms: u64, epoch_ms: u64) {
        let is_there = |name: &String| services.iter().any(|service| service.name == *name);
        self.counters.retain(|name, _| is_there(name));
        self.history.retain(|name, _| is_there(name));
        for service in services.iter().take(CURVES_MAX) {
            let sum = |key: &str| {
                service.servers.iter().filter_map(|row| row.get(key)?.as_u64()).fold(0, u64::saturating_add)
            };
            let now = Counters {
                at_ms,
                opened: sum("connections_total"),
                up_bytes: sum("sent_bytes"),
                down_bytes: sum("received_bytes"),
            };
            let before = self.counters.insert(service.name.clone(), now);
            // Without one before there is no rate.
            let Some(before) = before.filter(|before| before.at_ms < at_ms) else { continue };
            let seconds = (at_ms - before.at_ms) as f64 / 1000.0;
            // A server that was removed takes its counts with it.
            let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
            let samples = self.history.entry(service.name.clone()).or_default();
            if samples.len() == SAMPLES_MAX {
                samples.pop_front();
            }
            samples.push_back(Sample {
                epoch_ms,
                connections: service.row.get("connections").and_then(Value::as_u64).unwrap_or(0),
                opened: rate(now.opened, before.opened),
                up_bytes: rate(now.up_bytes, before.up_bytes),
                down_bytes: rate(now.down_bytes, before.down_bytes),
            });
        }
    }
}

fn rows(session: &mut Session, line: &str) -> Result<Vec<Row>, String> {
    parse(&session.ask(line)?.map_err(|error| format!("{line}: {error}"))?)
}

/// Reads a listing: an array of objects.
///
/// # Errors
/// It is something else.
pub fn parse(text: &str) -> Result<Vec<Row>, String> {
    serde_json::from_str(text).map_err(|error| format!("pen answered no listing: {error}"))
}

/// The commands that `help` lists: the first word of each entry, after `[no]`.
fn words(help: &str) -> BTreeSet<String> {
    let entry = |line: &str| {
        let entry = line.strip_prefix("  ").filter(|entry| !entry.starts_with(' '))?;
        let entry = entry.strip_prefix("[no] ").unwrap_or(entry);
        entry.split_ascii_whitespace().next().map(str::to_string)
    };
    help.lines().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_help_are_found() {
        let help = "Choosing a server\n  blacklist [SECONDS]   how long\n                        and more\n  \
                    [no] hash             source\n\nOther\n  server N|NAME KEY VALUE...\n";
        assert_eq!(words(help).into_iter().collect::<Vec<_>>(), ["blacklist", "hash", "server"]);
    }

    fn service(name: &str, connections: u64, totals: &[(u64, u64, u64)]) -> Service {
        let row = serde_json::json!({"name": name, "connections": connections});
        let server = |&(opened, up, down): &(u64, u64, u64)| {
            let row = serde_json::json!(
                {"connections_total": opened, "sent_bytes": up, "received_bytes": down}
            );
            row.as_object().unwrap().clone()
        };
        Service {
            name: name.into(),
            row: row.as_object().unwrap().clone(),
            servers: totals.iter().map(server).collect(),
        }
    }

    #[test]
    fn rates_are_made_of_two_looks() {
        let mut eye = Eye::default();
        eye.sample(&[service("web", 1, &[(1, 10, 100), (1, 0, 0)])], 1_000, 7);
        assert!(eye.history.is_empty(), "one look has no rate");
        eye.sample(&[service("web", 2, &[(5, 30, 100), (1, 0, 500)])], 3_000, 8);
        let wanted = Sample { epoch_ms: 8, connections: 2, opened: 2.0, up_bytes: 10.0, down_bytes: 250.0 };
        assert_eq!(eye.history["web"], [wanted]);
        eye.sample(&[service("web", 0, &[(1, 0, 500)])], 4_000, 9);
        assert_eq!(eye.history["web"][1].opened, 0.0, "a server went");
        for at in 0..SAMPLES_MAX as u64 {
            eye.sample(&[service("web", 0, &[])], 5_000 + at, 9);
        }
        assert_eq!(eye.history["web"].len(), SAMPLES_MAX);
        eye.sample(&[], 9_000, 9);
        assert!(eye.history.is_empty(), "a service that is gone has no curve");
    }

    #[test]
    fn a_watch_without_an_answer_says_so() {
        let watch = Watch::default();
        let view = watch.look();
        assert!(view.services.is_none() && view.trouble.as_ref().unwrap().starts_with("no answer for"));
        watch.put(View { services: Some(Vec::new()), asked_ms: clock::monotonic_ms(), ..View::default() });
        assert!(watch.look().trouble.is_none());
    }
}
