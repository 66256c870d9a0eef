//! What the main thread asks of a worker, and what a worker tells.

use crate::balance::{LiveServers, ServerId};
use crate::clones::Tally;
use pen_proto::status::{Calls, ConnectionStatus, ServerTimes, Totals};
use std::net::SocketAddr;
use std::sync::mpsc::Sender;

#[derive(Debug)]
pub enum Message {
    Report(Detail, Sender<Report>),
    /// Connections and sessions that servers see from this address, each with its service.
    SeenFrom(SocketAddr, Sender<Vec<(u16, ConnectionStatus)>>),
    /// Closes connections; answers how many there were.
    Close(Which, Sender<usize>),
    /// Closes everything and ends.
    Stop,
}

/// How much a report tells of open connections and sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// How many there are, and what they add to the totals.
    Sums,
    /// Each of them, in words, too.
    Each,
}

/// Connections and sessions of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The one with this local number.
    Connection(u32),
    /// The one with this local number.
    Session(u32),
    /// All of this service with this server.
    Server(u16, ServerId),
    /// All of this service.
    Service(u16),
}

/// A worker's answer to [`Message::Report`].
#[derive(Debug, Default)]
pub struct Report {
    /// Those of which the worker knows something, in no particular order.
    pub services: Vec<ServiceReport>,
    /// What was counted for services that are no more.
    pub ended: Totals,
    pub calls: Calls,
}

/// What a worker knows of one service.
#[derive(Debug, Default)]
pub struct ServiceReport {
    pub number: u16,
    /// With [`Detail::Each`].
    pub connections: Vec<ConnectionStatus>,
    /// How many there are.
    pub open: u64,
    pub live: LiveServers,
    /// How long servers took, since start.
    /// `None` where no connection had a clone.
    pub clones: Option<Box<Tally>>,
    pub times: Vec<(ServerId, ServerTimes)>,
    /// How many idlers are ready for clients, by server.
    pub idlers: Vec<(ServerId, usize)>,
    pub totals: Totals,
    /// Number and start of the connection opened last; monotonic.
    pub last: Option<(u32, u64)>,
}
