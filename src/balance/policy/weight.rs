//! The server with the fewest connections for its weight.

use super::Question;

/// Pen's scale: loads that differ by less than a 256th connection per unit of weight count as equal.
const SCALE: u64 = 256;

/// Least `256 * connections / weight` rounded down; the lowest index among equals. Weight 0 is never chosen.
pub fn choose(question: &Question<'_>) -> Option<usize> {
    question
        .usable()
        .filter_map(|(index, server)| {
            let load = SCALE * u64::from(server.connections);
            Some((load.checked_div(server.weight().into())?, index))
        })
        .min()
        .map(|(_, index)| index)
}
