//! How servers and connections are doing: the words, numbers and bits that every view shows.

use super::ServerStatus;
use crate::readable::duration;
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::net::Ipv4Addr;

/// Numbers that Pen prints where there is no regular server.
pub mod special {
    /// The server of `-e`.
    pub const EMERGENCY: i32 = -1;
    /// The server of `-B`.
    pub const ABUSE: i32 = -2;
    /// No server.
    pub const NONE: i32 = -3;

    /// The name of a server that has no number of its own.
    pub fn name(index: i32) -> Option<&'static str> {
        match index {
            EMERGENCY => Some("emergency"),
            ABUSE => Some("abuse"),
            _ => None,
        }
    }
}

/// Pen's bits of [`super::ConnectionStatus::state`].
pub mod bits {
    pub const CONNECTING: u32 = 1;
    /// It has its server.
    pub const CONNECTED: u32 = 2;
    /// End of file from the server.
    pub const SERVER_ENDED: u32 = 4;
    /// End of file from the client.
    pub const CLIENT_ENDED: u32 = 8;
    /// Waits for the client's first bytes, to choose a server by them.
    pub const FIRST_BYTES: u32 = 32;
}

/// How a server is doing: one word for one cause. Where several hold, the first of these is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerState {
    /// It has no address that could be connected to.
    Unset,
    /// It is no longer configured, and still has connections.
    Removing,
    /// The operator took it out of service.
    Disabled,
    /// The operator lets it finish: it gets no new connections, those it has go on.
    Draining,
    /// The operator blacklisted it for a time.
    Blacklisted,
    /// A check failed, or a connect did and the blacklist time is not over.
    Down,
    /// A check says that it is to be used only where no other is left.
    Avoid,
    /// It has come back, and its share grows (`slow_start`); or it is new, and a clone until it is warm (`warm_up`).
    Warming,
    /// It has as many connections as it may have; clients that are new go elsewhere.
    Full,
    /// It is well, and waits for others to be gone.
    Standby,
    #[default]
    Up,
}

/// How much a state matters, from nothing to trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nobody expects anything.
    Off,
    Good,
    /// It works, and somebody should look.
    Warn,
    /// Clients are turned away or sent elsewhere, or nobody knows.
    Bad,
}

impl Level {
    /// The class in the style sheets of the pages.
    pub fn class(self) -> &'static str {
        match self {
            Level::Off => "off",
            Level::Good => "good",
            Level::Warn => "warn",
            Level::Bad => "bad",
        }
    }
}

impl ServerState {
    /// In the order in which they are looked for.
    pub const ALL: [ServerState; 11] = [
        ServerState::Unset,
        ServerState::Removing,
        ServerState::Disabled,
        ServerState::Draining,
        ServerState::Blacklisted,
        ServerState::Down,
        ServerState::Avoid,
        ServerState::Warming,
        ServerState::Full,
        ServerState::Standby,
        ServerState::Up,
    ];

    pub fn word(self) -> &'static str {
        match self {
            ServerState::Unset => "unset",
            ServerState::Removing => "removing",
            ServerState::Disabled => "disabled",
            ServerState::Draining => "draining",
            ServerState::Blacklisted => "blacklisted",
            ServerState::Down => "down",
            ServerState::Avoid => "avoid",
            ServerState::Warming => "warming",
            ServerState::Full => "full",
            ServerState::Standby => "standby",
            ServerState::Up => "up",
        }
    }

    pub fn level(self) -> Level {
        match self {
            ServerState::Unset => Level::Off,
            ServerState::Up | ServerState::Warming | ServerState::Standby => Level::Good,
            ServerState::Removing
            | ServerState::Disabled
            | ServerState::Draining
            | ServerState::Avoid
            | ServerState::Full => Level::Warn,
            ServerState::Blacklisted | ServerState::Down => Level::Bad,
        }
    }

    /// Whether clients that belong to it are served: `full` is no fault of the server.
    pub fn is_in_service(self) -> bool {
        matches!(self, ServerState::Up | ServerState::Warming | ServerState::Standby | ServerState::Full)
    }

    /// Whether it is passed over for the seconds of [`ServerStatus::blacklisted_seconds`].
    pub fn ends_by_itself(self) -> bool {
        matches!(self, ServerState::Blacklisted | ServerState::Down)
    }
}

impl fmt::Display for ServerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The state of a word; nothing for one that a newer pen says.
pub(super) fn known_state<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<ServerState>, D::Error> {
    let word = Option::<String>::deserialize(deserializer)?;
    let is_said = |state: &ServerState| word.as_deref() == Some(state.word());
    Ok(ServerState::ALL.into_iter().find(is_said))
}

impl ServerStatus {
    /// How the server is doing. An older pen does not say it, and its figures do not tell who blacklisted a server.
    pub fn state(&self) -> ServerState {
        let is_unset = || self.address.is_empty() || self.address.parse() == Ok(Ipv4Addr::UNSPECIFIED);
        match self.state {
            Some(state) => state,
            None if is_unset() => ServerState::Unset,
            None if self.blacklisted_seconds > 0 => ServerState::Blacklisted,
            None if self.is_full() => ServerState::Full,
            None => ServerState::Up,
        }
    }

    /// Whether it was well when it was last met, and is in service: unlike its state, this does not change when a blacklist
    /// time runs out.
    pub fn is_up(&self) -> bool {
        self.state().is_in_service() && !self.failed
    }

    /// Its word, and for how long where that is known, with this between them: `down, 12 s`.
    pub fn state_words(&self, between: &str) -> String {
        let state = self.state();
        match state.ends_by_itself() && self.blacklisted_seconds > 0 {
            true => format!("{state}{between}{}", duration(self.blacklisted_seconds)),
            false => state.to_string(),
        }
    }

    /// Why it is in its state, and for how long at this second, as far as that is known: `connect failed, for 12 s`. Escape
    /// it: the reason may hold what a server said.
    pub fn why(&self, now_epoch_seconds: u64) -> Option<String> {
        let since = self.since_epoch_seconds;
        let time = since.map(|since| format!("for {}", duration(now_epoch_seconds.saturating_sub(since))));
        let parts: Vec<String> = self.reason.clone().into_iter().chain(time).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// Its weight as people read it.
    pub fn weight_text(&self) -> String {
        self.weight.map_or_else(|| "-".into(), |weight| weight.to_string())
    }

    /// Whether it has its maximum of connections.
    pub fn is_full(&self) -> bool {
        self.max > 0 && self.connections >= self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(blacklisted_seconds: u64, connections: u32) -> ServerStatus {
        ServerStatus {
            address: "10.0.0.1".into(),
            blacklisted_seconds,
            connections,
            max: 4,
            ..Default::default()
        }
    }

    #[test]
    fn what_an_older_pen_does_not_say_is_derived() {
        for (status, words, level) in [
            (ServerStatus::default(), "unset", Level::Off),
            (ServerStatus { address: "0.0.0.0".into(), ..server(0, 0) }, "unset", Level::Off),
            (server(0, 3), "up", Level::Good),
            (server(0, 4), "full", Level::Warn),
            (server(12, 4), "blacklisted, 12 s", Level::Bad),
            (ServerStatus { state: Some(ServerState::Down), ..server(12, 4) }, "down, 12 s", Level::Bad),
            (ServerStatus { state: Some(ServerState::Draining), ..server(12, 4) }, "draining", Level::Warn),
        ] {
            assert_eq!((status.state_words(", ").as_str(), status.state().level()), (words, level));
        }
    }

    #[test]
    fn every_word_is_read_back_and_an_unknown_one_is_none() {
        for state in ServerState::ALL {
            let status = ServerStatus { state: Some(state), ..server(0, 0) };
            let json = serde_json::to_string(&status).unwrap();
            assert!(json.contains(&format!("\"state\":\"{state}\"")), "{json}");
            assert_eq!(serde_json::from_str::<ServerStatus>(&json).unwrap(), status);
            let newer = json.replace(&format!("\"{state}\""), "\"fancy\"");
            assert_eq!(serde_json::from_str::<ServerStatus>(&newer).unwrap().state, None);
        }
        let older = serde_json::to_string(&server(0, 0)).unwrap();
        assert!(!older.contains("state"), "{older}");
    }
}
