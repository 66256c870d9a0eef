//! A policy that a program brings along which has pen inside of it. It is asked first; where it has no opinion, the policy
//! in force chooses.

use super::Question;
use pen_proto::addr::ClientAddr;
use pen_proto::weight::Weight;
use std::fmt;
use std::net::SocketAddr;

/// The way of a program to choose.
pub trait Own: Send {
    /// The index of one of the candidates. `None`, and any other number: no opinion.
    fn choose(&mut self, view: &View<'_>) -> Option<usize>;
}

/// Whom the choice is for, and between whom.
pub struct View<'a> {
    question: &'a Question<'a>,
}

/// A server that may be chosen.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    pub index: usize,
    pub name: Option<&'a str>,
    /// `None` for a Unix socket.
    pub address: Option<SocketAddr>,
    pub weight: Weight,
    pub connections: u32,
}

impl View<'_> {
    pub fn client(&self) -> ClientAddr {
        self.question.client
    }

    pub fn client_port(&self) -> u16 {
        self.question.client_port
    }

    /// In the order of their numbers.
    pub fn candidates(&self) -> impl Iterator<Item = Candidate<'_>> {
        let question = self.question;
        let servers = question.servers.regular();
        let glances = question.glances().iter().enumerate();
        let able = glances.filter(|(index, _)| question.may_choose(*index));
        able.map(move |(index, glance)| {
            let setup = &servers[index].setup;
            Candidate {
                index,
                name: setup.name.as_deref(),
                address: setup.endpoint.carrier().internet_address(),
                weight: glance.weight(),
                connections: glance.connections(),
            }
        })
    }
}

/// The one that was brought, if there is one.
#[derive(Default)]
pub(super) struct Brought(Option<Box<dyn Own>>);

impl Brought {
    pub fn of(own: Box<dyn Own>) -> Brought {
        Brought(Some(own))
    }

    #[inline]
    pub fn choose(&mut self, question: &Question<'_>) -> Option<usize> {
        let own = self.0.as_mut()?;
        own.choose(&View { question }).filter(|index| question.may_choose(*index))
    }
}

impl fmt::Debug for Brought {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Own" } else { "None" })
    }
}
