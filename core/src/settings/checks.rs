//! How servers are checked, as it was configured: what a server says of it, what its service says for all, and what
//! follows.

use super::{ServerEntry, ServiceConfig};
use crate::balance::{Duty, Extra, Untested};
use crate::checks::Turns;
use pen_proto::commands::{Check, CheckChange, Flag, Number, OnDown, Overload, Text};

/// What a server says of its checks; `None`: as its service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnCheck {
    pub check: Option<Check>,
    pub interval_ms: Option<u64>,
    pub timeout_ms: Option<u64>,
    pub extra_ms: Option<u64>,
    pub rise: Option<u32>,
    pub fall: Option<u32>,
    pub port: Option<u16>,
}

impl OwnCheck {
    pub(super) fn change(&mut self, change: CheckChange) {
        match change {
            CheckChange::IntervalMs(ms) => self.interval_ms = Some(ms),
            CheckChange::TimeoutMs(ms) => self.timeout_ms = Some(ms),
            CheckChange::ExtraMs(ms) => self.extra_ms = Some(ms),
            CheckChange::Rise(count) => self.rise = Some(count),
            CheckChange::Fall(count) => self.fall = Some(count),
            CheckChange::Port(port) => self.port = Some(port),
        }
    }

    /// What a change of this kind sets has the value that it has in `base`.
    pub(super) fn take_back(&mut self, change: CheckChange, base: &OwnCheck) {
        match change {
            CheckChange::IntervalMs(_) => self.interval_ms = base.interval_ms,
            CheckChange::TimeoutMs(_) => self.timeout_ms = base.timeout_ms,
            CheckChange::ExtraMs(_) => self.extra_ms = base.extra_ms,
            CheckChange::Rise(_) => self.rise = base.rise,
            CheckChange::Fall(_) => self.fall = base.fall,
            CheckChange::Port(_) => self.port = base.port,
        }
    }

    /// The numbers that were said, as changes that say them again.
    pub(super) fn changes(&self) -> impl Iterator<Item = CheckChange> + use<> {
        [
            self.interval_ms.map(CheckChange::IntervalMs),
            self.timeout_ms.map(CheckChange::TimeoutMs),
            self.extra_ms.map(CheckChange::ExtraMs),
            self.rise.map(CheckChange::Rise),
            self.fall.map(CheckChange::Fall),
            self.port.map(CheckChange::Port),
        ]
        .into_iter()
        .flatten()
    }
}

/// How a server is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// Not [`Check::None`].
    pub check: Check,
    /// 0: never again.
    pub interval_ms: u64,
    pub timeout_ms: u64,
    /// When a client waits for a check of it; `None`: never.
    pub extra: Option<Extra>,
    pub turns: Turns,
    /// In place of the server's own.
    pub port: Option<u16>,
}

/// What follows from the checks of all servers of a service together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rounds {
    pub interval_ms: u64,
    /// After so many rounds without a word a member goes; `None`: members are not asked for.
    pub discover: Option<u32>,
    /// Weights follow times smoothed over so many checks; 0: they do not.
    pub latency: u32,
}

impl ServiceConfig {
    /// What is made of the checks of all servers together. The bounds of the rows make the numbers fit.
    pub fn rounds(&self) -> Rounds {
        Rounds {
            interval_ms: self.number(Number::CheckInterval),
            discover: self.flag(Flag::Discover).then(|| self.number(Number::CheckFall) as u32),
            latency: self.number(Number::Latency) as u32,
        }
    }

    /// Whether `discover` has somebody to ask, and members are checked.
    ///
    /// # Errors
    /// What is wanted.
    pub(super) fn check_discovery(&self) -> Result<(), String> {
        match self.flag(Flag::Discover) && !self.check().is_program() {
            true => {
                Err("discover: want check exec for the service, which names members and finds out about them"
                    .into())
            }
            false => Ok(()),
        }
    }

    /// Whether any server may be checked before a client gets it.
    pub(super) fn has_extra_checks(&self) -> bool {
        let own = |entry: &ServerEntry| entry.check.extra_ms.is_some_and(|ms| ms > 0);
        self.number(Number::CheckExtra) > 0 || self.servers.iter().flatten().any(own)
    }

    /// The check for servers that have none of their own.
    pub fn check(&self) -> Check {
        // Kept as it was read.
        self.text(Text::Check).and_then(|text| Check::parse(text).ok()).unwrap_or_default()
    }

    /// Whether any server may be checked.
    pub fn is_checked(&self) -> bool {
        self.text(Text::Check).is_some()
            || self.servers.iter().flatten().any(|entry| entry.check.check.is_some())
    }

    /// All that the service says of checks.
    pub fn check_said(&self) -> impl PartialEq + '_ {
        let numbers = [
            Number::CheckInterval,
            Number::CheckTimeout,
            Number::CheckExtra,
            Number::CheckRise,
            Number::CheckFall,
            Number::CheckPort,
            Number::Latency,
            Number::Maxload,
        ];
        let numbers = numbers.map(|number| self.number(number));
        let choices = (self.values.choice::<Overload>(), self.values.choice::<OnDown>());
        (choices, self.text(Text::Check), self.text(Text::Load), numbers, self.flag(Flag::Discover))
    }

    /// Whether any server is checked by TLS although it is not spoken to by TLS.
    pub(super) fn checks_tls(&self) -> bool {
        let service = self.check();
        self.servers
            .iter()
            .flatten()
            .any(|entry| matches!(entry.check.check.as_ref().unwrap_or(&service), Check::Tls { .. }))
    }

    /// How a server is checked, where `check` is that of its service; `None`: it is not.
    pub fn watch(&self, entry: &ServerEntry, check: &Check) -> Option<Watch> {
        let own = &entry.check;
        let check = own.check.as_ref().unwrap_or(check);
        if *check == Check::None || matches!(entry.duty, Duty::Disabled { .. }) {
            return None;
        }
        // The bounds of the rows make them fit.
        let count = |own: Option<u32>, number| own.unwrap_or_else(|| self.number(number) as u32);
        let port = own.port.unwrap_or_else(|| self.number(Number::CheckPort) as u16);
        let interval_ms = own.interval_ms.unwrap_or_else(|| self.number(Number::CheckInterval));
        let timeout_ms = own.timeout_ms.unwrap_or_else(|| self.number(Number::CheckTimeout));
        let older_ms = own.extra_ms.unwrap_or_else(|| self.number(Number::CheckExtra));
        Some(Watch {
            check: check.clone(),
            interval_ms,
            timeout_ms,
            extra: (older_ms > 0 && interval_ms > 0).then_some(Extra { older_ms, timeout_ms }),
            turns: Turns {
                rise: count(own.rise, Number::CheckRise),
                fall: count(own.fall, Number::CheckFall),
            },
            port: Some(port).filter(|port| *port != 0),
        })
    }
}

impl Watch {
    /// How this server counts until its first check has ended.
    pub fn untested(&self, entry: &ServerEntry) -> Untested {
        match entry.is_discovered {
            true => Untested::NotUsed,
            false if self.check.is_program() => Untested::Avoided,
            false => Untested::Used,
        }
    }
}
