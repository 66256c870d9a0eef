//! Who waits for a check, and what becomes of those who wait.

use super::super::attempt::{Arrival, Refusal};
use super::super::checked::{Finding, Health, Untested};
use super::super::servers::ServerSetup;
use super::super::{Chooser, Pool, Released, Rules, SelectionKey};
use super::*;
use crate::settings::Settings;
use pen_proto::addr::ClientAddr;
use pen_proto::endpoint::Endpoint;
use std::net::SocketAddr;

const NOW: u32 = 1_000;
const EXTRA: Extra = Extra { older_ms: 500, timeout_ms: 1_000 };

/// Two servers, the first that has a place first.
struct House {
    pool: Pool,
    key: SelectionKey,
    now_ms: u64,
    /// Who has come so far.
    came: u32,
}

fn endpoint(index: u8) -> Endpoint {
    Endpoint::Inet(SocketAddr::from(([10, 0, 0, index], 80)))
}

fn setup(index: u8) -> ServerSetup {
    ServerSetup { extra: Some(EXTRA), untested: Untested::Used, ..ServerSetup::new(endpoint(index)) }
}

impl House {
    fn new(policy: PolicyKind) -> House {
        let mut pool = Pool::new(16);
        let key = pool.add_selection(Rules { policy, ..Settings::default().rules() });
        let mut house = House { pool, key, now_ms: 10_000, came: 0 };
        house.set_servers(vec![setup(0), setup(1)]);
        house
    }

    fn set_servers(&mut self, setups: Vec<ServerSetup>) {
        self.pool.set_servers(self.key, setups, None, None);
    }

    fn at(&mut self) -> Chooser<'_> {
        self.pool.at(self.key)
    }

    fn come(&mut self) -> Arrival {
        self.came += 1;
        let (who, now_ms) = (Waiting { worker: 0, connection: self.came }, self.now_ms);
        self.at().arrive(client(), 1, NOW, who, now_ms)
    }

    /// The client has to wait.
    fn waits(&mut self) -> (Attempt, Poll) {
        match self.come() {
            Arrival::Polls(attempt, _, poll) => (attempt, poll),
            other => panic!("{other:?}"),
        }
    }

    /// It need not.
    fn connects(&mut self) -> Attempt {
        match self.come() {
            Arrival::Connect(attempt, _) => attempt,
            other => panic!("{other:?}"),
        }
    }

    fn lose(&mut self, attempt: Attempt) -> Arrival {
        let (who, now_ms) = (Waiting { worker: 0, connection: self.came }, self.now_ms);
        self.at().lose_server(client(), attempt, true, NOW, who, now_ms)
    }

    /// A check has found it up, or has failed and counts as nothing yet.
    fn find(&mut self, server: ServerId, is_up: bool) {
        let finding = Finding {
            health: Health::Up,
            reason: "".into(),
            connected_since_seconds: None,
            took_us: None,
            served_ms: is_up.then_some(self.now_ms),
        };
        let index = server.index().unwrap() as u8;
        self.at().checked(server, &endpoint(index), &finding, NOW);
    }

    fn called(&mut self) -> Vec<u32> {
        self.at().serve_queue(NOW).into_iter().map(|waiting| waiting.connection).collect()
    }

    fn leave(&mut self, attempt: Attempt) {
        self.at().release(attempt, Released::default());
    }

    fn connections(&mut self) -> u32 {
        self.at().selection.servers.regular().iter().map(|server| server.connections).sum()
    }
}

fn client() -> ClientAddr {
    ClientAddr::from(SocketAddr::from(([192, 0, 2, 1], 0)))
}

#[test]
fn those_who_wait_share_one_check_and_nobody_waits_after_a_good_one() {
    let mut house = House::new(PolicyKind::Pen);
    let (one, poll) = house.waits();
    assert!(poll.is_first && poll.timeout_ms == 1_000);
    let (other, next) = house.waits();
    assert!(!next.is_first && next.number == poll.number);
    assert_eq!(house.connections(), 2, "their places are reserved");
    assert_eq!(house.at().polled(&one, poll.number), None);
    assert_eq!(house.called(), [] as [u32; 0]);
    house.find(one.server(), true);
    assert_eq!(house.called(), [1, 2]);
    assert_eq!(house.at().polled(&one, poll.number), Some(true));
    assert_eq!(house.at().polled(&other, poll.number), Some(true));
    house.now_ms += 500;
    let third = house.connects();
    house.now_ms += 1;
    let (fourth, again) = house.waits();
    assert!(again.is_first && again.number != poll.number);
    for attempt in [one, other, third, fourth] {
        house.leave(attempt);
    }
    assert_eq!(house.connections(), 0);
}

#[test]
fn a_failed_check_sends_the_client_on_and_blames_nobody_else() {
    let mut house = House::new(PolicyKind::Pen);
    let (attempt, poll) = house.waits();
    let first = attempt.server();
    house.find(first, false);
    assert_eq!(house.at().polled(&attempt, poll.number), Some(false));
    let Arrival::Polls(attempt, _, poll) = house.lose(attempt) else {
        panic!("the other is not known either")
    };
    assert_ne!(attempt.server(), first);
    house.find(attempt.server(), false);
    assert_eq!(house.at().polled(&attempt, poll.number), Some(false));
    assert!(matches!(house.lose(attempt), Arrival::Refused(Refusal::NoServer)));
    assert_eq!(house.connections(), 0);
    assert!(house.at().selection.servers.regular().iter().all(|server| !server.standing.has_failed()));
}

#[test]
fn time_and_trouble_of_ours_end_a_check_as_well() {
    let mut house = House::new(PolicyKind::Pen);
    let (attempt, poll) = house.waits();
    let (other, _) = house.waits();
    house.at().poll_timed_out(&attempt, poll.number);
    assert_eq!(house.called(), [1, 2]);
    assert_eq!(house.at().polled(&other, poll.number), Some(false));
    let (third, again) = house.waits();
    assert!(again.is_first);
    house.at().poll_timed_out(&attempt, poll.number);
    assert_eq!(house.at().polled(&third, again.number), None, "that was another check");
    house.at().void_poll(third.server());
    assert_eq!(house.at().polled(&third, again.number), Some(true));
    for attempt in [attempt, other, third] {
        house.leave(attempt);
    }
}

#[test]
fn nobody_waits_for_what_is_not_checked_or_is_another_server_now() {
    let mut house = House::new(PolicyKind::Pen);
    let (attempt, poll) = house.waits();
    let index = attempt.server().index().unwrap();
    let unchecked = ServerSetup { extra: None, ..setup(index as u8) };
    let with = |setup: ServerSetup| {
        let mut setups = vec![self::setup(0), self::setup(1)];
        setups[index] = setup;
        setups
    };
    house.set_servers(with(unchecked));
    assert_eq!(house.called(), [1]);
    assert_eq!(house.at().polled(&attempt, poll.number), Some(true), "it is not checked any more");
    house.leave(attempt);
    house.set_servers(with(setup(index as u8)));
    let (attempt, poll) = house.waits();
    assert_eq!(attempt.server().index(), Some(index));
    house.set_servers(with(setup(9)));
    assert_eq!(house.at().polled(&attempt, poll.number), Some(false), "it is elsewhere");
    house.set_servers(with(ServerSetup::default()));
    assert_eq!(house.called(), [2]);
    assert_eq!(house.at().polled(&attempt, poll.number), Some(false), "it is gone");
    house.leave(attempt);
}

#[test]
fn with_policy_single_nobody_waits() {
    let mut house = House::new(PolicyKind::Single);
    let attempt = house.connects();
    house.leave(attempt);
}
