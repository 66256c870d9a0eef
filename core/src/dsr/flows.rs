//! Which server a packet goes to: flows found, begun, moved and ended. Pure.
//!
//! The part of the [`Director`] that asks for servers. Called from `director.rs`.

use super::director::{Balance, Director, Now, Place, Protocol};
use super::fragments::FragmentKey;
use super::frame::{Frame, Packet, Payload, Ports, TCP_RST, Tcp};
use super::neighbours::Reach;
use super::track::{Flow, FlowKey, Patience, Stage};
use crate::balance::{Admission, Attempt, Refusal, Released};
use crate::settings::Settings;
use pen_proto::addr::ClientAddr;
use pen_proto::commands::Number;
use std::net::{IpAddr, SocketAddr};

/// Flows that are tracked unless `conn_max` says otherwise.
pub const FLOWS_MAX: usize = 262_144;
/// Without a second packet; a client repeats its SYN after 1, 3 and 7 seconds, a server its answer not much longer.
const FRESH_MS: u64 = 30_000;
/// After the client's end of a connection; what comes back for longer is acknowledged, which counts as a packet.
const CLOSING_MS: u64 = 30_000;
/// Without `idle_timeout`, and with UDP without `udp_idle_timeout`. IPVS has the same for connections.
const PROVEN_MS: u64 = 900_000;
/// Flows ended in one go; the others a moment later.
const EXPIRE_MAX: usize = 1_024;

impl<B: Balance> Director<B> {
    /// Ends every flow.
    pub fn release_all(&mut self) {
        for slot in 0..self.flows.slots_used() {
            if let Some(flow) = self.flows.remove(slot) {
                self.release(flow);
            }
        }
    }

    /// Forgets a flow; false when there is none.
    pub fn close(&mut self, slot: u32) -> bool {
        let flow = self.flows.remove(slot);
        flow.map(|flow| self.release(flow)).is_some()
    }

    pub(super) fn server_for(&mut self, frame: &Frame, ip: &Packet, now: Now) -> Option<IpAddr> {
        let mark = |protocol| ip.fragment.map(|mark| FragmentKey { source: ip.source, mark, protocol });
        let own = self.protocol.number();
        let server = match (ip.payload, self.protocol) {
            (Payload::Tcp(tcp), Protocol::Tcp) => self.connection(frame, ip, &tcp, now),
            (Payload::Udp(ports), Protocol::Udp) => self.exchange(ip, ports, now),
            (Payload::Continued(protocol), _) if protocol == own => {
                return self.fragments.server(&mark(protocol)?, now.ms);
            }
            (Payload::Error(quoted), _)
                if quoted.protocol == own && quoted.source.ip() == self.service.ip =>
            {
                let key = FlowKey { client: quoted.destination, port: quoted.source.port() };
                let flow = self.flows.get(self.flows.find(&key)?)?;
                return Some(flow.value.server);
            }
            _ => None,
        }?;
        if let Some(mark) = mark(own) {
            self.fragments.remember(mark, server, now.ms);
        }
        Some(server)
    }

    fn key(&self, ip: &Packet, ports: Ports) -> Option<FlowKey> {
        let is_served = self.service.port.is_none_or(|port| port == ports.destination);
        let client = SocketAddr::new(ip.source, ports.source);
        is_served.then_some(FlowKey { client, port: ports.destination })
    }

    fn exchange(&mut self, ip: &Packet, ports: Ports, now: Now) -> Option<IpAddr> {
        let key = self.key(ip, ports)?;
        match self.flows.find(&key) {
            Some(slot) => self.go_on(slot, Stage::Proven, ip.bytes, now),
            None => self.admit(key, ip.bytes, now),
        }
    }

    fn connection(&mut self, frame: &Frame, ip: &Packet, tcp: &Tcp, now: Now) -> Option<IpAddr> {
        let key = self.key(ip, tcp.ports)?;
        let known =
            self.flows.find(&key).and_then(|slot| self.flows.get(slot).map(|flow| (slot, flow.stage)));
        let server = match known {
            Some((slot, Stage::Closing)) if tcp.opens() => {
                self.close(slot);
                self.admit(key, ip.bytes, now)
            }
            Some((slot, Stage::Fresh)) if tcp.opens() => self.try_again(slot, key, ip.bytes, now),
            Some((slot, stage)) => self.go_on(slot, next_stage(stage, tcp), ip.bytes, now),
            // There is nothing to reset.
            None if tcp.flags & TCP_RST != 0 => return None,
            None => self.admit(key, ip.bytes, now),
        };
        if server.is_none() && tcp.opens() {
            self.refuse(frame, ip, tcp);
        }
        server
    }

    /// The client repeats its first packet. After as long as a connect may take, another server gets it; whose fault
    /// the silence is, nobody here can tell, so nobody is blamed.
    fn try_again(&mut self, slot: u32, key: FlowKey, bytes: usize, now: Now) -> Option<IpAddr> {
        let opened_ms = self.flows.get(slot)?.opened_ms;
        if now.ms.saturating_sub(opened_ms) < self.silence_ms() {
            return self.go_on(slot, Stage::Fresh, bytes, now);
        }
        let flow = self.flows.get_mut(slot)?;
        flow.opened_ms = now.ms;
        let attempt = &mut flow.value.attempt;
        let next = self
            .balancer
            .with(|chooser| chooser.passed_over(ClientAddr::from(key.client), attempt, now.epoch_seconds));
        match next.and_then(|endpoint| endpoint.ip()) {
            Some(server) => {
                flow.value.server = server;
                self.counts.failovers += 1;
                self.go_on(slot, Stage::Fresh, bytes, now)
            }
            None => {
                self.close(slot);
                self.admit(key, bytes, now)
            }
        }
    }

    /// Counts a packet of a flow. When its server is gone the flow goes to another, which will reset what it does not
    /// know: the client learns at once that its connection is lost.
    fn go_on(&mut self, slot: u32, stage: Stage, bytes: usize, now: Now) -> Option<IpAddr> {
        self.flows.touch(slot, stage, bytes, now.ms);
        let flow = self.flows.get(slot)?;
        let (key, server) = (flow.key, flow.value.server);
        if self.neighbours.reach(server, now.ms, self.silence_ms()) != Reach::Silent {
            return Some(server);
        }
        self.close(slot);
        self.admit(key, bytes, now)
    }

    fn admit(&mut self, key: FlowKey, bytes: usize, now: Now) -> Option<IpAddr> {
        if self.draining {
            return None;
        }
        let (attempt, server) = match self.choose(key, now) {
            Ok(chosen) => chosen,
            Err(Refusal::Denied | Refusal::OverLimit) => {
                self.counts.denied += 1;
                return None;
            }
            Err(Refusal::NoServer) => {
                self.counts.rejected += 1;
                return None;
            }
        };
        self.counts.accepted += 1;
        if let Some(displaced) = self.flows.insert(key, Place { attempt, server }, bytes, now.ms) {
            self.counts.displaced += 1;
            self.release(displaced);
        }
        // A new flow may be the first to expire.
        self.tick_at_ms = self.tick_at_ms.min(now.ms + self.patience().fresh_ms);
        Some(server)
    }

    /// Asks for servers until there is one that is there. One that keeps silent has failed; one that has no
    /// hardware address, being no internet address, cannot be used here.
    fn choose(&self, key: FlowKey, now: Now) -> Result<(Attempt, IpAddr), Refusal> {
        let seconds = now.epoch_seconds;
        self.balancer.with(|chooser| {
            let client = key.client;
            let admission = chooser.admit(ClientAddr::from(client), client.port(), seconds);
            let Admission::Connect(mut attempt, endpoint) = admission else {
                let Admission::Refused(refusal) = admission else { unreachable!("one or the other") };
                return Err(refusal);
            };
            let mut next = Some(endpoint);
            while let Some(endpoint) = next {
                next = match endpoint.ip() {
                    Some(ip) if self.reach(ip, now) != Reach::Silent => return Ok((attempt, ip)),
                    Some(_) => chooser.failed(ClientAddr::from(client), &mut attempt, seconds),
                    None => chooser.passed_over(ClientAddr::from(client), &mut attempt, seconds),
                };
            }
            Err(Refusal::NoServer)
        })
    }

    fn reach(&self, ip: IpAddr, now: Now) -> Reach {
        self.neighbours.reach(ip, now.ms, self.silence_ms())
    }

    /// Returns whether more is due.
    pub(super) fn expire(&mut self, now: Now) -> bool {
        let patience = self.patience();
        for _ in 0..EXPIRE_MAX {
            let Some(flow) = self.flows.expire(now.ms, &patience) else { return false };
            self.counts.idle_timeouts += u64::from(flow.stage != Stage::Closing);
            self.release(flow);
        }
        true
    }

    fn release(&mut self, flow: Flow<Place>) {
        self.counts.closed += 1;
        let released =
            Released { established: flow.stage != Stage::Fresh, up_bytes: flow.bytes, down_bytes: 0 };
        self.balancer.with(|chooser| chooser.release(flow.value.attempt, released));
    }

    pub(super) fn patience(&self) -> Patience {
        let limits: &[Number] = match self.protocol {
            Protocol::Tcp => &[Number::IdleTimeout],
            Protocol::Udp => &[Number::IdleTimeout, Number::UdpIdleTimeout],
        };
        let limits_ms = limits.iter().map(|limit| self.settings.number(*limit) * 1000);
        let proven_ms = limits_ms.filter(|ms| *ms > 0).min().unwrap_or(PROVEN_MS);
        Patience { fresh_ms: FRESH_MS.min(proven_ms), proven_ms, closing_ms: CLOSING_MS.min(proven_ms) }
    }
}

pub(super) fn flows_max(settings: &Settings) -> usize {
    match settings.number(Number::ConnMax) {
        0 => FLOWS_MAX,
        wanted => wanted as usize,
    }
}

fn next_stage(stage: Stage, tcp: &Tcp) -> Stage {
    match stage {
        _ if tcp.closes() => Stage::Closing,
        Stage::Closing => Stage::Closing,
        _ => Stage::Proven,
    }
}
