//! Who is next, however clients come and go and servers change, against a plain list of those who wait.

use super::super::attempt::Arrival;
use super::super::servers::ServerSetup;
use super::super::{Pool, Released, Rules, SelectionKey};
use super::*;
use crate::settings::Settings;
use pen_proto::addr::ClientAddr;
use pen_proto::commands::{Flag, Number};
use proptest::collection::vec;
use proptest::prelude::*;
use std::net::Ipv4Addr;

const NOW: u32 = 1_000;
const NOW_MS: u64 = 5_000;

struct House {
    pool: Pool,
    key: SelectionKey,
    /// Who has which server.
    inside: Vec<(u32, Attempt)>,
    /// In the order in which they came.
    waiting: Vec<(u32, Ticket)>,
    came: u32,
}

/// What became of a client: a letter for its server, `w` for one that waits, `-` for one that was refused.
impl House {
    fn new(queue: u64, options: &[Flag], maxima: &[u32]) -> House {
        let mut pool = Pool::new(64);
        let key = pool.add_selection(rules(queue, options));
        let mut house = House { pool, key, inside: Vec::new(), waiting: Vec::new(), came: 0 };
        house.set_servers(maxima);
        house
    }

    fn at(&mut self) -> Chooser<'_> {
        self.pool.at(self.key)
    }

    /// 100 stands for no server.
    fn set_servers(&mut self, maxima: &[u32]) {
        let setup = |(max, index): (&u32, u8)| match max {
            100 => ServerSetup::default(),
            max => ServerSetup { max: *max, ..at_port(index) },
        };
        let setups = maxima.iter().zip(0..).map(setup).collect();
        self.pool.set_servers(self.key, setups, Some(at_port(98)), None);
        self.serve();
    }

    fn come(&mut self, client: u8) -> char {
        self.came += 1;
        let (who, number) = (Waiting { worker: 0, connection: self.came }, self.came);
        let arrival = self.at().arrive(address(client), 1, NOW, who, NOW_MS);
        let became = match arrival {
            Arrival::Connect(attempt, _) => self.enter(number, attempt),
            Arrival::Waits(ticket) => {
                self.waiting.push((number, ticket));
                'w'
            }
            Arrival::Refused(_) => '-',
            Arrival::Polls(..) => unreachable!("nobody is checked"),
        };
        self.serve();
        became
    }

    fn enter(&mut self, number: u32, attempt: Attempt) -> char {
        let letter = letter(&attempt);
        self.inside.push((number, attempt));
        letter
    }

    /// Whoever was called fetches a place. They are called in the order in which they came.
    fn serve(&mut self) {
        while self.at().may_serve_queue() {
            for Waiting { connection, .. } in self.at().serve_queue(NOW) {
                let at = self.waiting.iter().position(|(number, _)| *number == connection).unwrap();
                let (number, ticket) = self.waiting.remove(at);
                let who = Waiting { worker: 0, connection };
                match self.at().claim(ticket, who, NOW_MS) {
                    Claim::Connect(attempt, _) => _ = self.enter(number, attempt),
                    Claim::Again => {}
                    Claim::Polls(..) => unreachable!("nobody is checked"),
                    Claim::Waits(ticket, look) => {
                        assert!(look.is_some(), "{number} was called in vain");
                        self.waiting.insert(at, (number, ticket));
                    }
                }
            }
        }
    }

    /// Who is inside, by the order in which they came in.
    fn names(&self) -> String {
        self.inside.iter().map(|(number, attempt)| format!("{number}{} ", letter(attempt))).collect()
    }

    fn leave(&mut self, at: usize) {
        let (_, attempt) = self.inside.remove(at);
        self.at().release(attempt, Released::default());
        self.serve();
    }

    fn give_up(&mut self, at: usize) {
        let (_, ticket) = self.waiting.remove(at);
        self.at().leave_queue(ticket);
        self.serve();
    }
}

fn letter(attempt: &Attempt) -> char {
    attempt.server().index().map_or('E', |index| char::from(b'A' + index as u8))
}

fn address(client: u8) -> ClientAddr {
    ClientAddr::Ip(Ipv4Addr::new(10, 0, 0, client).into())
}

fn at_port(index: u8) -> ServerSetup {
    ServerSetup::new(Endpoint::Inet(([10, 0, 1, index], 80).into()))
}

fn rules(queue: u64, options: &[Flag]) -> Rules {
    let mut settings = Settings::default();
    settings.set_number(Number::Queue, queue);
    options.iter().for_each(|flag| settings.set_flag(*flag, true));
    settings.rules()
}

#[test]
fn first_come_first_served_before_the_emergency_server() {
    let mut house = House::new(3, &[Flag::Roundrobin], &[1, 1]);
    let became: String = (1..=7).map(|client| house.come(client)).collect();
    assert_eq!(became, "BAwwwEE", "the queue has room for three");
    house.leave(1);
    assert_eq!(house.names(), "1B 6E 7E 3A ");
    house.leave(0);
    assert_eq!(house.names(), "6E 7E 3A 4B ");
    assert_eq!(house.come(8), 'w', "behind those who wait");
    house.give_up(0);
    house.leave(2);
    assert_eq!(house.names(), "6E 7E 4B 8A ");
}

#[test]
fn a_stubborn_client_waits_for_its_own_server() {
    let mut house = House::new(8, &[Flag::Stubborn], &[1, 1]);
    assert_eq!(house.come(1), 'B');
    assert_eq!(house.come(2), 'A');
    assert_eq!([1, 2, 3].map(|client| house.come(client)), ['w', 'w', 'w']);
    // Of A the second, though the first has waited longer.
    house.leave(1);
    assert_eq!(house.names(), "1B 4A ");
    house.leave(0);
    assert_eq!(house.names(), "4A 3B ");
}

#[test]
fn who_has_waited_long_enough_gets_the_emergency_server() {
    let mut house = House::new(8, &[], &[1]);
    assert_eq!((house.come(1), house.come(2)), ('A', 'w'));
    let (_, ticket) = house.waiting.remove(0);
    let (attempt, _) = house.at().stop_waiting(ticket, NOW).unwrap();
    assert_eq!(letter(&attempt), 'E');
    house.at().release(attempt, Released::default());
    assert_eq!(house.at().waiting(), 0);
}

#[test]
fn changes_are_met_by_those_who_wait() {
    let mut house = House::new(8, &[Flag::Roundrobin], &[1]);
    (1..=5).for_each(|client| _ = house.come(client));
    house.set_servers(&[2]);
    assert_eq!(house.names(), "1A 2A ", "a maximum was raised");
    house.set_servers(&[2, 1]);
    assert_eq!(house.names(), "1A 2A 3B ", "there is another server");
    house.set_servers(&[0, 1]);
    assert_eq!((house.names().as_str(), house.waiting.len()), ("1A 2A 3B 4A 5A ", 0), "there is no maximum");
    house.set_servers(&[1, 1]);
    assert_eq!([6, 7].map(|client| house.come(client)), ['w', 'w']);
    house.set_servers(&[100, 100]);
    assert_eq!(house.waiting.len(), 0, "what they waited for is gone: they come anew");
    house.set_servers(&[1, 1]);
    assert_eq!(house.come(8), 'w');
    let none = rules(0, &[Flag::Roundrobin]);
    house.at().set_rules(none);
    house.serve();
    assert_eq!((house.waiting.len(), house.at().waiting()), (0, 0), "the queue was closed");
}

#[test]
fn a_server_that_fails_is_waited_for_no_more_than_it_deserves() {
    let mut house = House::new(8, &[Flag::Roundrobin], &[1, 1]);
    (1..=3).for_each(|client| _ = house.come(client));
    house.at().blacklist(ServerId::regular(0), 100, NOW);
    house.leave(1);
    assert_eq!(house.waiting.len(), 1, "nobody is sent to it");
    house.at().blacklist(ServerId::regular(0), 0, NOW);
    house.serve();
    assert_eq!(house.names(), "1B 3A ");
}

/// A place that was taken for a client that leaves before it has fetched it is the next one's.
#[test]
fn a_place_goes_on_to_the_next() {
    let mut house = House::new(8, &[Flag::Roundrobin], &[1]);
    (1..=3).for_each(|client| _ = house.come(client));
    let (_, attempt) = house.inside.remove(0);
    house.at().release(attempt, Released::default());
    assert_eq!(house.at().serve_queue(NOW), [Waiting { worker: 0, connection: 2 }]);
    house.give_up(0);
    assert_eq!(house.names(), "3A ");
}

proptest! {
    #[test]
    fn nobody_overtakes_and_no_place_stays_empty(
        maxima in vec(1..3u32, 1..4),
        steps in vec((0..5u8, 0..16usize), 0..80),
        queue in 0..6u64,
    ) {
        let mut house = House::new(queue, &[Flag::Roundrobin], &maxima);
        let mut maxima = maxima;
        for (what, which) in steps {
            match what {
                0 | 1 => _ = house.come(which as u8),
                2 if !house.inside.is_empty() => house.leave(which % house.inside.len()),
                3 if !house.waiting.is_empty() => house.give_up(which % house.waiting.len()),
                4 => {
                    let at = which % maxima.len();
                    maxima[at] = 1 + which as u32 % 3;
                    house.set_servers(&maxima);
                }
                _ => {}
            }
            let waiting: Vec<u32> = house.waiting.iter().map(|(number, _)| *number).collect();
            prop_assert!(waiting.is_sorted() && waiting.len() as u64 <= queue);
            prop_assert_eq!(house.at().waiting(), waiting.len());
            prop_assert_eq!(house.at().idle_places(NOW), 0);
            // Nobody who came later is inside with a place that one of those might have had.
            let regular = |(_, attempt): &&(u32, Attempt)| attempt.server().index().is_some();
            let last_in = house.inside.iter().filter(regular).map(|(number, _)| *number).max();
            if let (Some(first), Some(last)) = (waiting.first(), last_in) {
                prop_assert!(last < *first, "{} is inside before {}", last, first);
            }
        }
    }
}
