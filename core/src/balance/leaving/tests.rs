//! Servers that drain, are disabled, are removed and come back, in a pool as workers use it.

use super::*;
use crate::balance::{Admission, Attempt, Endpoint, Pool, Released, Rules, SelectionKey};
use crate::settings::Settings;
use pen_proto::addr::ClientAddr;
use pen_proto::weight::Weight;
use std::net::Ipv4Addr;

const NOW_SECONDS: u32 = 1_000_000;
const DRAINING: Duty = Duty::Draining { since_seconds: NOW_SECONDS, until_seconds: None };
const DISABLED: Duty = Duty::Disabled { since_seconds: NOW_SECONDS };

/// How messages name the server with a small letter.
fn called(number: i32, letter: &str) -> String {
    let port = letter.to_ascii_uppercase().as_bytes()[0];
    format!("server {number} ({letter}, 127.0.0.1:{port})")
}

/// Servers by letters, kept in the ports; a small one drains, `_` is a gap.
struct Farm {
    pool: Pool,
    key: SelectionKey,
}

impl Farm {
    fn new(letters: &str, rules: impl FnOnce(Rules) -> Rules) -> Farm {
        let mut pool = Pool::new(100);
        let key = pool.add_selection(rules(Settings::default().rules()));
        let mut farm = Farm { pool, key };
        farm.set(letters);
        farm
    }

    fn set(&mut self, letters: &str) {
        let setup = |letter: char| match letter {
            '_' => ServerSetup::default(),
            _ => ServerSetup {
                name: Some(letter.to_ascii_lowercase().into()),
                duty: if letter.is_lowercase() { DRAINING } else { Duty::Enabled },
                ..ServerSetup::new(Endpoint::Inet(
                    ([127, 0, 0, 1], letter.to_ascii_uppercase() as u16).into(),
                ))
            },
        };
        self.pool.set_servers(self.key, letters.chars().map(setup).collect(), None, None);
    }

    /// The server that gets the client; `-` for none.
    fn come(&mut self, client: u8) -> (char, Option<Attempt>) {
        let client = ClientAddr::Ip(Ipv4Addr::new(127, 0, 0, client).into());
        match self.pool.at(self.key).admit(client, 0, NOW_SECONDS) {
            Admission::Connect(attempt, endpoint) => (endpoint.port() as u8 as char, Some(attempt)),
            Admission::Refused(_) => ('-', None),
        }
    }

    fn visits(&mut self, clients: impl IntoIterator<Item = u8>) -> String {
        let visit = |client| {
            let (server, attempt) = self.come(client);
            attempt.into_iter().for_each(|attempt| self.leave(attempt));
            server
        };
        clients.into_iter().map(visit).collect()
    }

    fn leave(&mut self, attempt: Attempt) {
        self.pool.at(self.key).release(attempt, Released { established: true, up_bytes: 1, down_bytes: 2 });
    }

    /// Name and word of those that became empty.
    fn emptied(&mut self) -> Vec<(String, &'static str)> {
        let emptied = self.pool.at(self.key).take_emptied();
        let shown = |it: Emptied| (it.called.to_string(), it.state.word());
        emptied.into_iter().map(shown).collect()
    }

    fn states(&mut self) -> Vec<&'static str> {
        let statuses = self.pool.at(self.key).server_statuses(NOW_SECONDS);
        statuses.iter().map(|status| status.state().word()).collect()
    }
}

#[test]
fn a_server_that_drains_gets_nobody_and_says_when_it_is_empty() {
    let mut farm = Farm::new("ABC", |rules| rules);
    let (server, held) = farm.come(1);
    assert_eq!((server, farm.visits([2, 3, 1])), ('B', "CAB".into()));
    farm.set("AbC");
    assert_eq!((farm.emptied(), farm.states()), (vec![], vec!["up", "draining", "up"]));
    assert_eq!(farm.visits([1, 2, 3, 4, 1]), "CCAAC", "its client is chosen anew and belongs there");
    farm.leave(held.unwrap());
    assert_eq!(farm.emptied(), [(called(1, "b"), "draining")]);
    assert_eq!((farm.emptied(), farm.states()), (vec![], vec!["up", "draining", "up"]), "it stays drained");
    farm.set("ABC");
    assert_eq!((farm.states()[1], farm.visits(5..8)), ("up", "BCA".into()));
    farm.set("aBC");
    assert_eq!(farm.emptied(), [(called(0, "a"), "draining")], "empty when it begins");
}

#[test]
fn stubborn_and_hashed_clients_leave_a_server_that_drains() {
    let mut farm = Farm::new("AB", |rules| Rules { stubborn: true, ..rules });
    assert_eq!(farm.visits([1]), "B");
    farm.set("Ab");
    assert_eq!(farm.visits([1, 1]), "AA");
    let mode = crate::balance::Mode::Hash;
    for stubborn in [false, true] {
        let mut farm = Farm::new("ABC", |rules| Rules { mode, stubborn, forgets_clients: true, ..rules });
        let before = farm.visits(0..9);
        farm.set("AbC");
        let after = farm.visits(0..9);
        assert_eq!(after, before.replace('B', "C"), "all others stay where they are");
    }
    let mut farm = Farm::new("ab", |rules| rules);
    assert_eq!(farm.visits([1, 2]), "--");
}

#[test]
fn a_failed_server_that_drains_is_no_last_resort() {
    let mut farm = Farm::new("A", |rules| rules);
    let (_, attempt) = farm.come(1);
    let (key, mut attempt) = (farm.key, attempt.unwrap());
    assert!(farm.pool.at(key).failed(ClientAddr::Unix, &mut attempt, NOW_SECONDS).is_none());
    assert_eq!((farm.visits([2]), farm.states()), ("A".into(), vec!["down"]));
    farm.set("a");
    assert_eq!((farm.visits([2]), farm.states()), ("-".into(), vec!["draining"]));
    let status = &farm.pool.at(key).server_statuses(NOW_SECONDS)[0];
    assert_eq!(status.since_epoch_seconds, Some(NOW_SECONDS.into()));
    assert_eq!(status.reason.as_deref(), Some("by command"));
}

#[test]
fn a_removed_server_keeps_its_number_until_its_last_connection_has_ended() {
    let mut farm = Farm::new("ABC", |rules| rules);
    let (_, b) = farm.come(1);
    let (_, c) = farm.come(2);
    farm.set("A_");
    assert_eq!(farm.states(), ["up", "removing", "removing"]);
    assert_eq!(farm.visits([1, 2, 3]), "AAA");
    let free = |farm: &mut Farm| farm.pool.at(farm.key).free_number(|index| index == 0);
    assert_eq!(free(&mut farm), 3);
    farm.leave(b.unwrap());
    assert_eq!(
        (farm.emptied(), farm.states()),
        (vec![(called(1, "b"), "removing")], vec!["up", "unset", "removing"])
    );
    assert_eq!(free(&mut farm), 1);
    farm.leave(c.unwrap());
    assert_eq!((farm.emptied(), farm.states()), (vec![(called(2, "c"), "removing")], vec!["up", "unset"]));
    farm.set("AD");
    let status = &farm.pool.at(farm.key).server_statuses(NOW_SECONDS)[1];
    assert_eq!((status.name.as_deref(), status.connections_total, status.sent_bytes), (Some("d"), 0, 0));
}

#[test]
fn a_removed_server_that_comes_back_is_the_same_and_another_is_not() {
    let mut farm = Farm::new("AB", |rules| rules);
    let (_, held) = farm.come(1);
    farm.set("A");
    farm.set("AB");
    let status = farm.pool.at(farm.key).server_statuses(NOW_SECONDS)[1].clone();
    assert_eq!((status.state(), status.connections), (ServerState::Up, 1));
    assert_eq!(farm.visits([1]), "B", "its clients come back to its name");
    farm.set("A");
    farm.set("ACB");
    assert_eq!(farm.visits([1]), "B");
    let counts = |farm: &mut Farm| {
        let statuses = farm.pool.at(farm.key).server_statuses(NOW_SECONDS);
        statuses.iter().map(|status| status.connections).collect::<Vec<_>>()
    };
    assert_eq!(counts(&mut farm), [0, 1, 0], "the connection stays with the number");
    farm.leave(held.unwrap());
    assert_eq!((counts(&mut farm), farm.emptied()), (vec![0, 0, 0], vec![]));
}

#[test]
fn weight_0_beside_others_is_for_clients_that_belong_there() {
    let mut farm = Farm::new("ABC", |rules| rules);
    assert_eq!(farm.visits([1, 2, 3]), "BCA");
    let weigh = |farm: &mut Farm, weights: [u32; 3]| {
        let mut setups: Vec<ServerSetup> =
            farm.pool.at(farm.key).servers.regular().iter().map(|server| server.setup.clone()).collect();
        setups.iter_mut().zip(weights).for_each(|(setup, weight)| setup.weight = Some(Weight::whole(weight)));
        farm.pool.set_servers(farm.key, setups, None, None);
    };
    weigh(&mut farm, [1, 0, 2]);
    assert_eq!(farm.visits([1, 4, 5, 6, 1]), "BCACB");
    let key = farm.key;
    let mut fails = |client| {
        let address = ClientAddr::Ip(Ipv4Addr::new(127, 0, 0, client).into());
        let mut attempt = farm.come(client).1.unwrap();
        let next = farm.pool.at(key).failed(address, &mut attempt, NOW_SECONDS);
        farm.pool.at(key).abandon(attempt);
        next.map(|endpoint| endpoint.port() as u8 as char)
    };
    assert_eq!([fails(3), fails(2)], [Some('C'), Some('A')], "nor do others fail over to it");
    weigh(&mut farm, [0, 0, 0]);
    assert!(farm.visits(10..16).contains('B'), "where none has another weight they say nothing");
}

#[test]
fn connections_are_overdue_when_the_time_to_drain_is_over() {
    let mut farm = Farm::new("AB", |rules| rules);
    let (_, held) = farm.come(1);
    let until_seconds = Some(NOW_SECONDS + 10);
    let duty = Duty::Draining { since_seconds: NOW_SECONDS, until_seconds };
    let setup =
        |duty, port| ServerSetup { duty, ..ServerSetup::new(Endpoint::Inet(([127, 0, 0, 1], port).into())) };
    farm.pool.set_servers(farm.key, vec![setup(DISABLED, 65), setup(duty, 66)], None, None);
    let mut chooser = farm.pool.at(farm.key);
    assert_eq!((chooser.first_overdue_at_seconds(), chooser.awaits_ends()), (until_seconds, true));
    assert_eq!(chooser.overdue(NOW_SECONDS + 9), []);
    assert_eq!(chooser.overdue(NOW_SECONDS + 10), [ServerId::regular(1)]);
    chooser.release(held.unwrap(), Released::default());
    assert_eq!((chooser.first_overdue_at_seconds(), chooser.awaits_ends()), (None, false));
    assert_eq!(chooser.overdue(NOW_SECONDS + 10), []);
    assert_eq!(chooser.take_emptied().len(), 2);
}

#[test]
fn totals_are_forgotten_at_a_word() {
    let mut farm = Farm::new("AB", |rules| rules);
    farm.visits([1, 2, 1]);
    farm.pool.at(farm.key).reset(ServerId::regular(1));
    let statuses = farm.pool.at(farm.key).server_statuses(NOW_SECONDS);
    let totals: Vec<_> =
        statuses.iter().map(|status| (status.connections_total, status.sent_bytes)).collect();
    assert_eq!(totals, [(1, 1), (0, 0)]);
}
