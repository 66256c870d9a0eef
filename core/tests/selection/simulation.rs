//! Servers that die and recover, clients that come and go, by a seed: what the clients are promised all along.

use crate::service::Service;
use crate::{client, server, settings};
use pen_core::balance::{Admission, Attempt, Endpoint, Released};
use pen_proto::addr::ClientAddr;
use pen_proto::commands::{Flag, Number};

const SERVERS: usize = 8;
const BLACKLIST_SECONDS: u32 = 30;
const CONNECT_TIMEOUT_SECONDS: u32 = 3;

/// A small generator of even quality (splitmix64), so that a seed means the same run for ever.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % u64::from(end)) as u32
    }
}

/// A connect whose answer comes at a time of its own.
struct Connecting {
    client: ClientAddr,
    attempt: Attempt,
    port: u16,
    answer_at_seconds: u32,
    /// The servers before this one.
    tried: Vec<u16>,
}

struct World {
    dice: Dice,
    service: Service,
    now_seconds: u32,
    /// So many, the first ones, never die.
    immortal: usize,
    alive: [bool; SERVERS],
    died_at_seconds: [u32; SERVERS],
    connecting: Vec<Connecting>,
    established: Vec<Attempt>,
    served: usize,
    /// How many servers each client had been sent to that went away unserved.
    unserved: Vec<usize>,
    /// How often it was told that only servers that failed are left, and that this is over.
    outages: [usize; 2],
    /// Connects begun to servers dead for longer than it takes to notice: when it died, and when it was tried.
    tries_at_the_dead: [Vec<(u32, u32)>; SERVERS],
}

impl World {
    fn new(seed: u64, roundrobin: bool) -> World {
        let mut settings = settings();
        settings.set_flag(Flag::Roundrobin, roundrobin);
        settings.set_number(Number::Blacklist, BLACKLIST_SECONDS.into());
        let mut service = Service::new(50, &settings);
        service.set_servers((0..SERVERS as u16).map(|index| server(index + 1)).collect(), None, None);
        World {
            dice: Dice(seed),
            service,
            now_seconds: 1_800_000_000,
            immortal: 1,
            alive: [true; SERVERS],
            died_at_seconds: [0; SERVERS],
            connecting: Vec::new(),
            established: Vec::new(),
            served: 0,
            unserved: Vec::new(),
            outages: [0; 2],
            tries_at_the_dead: Default::default(),
        }
    }

    /// One second: fates turn, clients come, answers arrive, connections end.
    fn tick(&mut self) {
        self.now_seconds += 1;
        self.turn_fates();
        for _ in 0..self.dice.below(4) {
            let client = client(self.dice.below(200));
            let admission = self.service.at().admit(client, 40_000, self.now_seconds);
            match admission {
                Admission::Connect(attempt, endpoint) => self.connect(client, attempt, &endpoint, Vec::new()),
                Admission::Refused(_) => self.unserved.push(0),
            }
        }
        self.answer();
        while !self.established.is_empty() && self.dice.below(3) == 0 {
            let position = self.dice.below(self.established.len() as u32) as usize;
            let attempt = self.established.swap_remove(position);
            self.service.at().release(attempt, Released { established: true, up_bytes: 1, down_bytes: 2 });
        }
    }

    fn turn_fates(&mut self) {
        if self.dice.below(20) == 0 {
            let index = self.immortal + self.dice.below((SERVERS - self.immortal) as u32) as usize;
            self.alive[index] = !self.alive[index];
            self.died_at_seconds[index] = self.now_seconds;
        }
    }

    fn connect(&mut self, client: ClientAddr, attempt: Attempt, endpoint: &Endpoint, tried: Vec<u16>) {
        let port = endpoint.port();
        assert!(!tried.contains(&port), "sent to server {port} again after {tried:?}");
        self.outages[0] += usize::from(attempt.begins_outage());
        let index = usize::from(port) - 1;
        let died_at_seconds = self.died_at_seconds[index];
        if !self.alive[index] && died_at_seconds + CONNECT_TIMEOUT_SECONDS < self.now_seconds {
            self.tries_at_the_dead[index].push((died_at_seconds, self.now_seconds));
        }
        let delay_seconds = if self.alive[index] { 0 } else { self.dice.below(CONNECT_TIMEOUT_SECONDS + 1) };
        self.connecting.push(Connecting {
            client,
            attempt,
            port,
            answer_at_seconds: self.now_seconds + delay_seconds,
            tried,
        });
    }

    fn answer(&mut self) {
        let now_seconds = self.now_seconds;
        let (due, waiting) =
            self.connecting.drain(..).partition(|connecting| connecting.answer_at_seconds <= now_seconds);
        self.connecting = waiting;
        let due: Vec<Connecting> = due;
        for Connecting { client, mut attempt, port, mut tried, .. } in due {
            if self.alive[usize::from(port) - 1] {
                if attempt.clears_failure() {
                    self.outages[1] += usize::from(self.service.at().connected(&attempt));
                }
                self.established.push(attempt);
                self.served += 1;
                continue;
            }
            tried.push(port);
            match self.service.at().failed(client, &mut attempt, now_seconds) {
                Some(endpoint) => self.connect(client, attempt, &endpoint, tried),
                None => self.unserved.push(tried.len()),
            }
        }
    }

    fn sweep(&mut self) {
        let statuses = self.service.at().server_statuses(self.now_seconds);
        let live =
            self.established.iter().chain(self.connecting.iter().map(|connecting| &connecting.attempt));
        let mut counts = [0; SERVERS];
        live.for_each(|attempt| counts[attempt.server().index().unwrap()] += 1);
        for (status, count) in statuses.iter().zip(counts) {
            assert_eq!(status.connections, count, "server {}", status.index);
        }
    }
}

/// With one server always alive and no maxima nobody goes away unserved, however many die meanwhile.
#[test]
fn a_client_is_served_as_long_as_one_server_lives() {
    for seed in 0..30 {
        let mut world = World::new(seed, seed % 2 == 0);
        for _ in 0..2_000 {
            world.tick();
            world.sweep();
        }
        assert!(world.unserved.is_empty(), "seed {seed}: {:?}", world.unserved);
        assert_eq!(world.outages, [0, 0], "seed {seed}");
        assert!(world.served > 1_000, "seed {seed}: {} served", world.served);
    }
}

/// Where all may die nobody goes away before every server has been tried for him, and none twice.
#[test]
fn a_client_goes_away_unserved_only_from_the_last_server() {
    let (mut unserved, mut outages) = (0, 0);
    for seed in 0..30 {
        let mut world = World::new(seed, seed % 2 == 0);
        world.immortal = 0;
        world.alive = [false; SERVERS];
        for _ in 0..2_000 {
            world.tick();
            world.sweep();
        }
        assert!(world.unserved.iter().all(|tried| *tried == SERVERS), "seed {seed}: {:?}", world.unserved);
        assert!(world.served > 500, "seed {seed}: {} served", world.served);
        unserved += world.unserved.len();
        let [begun, over] = world.outages;
        let is_paired = begun == over || begun == over + 1;
        assert!(is_paired, "seed {seed}: {begun} begun, {over} over");
        outages += begun;
    }
    assert!(unserved > 30 && outages > 30, "{outages} outages with {unserved} unserved prove nothing");
}

/// A dead server costs its clients a try in each blacklist time, not one each.
#[test]
fn a_dead_server_is_tried_seldom() {
    for seed in 0..30 {
        let mut world = World::new(seed, true);
        for _ in 0..2_000 {
            world.tick();
        }
        for tries in &world.tries_at_the_dead {
            for pair in tries.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
                let apart_seconds = pair[1].1 - pair[0].1;
                let is_seldom =
                    apart_seconds <= CONNECT_TIMEOUT_SECONDS || apart_seconds >= BLACKLIST_SECONDS;
                assert!(is_seldom, "seed {seed}: died and tried at {tries:?}");
            }
        }
        let tries: usize = world.tries_at_the_dead.iter().map(Vec::len).sum();
        assert!(tries > 0, "seed {seed}: nobody was dead long enough to prove anything");
    }
}

/// Once everything lives and every blacklisting is over, all servers share alike again.
#[test]
fn recovered_servers_get_their_share() {
    for seed in 0..30 {
        let mut world = World::new(seed, true);
        for _ in 0..500 {
            world.tick();
        }
        world.alive = [true; SERVERS];
        world.now_seconds += BLACKLIST_SECONDS + CONNECT_TIMEOUT_SECONDS;
        world.answer();
        let mut counts = [0; SERVERS];
        for number in 0..10 * SERVERS as u32 {
            match world.service.at().admit(client(number), 40_000, world.now_seconds) {
                Admission::Connect(attempt, _) => {
                    counts[attempt.server().index().unwrap()] += 1;
                    world.service.at().abandon(attempt);
                }
                Admission::Refused(refusal) => panic!("seed {seed}: {refusal:?}"),
            }
        }
        assert_eq!(counts, [10; SERVERS], "seed {seed}");
    }
}
