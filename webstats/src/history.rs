//! What the pens did during the last day: samples of their counters, and their form in a file.
//!
//! Owns how many samples are kept and the file's format: a line of JSON for each sample. Pure; the time comes with the
//! samples, reading and writing the file is the caller's. Used by all three ways to run.

use pen_proto::status::{ServerStatus, ServiceView, Status};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How far back the curves go; what is older is forgotten.
pub const DAY_SECONDS: u64 = 24 * 3600;

/// Samples younger than this stay close together, for the curves of a page that has just begun to watch.
const RECENT_SECONDS: u64 = 600;
const RECENT_SPACING_SECONDS: u64 = 5;
/// Less than the ten minutes of the usual line for cron, and as many points as a curve on a screen needs.
const SPACING_SECONDS: u64 = 300;
/// With more servers than this, samples are kept less often, so that a day takes about the same room.
const SERVERS_AT_FULL_RATE: u64 = 128;
/// The largest history that is read: many times what [`History::add`] keeps.
pub const FILE_BYTES_MAX: u64 = 64 << 20;

/// Counters of one pen at one time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    #[serde(rename = "time")]
    pub time_epoch_seconds: u64,
    #[serde(rename = "uptime")]
    pub uptime_seconds: u64,
    pub servers: Vec<ServerSample>,
    /// Those of other services, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<String, Vec<ServerSample>>,
}

/// Counters of one server, as an array in the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Fields", into = "Fields")]
pub struct ServerSample {
    pub server: ServerName,
    pub connections: u32,
    pub connections_total: u64,
    /// In both directions.
    pub bytes: u64,
}

type Fields = (i32, String, u32, u64, u64);

impl From<Fields> for ServerSample {
    fn from((index, endpoint, connections, connections_total, bytes): Fields) -> ServerSample {
        ServerSample { server: ServerName { index, endpoint }, connections, connections_total, bytes }
    }
}

impl From<ServerSample> for Fields {
    fn from(sample: ServerSample) -> Fields {
        let ServerName { index, endpoint } = sample.server;
        (index, endpoint, sample.connections, sample.connections_total, sample.bytes)
    }
}

/// What makes a server the same one in two samples: its number and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerName {
    pub index: i32,
    pub endpoint: String,
}

impl ServerName {
    pub fn of(server: &ServerStatus) -> ServerName {
        ServerName { index: server.index, endpoint: endpoint(server) }
    }
}

/// `10.0.0.1:80`, `[2001:db8::1]:80`, `/run/app.sock`; empty for a server without an address.
pub fn endpoint(server: &ServerStatus) -> String {
    match server.address.as_str() {
        "" => String::new(),
        path if path.contains('/') => path.to_string(),
        ipv6 if ipv6.contains(':') => format!("[{ipv6}]:{}", server.port),
        address => format!("{address}:{}", server.port),
    }
}

impl Sample {
    pub fn of(status: &Status) -> Sample {
        let others = status.services.iter().map(|service| (service.name.clone(), servers(&service.view())));
        Sample {
            time_epoch_seconds: status.time_epoch_seconds,
            uptime_seconds: status.uptime_seconds,
            servers: servers(&status.own()),
            services: others.collect(),
        }
    }

    /// As one of this other service alone.
    pub fn of_service(&self, name: &str) -> Sample {
        let servers = self.services.get(name).cloned().unwrap_or_default();
        Sample { servers, services: BTreeMap::new(), ..*self }
    }

    /// As one of a service that has all servers.
    pub fn of_all(&self) -> Sample {
        let servers = self.servers.iter().chain(self.services.values().flatten()).cloned().collect();
        Sample { servers, services: BTreeMap::new(), ..*self }
    }

    pub fn server(&self, name: &ServerName) -> Option<&ServerSample> {
        self.servers.iter().find(|sample| sample.server == *name)
    }
}

/// The samples of every pen, by its name, in order of time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    pens: BTreeMap<String, Vec<Sample>>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    pen: String,
    #[serde(flatten)]
    sample: Sample,
}

impl History {
    /// Reads a history file. The second value counts lines that are none; they are left out.
    pub fn parse(text: &str) -> (History, usize) {
        let mut history = History::default();
        let mut bad_lines = 0;
        for line in text.lines() {
            match serde_json::from_str(line) {
                Ok(Line { pen, sample }) => history.pens.entry(pen).or_default().push(sample),
                Err(_) => bad_lines += 1,
            }
        }
        for samples in history.pens.values_mut() {
            samples.sort_by_key(|sample| sample.time_epoch_seconds);
        }
        (history, bad_lines)
    }

    /// As [`History::parse`] reads it.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (pen, samples) in &self.pens {
            for sample in samples {
                let line = Line { pen: pen.clone(), sample: sample.clone() };
                // Strings, numbers and arrays always have a JSON form.
                text.push_str(&serde_json::to_string(&line).expect("a sample has a JSON form"));
                text.push('\n');
            }
        }
        text
    }

    /// Adds the newest sample of a pen. Forgets what is older than a day, and whatever claims to be newer: the clock
    /// was set back.
    pub fn add(&mut self, pen: &str, sample: Sample) {
        let now = sample.time_epoch_seconds;
        let samples = self.pens.entry(pen.to_string()).or_default();
        samples.retain(|old| old.time_epoch_seconds < now);
        let others: usize = sample.services.values().map(Vec::len).sum();
        thin(samples, now, (sample.servers.len() + others) as u64);
        samples.push(sample);
    }

    /// Forgets the pens that are not `asked` and whose last sample is more than a day older than the newest of all. A
    /// pen that is asked may go by a clock of its own, whatever the others say.
    pub fn forget_others<'a>(&mut self, asked: impl Iterator<Item = &'a str> + Clone) {
        let ends = self.pens.values().filter_map(|samples| samples.last());
        let now = ends.map(|last| last.time_epoch_seconds).max().unwrap_or(0);
        self.pens.retain(|name, samples| {
            asked.clone().any(|asked| asked == name) || samples.last().is_some_and(|last| !is_old(last, now))
        });
    }

    /// In order of time; empty for a pen that was never sampled.
    pub fn samples(&self, pen: &str) -> &[Sample] {
        self.pens.get(pen).map_or(&[], Vec::as_slice)
    }
}

fn servers(service: &ServiceView<'_>) -> Vec<ServerSample> {
    let sample = |server: &ServerStatus| ServerSample {
        server: ServerName::of(server),
        connections: server.connections,
        connections_total: server.connections_total,
        bytes: server.sent_bytes.saturating_add(server.received_bytes),
    };
    service.servers.iter().map(sample).collect()
}

fn is_old(sample: &Sample, now: u64) -> bool {
    now.saturating_sub(sample.time_epoch_seconds) > DAY_SECONDS
}

/// Keeps the first sample of every stretch of time: which one that is does not change as time goes on.
fn thin(samples: &mut Vec<Sample>, now: u64, servers: u64) {
    let factor = servers.div_ceil(SERVERS_AT_FULL_RATE).max(1);
    let mut last_stretch = None;
    samples.retain(|sample| {
        let recent = now - sample.time_epoch_seconds <= RECENT_SECONDS;
        let spacing_seconds = factor * if recent { RECENT_SPACING_SECONDS } else { SPACING_SECONDS };
        let stretch = Some((recent, sample.time_epoch_seconds / spacing_seconds));
        let kept = !is_old(sample, now) && stretch != last_stretch;
        last_stretch = stretch;
        kept
    });
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One server with these counters.
    pub fn sample(time: u64, uptime: u64, connections: u32, total: u64, bytes: u64) -> Sample {
        let server = ServerName { index: 0, endpoint: "10.0.0.1:80".into() };
        let servers = vec![ServerSample { server, connections, connections_total: total, bytes }];
        Sample { time_epoch_seconds: time, uptime_seconds: uptime, servers, services: BTreeMap::new() }
    }

    fn times(history: &History, pen: &str) -> Vec<u64> {
        history.samples(pen).iter().map(|sample| sample.time_epoch_seconds).collect()
    }

    #[test]
    fn a_line_is_what_it_looks_like() {
        let line = r#"{"pen":"web","time":1795224206,"uptime":60,"servers":[[0,"10.0.0.1:80",3,12,4096]]}"#;
        let (history, bad_lines) = History::parse(line);
        assert_eq!(bad_lines, 0);
        assert_eq!(history.samples("web"), [sample(1_795_224_206, 60, 3, 12, 4096)]);
        assert_eq!(history.to_text().trim_end(), line);
        assert!(history.samples("other").is_empty());
    }

    #[test]
    fn other_services_stand_beside_and_are_seen_alone() {
        let line = r#"{"pen":"","time":7,"uptime":1,"servers":[[0,"a:80",3,12,4]],"services":{"web":[[0,"b:80",1,2,3]]}}"#;
        let (history, bad_lines) = History::parse(line);
        assert_eq!((bad_lines, history.to_text().trim_end()), (0, line));
        let sample = &history.samples("")[0];
        assert_eq!(sample.of_service("web").servers[0].server.endpoint, "b:80");
        assert!(sample.of_service("gone").servers.is_empty());
        assert_eq!(sample.of_all().servers.len(), 2);
    }

    #[test]
    fn lines_that_are_none_are_counted_and_left_out() {
        let good = r#"{"pen":"","time":7,"uptime":1,"servers":[]}"#;
        let text = format!("{good}\n\n{{}}\n{}\nhello\n", &good[..20]);
        let (history, bad_lines) = History::parse(&text);
        assert_eq!((times(&history, ""), bad_lines), (vec![7], 4));
    }

    #[test]
    fn a_day_at_every_ten_minutes_is_kept_whole() {
        let mut history = History::default();
        let start = 1_795_224_206;
        for run in 0..200 {
            history.add("", sample(start + 600 * run, 600 * run, 1, 1, 1));
        }
        let kept = times(&history, "");
        assert_eq!(kept.len(), 145);
        assert_eq!((kept[0], kept[144]), (start + 55 * 600, start + 199 * 600));
    }

    #[test]
    fn a_clock_set_back_forgets_the_future() {
        let mut history = History::default();
        for time in [100, 200, 150, 150] {
            history.add("", sample(time, 1, 1, 1, 1));
        }
        assert_eq!(times(&history, ""), [100, 150]);
    }

    #[test]
    fn a_pen_that_is_no_longer_asked_is_forgotten_after_a_day() {
        let mut history = History::default();
        history.add("old", sample(1000, 1, 1, 1, 1));
        history.add("new", sample(1000 + DAY_SECONDS, 1, 1, 1, 1));
        history.forget_others(["new"].into_iter());
        assert_eq!(times(&history, "old"), [1000]);
        history.add("new", sample(1001 + DAY_SECONDS, 1, 1, 1, 1));
        history.forget_others(["new", "old"].into_iter());
        assert_eq!(times(&history, "old"), [1000], "its clock may be slow");
        history.forget_others(["new"].into_iter());
        assert!(history.samples("old").is_empty());
    }

    #[test]
    fn servers_are_told_apart_by_number_and_address() {
        let server =
            |address: &str, port| ServerStatus { address: address.into(), port, ..Default::default() };
        for (server, wanted) in [
            (server("10.0.0.1", 80), "10.0.0.1:80"),
            (server("2001:db8::1", 80), "[2001:db8::1]:80"),
            (server("/run/a:b.sock", 1), "/run/a:b.sock"),
            (server("", 0), ""),
        ] {
            assert_eq!(endpoint(&server), wanted);
        }
    }

    proptest! {
        #[test]
        fn writing_and_reading_changes_nothing(
            pens in prop::collection::vec((".*", prop::collection::vec((0..u64::MAX / 2, any::<u32>(), ".*"), 0..5)), 0..4)
        ) {
            let mut history = History::default();
            for (pen, samples) in pens {
                for (time, connections, endpoint) in samples {
                    let mut sample = sample(time, 3, connections, u64::MAX, 0);
                    sample.servers[0].server.endpoint = endpoint;
                    history.add(&pen, sample);
                }
            }
            prop_assert_eq!(History::parse(&history.to_text()), (history, 0));
        }

        #[test]
        fn reading_anything_is_safe(text in any::<String>()) {
            History::parse(&text);
        }

        #[test]
        fn a_day_of_any_rate_is_bounded_and_keeps_its_ends(steps in prop::collection::vec(1_u64..40, 1..4000), servers in 1_usize..300) {
            let mut history = History::default();
            let mut time = 1_000_000;
            let mut longest = 0;
            for step in &steps {
                time += step;
                let mut sample = sample(time, 1, 1, 1, 1);
                sample.servers = vec![sample.servers[0].clone(); if *step == 1 { servers } else { 1 }];
                history.add("", sample);
                longest = longest.max(history.samples("").len());
            }
            prop_assert!(longest <= 412, "{}", longest);
            let kept = times(&history, "");
            prop_assert_eq!(*kept.last().unwrap(), time);
            prop_assert!(kept.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(kept[0] <= 1_000_000 + steps[0] || time - kept[0] > DAY_SECONDS - 2 * SPACING_SECONDS * 3);
        }
    }
}
