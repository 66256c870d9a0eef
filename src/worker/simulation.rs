//! Lives of a whole worker in a simulated network, each from a seed: connects that are refused, late or never answered,
//! peers that reset, half-close, stall or are gone, limits, idlers and changes of the configuration. Afterwards nothing has
//! leaked, and every byte has arrived that had to, in order and once.
//!
//! A seed that fails names itself. `PEN_SEED=N` runs that one alone.

mod peer;

use super::tests::{listener, worker_before};
use super::*;
use crate::balance::{Endpoint, Extra, Finding, Health, ServerId, ServerSetup, Untested};
use crate::net::listen::Listener;
use crate::os::simulated::{self, Answer, Network};
use crate::service::Service;
use crate::settings::{ProcessConfig, ProcessSettings};
use peer::{Ending, Peer};
use pen_proto::commands::{FastClose, Flag, Number, PolicyKind, Role};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::OnceLock;

/// How many lives a run has, over all its threads.
const SEEDS: u64 = 2_000;
const THREADS: u64 = 2;
/// Clients come and configurations change until then.
const BUSY_UNTIL_MS: u64 = 8_000;
/// By then everything that depends on nobody else has happened.
const CALM_AT_MS: u64 = 60_000;
/// By then everything has.
const OVER_AT_MS: u64 = 160_000;
const SERVERS: usize = 3;
/// More connections than there are at once.
const NUMBERS_MAX: u32 = 32;
/// More turns than any life needs.
const TURNS_MAX: usize = 100_000;

/// A generator of the family xorshift; the same numbers for the same seed everywhere.
pub struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        Random(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// Below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Client,
    Act(usize),
    AcceptLate(u32),
    Server(usize),
    Settings,
    Listeners,
    Servers,
    /// A check of this server ends, be it good or not.
    Found(usize),
}

struct Life {
    random: Random,
    worker: Worker,
    peers: Vec<Peer>,
    /// The peer at each wire.
    at_wire: Vec<Option<usize>>,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    /// How many events there were, so that those of a moment have an order.
    count: u64,
    turns: usize,
    /// Ends are never before their time: no `idle_timeout`, no `tcp_fastclose`.
    is_exact: bool,
}

fn server(index: usize) -> SocketAddr {
    ([10, 0, 1, index as u8], 80).into()
}

/// Two listeners for all lives: nobody connects to them.
fn listeners() -> &'static [Arc<Listener>; 2] {
    static LISTENERS: OnceLock<[Arc<Listener>; 2]> = OnceLock::new();
    LISTENERS.get_or_init(|| [listener(), listener()])
}

impl Life {
    fn new(seed: u64) -> Life {
        let mut random = Random::new(seed);
        let window_bytes = [500, 20_000, 300_000, 5_000_000][random.below(4)];
        simulated::begin(Network::new(1_000, window_bytes));
        let mut process = ProcessConfig::default();
        process.values.set_number(Number::ConnMax, [3, 8, 100][random.below(3)]);
        process.values.set_number(Number::PendingMax, [1, 3, 100][random.below(3)]);
        process.values.set_number(Number::MultiAccept, [1, 4][random.below(2)]);
        let (process, mut settings) = (ProcessSettings::from(&process), Settings::default());
        let mut life = Life {
            is_exact: true,
            worker: worker_before(process, settings.clone(), vec![], vec![listeners()[0].clone()]),
            random,
            peers: Vec::new(),
            at_wire: Vec::new(),
            events: BinaryHeap::new(),
            count: 0,
            turns: 0,
        };
        if life.random.chance(15) {
            settings.set_number(Number::IdleTimeout, 1 + life.random.below(20) as u64);
            life.is_exact = false;
        }
        if life.random.chance(10) {
            settings.set_choice([FastClose::Up, FastClose::Down, FastClose::Both][life.random.below(3)]);
            life.is_exact = false;
        }
        life.set_settings(settings);
        life.change_servers();
        (0..SERVERS).for_each(|index| life.change_server(index));
        life.worker.context.renew_idlers();
        life.expect_events();
        life
    }

    fn expect_events(&mut self) {
        for _ in 0..1 + self.random.below(12) {
            self.at_any_time(Event::Client);
        }
        for _ in 0..self.random.below(6) {
            let index = self.random.below(SERVERS);
            self.at_any_time(Event::Server(index));
        }
        for _ in 0..self.random.below(8) {
            let index = self.random.below(SERVERS);
            self.at_any_time(Event::Found(index));
        }
        for _ in 0..self.random.below(4) {
            let change = [Event::Settings, Event::Listeners, Event::Servers];
            let index = self.random.below(change.len());
            self.at_any_time(change.into_iter().nth(index).expect("it is below the end"));
        }
    }

    fn at_any_time(&mut self, event: Event) {
        let at_ms = self.random.below(BUSY_UNTIL_MS as usize) as u64;
        self.after(at_ms, event);
    }

    fn after(&mut self, ms: u64, event: Event) {
        self.count += 1;
        self.events.push(Reverse((self.now_ms() + ms, self.count, event)));
    }

    fn now_ms(&self) -> u64 {
        os::monotonic_ms()
    }

    fn service(&self) -> Arc<Service> {
        self.worker.context.core.services[0].service.clone()
    }

    fn set_settings(&mut self, mut settings: Settings) {
        settings.set_number(Number::Timeout, 1 + self.random.below(4) as u64);
        settings.set_number(Number::Blacklist, self.random.below(5) as u64);
        settings.set_number(Number::Idlers, [0, 0, 5][self.random.below(3)]);
        settings.set_number(Number::Queue, [0, 1, 8][self.random.below(3)]);
        settings.set_number(Number::QueueTimeout, [0, 700, 5_000][self.random.below(3)]);
        settings.set_number(Number::ClientConnMax, [0, 0, 2][self.random.below(3)]);
        settings.set_number(Number::CloneQueue, [1_024, 65_536][self.random.below(2)]);
        // What peers say is now and then two words to Octopus, and is no request to others.
        let policies = [PolicyKind::Pen, PolicyKind::Pen, PolicyKind::UriStatic, PolicyKind::UriHash];
        settings.set_choice(policies[self.random.below(4)]);
        settings.set_flag(Flag::Stubborn, self.random.chance(15));
        settings.set_flag(Flag::Peek, self.random.chance(25));
        settings.set_flag(Flag::TcpNodelay, self.random.chance(50));
        self.publish(settings);
    }

    fn publish(&mut self, settings: Settings) {
        self.service().set_settings(settings);
        self.worker.context.core.shared.announce();
    }

    fn change_servers(&mut self) {
        let count = 1 + self.random.below(SERVERS);
        let setups = (0..count).map(|index| {
            let max = [0, 0, 0, 1, 2][self.random.below(5)];
            let extra = Extra { older_ms: 300, timeout_ms: 1_000 };
            let extra = self.random.chance(20).then_some(extra);
            let untested = if extra.is_some() { Untested::Used } else { Untested::Unchecked };
            // The first is a member always, or too many clients have nobody.
            let role = if index > 0 && self.random.chance(30) { Role::Clone } else { Role::Member };
            ServerSetup { max, extra, untested, role, ..ServerSetup::new(Endpoint::Inet(server(index))) }
        });
        let setups: Vec<_> = setups.collect();
        let service = self.worker.context.core.services[0].service.clone();
        let selection = service.selection;
        service.pool().set_servers(selection, setups, None, None);
        service.serve_queue();
        self.worker.context.core.shared.announce();
    }

    fn end_check(&mut self, index: usize) {
        let finding = Finding {
            health: Health::Up,
            reason: "".into(),
            connected_since_seconds: None,
            took_us: None,
            served_ms: self.random.chance(60).then(os::monotonic_ms),
        };
        let (id, endpoint) = (ServerId::regular(index), Endpoint::Inet(server(index)));
        let now_seconds = os::steady_epoch_seconds(os::monotonic_ms());
        self.service().with(|chooser| chooser.checked(id, &endpoint, &finding, now_seconds));
    }

    fn change_server(&mut self, index: usize) {
        let answer = match self.random.below(20) {
            0..10 => Answer::Accepts,
            10..13 => Answer::Late,
            13 | 14 => Answer::Refuses,
            15 => Answer::RefusesAtOnce,
            16 => Answer::Silent,
            17 => Answer::Busy,
            18 => Answer::Local,
            _ => Answer::Shortage,
        };
        simulated::with(|network| network.set_answer(server(index), answer));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Client => {
                let address = SocketAddr::from(([10, 0, 0, self.random.below(4) as u8], 1024));
                let wire = simulated::with(|network| network.client(address));
                self.meet(wire, true);
                if self.random.chance(25) {
                    self.lose_idler();
                }
            }
            Event::Act(index) => self.act(index),
            Event::AcceptLate(wire) => simulated::with(|network| network.accept_late(wire)),
            Event::Server(index) => self.change_server(index),
            Event::Settings => {
                let settings = Settings::clone(&self.service().settings().get());
                self.set_settings(settings);
            }
            Event::Listeners => {
                let next = listeners()[self.random.below(2)].clone();
                self.service().listeners().set(vec![next]);
                self.worker.context.core.shared.announce();
            }
            Event::Servers => self.change_servers(),
            Event::Found(index) => self.end_check(index),
        }
    }

    /// A server ends a connection that waits for a client, at a bad time.
    fn lose_idler(&mut self) {
        let waits = |peer: &&mut Peer| !peer.is_client && peer.partner.is_none() && !peer.is_over();
        if let Some(peer) = self.peers.iter_mut().rfind(waits) {
            peer.ending = if self.random.chance(50) { Ending::Gone(0) } else { Ending::Reset(0) };
            simulated::with(|network| peer.go(&mut network.wires[peer.wire as usize]));
        }
    }

    /// There is another peer.
    fn meet(&mut self, wire: u32, is_client: bool) {
        let index = self.peers.len();
        let most_bytes = 100 * simulated::with(|network| network.window_bytes);
        let mut peer = Peer::new(index as u32, wire, is_client, most_bytes, &mut self.random);
        if self.now_ms() >= BUSY_UNTIL_MS {
            peer.appetite_bytes = usize::MAX;
        }
        self.peers.push(peer);
        self.at_wire.resize(self.at_wire.len().max(wire as usize + 1), None);
        self.at_wire[wire as usize] = Some(index);
        self.after(0, Event::Act(index));
    }

    fn act(&mut self, index: usize) {
        let (peer, random) = (&mut self.peers[index], &mut self.random);
        simulated::with(|network| peer.act(&mut network.wires[peer.wire as usize], random));
        if let Some(sender) = peer.sender() {
            let partner = *peer.partner.get_or_insert(sender as usize);
            assert_eq!(partner, sender as usize, "bytes of another connection at {peer:?}");
        }
        if !self.peers[index].is_over() {
            let pause_ms = match self.random.below(20) {
                0 if self.now_ms() < BUSY_UNTIL_MS => self.random.below(3_000),
                _ => 1 + self.random.below(100),
            };
            self.after(pause_ms as u64, Event::Act(index));
        }
    }

    fn turn(&mut self, ready: &[Readiness]) {
        self.turns += 1;
        assert!(self.turns < TURNS_MAX, "it comes to no rest");
        self.worker.turn(ready, &mut Vec::new());
        for wire in simulated::with(|network| std::mem::take(&mut network.connects)) {
            let answer = simulated::with(|network| network.answer(wire));
            if answer == Answer::Late {
                let pause_ms = self.random.below(6_000) as u64;
                self.after(pause_ms, Event::AcceptLate(wire));
            }
            self.meet(wire, false);
        }
        for (_, connection) in self.worker.connections.iter() {
            let at_wire = |wire: i32| self.at_wire.get(usize::try_from(wire).ok()?).copied().flatten();
            let ends = [&connection.client, &connection.server].map(|socket| at_wire(socket.number()));
            if let [Some(client), Some(server)] = ends
                && connection.stage == Stage::Relaying
            {
                self.peers[client].partner = Some(server);
                self.peers[server].partner = Some(client);
                let wire = self.peers[server].wire as usize;
                simulated::with(|network| assert!(network.wires[wire].has_begun(), "nobody has accepted"));
            }
        }
        let Worker { context, connections, .. } = &self.worker;
        let queued = connections.iter().filter(|(_, connection)| connection.stage == Stage::Queued).count();
        let now_seconds = os::steady_epoch_seconds(os::monotonic_ms());
        context.core.services[0].service.with(|chooser| {
            assert!(chooser.waiting() <= queued, "somebody waits who is gone");
            // Who waits is looked at as a second begins, but timers are late by up to a tick.
            assert_eq!(chooser.idle_places(now_seconds.saturating_sub(2)), 0, "somebody waits in vain");
        });
        for number in 0..NUMBERS_MAX {
            let is_stale = connections.get(number).is_none() && context.timers.is_armed(number);
            assert!(!is_stale, "the timer of connection {number} has outlived it");
        }
    }

    fn run_until(&mut self, end_ms: u64) {
        loop {
            let random = &mut self.random;
            let mut ready = simulated::with(|network| network.poll(|| random.chance(85)));
            for at in (1..ready.len()).rev() {
                ready.swap(at, random.below(at + 1));
            }
            let core = &self.worker.context.core;
            let is_behind = core.shared.generation() != core.generation;
            if !ready.is_empty() || is_behind || core.shared.has_called(core.number) {
                self.turn(&ready);
                continue;
            }
            let wait_ms = self.worker.wait_ms();
            let timer_ms = wait_ms.map(|wait_ms| self.now_ms() + wait_ms.max(1));
            let has_news = simulated::with(|network| network.has_news()).then(|| self.now_ms() + 1);
            let event_ms = self.events.peek().map(|Reverse((at_ms, ..))| *at_ms);
            let next_ms = [timer_ms, has_news, event_ms].into_iter().flatten().min().unwrap_or(end_ms);
            simulated::with(|network| network.now_ms = next_ms.min(end_ms).max(network.now_ms));
            if next_ms >= end_ms {
                return;
            }
            while let Some(Reverse((at_ms, ..))) = self.events.peek()
                && *at_ms <= next_ms
                && let Some(Reverse((.., event))) = self.events.pop()
            {
                self.happen(event);
            }
            if timer_ms.is_some_and(|timer_ms| timer_ms <= next_ms) {
                self.turn(&[]);
            }
        }
    }

    /// Pairs of a client and its server that nothing disturbs.
    fn clean_pairs(&self) -> Vec<[&Peer; 2]> {
        let clients = self.peers.iter().filter(|peer| peer.is_client && peer.is_clean());
        let pairs = clients.filter_map(|client| Some([client, &self.peers[client.partner?]]));
        pairs.filter(|[_, server]| server.is_clean() && self.is_exact).collect()
    }

    /// What one side has sent has arrived at the other, its end too, although that other may say something yet.
    fn check_ways(&self) {
        for [client, server] in self.clean_pairs() {
            for (from, to) in [(client, server), (server, client)] {
                assert_eq!(to.received, from.sent, "bytes are missing: from {from:?} to {to:?}");
                assert_eq!(to.saw_end, from.has_ended, "an end was not passed on: from {from:?} to {to:?}");
                assert!(!to.saw_reset, "cut off: {to:?}");
            }
        }
    }

    /// Who has seen an orderly end has got everything.
    fn check_ends(&self) {
        for peer in self.peers.iter().filter(|peer| peer.saw_end && !peer.is_gone && self.is_exact) {
            let Some(partner) = peer.partner.map(|partner| &self.peers[partner]) else { continue };
            let is_whole = peer.received == partner.sent || partner.partner != self.index_of(peer);
            let has_ended = partner.has_ended || partner.is_gone;
            // Who got nothing may have lost an idler, and then found no server.
            let is_cut_off = partner.has_reset && peer.received > 0;
            assert!(
                is_whole && has_ended && !is_cut_off,
                "a part looks complete: from {partner:?} to {peer:?}"
            );
        }
    }

    fn peer_at(&self, wire: i32) -> Option<&Peer> {
        Some(&self.peers[(*self.at_wire.get(usize::try_from(wire).ok()?)?)?])
    }

    fn index_of(&self, peer: &Peer) -> Option<usize> {
        self.at_wire[peer.wire as usize]
    }

    fn check_leaks(&self) {
        let Worker { context, connections, .. } = &self.worker;
        let left = connections.iter().map(|(_, connection)| {
            let ends = [&connection.client, &connection.server].map(|socket| self.peer_at(socket.number()));
            format!("{:?} between {ends:?}", connection.stage)
        });
        assert!(connections.is_empty(), "connections are left: {:#?}", left.collect::<Vec<_>>());
        assert_eq!(context.timers.next_deadline_ms(), None, "a timer is left");
        assert!(context.clones.is_empty() && !context.clones.has_timer(), "a clone is left");
        let room = context.core.shared.room();
        assert_eq!((room.used(), room.pending(), room.clones()), (0, 0, 0), "room is left in use");
        assert!(!room.is_awaited(), "accepting is paused");
        let service = &context.core.services[0];
        assert_eq!(service.totals.accepted, service.totals.closed);
        for server in service.service.with(|chooser| chooser.server_statuses(0)) {
            assert_eq!(server.connections, 0, "a place is left taken: {server:?}");
        }
        service.service.with(|chooser| {
            assert_eq!((chooser.waiting(), chooser.counted_clients()), (0, 0), "somebody is still counted");
        });
        assert!(context.work.pool.is_balanced(), "a pipe is lost");
        let open = simulated::with(|network| network.wires.iter().position(|wire| !wire.is_closed));
        assert_eq!(open, None, "a socket is left open: {:?}", open.map(|wire| &self.peers[wire]));
    }

    fn live(&mut self) {
        self.run_until(BUSY_UNTIL_MS);
        self.peers.iter_mut().for_each(|peer| peer.appetite_bytes = usize::MAX);
        self.run_until(CALM_AT_MS);
        self.check_ways();
        for peer in self.peers.iter_mut().filter(|peer| peer.ending == Ending::AfterOther) {
            peer.ending = Ending::AtOnce;
        }
        (0..SERVERS).for_each(|index| {
            simulated::with(|network| network.set_answer(server(index), Answer::Accepts));
        });
        let mut settings = Settings::clone(&self.service().settings().get());
        settings.set_number(Number::Idlers, 0);
        settings.set_flag(Flag::Peek, false);
        self.publish(settings);
        self.run_until(OVER_AT_MS);
        self.check_ways();
        self.check_ends();
        self.check_leaks();
    }
}

fn live(seed: u64) {
    let lived = catch_unwind(AssertUnwindSafe(|| Life::new(seed).live()));
    simulated::end();
    if let Err(panic) = lived {
        eprintln!("PEN_SEED={seed} repeats this");
        resume_unwind(panic);
    }
}

#[test]
fn whatever_happens_nothing_is_lost_and_nothing_is_left() {
    if !REGISTRATIONS_LAST {
        return; // the simulated poller reports edges
    }
    if let Ok(seed) = std::env::var("PEN_SEED") {
        return live(seed.parse().expect("PEN_SEED is a number"));
    }
    let lives = |thread: u64| (thread..SEEDS).step_by(THREADS as usize).for_each(live);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || lives(thread));
        }
    });
}
