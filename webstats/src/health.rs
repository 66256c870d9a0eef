//! How a server and a pen are doing, in a word and a sentence.
//!
//! Owns the words and when they apply. Pure; called by `page`.

use pen_core::stats::parts::{counted, duration, grouped};
use pen_core::stats::regular_servers;
use pen_proto::status::{ServerStatus, Status};

/// From best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Good,
    /// It works, and somebody should look.
    Warn,
    /// Clients are turned away, or nobody knows.
    Bad,
}

impl Level {
    /// The class of the style sheet.
    pub fn class(self) -> &'static str {
        match self {
            Level::Good => "good",
            Level::Warn => "warn",
            Level::Bad => "bad",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerState {
    Up,
    /// As many connections as it may have; clients that are new go elsewhere.
    Full,
    /// Gets no new connections for so long, those it has go on.
    Draining {
        seconds: u64,
    },
    /// The same, and it has none.
    Blacklisted {
        seconds: u64,
    },
}

impl ServerState {
    /// `None` for a place in pen's table that no server has taken.
    pub fn of(server: &ServerStatus) -> Option<ServerState> {
        let seconds = server.blacklisted_seconds;
        match server {
            unset if unset.address.is_empty() => None,
            busy if seconds > 0 && busy.connections > 0 => Some(ServerState::Draining { seconds }),
            _ if seconds > 0 => Some(ServerState::Blacklisted { seconds }),
            full if full.max > 0 && full.connections >= full.max => Some(ServerState::Full),
            _ => Some(ServerState::Up),
        }
    }

    pub fn level(self) -> Level {
        match self {
            ServerState::Up => Level::Good,
            ServerState::Full | ServerState::Draining { .. } => Level::Warn,
            ServerState::Blacklisted { .. } => Level::Bad,
        }
    }

    pub fn words(self) -> String {
        match self {
            ServerState::Up => "up".into(),
            ServerState::Full => "full".into(),
            ServerState::Draining { seconds } => format!("draining, {}", duration(seconds)),
            ServerState::Blacklisted { seconds } => format!("blacklisted, {}", duration(seconds)),
        }
    }

    fn takes_clients(self) -> bool {
        self == ServerState::Up
    }
}

/// A sentence about a whole pen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub level: Level,
    /// Plain text, without a full stop.
    pub sentence: String,
}

impl Verdict {
    pub fn of(status: &Status) -> Verdict {
        let states: Vec<ServerState> = regular_servers(status).filter_map(ServerState::of).collect();
        let verdict = servers_verdict(&states, has_emergency(status));
        if verdict.level == Level::Bad {
            return verdict;
        }
        if status.listen.is_empty() {
            return Verdict {
                level: Level::Warn,
                sentence: "pen takes no more clients; it lets those it has finish".into(),
            };
        }
        if status.connections_max > 0 && status.connections_used >= status.connections_max {
            let sentence = format!("The limit of {} connections is reached", grouped(status.connections_max));
            return Verdict { level: Level::Bad, sentence };
        }
        verdict
    }

    /// For a pen that did not answer.
    pub fn silent() -> Verdict {
        Verdict { level: Level::Bad, sentence: "pen does not answer".into() }
    }
}

fn has_emergency(status: &Status) -> bool {
    status.servers.iter().any(|server| server.index == -1 && server.blacklisted_seconds == 0)
}

fn servers_verdict(states: &[ServerState], emergency: bool) -> Verdict {
    let all = states.len();
    let up = states.iter().filter(|state| state.takes_clients()).count();
    let full = states.iter().filter(|state| **state == ServerState::Full).count();
    let skipped = all - up - full;
    let (level, sentence) = match () {
        () if all == 0 => (Level::Bad, "No server is configured".into()),
        () if up == 0 && emergency => (Level::Bad, "Only the emergency server takes clients".into()),
        () if up == 0 && full == all => (Level::Bad, "All servers are full".into()),
        () if up == 0 => (Level::Bad, "No server takes clients".into()),
        () if skipped > 0 => {
            (Level::Warn, format!("{skipped} of {} {} skipped", counted(all as u64, "server"), is(skipped)))
        }
        () if full > 0 => {
            (Level::Warn, format!("{full} of {} {} full", counted(all as u64, "server"), is(full)))
        }
        () if all == 1 => (Level::Good, "The server is up".into()),
        () => (Level::Good, format!("All {all} servers are up")),
    };
    Verdict { level, sentence }
}

fn is(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(blacklisted_seconds: u64, connections: u32, max: u32) -> ServerStatus {
        ServerStatus {
            address: "10.0.0.1".into(),
            blacklisted_seconds,
            connections,
            max,
            ..Default::default()
        }
    }

    fn verdict(servers: Vec<ServerStatus>) -> (Level, String) {
        let servers = servers.into_iter().enumerate();
        let numbered = |(at, server): (usize, ServerStatus)| match server.index {
            0 => ServerStatus { index: at as i32, ..server },
            _ => server,
        };
        let status = Status {
            listen: vec!["80".into()],
            connections_max: 500,
            servers: servers.map(numbered).collect(),
            ..Default::default()
        };
        let Verdict { level, sentence } = Verdict::of(&status);
        (level, sentence)
    }

    #[test]
    fn servers_have_one_state_each() {
        for (server, words, level) in [
            (server(0, 3, 0), "up", Level::Good),
            (server(0, 3, 4), "up", Level::Good),
            (server(0, 4, 4), "full", Level::Warn),
            (server(12, 0, 4), "blacklisted, 12 s", Level::Bad),
            (server(3600, 4, 4), "draining, 1 h", Level::Warn),
        ] {
            let state = ServerState::of(&server).unwrap();
            assert_eq!((state.words().as_str(), state.level()), (words, level));
        }
        assert_eq!(ServerState::of(&ServerStatus::default()), None);
    }

    #[test]
    fn the_worst_is_said() {
        let emergency = ServerStatus { index: -1, ..server(0, 0, 0) };
        let (up, full, down) = (server(0, 0, 9), server(0, 9, 9), server(30, 0, 9));
        for (servers, wanted, level) in [
            (vec![], "No server is configured", Level::Bad),
            (vec![ServerStatus::default()], "No server is configured", Level::Bad),
            (vec![up.clone()], "The server is up", Level::Good),
            (vec![up.clone(), up.clone(), ServerStatus::default()], "All 2 servers are up", Level::Good),
            (vec![up.clone(), full.clone()], "1 of 2 servers is full", Level::Warn),
            (
                vec![up.clone(), full.clone(), down.clone(), down.clone()],
                "2 of 4 servers are skipped",
                Level::Warn,
            ),
            (vec![full.clone(), full.clone()], "All servers are full", Level::Bad),
            (vec![full.clone(), down.clone()], "No server takes clients", Level::Bad),
            (vec![down.clone(), emergency], "Only the emergency server takes clients", Level::Bad),
        ] {
            assert_eq!(verdict(servers), (level, wanted.to_string()));
        }
    }

    #[test]
    fn limits_and_a_pen_that_drains_are_said() {
        let servers = vec![server(0, 0, 0)];
        let status = Status { servers, connections_max: 500, connections_used: 500, ..Default::default() };
        assert_eq!(Verdict::of(&status).sentence, "pen takes no more clients; it lets those it has finish");
        let status = Status { listen: vec!["80".into()], ..status };
        assert_eq!(
            Verdict::of(&status),
            Verdict { level: Level::Bad, sentence: "The limit of 500 connections is reached".into() }
        );
    }
}
