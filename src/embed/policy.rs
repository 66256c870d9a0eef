//! A policy that a program brings along.

use crate::balance::{Candidate as Seen, Own, View};
use crate::hooks::client_of;
use crate::log::diag;
use crate::published::lock;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

/// A way to choose servers that a program brings along; see [`Service::policy`](crate::Service::policy).
///
/// ```
/// use pen::{Balancer, Choice, Policy, Service};
///
/// /// The server with the fewest connections, whatever its weight.
/// struct Fewest;
///
/// impl Policy for Fewest {
///     fn choose(&mut self, choice: &Choice<'_>) -> Option<usize> {
///         choice.candidates().min_by_key(|server| server.connections).map(|server| server.number)
///     }
/// }
///
/// let web = Service::new("web").listen("127.0.0.1:0").server("127.0.0.1:9001").policy(Fewest);
/// let balancer = Balancer::builder().service(web).start()?;
/// # Ok::<(), pen::Error>(())
/// ```
pub trait Policy: Send + 'static {
    /// The number of one of the candidates; `None`, and any other number, leaves the choice to the built-in policy of the
    /// service (the command `policy`).
    ///
    /// It is asked for clients that do not belong to a server yet, and again for the others when a server did not take the
    /// client. All clients of the service wait meanwhile: it must be quick, and must not block or call the balancer. One
    /// that panics has no opinion.
    fn choose(&mut self, choice: &Choice<'_>) -> Option<usize>;
}

/// Whom a [`Policy`] chooses for, and between whom.
pub struct Choice<'a>(&'a View<'a>);

impl Choice<'_> {
    /// The client; `None` for one that came through a Unix socket.
    pub fn client(&self) -> Option<SocketAddr> {
        client_of(self.0.client(), self.0.client_port())
    }

    /// The servers that may be chosen, in the order of their numbers: none that is down, drains, is full or does not take
    /// the client.
    pub fn candidates(&self) -> impl Iterator<Item = Candidate<'_>> {
        self.0.candidates().map(|seen| {
            let Seen { index, name, address, weight, connections } = seen;
            let weight = f64::from(weight.thousandths()) / 1000.0;
            Candidate { number: index, name, address, weight, connections: connections.into() }
        })
    }
}

/// A server that a [`Policy`] may choose.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Candidate<'a> {
    /// Its number, which the policy answers.
    pub number: usize,
    /// Its name.
    pub name: Option<&'a str>,
    /// Its address; `None` for a Unix socket.
    pub address: Option<SocketAddr>,
    /// Its weight; 1 where none was given.
    pub weight: f64,
    /// Connections that it has, those under way included.
    pub connections: u64,
}

/// Of one service, however often its selection is made anew.
#[derive(Clone)]
pub(super) struct Shared(pub Arc<Mutex<Box<dyn Policy>>>);

impl Own for Shared {
    fn choose(&mut self, view: &View<'_>) -> Option<usize> {
        let chosen = catch_unwind(AssertUnwindSafe(|| lock(&self.0).choose(&Choice(view))));
        chosen.unwrap_or_else(|_| {
            diag::once("policy", "the program's policy has panicked; the one of pen chooses");
            None
        })
    }
}
