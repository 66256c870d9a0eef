//! Rankings of servers without memory: each chooses the lowest index among equals.

use super::{Glance, Question};
use std::cmp::Ordering;

/// The smallest priority number.
pub fn by_prio(question: &Question<'_>) -> Option<usize> {
    question.least(|glance| glance.prio().into())
}

/// The fewest connections for its weight: least `256 * connections / weight` rounded down, as in Pen. Where a weight has
/// a fraction or a server is ramped up, which Pen does not know, nothing is rounded. Weight 0 is never chosen.
pub fn by_weight(question: &Question<'_>) -> Option<usize> {
    match question.servers.have_fractions() || question.servers.are_ramped_up(question.now_seconds) {
        false => question.least(Glance::load),
        true => {
            let mut least: Option<(usize, Load)> = None;
            question.visit(|index, glance| {
                let load = Load::of(question, index, glance);
                if glance.load() < u64::MAX && least.is_none_or(|(_, least)| load < least) {
                    least = Some((index, load));
                }
                true
            });
            least.map(|(index, _)| index)
        }
    }
}

/// Connections for a weight, without rounding. Of weights above 0.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    connections: u32,
    /// In millionths.
    weight: u64,
}

impl Load {
    #[inline]
    pub fn of(question: &Question<'_>, index: usize, glance: &Glance) -> Load {
        Load { connections: glance.connections(), weight: question.weight(index, glance) }
    }
}

impl PartialEq for Load {
    #[inline]
    fn eq(&self, other: &Load) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl PartialOrd for Load {
    #[inline]
    fn partial_cmp(&self, other: &Load) -> Option<Ordering> {
        // Weights take 36 bits, so this is exact for 200 million connections to a server.
        let times = |connections: u32, weight: u64| u64::from(connections).saturating_mul(weight);
        Some(times(self.connections, other.weight).cmp(&times(other.connections, self.weight)))
    }
}
