//! By what the client asks for: each URI has its server, so that a cache there is of use. The first who asks for one gets the
//! server with the fewest connections for its weight, and that is remembered in a table of bounded size.
//!
//! A URI whose server cannot be used moves to another one and stays there. Now and then the busiest server gives some of its
//! URIs to the idlest one: there is no timer, the first client after the interval has it done.

mod assignments;

use super::turns::{Turns, load};
use super::{Glance, Policy, Question, Server, Servers};
use assignments::Assignments;
use pen_proto::commands::Role;
use pen_proto::weight::Weight;

/// As little as this is no difference, whatever it is in percent.
const DIFFERENCE_MIN: u32 = 2;

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

/// The busiest and the idlest of the servers that clients may be sent to, if they differ by as much as the rules want.
fn unequal(question: &Question<'_>) -> Option<(usize, usize)> {
    let compared = question.glances().iter().enumerate().filter(|(_, glance)| {
        glance.is_usable(question.now_seconds) && glance.standby() == 0 && glance.weight() >= Weight::LEAST
    });
    let of = |glance: &Glance| load(glance.connections(), glance.weight().thousandths().into());
    let busiest = compared.clone().max_by_key(|(_, glance)| of(glance))?;
    let idlest = compared.min_by_key(|(_, glance)| of(glance))?;
    differ(question.rules.rebalance.threshold_percent, busiest.1, idlest.1).then_some((busiest.0, idlest.0))
}

fn differ(threshold_percent: u32, busiest: &Glance, idlest: &Glance) -> bool {
    // What the idlest one would have with the weight of the busiest.
    let (most, weight) = (u128::from(busiest.connections()), u128::from(busiest.weight().thousandths()));
    let scaled = u128::from(idlest.connections()) * weight;
    let divisor = u128::from(idlest.weight().thousandths());
    let gap = (most * divisor).saturating_sub(scaled);
    threshold_percent > 0
        && gap >= u128::from(DIFFERENCE_MIN) * divisor
        && gap * 100 >= most * divisor * u128::from(threshold_percent)
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
