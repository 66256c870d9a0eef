//! Rankings of servers without memory: each chooses the lowest index among equals.

use super::{Glance, Question};
use std::cmp::Ordering;

/// The smallest priority number.
pub fn by_prio(question: &Question<'_>) -> Option<usize> {
    question.least(|glance| glance.prio().into())
}

/// The fewest connections for its weight: least `256 * connections / weight` rounded down, as in Pen. Where a weight has
/// a fraction, which Pen does not know, nothing is rounded. Weight 0 is never chosen.
pub fn by_weight(question: &Question<'_>) -> Option<usize> {
    match question.servers.have_fractions() {
        false => question.least(Glance::load),
        true => {
            let mut least: Option<(usize, &Glance)> = None;
            question.visit(|index, glance| {
                let is_less = |(_, least)| by_load(glance, least) == Ordering::Less;
                if glance.load() < u64::MAX && least.is_none_or(is_less) {
                    least = Some((index, glance));
                }
                true
            });
            least.map(|(index, _)| index)
        }
    }
}

/// Who has fewer connections for its weight, without rounding; with weights above 0.
#[inline]
pub fn by_load(one: &Glance, other: &Glance) -> Ordering {
    let times = |connections: u32, of: &Glance| u64::from(connections) * u64::from(of.weight().thousandths());
    times(one.connections(), other).cmp(&times(other.connections(), one))
}
