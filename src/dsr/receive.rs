//! The thread that receives frames and sends them on: one poller, one packet socket, one director. Nothing here blocks.
//!
//! Owns the socket, its filter and its groups. It decides nothing about a frame.

use super::director::{Balance, Director, News, Now, Place, Service};
use super::open::Opened;
use super::reply::solicited_node;
use super::track::{Flow, Stage};
use super::{Message, Report, filter};
use crate::balance::Chooser;
use crate::log::diag::{self, Severity};
use crate::net::poller::{Poller, Readiness};
use crate::published::Held;
use crate::room::Want;
use crate::service::Service as Balanced;
use crate::settings::Settings;
use crate::shared::Shared;
use crate::sys::packet::{BATCH_MAX, Batch, PacketSocket};
use crate::sys::waking::Waker;
use crate::sys::{clock, interfaces};
use pen_proto::status::{ConnectionStatus, DsrStatus, NeighbourStatus, bits};
use std::io;
use std::net::{IpAddr, Ipv6Addr, UdpSocket};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

/// Batches in one go, before messages and timers get their turn.
const BATCHES_MAX: usize = 16;
/// Flows told in one report.
const REPORT_SLOTS: u32 = 4096;
/// How often a tarpit looks for new addresses of its own host.
const OWN_LOOK_MS: u64 = 10_000;
const SOCKET_KEY: usize = 0;

impl Balance for Balanced {
    fn with<T>(&self, decide: impl FnOnce(&mut Chooser<'_>) -> T) -> T {
        Balanced::with(self, decide)
    }
}

pub struct Receiver {
    socket: PacketSocket,
    interface: String,
    interface_index: u32,
    /// A member of the group in which questions for an IPv6 service are asked. It receives nothing itself.
    group: Option<UdpSocket>,
    service: Service,
    director: Director<Arc<Balanced>>,
    shared: Arc<Shared>,
    balanced: Arc<Balanced>,
    settings: Held<Settings>,
    /// The version of the settings that this thread has.
    generation: u64,
    poller: Poller,
    messages: mpsc::Receiver<Message>,
    flows: Arc<AtomicU64>,
    batch: Batch,
    /// Frames that the kernel did not take, or had no room for.
    unsent: u64,
    overrun: u64,
    /// Flows that had gone for others at the last look.
    displaced: u64,
    hears_all_groups: bool,
    own_look_ms: u64,
    stopping: bool,
}

impl Receiver {
    /// Called before the thread starts, so that what fails here fails the start of pen.
    pub fn new(
        opened: Opened,
        shared: Arc<Shared>,
        balanced: Arc<Balanced>,
        messages: mpsc::Receiver<Message>,
        flows: Arc<AtomicU64>,
    ) -> io::Result<Receiver> {
        let generation = shared.generation();
        let settings = Held::of(balanced.settings());
        let Opened { socket, interface, index, station, service, protocol, own, .. } = opened;
        let mut director = Director::new(balanced.clone(), settings.share(), station, service, protocol);
        director.set_own(own);
        let poller = Poller::new()?;
        poller.add_listener(socket.as_fd(), SOCKET_KEY)?;
        let mut receiver = Receiver {
            socket,
            interface,
            interface_index: index,
            group: None,
            service,
            director,
            shared,
            balanced,
            settings,
            generation,
            poller,
            messages,
            flows,
            batch: Batch::default(),
            unsent: 0,
            overrun: 0,
            displaced: 0,
            hears_all_groups: false,
            own_look_ms: 0,
            stopping: false,
        };
        receiver.join_groups();
        receiver.follow_settings(now());
        Ok(receiver)
    }

    pub fn waker(&self) -> Waker {
        self.poller.waker()
    }

    /// Works until told to stop.
    pub fn run(mut self) {
        let mut ready: Vec<Readiness> = Vec::new();
        while !self.stopping {
            let now = now();
            self.catch_up(now);
            self.director.tick(now);
            self.post_office();
            self.flows.store(self.director.flows().len() as u64, Ordering::Relaxed);
            ready.clear();
            let wait_ms = self.director.next_tick_ms().saturating_sub(clock::monotonic_ms());
            if let Err(error) = self.poller.wait(&mut ready, Some(wait_ms)) {
                diag::say(Severity::Error, format_args!("dsr: cannot wait for frames: {error}"));
                break;
            }
            if !ready.is_empty() {
                self.receive();
                self.note_full(now.ms);
            }
            self.shared.room().look_whether_full(now.ms);
        }
        self.director.release_all();
        self.flows.store(0, Ordering::Relaxed);
    }

    /// Tells of flows that had to go for others.
    fn note_full(&mut self, now_ms: u64) {
        let displaced = self.director.counts().displaced;
        if std::mem::replace(&mut self.displaced, displaced) != displaced {
            let flows = self.director.flows();
            let (used, most) = (flows.len(), flows.slots_max());
            self.shared.room().note_full(Want::Places, now_ms, |_| {
                format!("{used} flows, no more fit (conn_max {most}); new ones displace others")
            });
        }
    }

    /// Takes what is there, within limits.
    fn receive(&mut self) {
        for _ in 0..BATCHES_MAX {
            match self.socket.receive(&mut self.batch) {
                Ok(()) if self.batch.is_empty() => return,
                Ok(()) => self.direct_batch(),
                Err(error) => {
                    let text = format_args!("dsr: {}: {error}", self.interface);
                    diag::once("dsr receive", text);
                    return;
                }
            }
        }
    }

    fn direct_batch(&mut self) {
        let now = now();
        let (mut passing, mut count) = ([0; BATCH_MAX], 0);
        for number in 0..self.batch.len() {
            let (director, packet) = (&mut self.director, self.batch.packet(number));
            // A mistake of ours costs the frame that met it. The panic hook has said what happened.
            let taken = catch_unwind(AssertUnwindSafe(|| director.take(packet, now)));
            if taken.unwrap_or(false) {
                passing[count] = number;
                count += 1;
            }
        }
        let batch = &self.batch;
        let packets = passing[..count].iter().map(|number| batch.packet_ref(*number));
        self.unsent += self.socket.send(packets) as u64;
    }

    /// Sends what the director has to say, and tells what it has found out.
    fn post_office(&mut self) {
        let outbox = self.director.take_outbox();
        for packets in outbox.chunks(BATCH_MAX) {
            self.unsent += self.socket.send(packets.iter().map(Vec::as_slice)) as u64;
        }
        for news in self.director.take_news() {
            self.tell(&news);
        }
    }

    /// How messages name the server at an address.
    fn called(&self, ip: IpAddr) -> String {
        let called = self.balanced.with(|chooser| chooser.called_at(ip));
        called.map_or_else(|| format!("server ({ip})"), |called| called.to_string())
    }

    fn tell(&self, news: &News) {
        let interface = &self.interface;
        match news {
            News::Found(ip, mac) => {
                diag::debug!(1, "dsr: {} is at {mac}", self.called(*ip));
            }
            News::Silent(ip) => {
                let called = self.called(*ip);
                let text = format_args!("dsr: {called} does not answer on {interface}: blacklisted");
                diag::once(&format!("dsr silent {ip}"), text);
            }
            News::Rival(mac) => {
                let ip = self.service.ip;
                diag::once(
                    "dsr rival",
                    format_args!(
                        "dsr: {mac} on {interface} answers for {ip} too; servers must not (arp_ignore)"
                    ),
                );
            }
        }
    }

    /// Picks up new settings, servers and messages.
    fn catch_up(&mut self, now: Now) {
        if self.shared.generation() != self.generation {
            self.generation = self.shared.generation();
            self.settings.follow(self.balanced.settings());
            self.follow_settings(now);
        }
        if self.settings.tarpit_acl().is_some() && now.ms >= self.own_look_ms {
            self.own_look_ms = now.ms + OWN_LOOK_MS;
            // Known are those of the last time.
            let _ = interfaces::own_addresses().map(|own| self.director.set_own(own));
        }
        while let Ok(message) = self.messages.try_recv() {
            self.obey(message);
        }
    }

    fn follow_settings(&mut self, now: Now) {
        self.director.set_settings(self.settings.share(), now);
        self.set_filter();
        if self.settings.tarpit_acl().is_some() {
            self.hear_all_groups();
        }
    }

    fn set_filter(&self) {
        let program = filter::program(self.service.ip, self.settings.tarpit_acl().is_some());
        if let Err(error) = self.socket.set_filter(program) {
            diag::say(
                Severity::Error,
                format_args!("dsr: {}: cannot set the filter: {error}", self.interface),
            );
        }
    }

    /// Through the kernel, so that switches learn of it. Where it has no IPv6, the interface hears every group.
    fn join_groups(&mut self) {
        self.group = None;
        let IpAddr::V6(ip) = self.service.ip else { return };
        let join = || {
            let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
            socket.join_multicast_v6(&solicited_node(ip), self.interface_index)?;
            Ok::<UdpSocket, io::Error>(socket)
        };
        match join() {
            Ok(socket) => self.group = Some(socket),
            Err(_) => self.hear_all_groups(),
        }
    }

    fn hear_all_groups(&mut self) {
        if std::mem::replace(&mut self.hears_all_groups, true) {
            return;
        }
        if let Err(error) = self.socket.hear_all_groups() {
            diag::say(Severity::Error, format_args!("dsr: {}: cannot hear groups: {error}", self.interface));
        }
    }

    fn obey(&mut self, message: Message) {
        match message {
            // Whoever asked may have given up.
            Message::Report(start, asker) => drop(asker.send(self.report(start))),
            Message::Close(slot, asker) => drop(asker.send(self.director.close(slot))),
            Message::Serve(service) => {
                self.service = service;
                self.director.serve(service);
                self.set_filter();
                self.join_groups();
            }
            Message::Drain => self.director.drain(),
            Message::Stop => self.stopping = true,
        }
    }

    fn report(&mut self, start: u32) -> Report {
        let flows = self.director.flows();
        let end = flows.slots_used().min(start.saturating_add(REPORT_SLOTS));
        let now_ms = clock::monotonic_ms();
        let status = |slot| flows.get(slot).map(|flow| flow_status(slot, flow, now_ms));
        let connections = (start..end).filter_map(status).collect();
        let next = (end < flows.slots_used()).then_some(end);
        let flows_max = flows.slots_max() as u64;
        self.overrun += self.socket.overrun();
        Report { connections, next, flows_max, counts: self.director.counts(), status: self.status() }
    }

    fn status(&self) -> DsrStatus {
        let counts = self.director.counts();
        let neighbour = |(ip, mac): (IpAddr, Option<_>)| NeighbourStatus {
            address: ip.to_string(),
            mac: mac.map(|mac: super::frame::Mac| mac.to_string()).unwrap_or_default(),
        };
        DsrStatus {
            interface: self.interface.clone(),
            forwarded: counts.forwarded,
            answers: counts.answers,
            tarpitted: counts.tarpitted,
            displaced: counts.displaced,
            malformed: counts.malformed,
            unreachable: counts.unreachable,
            unsent: self.unsent,
            overrun: self.overrun,
            servers: self.director.neighbours().into_iter().map(neighbour).collect(),
        }
    }
}

fn now() -> Now {
    let ms = clock::monotonic_ms();
    Now { ms, epoch_seconds: clock::steady_epoch_seconds(ms) }
}

fn flow_status(slot: u32, flow: &Flow<Place>, now_ms: u64) -> ConnectionStatus {
    let seconds_since = |ms: u64| now_ms.saturating_sub(ms) / 1000;
    ConnectionStatus {
        number: slot,
        client: flow.key.client.to_string(),
        client_slot: flow.value.attempt.slot().index.into(),
        server: flow.value.attempt.server().number(),
        server_address: flow.value.server.to_string(),
        state: match flow.stage {
            Stage::Fresh => bits::CONNECTING,
            Stage::Proven => bits::CONNECTED,
            Stage::Closing => bits::CONNECTED | bits::CLIENT_ENDED,
        },
        down_fd: -1,
        up_fd: -1,
        up_bytes: flow.bytes,
        age_seconds: seconds_since(flow.opened_ms),
        idle_seconds: seconds_since(flow.active_ms),
        ..ConnectionStatus::default()
    }
}
