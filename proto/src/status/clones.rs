//! Members and clones side by side.

use super::Ends;
use serde::de::{Deserializer, Error};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Whether connections have clones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClonesState {
    /// No server is a clone, or `clone_percent` is 0.
    #[default]
    Disabled,
    Enabled,
    /// No clone can be used now.
    Failed,
}

impl fmt::Display for ClonesState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ClonesState::Disabled => "disabled",
            ClonesState::Enabled => "enabled",
            ClonesState::Failed => "failed",
        })
    }
}

/// How the connection to a clone ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum CloneEnd {
    /// It has ended its side, and had everything.
    Finished,
    /// It reset the connection, or took nothing any more.
    Reset,
    ConnectFailed,
    ConnectTimeout,
    TlsFailed,
    /// It was cut off because more came than `clone_queue` has room for.
    QueueFull,
    /// It was cut off because it took nothing for a second while the queue was full.
    Stalled,
    /// It had not ended when its time after the end of the member's connection was over.
    Late,
    /// The client's connection did not end in order, or pen cut it.
    WithClient,
    /// pen had no means for it, such as descriptors or a local address.
    Shortage,
}

impl CloneEnd {
    pub const COUNT: usize = CloneEnd::Shortage as usize + 1;

    pub const ALL: [CloneEnd; CloneEnd::COUNT] = [
        CloneEnd::Finished,
        CloneEnd::Reset,
        CloneEnd::ConnectFailed,
        CloneEnd::ConnectTimeout,
        CloneEnd::TlsFailed,
        CloneEnd::QueueFull,
        CloneEnd::Stalled,
        CloneEnd::Late,
        CloneEnd::WithClient,
        CloneEnd::Shortage,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            CloneEnd::Finished => "finished",
            CloneEnd::Reset => "reset",
            CloneEnd::ConnectFailed => "connect_failed",
            CloneEnd::ConnectTimeout => "connect_timeout",
            CloneEnd::TlsFailed => "tls_failed",
            CloneEnd::QueueFull => "queue_full",
            CloneEnd::Stalled => "stalled",
            CloneEnd::Late => "late",
            CloneEnd::WithClient => "with_client",
            CloneEnd::Shortage => "shortage",
        }
    }

    /// Whether its connect had succeeded.
    pub fn was_established(self) -> bool {
        !matches!(
            self,
            CloneEnd::ConnectFailed | CloneEnd::ConnectTimeout | CloneEnd::TlsFailed | CloneEnd::Shortage
        )
    }

    /// Whether it ended otherwise than it should, and that is the clone's doing.
    pub fn is_failure(self) -> bool {
        !self.is_ours() && self != CloneEnd::Finished
    }

    /// Whether it says nothing about the clone.
    pub fn is_ours(self) -> bool {
        matches!(self, CloneEnd::WithClient | CloneEnd::Shortage)
    }
}

/// How many ended so. In JSON an object of the words that occurred.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CloneEnds([u64; CloneEnd::COUNT]);

impl CloneEnds {
    pub fn count(&mut self, end: CloneEnd) {
        self.0[end as usize] += 1;
    }

    pub fn of(&self, end: CloneEnd) -> u64 {
        self.0[end as usize]
    }

    pub fn add(&mut self, more: &CloneEnds) {
        self.0.iter_mut().zip(more.0).for_each(|(count, more)| *count += more);
    }
}

impl Serialize for CloneEnds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for end in CloneEnd::ALL.into_iter().filter(|end| self.of(*end) > 0) {
            map.serialize_entry(end.as_str(), &self.of(end))?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for CloneEnds {
    /// Words that a newer pen says are passed over.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<CloneEnds, D::Error> {
        let said = BTreeMap::<String, u64>::deserialize(deserializer)?;
        Ok(CloneEnds(CloneEnd::ALL.map(|end| said.get(end.as_str()).copied().unwrap_or(0))))
    }
}

/// How the answer of a clone differs from that of the member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Difference {
    /// Its first line, in HTTP the status.
    FirstLine,
    /// Something behind that.
    Content,
    /// How long it is, while what is compared is the same.
    Length,
    /// There is none.
    NoAnswer,
    /// The clone's connection did not end in order.
    End,
}

impl Difference {
    pub const COUNT: usize = Difference::End as usize + 1;

    pub const ALL: [Difference; Difference::COUNT] = [
        Difference::FirstLine,
        Difference::Content,
        Difference::Length,
        Difference::NoAnswer,
        Difference::End,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Difference::FirstLine => "first_line",
            Difference::Content => "content",
            Difference::Length => "length",
            Difference::NoAnswer => "no_answer",
            Difference::End => "end",
        }
    }
}

impl Serialize for Difference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Difference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Difference, D::Error> {
        let word = String::deserialize(deserializer)?;
        let found = Difference::ALL.into_iter().find(|kind| kind.as_str() == word);
        found.ok_or_else(|| D::Error::custom(format!("unknown difference \"{word}\"")))
    }
}

/// One of the connections that differed. What came from the network is escaped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferenceExample {
    pub epoch_seconds: u64,
    /// The first line of what the client said.
    pub asked: String,
    /// The number of the first line that differs; nothing where none of those kept does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// What each has there: that line, or how long its answer was, or how it ended.
    pub member: String,
    pub clone: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferenceStatus {
    pub kind: Difference,
    pub count: u64,
    /// The last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<DifferenceExample>,
}

/// How long something took: half of them were quicker than the median, 99 of 100 than the other. Nothing where there
/// were none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpreadStatus {
    pub count: u64,
    pub median_us: Option<u64>,
    pub p99_us: Option<u64>,
}

/// One of the two sides, of connections that are over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloneSideStatus<Ends> {
    pub connections: u64,
    /// Client to server.
    pub sent_bytes: u64,
    /// Server to client.
    pub received_bytes: u64,
    /// From the beginning of the connect to the first byte of the answer.
    pub first_byte: SpreadStatus,
    /// From there to the end of the connection.
    pub duration: SpreadStatus,
    pub ends: Ends,
}

/// What the clones of a service do, beside the members of the same connections.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClonesStatus {
    pub state: ClonesState,
    pub percent: u64,
    pub member: CloneSideStatus<Ends>,
    pub clone: CloneSideStatus<CloneEnds>,
    /// Connections of which both answers were there as a whole.
    pub compared: u64,
    /// Those of them whose answers are the same.
    pub same: u64,
    /// The kinds that occurred.
    pub differences: Vec<DifferenceStatus>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_its_place_and_reads_back() {
        for (place, end) in CloneEnd::ALL.into_iter().enumerate() {
            assert_eq!(end as usize, place);
        }
        for (place, kind) in Difference::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(serde_json::from_str::<Difference>(&json).unwrap(), kind);
        }
        let mut ends = CloneEnds::default();
        ends.count(CloneEnd::QueueFull);
        let status = ClonesStatus {
            state: ClonesState::Failed,
            clone: CloneSideStatus { ends, ..CloneSideStatus::default() },
            ..ClonesStatus::default()
        };
        let json = serde_json::to_string(&status).unwrap();
        assert!(
            json.contains(r#""state":"failed""#) && json.contains(r#""ends":{"queue_full":1}"#),
            "{json}"
        );
        assert_eq!(serde_json::from_str::<ClonesStatus>(&json).unwrap(), status);
    }
}
