//! Picking up what the main thread changes: services that come and go, their settings, their listeners.

use super::{Context, LocalService, Worker};
use crate::service::Service;
use crate::settings::Settings;
use pen_proto::commands::Number;
use std::io;
use std::sync::Arc;

impl Context {
    /// Takes over the settings of a service alone; all else waits for the end of what is being done. True when what is
    /// there may be silent for another time than before.
    pub(super) fn follow_settings(&mut self, number: u16) -> bool {
        let LocalService { service, settings, draining, .. } = &mut self.core.services[number];
        let drains = service.is_draining() && !std::mem::replace(draining, true);
        let before = settings.follow(service.settings());
        let now_idle = settings.number(Number::IdleTimeout);
        let is_other =
            |before: Arc<Settings>| service.is_udp || before.number(Number::IdleTimeout) != now_idle;
        drains || before.is_some_and(is_other)
    }
}

impl Worker {
    /// Picks up what has changed, and messages.
    pub(super) fn catch_up(&mut self) {
        let generation = self.context.core.shared.generation();
        if generation == self.context.core.generation {
            return;
        }
        self.context.core.generation = generation;
        self.context.core.process.follow(self.context.core.shared.process());
        let services = self.context.core.shared.services().get();
        let mut changed = Vec::new();
        for number in 0..services.len().max(self.context.core.services.end()) {
            let present = services.get(number).and_then(Option::as_ref);
            self.follow_service(number as u16, present, &mut changed);
        }
        self.arm_again(&changed);
        self.udp.follow_limits(&mut self.context.core);
        self.unfinished.append(&mut self.context.awaiting);
        self.context.renew_idlers();
        for message in self.context.core.shared.take_messages(self.context.core.number) {
            self.answer(message);
        }
    }

    /// `changed` gets its number when its connections may be silent for another time than before.
    fn follow_service(&mut self, number: u16, present: Option<&Arc<Service>>, changed: &mut Vec<u16>) {
        match (self.context.core.services.get(number), present) {
            (None, None) => {}
            (None, Some(service)) => {
                self.context.core.add_service(service.clone());
                self.follow_listeners_later(number);
            }
            (Some(local), Some(service)) if Arc::ptr_eq(&local.service, service) => {
                if self.context.follow_settings(number) {
                    changed.push(number);
                }
                if service.is_deaf() {
                    self.udp.hear_no_more(&self.context.core, number);
                }
                let LocalService { service, tls, listeners, .. } = &mut self.context.core.services[number];
                tls.follow(service.tls());
                if listeners.follow(service.listeners()).is_some() {
                    self.follow_listeners_later(number);
                }
            }
            (Some(local), _) if local.leaving => {}
            (Some(_), _) => self.leave_service(number),
        }
    }

    /// The time for which connections or sessions of these services may be silent has changed. One look at each, however
    /// many services there are.
    pub(super) fn arm_again(&mut self, services: &[u16]) {
        if services.is_empty() {
            return;
        }
        for (_, connection) in self.connections.iter() {
            if services.binary_search(&connection.service).is_ok() {
                self.context.arm_silence(connection);
            }
        }
        self.udp.arm_again(&self.context.core, services);
    }

    /// The service was removed: nobody comes any more, and who is here goes on.
    fn leave_service(&mut self, number: u16) {
        let (_, open) = self.context.core.listeners.difference(number, &[]);
        open.into_iter().for_each(|listener| self.close_listener(listener));
        self.context.core.services.leave(number);
    }

    /// The listeners of a service have changed. Those that stay are left alone.
    ///
    /// # Errors
    /// The poller refuses one.
    pub(super) fn follow_listeners(&mut self, number: u16) -> io::Result<()> {
        let LocalService { service, listeners, .. } = &self.context.core.services[number];
        let is_udp = service.is_udp;
        let (new, gone) = self.context.core.listeners.difference(number, listeners);
        gone.into_iter().for_each(|listener| self.close_listener(listener));
        let mut added = Ok(());
        for listener in new {
            added = added.and(match is_udp {
                true => self.udp.add_listener(&mut self.context.core, number, listener),
                false => self.context.add_listener(number, listener),
            });
        }
        added
    }

    /// As `follow_listeners`; what is refused is tried again.
    fn follow_listeners_later(&mut self, number: u16) {
        if let Err(error) = self.follow_listeners(number) {
            match self.context.core.services[number].service.is_udp {
                true => self.udp.listen_later(&self.context.core, &error),
                false => self.context.listen_later(&error),
            }
        }
    }

    fn close_listener(&mut self, number: u16) {
        match self.context.core.listeners.get(number) {
            Some(entry) if entry.is_udp => self.udp.close_listener(&mut self.context.core, number),
            _ => self.stop_accepting(number),
        }
    }
}
