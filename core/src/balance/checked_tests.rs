//! How the words of clients, of checks and of the operator are joined: a house of two servers.

use super::super::selection::Selection;
use super::super::{Admission, ServerId, ServerSetup, Untested};
use super::*;
use crate::balance::{Chooser, Pool, Released, Rules};
use crate::settings::Settings;
use pen_proto::addr::ClientAddr;
use pen_proto::status::ServerState;
use std::net::SocketAddr;

const NOW: u32 = 1_000;

fn address(index: usize) -> Endpoint {
    Endpoint::Inet(SocketAddr::from(([10, 0, 0, index as u8 + 1], 80)))
}

fn checked_server(index: usize) -> ServerSetup {
    ServerSetup { untested: Untested::Used, ..ServerSetup::new(address(index)) }
}

/// Two servers, in turn, clients remembered unless said otherwise.
struct House {
    pool: Pool,
    key: super::super::SelectionKey,
}

impl House {
    fn new(rules: Rules, setups: Vec<ServerSetup>) -> House {
        let mut pool = Pool::new(16);
        let key = pool.add_selection(rules);
        pool.set_servers(key, setups, None, None);
        House { pool, key }
    }

    fn two() -> House {
        let rules = Rules { forgets_clients: true, ..Settings::default().rules() };
        House::new(rules, vec![checked_server(0), checked_server(1)])
    }

    fn at(&mut self) -> Chooser<'_> {
        self.pool.at(self.key)
    }

    fn find(&mut self, index: usize, health: Health) -> bool {
        self.find_with(index, health, None)
    }

    fn find_with(&mut self, index: usize, health: Health, connected_since_seconds: Option<u32>) -> bool {
        let reason = if health == Health::Up { "" } else { "it says so" };
        let (reason, took_us, served_ms) = (reason.into(), Some(7), None);
        let finding = Finding { health, reason, connected_since_seconds, took_us, served_ms };
        self.at().checked(ServerId::regular(index), &address(index), &finding, NOW)
    }

    /// The servers that so many clients get, `-` for none.
    fn ask(&mut self, client: u8, count: usize) -> String {
        let client = ClientAddr::from(SocketAddr::from(([192, 0, 2, client], 0)));
        let ask = |_| match self.at().admit(client, 1, NOW) {
            Admission::Connect(attempt, _) => {
                let server = attempt.server();
                self.at().release(attempt, Released { established: true, ..Released::default() });
                server.to_string()
            }
            Admission::Refused(_) => "-".to_owned(),
        };
        (0..count).map(ask).collect()
    }

    fn states(&mut self) -> Vec<(ServerState, Option<String>, Option<u64>)> {
        let statuses = self.at().server_statuses(NOW);
        statuses.into_iter().map(|s| (s.state.unwrap(), s.reason, s.since_epoch_seconds)).collect()
    }

    /// A client meets a connect that fails.
    fn fail(&mut self, index: usize) {
        let client = ClientAddr::from(SocketAddr::from(([192, 0, 2, 200], 0)));
        loop {
            let Admission::Connect(mut attempt, _) = self.at().admit(client, 1, NOW) else {
                panic!("no server")
            };
            if attempt.server() == ServerId::regular(index) {
                let _ = self.at().failed(client, &mut attempt, NOW);
                return self.at().abandon(attempt);
            }
            self.at().abandon(attempt);
        }
    }
}

#[test]
fn nobody_is_sent_to_a_server_that_is_down_not_even_as_a_last_resort() {
    let mut house = House::two();
    assert_eq!(house.ask(1, 4).len(), 4);
    assert!(house.find(0, Health::Down));
    assert_eq!(house.ask(1, 3), "111");
    assert_eq!(house.states()[0], (ServerState::Down, Some("it says so".into()), Some(NOW.into())));
    house.find(1, Health::Down);
    assert_eq!(house.ask(1, 2), "--");
    house.find(0, Health::Up);
    assert_eq!(house.ask(1, 2), "00");
    assert_eq!(house.states()[0], (ServerState::Up, None, None));
}

#[test]
fn one_to_be_avoided_is_used_when_no_other_is_left() {
    let mut house = House::two();
    house.find(0, Health::Avoid);
    assert_eq!(house.ask(1, 3), "111");
    assert_eq!(house.states()[0].0, ServerState::Avoid);
    house.find(1, Health::Down);
    assert_eq!(house.ask(1, 2), "00");
    house.find(1, Health::Avoid);
    assert_eq!(house.ask(1, 4).matches('1').count(), 2, "both are to be avoided: in turn");
}

#[test]
fn a_client_leaves_a_server_to_be_avoided_only_for_a_better_one() {
    let mut house = House::new(Settings::default().rules(), vec![checked_server(0), checked_server(1)]);
    let own = house.ask(1, 1);
    let (index, other) = if own == "0" { (0, 1) } else { (1, 0) };
    house.find(index, Health::Avoid);
    house.find(other, Health::Avoid);
    assert_eq!(house.ask(1, 2), own.repeat(2), "neither is better");
    house.find(other, Health::Up);
    assert_eq!(house.ask(1, 2), other.to_string().repeat(2));
}

#[test]
fn a_check_that_connected_ends_a_failure_and_a_word_does_not() {
    let mut house = House::two();
    house.find(0, Health::Up);
    house.fail(0);
    assert_eq!(house.states()[0].1.as_deref(), Some("connect failed"));
    house.find(0, Health::Up);
    assert_eq!(house.ask(1, 2), "11", "what a program says proves no connect");
    house.find_with(0, Health::Up, Some(NOW - 1));
    assert_eq!(house.ask(1, 2), "11", "it connected before the failure");
    house.find_with(0, Health::Up, Some(NOW));
    assert_eq!(house.ask(1, 4).matches('0').count(), 2);
    house.at().blacklist(ServerId::regular(0), 60, NOW);
    house.find_with(0, Health::Up, Some(NOW));
    assert_eq!(house.ask(1, 2), "11", "the operator's word stands");
}

#[test]
fn what_was_found_elsewhere_says_nothing() {
    let mut house = House::two();
    let down = Finding {
        health: Health::Down,
        reason: "x".into(),
        connected_since_seconds: None,
        took_us: None,
        served_ms: None,
    };
    assert!(!house.at().checked(ServerId::regular(0), &address(7), &down, NOW), "another address");
    assert!(!house.at().checked(ServerId::regular(9), &address(0), &down, NOW), "no such server");
    assert!(!house.at().checked(ServerId::NONE, &address(0), &down, NOW));
    let key = house.key;
    house.find(0, Health::Down);
    house.pool.set_servers(key, vec![ServerSetup::new(address(0)), checked_server(1)], None, None);
    assert_eq!(house.states()[0].0, ServerState::Up, "it is no longer checked");
    assert!(!house.find(0, Health::Down));
    house.pool.set_servers(key, vec![checked_server(0), checked_server(1)], None, None);
    house.find(0, Health::Down);
    house.pool.set_servers(key, vec![checked_server(2), checked_server(1)], None, None);
    assert_eq!(house.states()[0].0, ServerState::Up, "another server begins anew");
}

#[test]
fn before_the_first_word_it_counts_as_its_check_says() {
    let with = |untested| ServerSetup { untested, ..checked_server(0) };
    let rules = || Rules { forgets_clients: true, ..Settings::default().rules() };
    let mut house = House::new(rules(), vec![with(Untested::Avoided), checked_server(1)]);
    assert_eq!((house.ask(1, 2), house.states()[0].0), ("11".into(), ServerState::Avoid));
    assert_eq!(house.states()[0].1.as_deref(), Some("not checked yet"));
    let mut house = House::new(rules(), vec![with(Untested::NotUsed)]);
    assert_eq!((house.ask(1, 1), house.states()[0].0), ("-".into(), ServerState::Down));
}

#[test]
fn a_share_multiplies_a_weight_and_leaves_none_at_none() {
    let checked = |share_thousandths| Checked { share_thousandths, ..Checked::default() };
    for (share, weight, result) in [
        (0, 1_500, 1_500),
        (1_000, 1_500, 1_500),
        (2_500, 1_000, 2_500),
        (3_000_000, 60_000_000, 65_535_000),
        (500, 1, 1),
        (4_000, 0, 0),
    ] {
        assert_eq!(checked(share).share_of(Weight::of_thousandths(weight)).thousandths(), result);
    }
    let mut selection = Selection::of(vec![checked_server(0)], None, None);
    selection.share(ServerId::regular(0), 2_000);
    assert_eq!(selection.servers.regular()[0].weight(), Weight::whole(2));
}
