//! By what the client asks for: each URI has its server, so that a cache there is of use. The first who asks for one gets the
//! server with the fewest connections for its weight, and that is remembered in a table of bounded size.
//!
//! A URI whose server cannot be used moves to another one and stays there. Now and then the busiest server gives some of its
//! URIs to the idlest one: there is no timer, the first client after the interval has it done.

mod assignments;

use super::turns::Turns;
use super::{Policy, Question, Server, Servers};
use assignments::Assignments;
use pen_proto::commands::Role;
use pen_proto::weight::Weight;
use std::cmp::Ordering;

/// As little as this is no difference, whatever it is in percent.
const CONNECTIONS_MIN: u32 = 2;
/// The same of loads, a tenth.
const LOAD_THOUSANDTHS_MIN: u32 = 100;

/// Which URI has which server.
#[derive(Debug)]
pub struct UriHash {
    others: Turns,
    assignments: Assignments,
    /// By what each server, by index, is known; `None` where there is none.
    names: Vec<Option<String>>,
    /// When servers were compared last; `None` before the first client.
    compared_seconds: Option<u32>,
}

impl Default for UriHash {
    fn default() -> UriHash {
        UriHash {
            others: Turns::by_connections(),
            assignments: Assignments::default(),
            names: Vec::new(),
            compared_seconds: None,
        }
    }
}

impl UriHash {
    fn rebalance_if_due(&mut self, question: &Question<'_>) {
        let (rules, now_seconds) = (question.rules.rebalance, question.now_seconds);
        if rules.interval_seconds == 0 {
            return;
        }
        let since_seconds = *self.compared_seconds.get_or_insert(now_seconds);
        if now_seconds < since_seconds.saturating_add(rules.interval_seconds) {
            return;
        }
        self.compared_seconds = Some(now_seconds);
        if let Some((busiest, idlest)) = unequal(question) {
            let uris = u64::from(self.assignments.count(busiest));
            let moving = uris * u64::from(rules.size_percent) / 100;
            self.assignments.move_some(busiest, idlest, moving as usize);
        }
    }
}

/// The busiest and the idlest of the servers that clients may be sent to, if they differ by as much as the rules want: by
/// what at least two of them say of their load, or by connections where no two do. Who says nothing is not compared with
/// those who do.
fn unequal(question: &Question<'_>) -> Option<(usize, usize)> {
    let threshold_percent = question.rules.rebalance.threshold_percent;
    if threshold_percent == 0 {
        return None;
    }
    let compared = question.glances().iter().enumerate().filter(|(_, glance)| {
        glance.is_usable(question.now_seconds) && glance.standby() == 0 && glance.weight() >= Weight::LEAST
    });
    let servers = question.servers;
    let effective = compared.clone().filter_map(|(index, _)| {
        let percent = servers.regular().get(index)?.effective_load_percent()?;
        Some((index, Busy { amount: percent.into(), weight: 1 }))
    });
    let loads = compared.clone().filter_map(|(index, glance)| {
        Some((index, Busy::of(servers.load_at(index)?.thousandths(), glance.weight())))
    });
    let connections =
        compared.map(|(index, glance)| (index, Busy::of(glance.connections(), glance.weight())));
    let known = loads.clone().count();
    match known {
        0 | 1 => extremes(connections, |most, least| most.exceeds(least, threshold_percent, CONNECTIONS_MIN)),
        _ if effective.clone().count() == known => {
            extremes(effective, |most, least| most.amount - least.amount >= threshold_percent.into())
        }
        _ => extremes(loads, |most, least| most.exceeds(least, threshold_percent, LOAD_THOUSANDTHS_MIN)),
    }
}

/// The first of those that have most to do and the first of those that have least, if they differ.
fn extremes(
    compared: impl Iterator<Item = (usize, Busy)> + Clone,
    differ: impl FnOnce(Busy, Busy) -> bool,
) -> Option<(usize, usize)> {
    let most = compared.clone().reduce(|most, other| if other.1 > most.1 { other } else { most })?;
    let least = compared.reduce(|least, other| if other.1 < least.1 { other } else { least })?;
    differ(most.1, least.1).then_some((most.0, least.0))
}

/// What a server has to do, for its weight.
#[derive(Debug, Clone, Copy)]
struct Busy {
    /// Connections, thousandths of a load, or percent of the load that it may have.
    amount: u64,
    /// In thousandths; at least 1.
    weight: u64,
}

impl Busy {
    fn of(amount: u32, weight: Weight) -> Busy {
        Busy { amount: amount.into(), weight: weight.thousandths().into() }
    }

    /// Whether it has so many percent of its own more to do than the other, and at least so much.
    fn exceeds(self, other: Busy, percent: u32, amount_min: u32) -> bool {
        // What the other would have with this weight, times its own weight.
        let (most, scaled) = (self.times(other.weight), other.times(self.weight));
        let gap = most.saturating_sub(scaled);
        gap >= u128::from(amount_min) * u128::from(other.weight) && gap * 100 >= most * u128::from(percent)
    }

    fn times(self, weight: u64) -> u128 {
        u128::from(self.amount) * u128::from(weight)
    }
}

impl PartialEq for Busy {
    fn eq(&self, other: &Busy) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl PartialOrd for Busy {
    fn partial_cmp(&self, other: &Busy) -> Option<Ordering> {
        Some(self.times(other.weight).cmp(&other.times(self.weight)))
    }
}

/// Whether the server is well and only does not take this client: its list denies it, or it could not be reached for a reason
/// of ours. Then the URI stays.
fn stays(question: &Question<'_>, index: usize) -> bool {
    question.glances().get(index).is_some_and(|glance| question.has_place(index, glance))
}

impl Policy for UriHash {
    fn choose(&mut self, question: &Question<'_>) -> Option<usize> {
        let Some(uri) = question.uri else { return self.others.choose(question) };
        self.rebalance_if_due(question);
        let assigned = self.assignments.find(uri);
        if let Some(index) = assigned.filter(|index| question.may_choose(*index)) {
            return Some(index);
        }
        let choice = self.others.choose(question)?;
        if !assigned.is_some_and(|index| stays(question, index)) {
            self.assignments.assign(uri, choice);
        }
        Some(choice)
    }

    /// A server that is gone, or another in its place, has no URIs.
    fn servers_changed(&mut self, servers: &Servers, _role: Role) {
        let name = |server: &Server| server.is_configured().then(|| server.setup.lasting_name());
        let names: Vec<Option<String>> = servers.regular().iter().map(name).collect();
        for (index, before) in self.names.iter().enumerate() {
            if before.is_some() && names.get(index) != Some(before) {
                self.assignments.forget(index);
            }
        }
        self.names = names;
    }

    fn uris(&self, index: usize) -> Option<u32> {
        Some(self.assignments.count(index))
    }
}
