//! How long servers take: counted by each worker for itself, with the time of its wake-up, so that no connection costs a
//! look at the clock.

use super::Context;
use crate::balance::ServerId;
use crate::conn::{Connection, NEVER_ASKED};
use pen_proto::status::ServerTimes;

/// Of the servers of a service, as far as one worker has met them.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// The emergency and the abuse server, then the regular ones by index. Those that were never met cost nothing.
    servers: Vec<Option<Box<ServerTimes>>>,
}

const SPECIAL: [ServerId; 2] = [ServerId::EMERGENCY, ServerId::ABUSE];

impl Times {
    /// Those of a server. Allocates at its first time here, and never again.
    pub fn of(&mut self, server: ServerId) -> &mut ServerTimes {
        let special = SPECIAL.iter().position(|special| *special == server);
        let place = special.or(server.index().map(|index| index + SPECIAL.len())).unwrap_or(0);
        if place >= self.servers.len() {
            self.servers.resize_with(place + 1, || None);
        }
        self.servers[place].get_or_insert_default()
    }

    /// Those that were met.
    pub fn iter(&self) -> impl Iterator<Item = (ServerId, &ServerTimes)> {
        let met = self.servers.iter().enumerate();
        met.filter_map(|(place, times)| {
            let server = match place.checked_sub(SPECIAL.len()) {
                None => SPECIAL[place],
                Some(index) => ServerId::regular(index),
            };
            Some((server, times.as_deref()?))
        })
    }
}

impl Context {
    /// The server has accepted. One that was ready before its client was not waited for.
    pub(super) fn note_connect_time(&mut self, connection: &Connection) {
        if let (Some(attempt), false) = (&connection.attempt, connection.asked_ms == NEVER_ASKED) {
            let ms = self.core.now_ms.saturating_sub(connection.asked_ms);
            self.core.services[connection.service].times.of(attempt.server()).connect.observe(ms);
        }
    }

    /// The server has sent something for the first time.
    pub(super) fn note_first_byte(&mut self, connection: &mut Connection) {
        let asked_ms = std::mem::replace(&mut connection.asked_ms, NEVER_ASKED);
        if let (Some(attempt), false) = (&connection.attempt, asked_ms == NEVER_ASKED) {
            let ms = self.core.now_ms.saturating_sub(asked_ms);
            self.core.services[connection.service].times.of(attempt.server()).first_byte.observe(ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_has_its_own_and_only_those_that_were_met_are_told() {
        let mut times = Times::default();
        let met = [ServerId::regular(7), ServerId::EMERGENCY, ServerId::ABUSE, ServerId::regular(0)];
        for (ms, server) in met.into_iter().enumerate() {
            times.of(server).connect.observe(ms as u64);
        }
        let told: Vec<_> = times.iter().map(|(server, times)| (server, times.connect.sum_ms)).collect();
        assert_eq!(told, [(met[1], 1), (met[2], 2), (met[3], 3), (met[0], 0)]);
    }
}
