//! Rankings of servers without memory: each chooses the lowest index among equals.

use super::turns::load;
use super::{Glance, Question};

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
            let mut least: Option<(usize, u64)> = None;
            question.visit(|index, glance| {
                let load = load(glance.connections(), question.weight(index, glance));
                if glance.load() < u64::MAX && least.is_none_or(|(_, least)| load < least) {
                    least = Some((index, load));
                }
                true
            });
            least.map(|(index, _)| index)
        }
    }
}
