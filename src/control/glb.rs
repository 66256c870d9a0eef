//! GLB's language: what a line of it means in pen's commands, and the replies that only it has.
//!
//! A destination becomes `server add`, `server N weight` or `server N remove now`, so whatever holds for those holds for
//! it. Nothing is carried out here.

use super::apply::{Engine, Running, Wanted};
use super::request::{Request, expand};
use crate::settings::{ServerEntry, ServiceConfig};
use crate::sys::clock;
use pen_core::stats::glb::{Counts, Destination as Row, Map, info, statistics};
use pen_proto::addr::{Host, Port};
use pen_proto::commands::{Command, Question};
use pen_proto::glb::{Destination, Request as GlbRequest, Share};
use pen_proto::names::Name;
use pen_proto::parse;
use pen_proto::status::{ServerState, Status};
use pen_proto::weight::Weight;

/// What GLB answers when something was done.
pub const DONE: &str = "Ok\n";

/// What `getstat` told last.
#[derive(Debug, Default)]
pub struct Told {
    counts: Counts,
    at_usec: Option<u64>,
}

/// Whether a line of pen's own control socket is GLB's: no command of pen has a colon, or begins so.
fn is_glb(line: &str) -> bool {
    let word = line.trim();
    let is_destination = word.contains(':') && !word.contains(|c: char| c.is_whitespace() || c == '"');
    is_destination || matches!(GlbRequest::parse(word), Ok(GlbRequest::Info | GlbRequest::Statistics))
}

impl<R: Running> Engine<R> {
    /// Reads a line that may be GLB's; `None` when it is not.
    pub(super) fn understand_if_glb(
        &self,
        line: &str,
        service: Option<&Name>,
    ) -> Option<Result<Request, String>> {
        is_glb(line).then(|| self.understand_glb(line, service))
    }

    /// Reads a line of GLB's language.
    ///
    /// # Errors
    /// What is wrong with the destination.
    pub fn understand_glb(&self, line: &str, service: Option<&Name>) -> Result<Request, String> {
        let (command, is_glb) = match GlbRequest::parse(line)? {
            GlbRequest::Info => (Command::Ask(Question::Getinfo), false),
            GlbRequest::Statistics => (Command::Ask(Question::Getstat), false),
            GlbRequest::Destination(destination) => (self.command_for(&destination, service)?, true),
        };
        Ok(Request { is_glb, ..expand(service.cloned(), command)? })
    }

    fn command_for(&self, destination: &Destination, service: Option<&Name>) -> Result<Command, String> {
        let config = self.config().meant(service.map(|service| &**service))?;
        let own_port = config.listeners().find_map(|listener| listener.port.clone());
        let port = destination.port.map(Port::Number).or(own_port);
        let port = port.ok_or("want a port: nothing listens whose port it could have")?;
        let numeric = self.numeric().service(&config.name);
        let is_it = |entry: &ServerEntry| {
            entry.spec.host == destination.host && entry.spec.port.as_ref().is_none_or(|known| *known == port)
        };
        let known = [Some(config), numeric].into_iter().flatten();
        let known = known.map(|service| find(service, is_it)).find_map(|found| found);
        let host = match &destination.host {
            Host::Ip(std::net::IpAddr::V6(ip)) => format!("[{ip}]"),
            host => host.to_string(),
        };
        let line = match (known, destination.share) {
            (Some(number), Share::Nothing) => format!("server {number} remove now"),
            (Some(number), Share::Weight(weight)) => format!("server {number} weight {weight}"),
            (None, Share::Weight(weight)) => format!("server add {host}:{port} weight {weight}"),
            (None, Share::Nothing) => return Err(format!("there is no server {host}:{port}")),
        };
        let line = parse::line(&line).map_err(|error| error.to_string())?;
        line.and_then(|line| line.command).ok_or_else(|| "want a destination".to_owned())
    }

    /// `getinfo`.
    pub(super) fn glb_info(&mut self, service: &str) -> String {
        let status = self.status_of(Wanted::Connections, service);
        let regular = status.servers.iter().filter(|server| server.index >= 0 && !server.address.is_empty());
        let gone = [Some(ServerState::Removing), Some(ServerState::Unset)];
        let rows = regular.filter(|server| !gone.contains(&server.state)).map(|server| Row {
            host: server.address.clone(),
            port: server.port,
            weight: server.weight.unwrap_or(Weight::ONE),
            connections: server.connections,
            is_good: matches!(server.state, Some(ServerState::Up | ServerState::Full)),
        });
        info(&rows.collect::<Vec<_>>(), map_of(&status), status.connections_max)
    }

    /// `getstat`: what happened since it was asked for last.
    pub(super) fn glb_statistics(&mut self, service: &str) -> String {
        let status = self.status_of(Wanted::Connections, service);
        let now_usec = clock::since_boot_usec();
        let uptime_usec = clock::monotonic_ms() * 1000;
        let counts = counts_of(&status);
        let before = std::mem::replace(&mut self.told, Told { counts, at_usec: Some(now_usec) });
        let elapsed_usec = before.at_usec.map_or(uptime_usec, |at_usec| now_usec.saturating_sub(at_usec));
        statistics(counts.since(before.counts), status.connections.len() as u64, elapsed_usec)
    }
}

fn find(service: &ServiceConfig, is_it: impl Fn(&ServerEntry) -> bool) -> Option<usize> {
    service.servers.iter().position(|entry| entry.as_ref().is_some_and(&is_it))
}

/// Policies that divide the range from 0 to 1 among the servers show how.
fn map_of(status: &Status) -> Map {
    let divides =
        ["random", "source"].iter().any(|word| status.mode.split_whitespace().any(|said| said == *word));
    if divides { Map::Shown } else { Map::None }
}

/// Every byte that was received is sent, unless it waits for its receiver.
fn counts_of(status: &Status) -> Counts {
    let totals = &status.totals;
    let waiting_bytes: u64 = status
        .connections
        .iter()
        .map(|connection| connection.pending_up_bytes + connection.pending_down_bytes)
        .sum();
    let received_bytes = totals.up_bytes + totals.down_bytes;
    let calls = status.calls;
    Counts {
        from_clients_bytes: totals.up_bytes,
        to_clients_bytes: totals.down_bytes,
        received_bytes,
        receives: calls.receives,
        sent_bytes: received_bytes.saturating_sub(waiting_bytes),
        sends: calls.sends,
        opened: totals.accepted,
        readable: calls.readable,
        writable: calls.writable,
        wakeups: calls.wakeups,
    }
}
