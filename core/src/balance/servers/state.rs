//! How a server is doing, in a word, and since when; and what it takes.

use super::super::loaded::AgentWord;
use super::super::standing::Duty;
use super::super::warmth::Warmth;
use super::Server;
use pen_proto::status::ServerState;
use pen_proto::weight::Weight;

impl Server {
    /// The first of the words that holds.
    pub fn state(&self, blacklist_seconds: u64, now_seconds: u32) -> ServerState {
        match () {
            () if !self.is_complete => ServerState::Unset,
            () if self.is_removed => ServerState::Removing,
            () if matches!(self.setup.duty, Duty::Disabled { .. }) => ServerState::Disabled,
            () if matches!(self.standing.agent, AgentWord::Maint { .. }) => ServerState::Disabled,
            () if matches!(self.setup.duty, Duty::Draining { .. }) => ServerState::Draining,
            () if matches!(self.standing.agent, AgentWord::Drain { .. }) => ServerState::Draining,
            () if self.standing.is_commanded(blacklist_seconds, now_seconds) => ServerState::Blacklisted,
            () if self.standing.is_kept_away() => ServerState::Down,
            () if self.blacklisted_seconds(blacklist_seconds, now_seconds) > 0 => ServerState::Down,
            () if self.standing.is_avoided() => ServerState::Avoid,
            () if self.is_warming_up(now_seconds) => ServerState::Warming,
            () if self.ramp.until_seconds() > now_seconds => ServerState::Warming,
            () if !self.has_room(false) => ServerState::Full,
            () if self.setup.standby > 0 || self.setup.in_reserve => ServerState::Standby,
            () => ServerState::Up,
        }
    }

    /// Since when it is in this state, which it has now.
    pub fn since_seconds(&self, state: ServerState) -> Option<u32> {
        match (state, self.setup.duty) {
            (ServerState::Down | ServerState::Avoid, _)
                if self.standing.verdict_since_seconds().is_some() =>
            {
                self.standing.verdict_since_seconds()
            }
            (ServerState::Warming, _) => match self.warmth {
                Warmth::Warm => self.ramp.since_seconds().or(self.moments.back_seconds()),
                Warmth::Cold => self.moments.placed_seconds(),
                Warmth::Since(since_seconds) => Some(since_seconds),
            },
            (ServerState::Blacklisted, _) => self.standing.setback_since_seconds(),
            (ServerState::Down, _) => {
                let since_seconds = self.standing.setback_since_seconds();
                since_seconds.or(self.standing.agent.since_seconds()).or(self.moments.placed_seconds())
            }
            (ServerState::Avoid | ServerState::Unset | ServerState::Removing, _) => {
                self.moments.placed_seconds()
            }
            (ServerState::Full | ServerState::Standby, _) => self.at_hand_since_seconds(),
            (ServerState::Draining, Duty::Draining { since_seconds, .. })
            | (ServerState::Disabled, Duty::Disabled { since_seconds }) => Some(since_seconds),
            (ServerState::Draining | ServerState::Disabled, _) => self.standing.agent.since_seconds(),
            (ServerState::Up, _) => None,
        }
    }

    /// Whether one more connection fits; `sticky` clients belong to the server already.
    pub fn has_room(&self, sticky: bool) -> bool {
        let (max, hard) = (self.max(), self.setup.hard);
        let fits = max == 0 || self.connections < max;
        (fits && (sticky || !self.is_overloaded())) || (sticky && self.connections < hard)
    }

    /// What counts when servers are chosen by weight.
    pub fn weight(&self) -> Weight {
        let weight = self.checked.share_of(self.setup.weight.unwrap_or(Weight::ONE));
        self.loaded.as_ref().map_or(weight, |loaded| loaded.share_of(weight))
    }

    /// Connections that it may have; 0 is no limit.
    pub fn max(&self) -> u32 {
        self.loaded.as_ref().map_or(self.setup.max, |loaded| loaded.max_of(self.setup.max))
    }
}
