//! Where a running pen listens, and how it moves elsewhere without a gap.

use super::{Instance, worker_count};
use crate::control::plan::{Plan, ServicePlan, Step};
use crate::net::listen::{ListenOptions, Listener, begin_no_more};
use crate::net::resolve;
use crate::settings::{ProcessConfig, ServiceConfig};
use crate::sys::errors::reason;
use pen_proto::addr::ListenAddr;
use pen_proto::commands::{Flag, Number};
use std::io;
use std::sync::Arc;

impl Instance {
    /// The listeners of each service of the plan; `None` where they stay as they are. New ones are opened before old ones
    /// are closed, beside them where they overlap: nobody meets a gap.
    ///
    /// # Errors
    /// The service and the address, with the reason.
    pub(super) fn open_listeners(
        &mut self,
        plan: &Plan<'_>,
    ) -> Result<Vec<Option<Vec<Arc<Listener>>>>, String> {
        let leaving = self.leaving_listeners(plan);
        let mut shared = Vec::new();
        let mut open = |part: &ServicePlan<'_>| {
            if !part.changes().listeners {
                return Ok(None);
            }
            let opened = self.listeners_of(plan, part, &leaving, &mut shared);
            opened.map_err(|trouble| part.service.of(&format!("listen: {trouble}")))
        };
        let opened = plan.services.iter().map(&mut open).collect::<Result<Vec<_>, _>>();
        match &opened {
            Err(_) => shared.iter().for_each(|old: &Arc<Listener>| old.share(old.is_divided())),
            Ok(opened) => {
                let new = opened.iter().flatten().flatten();
                new.for_each(|listener| listener.share(listener.is_divided()));
            }
        }
        opened
    }

    /// Has the listeners that the plan takes away take nobody further. `new` are those of each of its services.
    pub(super) fn leave_listeners<'a>(
        &self,
        plan: &Plan<'_>,
        new: impl Iterator<Item = Option<&'a [Arc<Listener>]>>,
    ) {
        let new: Vec<&Arc<Listener>> = new.flatten().flatten().collect();
        let goes_on = |old: &Arc<Listener>| new.iter().any(|new| new.shares_socket(old));
        let leaving = self.leaving_listeners(plan);
        begin_no_more(leaving.iter().filter(|old| !goes_on(old)).map(AsRef::as_ref));
    }

    /// Listeners at addresses where their service no longer listens.
    fn leaving_listeners(&self, plan: &Plan<'_>) -> Vec<Arc<Listener>> {
        let mut leaving = Vec::new();
        for part in &plan.services {
            let Some(present) = self.present(&part.service.name) else { continue };
            let stays = |listener: &Arc<Listener>| match part.step {
                Step::Remove | Step::Replace => false,
                _ => {
                    !part.changes().listeners
                        || part.service.listeners().any(|address| address.text == *listener.text)
                }
            };
            leaving.extend(present.listeners().get().iter().filter(|listener| !stays(listener)).cloned());
        }
        leaving
    }

    fn listeners_of(
        &mut self,
        plan: &Plan<'_>,
        part: &ServicePlan<'_>,
        leaving: &[Arc<Listener>],
        shared: &mut Vec<Arc<Listener>>,
    ) -> Result<Option<Vec<Arc<Listener>>>, String> {
        let service = part.service;
        if self.draining {
            return Err("pen is about to end and takes no more clients".into());
        }
        if let Some((name, dsr)) = &mut self.dsr
            && *name == service.name
        {
            let address = service.listen().ok_or("want an address to serve")?;
            return dsr.serve(address).map(|()| None);
        }
        let options = listen_options(&plan.to.process, service);
        let present = match part.step {
            Step::Change(_) => self.present(&service.name).map(|present| present.listeners().get()),
            _ => None,
        };
        let present = present.as_deref().map_or(&[][..], |listeners| listeners);
        let open = |address: &ListenAddr| {
            if let Some(same) = present.iter().find(|old| *old.text == address.text) {
                return Ok(same.clone());
            }
            if let Some(renamed) = present.iter().find_map(|old| old.renamed(address, options)) {
                return renamed.map(Arc::new).map_err(|error| reason(&error));
            }
            // A path has one socket: it moves with those who wait there.
            if address.host.is_unix()
                && let Some(moved) = leaving.iter().find_map(|old| old.renamed(address, options))
            {
                return moved.map(Arc::new).map_err(|error| reason(&error));
            }
            let in_the_way = leaving.iter().filter(|old| overlaps(old, address));
            let before = shared.len();
            shared.extend(in_the_way.cloned());
            shared[before..].iter().for_each(|old| old.share(true));
            let options = ListenOptions { shared: shared.len() > before, ..options };
            let listener = Listener::open(address, options).map_err(|error| refused(&error))?;
            listener.set_defer_accept(service.flag(Flag::DeferAccept));
            Ok(Arc::new(listener))
        };
        service.listeners().map(open).collect::<Result<_, _>>().map(Some)
    }
}

/// Opens a listener beside an old one that is about to go, also where they have the same port.
///
/// # Errors
/// As [`Listener::open`]; the old one is as it was.
pub(super) fn open_beside(
    old: Option<&Listener>,
    address: &ListenAddr,
    options: ListenOptions,
) -> io::Result<Listener> {
    if let Some(renamed) = old.and_then(|old| old.renamed(address, options)) {
        return renamed;
    }
    let in_the_way = old.filter(|old| overlaps(old, address));
    in_the_way.inspect(|old| old.share(true));
    let opened = Listener::open(address, ListenOptions { shared: in_the_way.is_some(), ..options });
    in_the_way.inspect(|old| old.share(false));
    opened.inspect(|opened| opened.share(false))
}

/// Why an address cannot be listened at, and what to do about it.
pub(super) fn refused(error: &io::Error) -> String {
    match error.kind() == io::ErrorKind::PermissionDenied {
        true => format!(
            "{error}; after -u this pen may no longer open it: give it on the command line or in the file and start pen again"
        ),
        false => error.to_string(),
    }
}

/// Whether one may be in the way of the other: they have the same port.
fn overlaps(old: &Listener, new: &ListenAddr) -> bool {
    let port = new.port.as_ref().and_then(|port| resolve::port_number(port).ok());
    port.is_some() && old.address.map(|old| old.port()) == port
}

/// How the listeners of a service are opened.
pub fn listen_options(process: &ProcessConfig, service: &ServiceConfig) -> ListenOptions {
    ListenOptions {
        backlog: process.number(Number::ListenQueue),
        nodelay: service.flag(Flag::TcpNodelay),
        mode: None,
        datagram_sockets: if service.flag(Flag::Udp) { worker_count(process) } else { 0 },
        shared: false,
    }
}
