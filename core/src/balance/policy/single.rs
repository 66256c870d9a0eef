//! One server for all clients, until it fails or one of a higher weight can be used.

use super::{Policy, Question, Route};
use std::collections::HashMap;

/// Which server it is, for each name that clients ask for.
#[derive(Debug, Default)]
pub struct Single {
    current: HashMap<Route, usize>,
}

impl Policy for Single {
    /// The question is about the highest weight alone. The first of several equal servers is chosen, so that several pens
    /// agree.
    fn choose(&mut self, question: &Question<'_>) -> Option<usize> {
        let current = self.current.get(&question.route).copied();
        if let Some(current) = current.filter(|current| question.may_choose(*current)) {
            return Some(current);
        }
        let choice = question.first()?;
        if !current.is_some_and(|current| stays(question, current, choice)) {
            self.current.insert(question.route, choice);
        }
        Some(choice)
    }
}

/// Whether the server is well and only does not take this client: it is full, or its list denies it. Then another stands in.
fn stays(question: &Question<'_>, current: usize, stand_in: usize) -> bool {
    let glances = question.glances();
    glances.get(current).is_some_and(|glance| {
        glance.is_usable(question.now_seconds)
            && glance.standby() == question.standby
            && glance.weight() >= glances[stand_in].weight()
    })
}
