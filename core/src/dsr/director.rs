//! What a frame leads to: which server it goes on to, what is answered, what is dropped. Pure: the time is an argument,
//! frames come and go as bytes.
//!
//! Owns the flows, the servers' hardware addresses and the frames that wait for one. The choice of a server is the
//! pool's. `flows.rs` and `link.rs` are parts of it. The loop in `receive.rs` feeds it what the interface receives and
//! sends what it puts out.

use super::flows::flows_max;
use super::fragments::Fragments;
use super::frame::{Content, Frame, Mac, OFFLOAD_BYTES, PROTOCOL_TCP, PROTOCOL_UDP, Packet, parse};
use super::link::{HELD_MS, Held};
use super::neighbours::{Neighbours, Reach};
use super::reply::Station;
use super::track::Track;
use crate::balance::{Attempt, Chooser};
use crate::settings::Settings;
use pen_proto::commands::Number;
use std::collections::{HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

/// What clients connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service {
    pub ip: IpAddr,
    /// `None`: every port.
    pub port: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    pub(super) fn number(self) -> u8 {
        match self {
            Protocol::Tcp => PROTOCOL_TCP,
            Protocol::Udp => PROTOCOL_UDP,
        }
    }
}

/// The pool, locked for one decision.
pub trait Balance {
    fn with<T>(&self, decide: impl FnOnce(&mut Chooser<'_>) -> T) -> T;
}

impl<B: Balance> Balance for Arc<B> {
    fn with<T>(&self, decide: impl FnOnce(&mut Chooser<'_>) -> T) -> T {
        (**self).with(decide)
    }
}

/// The moment on both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Monotonic.
    pub ms: u64,
    pub epoch_seconds: u32,
}

/// Where a flow goes.
#[derive(Debug)]
pub struct Place {
    pub attempt: Attempt,
    pub server: IpAddr,
}

/// Something that the operator may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    Found(IpAddr, Mac),
    Silent(IpAddr),
    /// Another station says that it has the address of the service.
    Rival(Mac),
}

/// Counts since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub forwarded: u64,
    pub bytes: u64,
    pub accepted: u64,
    pub closed: u64,
    pub denied: u64,
    pub rejected: u64,
    pub failovers: u64,
    pub idle_timeouts: u64,
    /// Given up for want of room.
    pub displaced: u64,
    /// Frames that could not be read.
    pub malformed: u64,
    /// Frames dropped because no server could be reached.
    pub unreachable: u64,
    /// Answers to questions for an address.
    pub answers: u64,
    /// Clients held up.
    pub tarpitted: u64,
}

pub struct Director<B> {
    pub(super) balancer: B,
    pub(super) settings: Arc<Settings>,
    pub(super) station: Station,
    pub(super) service: Service,
    pub(super) protocol: Protocol,
    pub(super) neighbours: Neighbours,
    pub(super) flows: Track<Place>,
    pub(super) fragments: Fragments,
    pub(super) held: VecDeque<Held>,
    /// Addresses of this host, which are nobody else's to answer for.
    pub(super) own: HashSet<IpAddr>,
    pub(super) draining: bool,
    pub(super) counts: Counts,
    pub(super) news: Vec<News>,
    /// Packets to send, each behind its [`OFFLOAD_BYTES`].
    pub(super) outbox: Vec<Vec<u8>>,
    pub(super) tick_at_ms: u64,
}

impl<B: Balance> Director<B> {
    pub fn new(
        balancer: B,
        settings: Arc<Settings>,
        station: Station,
        service: Service,
        protocol: Protocol,
    ) -> Director<B> {
        let mut director = Director {
            balancer,
            flows: Track::new(flows_max(&settings)),
            settings,
            station,
            service,
            protocol,
            neighbours: Neighbours::default(),
            fragments: Fragments::default(),
            held: VecDeque::new(),
            own: HashSet::new(),
            draining: false,
            counts: Counts::default(),
            news: Vec::new(),
            outbox: Vec::new(),
            tick_at_ms: 0,
        };
        director.serve(service);
        director
    }

    /// The servers, or how they are chosen, have changed.
    pub fn set_settings(&mut self, settings: Arc<Settings>, now: Now) {
        self.flows.grow(flows_max(&settings));
        self.settings = settings;
        let servers = self.balancer.with(|chooser| chooser.server_ips());
        self.neighbours.set(servers, now.ms);
        self.tick_at_ms = now.ms;
    }

    /// Serves another address from now on, and tells everybody. Flows to the one before are over. Whoever else has the
    /// address, such as a server that does not keep silent about it, is asked to show itself.
    pub fn serve(&mut self, service: Service) {
        self.release_all();
        self.service = service;
        let frames = [self.station.announcement(service.ip), self.station.question(service.ip, None)];
        frames.into_iter().for_each(|frame| self.send(frame));
    }

    /// The addresses of this host, in which a tarpit would hold up what is meant for the host itself.
    pub fn set_own(&mut self, own: HashSet<IpAddr>) {
        self.own = own;
    }

    /// Takes no more flows; those that are there go on.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    pub fn flows(&self) -> &Track<Place> {
        &self.flows
    }

    pub fn neighbours(&self) -> Vec<(IpAddr, Option<Mac>)> {
        self.neighbours.list()
    }

    /// What is to be sent beside the packets that [`Director::take`] lets through.
    pub fn take_outbox(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.outbox)
    }

    pub fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// When [`Director::tick`] has something to do.
    pub fn next_tick_ms(&self) -> u64 {
        self.tick_at_ms
    }

    /// Looks at what came: [`OFFLOAD_BYTES`] of the kernel's, then a frame. True when it is to be sent on: then it is
    /// addressed to its server.
    pub fn take(&mut self, packet: &mut [u8], now: Now) -> bool {
        let Some(frame) = packet.get(OFFLOAD_BYTES..).and_then(parse) else {
            self.counts.malformed += 1;
            return false;
        };
        if frame.source == self.station.mac {
            return false;
        }
        match frame.content {
            Content::Question(question) => self.asked(&question, now),
            Content::Answer { owner, mac } => self.heard(owner, mac, now),
            Content::Packet(ip) if frame.destination == self.station.mac => {
                return self.direct(&frame, &ip, packet, now);
            }
            Content::Packet(_) => {}
        }
        false
    }

    /// Does what is due without a packet.
    pub fn tick(&mut self, now: Now) {
        if now.ms < self.tick_at_ms {
            return;
        }
        self.ask(now);
        self.drop_held(now);
        let more = self.expire(now);
        let next = [
            self.neighbours.next_ms(),
            self.flows.next_deadline_ms(&self.patience()),
            self.held.front().map(|held| held.since_ms + HELD_MS),
        ];
        let next_ms = next.into_iter().flatten().min().unwrap_or(u64::MAX);
        self.tick_at_ms = if more { now.ms } else { next_ms };
    }

    fn direct(&mut self, frame: &Frame, ip: &Packet, packet: &mut [u8], now: Now) -> bool {
        if ip.destination != self.service.ip {
            self.tarpit(frame, ip);
            return false;
        }
        let Some(server) = self.server_for(frame, ip, now) else { return false };
        match self.neighbours.reach(server, now.ms, self.silence_ms()) {
            Reach::At(mac) => {
                self.address(packet, mac);
                true
            }
            Reach::Asked => {
                self.hold(server, packet, now);
                false
            }
            Reach::Silent => {
                self.counts.unreachable += 1;
                false
            }
        }
    }

    /// Writes the hardware addresses into a packet that goes to a server.
    pub(super) fn address(&mut self, packet: &mut [u8], to: Mac) {
        packet[OFFLOAD_BYTES..OFFLOAD_BYTES + 6].copy_from_slice(&to.0);
        packet[OFFLOAD_BYTES + 6..OFFLOAD_BYTES + 12].copy_from_slice(&self.station.mac.0);
        self.counts.forwarded += 1;
        self.counts.bytes += (packet.len() - OFFLOAD_BYTES) as u64;
    }

    pub(super) fn send(&mut self, frame: Vec<u8>) {
        let mut packet = vec![0; OFFLOAD_BYTES];
        packet.extend(frame);
        self.outbox.push(packet);
    }

    /// How long a server may keep silent: as long as a connect may take.
    pub(super) fn silence_ms(&self) -> u64 {
        self.settings.number(Number::Timeout) * 1000
    }
}

#[cfg(test)]
#[path = "director_tests.rs"]
mod tests;
