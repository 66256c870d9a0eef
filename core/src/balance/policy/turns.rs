//! Every server in turn, as often as its weight says.

use super::ramp::{WHOLE, of_weight};
use super::{Glance, Policy, Question, Servers};
use pen_proto::commands::Role;

/// Credits of the servers, by index. With each turn everybody who takes part gets its weight, and the one with most pays
/// for all: so in any run of turns a server has its share to within one, and its turns lie apart.
#[derive(Debug, Default)]
pub struct Turns {
    credits: Vec<i64>,
}

impl Turns {
    /// Whose turn it is among those that may be chosen and are wanted. Who is not keeps its credit.
    pub fn take(
        &mut self,
        question: &Question<'_>,
        is_wanted: impl Fn(usize, &Glance) -> bool,
    ) -> Option<usize> {
        self.credits.resize(question.glances().len(), 0);
        let (mut total, mut most, mut choice) = (0, i64::MIN, None);
        question.visit(|index, glance| {
            if is_wanted(index, glance) {
                // 36 bits, and 32,768 servers at most.
                let weight = question.weight(index, glance) as i64;
                let credit = &mut self.credits[index];
                *credit += weight;
                total += weight;
                if *credit > most {
                    (most, choice) = (*credit, Some(index));
                }
            }
            true
        });
        self.credits[choice?] -= total;
        choice
    }

    /// No credit is more than that of a whole round with the weights as they are now: what was earned under larger ones
    /// would hold up the turns of all others.
    pub fn servers_changed(&mut self, servers: &Servers, role: Role) {
        let weights = servers.glances_as(role).iter().map(|glance| of_weight(glance.weight(), WHOLE) as i64);
        let total: i64 = weights.sum();
        self.credits.iter_mut().for_each(|credit| *credit = (*credit).clamp(-total, total));
    }
}

/// The policy that goes by turns alone.
#[derive(Debug, Default)]
pub struct RoundRobin {
    turns: Turns,
}

impl Policy for RoundRobin {
    fn choose(&mut self, question: &Question<'_>) -> Option<usize> {
        self.turns.take(question, |_, _| true)
    }

    fn servers_changed(&mut self, servers: &Servers, role: Role) {
        self.turns.servers_changed(servers, role);
    }
}
