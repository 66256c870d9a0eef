//! By lot, as often as the weight says.

use super::mix::{MIX_STEP, mix};
use super::ramp::WHOLE;
use super::{Policy, Question, Server, Servers};
use pen_proto::commands::Role;

/// How often the lot may fall on a server that does not take the client, before it is drawn among those that do.
const DRAWS: usize = 16;

/// Draws a server among all, and again until it may be chosen. So the weights hold among those that may be, and a choice
/// between a thousand costs a search and not a look at each.
#[derive(Debug)]
pub struct Random {
    state: u64,
    /// Of the weights, up to and with each server.
    sums: Vec<u64>,
}

impl Random {
    /// The same seed brings the same lots.
    pub fn new(seed: u64) -> Random {
        Random { state: seed, sums: Vec::new() }
    }

    /// From 0 to below `end`, each as likely to within `end` in 2^64.
    fn below(&mut self, end: u64) -> u64 {
        let bits = mix(self.state);
        self.state = self.state.wrapping_add(MIX_STEP);
        ((u128::from(bits) * u128::from(end)) >> 64) as u64
    }

    fn among_all(&mut self, question: &Question<'_>) -> Option<usize> {
        let total = *self.sums.last()?;
        (0..DRAWS).find_map(|_| {
            let point = self.below(total);
            let index = self.sums.partition_point(|sum| *sum <= point);
            let glance = question.glances().get(index)?;
            let share = question.share(index, glance);
            let is_drawn = share == WHOLE || self.below(WHOLE.into()) < share.into();
            (is_drawn && question.may_choose(index)).then_some(index)
        })
    }

    fn among_those_that_may_be_chosen(&mut self, question: &Question<'_>) -> Option<usize> {
        let (mut total, mut choice) = (0, None);
        question.visit(|index, glance| {
            total += question.weight(index, glance);
            true
        });
        let mut left = self.below(total);
        question.visit(|index, glance| {
            choice = Some(index);
            let weight = question.weight(index, glance);
            let goes_on = left >= weight;
            left = left.saturating_sub(weight);
            goes_on
        });
        choice
    }
}

impl Policy for Random {
    fn choose(&mut self, question: &Question<'_>) -> Option<usize> {
        self.among_all(question).or_else(|| self.among_those_that_may_be_chosen(question))
    }

    fn servers_changed(&mut self, servers: &Servers, role: Role) {
        let weight = |server: &Server| match server.is_configured() && server.role() == role {
            true => server.weight().thousandths().into(),
            false => 0,
        };
        let weights = servers.regular().iter().map(weight);
        let add = |sum: &mut u64, weight: u64| {
            *sum += weight;
            Some(*sum)
        };
        self.sums = weights.scan(0, add).collect();
    }
}
