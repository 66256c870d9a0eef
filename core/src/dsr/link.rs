//! What is said on the link: questions for servers and answers for addresses, frames that wait, connections that get
//! stuck. Pure.
//!
//! The part of the [`Director`] that speaks. Called from `director.rs`.

use super::director::{Balance, Director, News, Now};
use super::frame::{Frame, Mac, Packet, Payload, Question, TCP_ACK, TCP_RST, TCP_SYN, Tcp};
use super::reply::Segment;
use pen_proto::addr::ClientAddr;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// Frames that wait for the hardware address of their server, over all servers.
pub const HELD_MAX: usize = 64;
/// How long they wait. A client sends again by then.
pub const HELD_MS: u64 = 1_000;
/// What is first in the sequence of a connection to nowhere, as in Pen.
const TARPIT_SEQUENCE: u32 = 42;

/// A packet whose server has not answered yet.
pub(super) struct Held {
    pub(super) server: IpAddr,
    pub(super) packet: Vec<u8>,
    pub(super) since_ms: u64,
}

impl<B: Balance> Director<B> {
    pub(super) fn asked(&mut self, question: &Question, now: Now) {
        let Question { target, asker, asker_mac } = *question;
        // Who asks says where he is; a server that moves to another interface announces itself so.
        if self.neighbours.contains(asker) {
            self.heard(asker, asker_mac, now);
        }
        if target == self.service.ip && asker == target {
            self.news.push(News::Rival(asker_mac));
            return;
        }
        // Whoever looks whether an address is free shall have it, unless it is the service's.
        let held_up = !asker.is_unspecified() && asker != target && self.holds_up(target);
        if asker_mac.is_station() && (target == self.service.ip || held_up) {
            self.counts.answers += 1;
            let answer = self.station.answer(question);
            self.send(answer);
        }
    }

    pub(super) fn heard(&mut self, owner: IpAddr, mac: Mac, now: Now) {
        if owner == self.service.ip {
            self.news.push(News::Rival(mac));
        }
        if self.neighbours.heard(owner, mac, now.ms) {
            self.news.push(News::Found(owner, mac));
        }
        let (waited, others) =
            std::mem::take(&mut self.held).into_iter().partition(|held| held.server == owner);
        self.held = others;
        let waited: VecDeque<Held> = waited;
        for mut held in waited {
            self.address(&mut held.packet, mac);
            self.outbox.push(held.packet);
        }
    }

    /// As a closed port would, so that the client need not wait.
    pub(super) fn refuse(&mut self, frame: &Frame, ip: &Packet, tcp: &Tcp) {
        self.answer_segment(frame, ip, tcp, 0, TCP_RST | TCP_ACK, 0);
    }

    /// Whoever connects to an address that is nobody's shall believe that somebody is there, and wait.
    pub(super) fn tarpit(&mut self, frame: &Frame, ip: &Packet) {
        if let Payload::Tcp(tcp) = ip.payload
            && tcp.opens()
            && self.holds_up(ip.destination)
        {
            self.counts.tarpitted += 1;
            self.answer_segment(frame, ip, &tcp, TARPIT_SEQUENCE, TCP_SYN | TCP_ACK, tcp.window);
        }
    }

    fn answer_segment(
        &mut self,
        frame: &Frame,
        ip: &Packet,
        tcp: &Tcp,
        sequence: u32,
        flags: u8,
        window: u16,
    ) {
        let segment = Segment {
            from: SocketAddr::new(ip.destination, tcp.ports.destination),
            to: SocketAddr::new(ip.source, tcp.ports.source),
            sequence,
            acknowledged: tcp.sequence.wrapping_add(1),
            flags,
            window,
        };
        let answer = self.station.segment(frame.source, &segment);
        self.send(answer);
    }

    /// Whether the tarpit has this address: the list permits it, and names addresses of its kind at all. An empty list
    /// has none, or it would take every address there is.
    fn holds_up(&self, ip: IpAddr) -> bool {
        let Some(list) = self.settings.tarpit_acl() else { return false };
        let acl = &self.settings.acls[list];
        let is_taken = ip == self.service.ip || self.own.contains(&ip) || self.neighbours.contains(ip);
        !is_taken
            && can_be_a_station(ip)
            && acl.is_about(ip)
            && acl.permits(ClientAddr::Ip(ip), &self.settings.countries)
    }

    pub(super) fn ask(&mut self, now: Now) {
        for due in self.neighbours.due(now.ms, self.silence_ms()) {
            // One that does not answer where it was may be elsewhere.
            let question = self.station.question(due.ip, due.mac.filter(|_| !due.silent));
            self.send(question);
            if due.silent {
                self.news.push(News::Silent(due.ip));
                self.balancer.with(|chooser| chooser.vanished(due.ip, now.epoch_seconds));
            }
        }
    }

    pub(super) fn hold(&mut self, server: IpAddr, packet: &[u8], now: Now) {
        if self.held.len() >= HELD_MAX {
            self.held.pop_front();
            self.counts.unreachable += 1;
        }
        self.held.push_back(Held { server, packet: packet.to_vec(), since_ms: now.ms });
        self.tick_at_ms = self.tick_at_ms.min(now.ms + HELD_MS);
    }

    pub(super) fn drop_held(&mut self, now: Now) {
        while self.held.front().is_some_and(|held| now.ms.saturating_sub(held.since_ms) >= HELD_MS) {
            self.held.pop_front();
            self.counts.unreachable += 1;
        }
    }
}

/// Not a group, nor any of the addresses that mean something else.
fn can_be_a_station(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            !(v4.is_unspecified() || v4.is_loopback() || v4.is_multicast() || v4.is_broadcast())
        }
        IpAddr::V6(v6) => !(v6.is_unspecified() || v6.is_loopback() || v6.is_multicast()),
    }
}
