//! What a program hears of servers.

use pen_proto::status::{self, ServerStatus};
use std::fmt;

/// A server of a running service, as [`ServiceHandle::servers`](crate::ServiceHandle::servers) found it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ServerInfo {
    /// What commands call it by, where it has no name.
    pub number: usize,
    /// Its own name.
    pub name: Option<String>,
    /// `10.0.0.1:80`, `[::1]:80` or the path of a Unix socket; empty for one that has no address yet.
    pub address: String,
    /// How it is.
    pub state: ServerState,
    /// Why it is not up, as far as that is known.
    pub reason: Option<String>,
    /// Its weight; 1 where none was given.
    pub weight: f64,
    /// Open connections of clients.
    pub connections: u64,
    /// Connections ever opened to it.
    pub connections_total: u64,
    /// Connects that failed or timed out.
    pub failures_total: u64,
    /// What clients sent to it.
    pub sent_bytes: u64,
    /// What it sent to clients.
    pub received_bytes: u64,
}

impl ServerInfo {
    /// `None` for the emergency and the abuse server.
    pub(super) fn of(status: &ServerStatus) -> Option<ServerInfo> {
        Some(ServerInfo {
            number: usize::try_from(status.index).ok()?,
            name: status.name.clone(),
            address: match (status.address.as_str(), status.port) {
                // A path has a port that means nothing.
                (path, _) if path.starts_with('/') => path.to_owned(),
                (none, 0) => none.to_owned(),
                (v6, port) if v6.contains(':') => format!("[{v6}]:{port}"),
                (host, port) => format!("{host}:{port}"),
            },
            state: ServerState::of(status.state()),
            reason: status.reason.clone(),
            weight: status.weight.map_or(1.0, |weight| f64::from(weight.thousandths()) / 1000.0),
            connections: status.connections.into(),
            connections_total: status.connections_total,
            failures_total: status.failures_total,
            sent_bytes: status.sent_bytes,
            received_bytes: status.received_bytes,
        })
    }
}

/// How a server is: one word for one cause, the first that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ServerState {
    /// It has no address yet.
    Unset,
    /// It was removed, and its last connections are awaited.
    Removing,
    /// It was taken out of service: nobody is sent to it, and it is not checked.
    Disabled,
    /// Nobody is sent to it any more; its connections may end.
    Draining,
    /// A command has blacklisted it for a time.
    Blacklisted,
    /// A check or a connect has failed.
    Down,
    /// A check wants it to be avoided: it is chosen when no other is left.
    Avoid,
    /// It has come back and is ramped up.
    Warming,
    /// It has as many connections as it may have.
    Full,
    /// It is well, and waits for others to be gone.
    Standby,
    /// It takes clients.
    Up,
}

impl ServerState {
    /// The word of commands, tables and metrics: `up`, `draining` and so on.
    pub fn word(self) -> &'static str {
        self.of_status().word()
    }
}

impl fmt::Display for ServerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

// No conversions that everybody sees: they would make a promise of types that are ours alone.
macro_rules! same_states {
    ($($state:ident)*) => {
        impl ServerState {
            fn of(state: status::ServerState) -> ServerState {
                match state {
                    $(status::ServerState::$state => ServerState::$state,)*
                }
            }

            fn of_status(self) -> status::ServerState {
                match self {
                    $(ServerState::$state => status::ServerState::$state,)*
                }
            }
        }
    };
}

same_states! { Unset Removing Disabled Draining Blacklisted Down Avoid Warming Full Standby Up }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_commands_take_it() {
        for (address, port, written) in [
            ("10.0.0.1", 80, "10.0.0.1:80"),
            ("::1", 80, "[::1]:80"),
            ("/run/app", 1, "/run/app"),
            ("", 0, ""),
        ] {
            let status = ServerStatus { address: address.into(), port, ..Default::default() };
            assert_eq!(ServerInfo::of(&status).unwrap().address, written);
        }
        assert!(ServerInfo::of(&ServerStatus { index: -1, ..Default::default() }).is_none());
    }
}
