//! The fewest connections for its weight; among equals in turn, so that idle servers get their shares too.

use super::turns::Turns;
use super::{Glance, Policy, Question, Servers, rank};
use std::cmp::Ordering;

/// Remembers turns.
#[derive(Debug, Default)]
pub struct LeastConn {
    turns: Turns,
}

impl Policy for LeastConn {
    fn choose(&mut self, question: &Question<'_>) -> Option<usize> {
        let mut least: Option<(usize, &Glance)> = None;
        let mut is_shared = false;
        question.visit(|index, glance| {
            match least.map_or(Ordering::Less, |(_, least)| rank::by_load(glance, least)) {
                Ordering::Less => (least, is_shared) = (Some((index, glance)), false),
                Ordering::Equal => is_shared = true,
                Ordering::Greater => {}
            }
            // Nobody has fewer than none.
            let is_idle = glance.connections() == 0;
            is_shared |= is_idle;
            !is_idle
        });
        let (index, least) = least?;
        match is_shared {
            true => self.turns.take(question, |glance| rank::by_load(glance, least) == Ordering::Equal),
            false => Some(index),
        }
    }

    fn servers_changed(&mut self, servers: &Servers) {
        self.turns.servers_changed(servers);
    }
}
