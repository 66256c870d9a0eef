//! The fewest connections for its weight; among equals in turn, so that idle servers get their shares too.

use super::rank::Load;
use super::turns::Turns;
use super::{Policy, Question, Servers};
use pen_proto::commands::Role;

/// Remembers turns.
#[derive(Debug, Default)]
pub struct LeastConn {
    turns: Turns,
}

impl Policy for LeastConn {
    fn choose(&mut self, question: &Question<'_>) -> Option<usize> {
        let mut least: Option<(usize, Load)> = None;
        let mut is_shared = false;
        question.visit(|index, glance| {
            let load = Load::of(question, index, glance);
            match least {
                Some((_, least)) if load > least => {}
                Some((_, least)) if load == least => is_shared = true,
                _ => (least, is_shared) = (Some((index, load)), false),
            }
            // Nobody has fewer than none.
            let is_idle = glance.connections() == 0;
            is_shared |= is_idle;
            !is_idle
        });
        let (index, least) = least?;
        match is_shared {
            true => self.turns.take(question, |index, glance| Load::of(question, index, glance) == least),
            false => Some(index),
        }
    }

    fn servers_changed(&mut self, servers: &Servers, role: Role) {
        self.turns.servers_changed(servers, role);
    }
}
