//! Why connections and sessions end: the words of the JSON log and of metrics.

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::collections::BTreeMap;

/// Why a connection or session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum CloseReason {
    /// Both directions ended in order.
    Finished,
    /// `tcp_fastclose` ended it at the first end of file.
    FastClose,
    ClientReset,
    ServerReset,
    IdleTimeout,
    /// No server could take the client.
    NoServer,
    /// `client_acl` refused the client and there is no abuse server.
    Denied,
    /// The client had all that `client_conn_max` and `client_rate` give it, and there is no abuse server.
    ClientLimit,
    /// The client left while it waited for a server that was not full, or for a check.
    LeftQueue,
    /// The command `close`.
    Closed,
    /// A trusted downstream sent no proper PROXY header, or not in time.
    ProxyHeader,
    /// pen ends.
    Shutdown,
    /// `http` does not pass the client's request on.
    BadRequest,
    /// The TLS handshake with the client failed.
    Handshake,
    /// The client did not finish its TLS handshake in time, or did not say whom it wants.
    HandshakeTimeout,
    /// pen made a mistake with it.
    InternalError,
    /// A UDP session that had to make room for another.
    Evicted,
    /// No descriptor for the upstream socket came free in time, or another local failure.
    Shortage,
}

impl CloseReason {
    pub const COUNT: usize = CloseReason::Shortage as usize + 1;

    pub const ALL: [CloseReason; CloseReason::COUNT] = [
        CloseReason::Finished,
        CloseReason::FastClose,
        CloseReason::ClientReset,
        CloseReason::ServerReset,
        CloseReason::IdleTimeout,
        CloseReason::NoServer,
        CloseReason::Denied,
        CloseReason::ClientLimit,
        CloseReason::LeftQueue,
        CloseReason::Closed,
        CloseReason::ProxyHeader,
        CloseReason::Shutdown,
        CloseReason::BadRequest,
        CloseReason::Handshake,
        CloseReason::HandshakeTimeout,
        CloseReason::InternalError,
        CloseReason::Evicted,
        CloseReason::Shortage,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            CloseReason::Finished => "finished",
            CloseReason::FastClose => "fastclose",
            CloseReason::ClientReset => "client_reset",
            CloseReason::ServerReset => "server_reset",
            CloseReason::IdleTimeout => "idle_timeout",
            CloseReason::NoServer => "no_server",
            CloseReason::Denied => "denied",
            CloseReason::ClientLimit => "client_limit",
            CloseReason::LeftQueue => "left_queue",
            CloseReason::Closed => "closed",
            CloseReason::ProxyHeader => "proxy_header",
            CloseReason::Shutdown => "shutdown",
            CloseReason::BadRequest => "bad_request",
            CloseReason::Handshake => "handshake",
            CloseReason::HandshakeTimeout => "handshake_timeout",
            CloseReason::InternalError => "internal_error",
            CloseReason::Evicted => "evicted",
            CloseReason::Shortage => "shortage",
        }
    }

    /// Whether the client was turned away: by a rule, for want of a server or of means, or for what it sent.
    pub fn is_refusal(self) -> bool {
        matches!(
            self,
            CloseReason::NoServer
                | CloseReason::Denied
                | CloseReason::ClientLimit
                | CloseReason::ProxyHeader
                | CloseReason::BadRequest
                | CloseReason::Handshake
                | CloseReason::HandshakeTimeout
                | CloseReason::Shortage
        )
    }
}

/// How many ended for each reason. In JSON an object of the words that occurred.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ends([u64; CloseReason::COUNT]);

impl Ends {
    pub fn count(&mut self, reason: CloseReason) {
        self.0[reason as usize] += 1;
    }

    pub fn of(&self, reason: CloseReason) -> u64 {
        self.0[reason as usize]
    }

    pub fn add(&mut self, more: &Ends) {
        self.0.iter_mut().zip(more.0).for_each(|(count, more)| *count += more);
    }
}

impl Serialize for Ends {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for reason in CloseReason::ALL.into_iter().filter(|reason| self.of(*reason) > 0) {
            map.serialize_entry(reason.as_str(), &self.of(reason))?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Ends {
    /// Words that a newer pen says are passed over.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Ends, D::Error> {
        let said = BTreeMap::<String, u64>::deserialize(deserializer)?;
        Ok(Ends(CloseReason::ALL.map(|reason| said.get(reason.as_str()).copied().unwrap_or(0))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_place_and_a_word_of_its_own() {
        for (place, reason) in CloseReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place, "{reason:?}");
            let same = CloseReason::ALL.into_iter().filter(|other| other.as_str() == reason.as_str());
            assert_eq!(same.count(), 1, "{reason:?}");
        }
    }

    #[test]
    fn counts_read_back_and_unknown_words_are_passed_over() {
        let mut ends = Ends::default();
        ends.count(CloseReason::NoServer);
        ends.count(CloseReason::NoServer);
        let json = serde_json::to_string(&ends).unwrap();
        assert_eq!(json, r#"{"no_server":2}"#);
        assert_eq!(serde_json::from_str::<Ends>(&json).unwrap(), ends);
        assert_eq!(serde_json::from_str::<Ends>(r#"{"no_server":2,"bored":1}"#).unwrap(), ends);
    }
}
