//! The services as one worker knows them: copies of what it reads of each, and what it counts for each.
//!
//! A worker holds on to a service that was removed until its last connection here has ended: when no worker does, the
//! number may be used again.

use super::times::Times;
use crate::clones::Tally;
use crate::log::traffic::TrafficLog;
use crate::net::listen::Listener;
use crate::net::tls::Tls;
use crate::published::Held;
use crate::service::Service;
use crate::settings::Settings;
use pen_proto::status::Totals;
use std::ops::{Index, IndexMut};
use std::sync::Arc;

pub(crate) struct LocalService {
    pub service: Arc<Service>,
    pub settings: Held<Settings>,
    pub tls: Held<Tls>,
    pub listeners: Held<Vec<Arc<Listener>>>,
    pub log: TrafficLog,
    pub totals: Totals,
    pub times: Times,
    pub clones: Tally,
    /// Number and start of the connection opened last; monotonic.
    pub last: Option<(u32, u64)>,
    /// UDP: no new sessions.
    pub draining: bool,
    /// It was removed, and its last connections are awaited.
    pub leaving: bool,
}

impl LocalService {
    pub fn new(service: Arc<Service>) -> LocalService {
        LocalService {
            settings: Held::of(service.settings()),
            tls: Held::of(service.tls()),
            listeners: Held::of(service.listeners()),
            log: service.traffic_log(),
            totals: Totals::default(),
            times: Times::default(),
            clones: Tally::default(),
            last: None,
            draining: service.is_draining(),
            leaving: false,
            service,
        }
    }

    /// Open connections of this worker.
    pub fn connections(&self) -> u64 {
        self.totals.accepted - self.totals.closed
    }
}

/// By number. Whoever has a connection knows its service to be here.
#[derive(Default)]
pub(crate) struct LocalServices {
    services: Vec<Option<LocalService>>,
    /// Of services that are no more.
    pub ended: Totals,
    /// How many were removed and are still here.
    leaving: usize,
}

impl Index<u16> for LocalServices {
    type Output = LocalService;

    #[inline]
    fn index(&self, number: u16) -> &LocalService {
        self.services[usize::from(number)].as_ref().expect("a service with connections")
    }
}

impl IndexMut<u16> for LocalServices {
    #[inline]
    fn index_mut(&mut self, number: u16) -> &mut LocalService {
        self.services[usize::from(number)].as_mut().expect("a service with connections")
    }
}

impl LocalServices {
    pub fn get(&self, number: u16) -> Option<&LocalService> {
        self.services.get(usize::from(number))?.as_ref()
    }

    pub fn get_mut(&mut self, number: u16) -> Option<&mut LocalService> {
        self.services.get_mut(usize::from(number))?.as_mut()
    }

    /// Puts it in its place, which is free.
    pub fn add(&mut self, service: Arc<Service>) {
        let number = usize::from(service.number);
        if number >= self.services.len() {
            self.services.resize_with(number + 1, || None);
        }
        self.services[number] = Some(LocalService::new(service));
    }

    /// Its last connections are awaited from now on.
    pub fn leave(&mut self, number: u16) {
        self[number].leaving = true;
        self.leaving += 1;
    }

    /// Lets go of services that were removed and of which nothing is left. For every turn.
    pub fn forget_ended(&mut self) {
        if self.leaving == 0 {
            return;
        }
        for place in &mut self.services {
            if let Some(ended) = place.take_if(|local| local.leaving && local.connections() == 0) {
                self.ended.add(&ended.totals);
                self.leaving -= 1;
            }
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &LocalService> {
        self.services.iter().flatten()
    }

    /// One more than the highest number.
    pub fn end(&self) -> usize {
        self.services.len()
    }
}
