//! The table of sessions: who makes room for whom, and agreement with a naive model.

use super::*;
use proptest::prelude::*;
use std::net::Ipv4Addr;

fn parties(client: u32) -> Parties {
    let ip = Ipv4Addr::from(0x0a00_0000 + client / 4);
    let local = OwnAddress { ip: Ipv4Addr::new(192, 0, 2, 1).into(), interface: 0 };
    let peer = SocketAddr::new(ip.into(), 4000 + (client % 4) as u16);
    Parties { peer, named: None, local, listener: 0 }
}

#[test]
fn parties_differ_in_port_in_the_client_named_in_the_address_spoken_to_and_in_the_listener() {
    let mut sessions = Sessions::default();
    let first = parties(0);
    let mut others = [first; 4];
    others[0].peer.set_port(1);
    others[1].local.ip = Ipv4Addr::new(192, 0, 2, 2).into();
    others[2].listener = 1;
    others[3].named = Some(first.peer);
    let number = sessions.insert(first, 'a');
    for other in others {
        assert_eq!(sessions.find(&other), None);
        assert_ne!(sessions.insert(other, 'b'), number);
    }
    assert_eq!((sessions.find(&first), sessions.get(number)), (Some(number), Some(&'a')));
}

#[test]
fn a_freed_number_waits_for_the_end_of_the_wake_up() {
    let mut sessions = Sessions::default();
    let a = sessions.insert(parties(0), 'a');
    assert_eq!(sessions.remove(a), Some((parties(0), 'a')));
    assert_eq!(sessions.remove(a), None);
    assert_ne!(sessions.insert(parties(0), 'b'), a, "an event for 'a' may still be on its way");
    sessions.recycle();
    assert_eq!(sessions.insert(parties(1), 'c'), a);
}

/// Begins sessions as a worker with room for `most` does; returns the client that had to go.
fn arrive(sessions: &mut Sessions<u32>, most: usize, client: u32) -> Option<u32> {
    let victim = sessions.victim().filter(|_| sessions.len() >= most);
    let gone = victim.and_then(|victim| sessions.remove(victim)).map(|(_, gone)| gone);
    sessions.recycle();
    sessions.insert(parties(client), client);
    gone
}

#[test]
fn a_flood_of_strangers_ends_no_conversation() {
    const MOST: usize = 1000;
    let mut sessions = Sessions::default();
    sessions.expect(MOST);
    for client in 0..100 {
        let number = sessions.insert(parties(client), client);
        sessions.server_spoke(number);
        sessions.client_spoke(number);
    }
    for stranger in 100..100_100 {
        let gone = arrive(&mut sessions, MOST, stranger);
        assert!(gone.is_none_or(|gone| gone >= 100), "{gone:?}");
        if stranger % 3 == 0 {
            // The server answers strangers too: that proves nothing.
            let number = sessions.find(&parties(stranger)).unwrap();
            sessions.server_spoke(number);
        }
    }
    assert_eq!((sessions.len(), sessions.established()), (MOST, 100));
    assert!(sessions.slots.places() <= MOST + 1, "{} slots", sessions.slots.places());
}

#[test]
fn conversations_leave_room_for_newcomers() {
    const MOST: usize = 80;
    let mut sessions = Sessions::default();
    sessions.expect(MOST);
    for client in 0..MOST as u32 {
        let number = sessions.insert(parties(client), client);
        sessions.server_spoke(number);
        sessions.client_spoke(number);
    }
    assert_eq!(sessions.established(), 70);
    // Ten places are open to newcomers; who came before the ninth other is still there.
    arrive(&mut sessions, MOST, 1000);
    for other in 1001..1010 {
        arrive(&mut sessions, MOST, other);
    }
    assert!(sessions.find(&parties(1000)).is_some());
    assert_eq!(sessions.established(), 70);
}

#[test]
fn only_who_speaks_after_an_answer_is_established() {
    let mut sessions = Sessions::default();
    let number = sessions.insert(parties(0), 0);
    sessions.client_spoke(number);
    assert_eq!(sessions.established(), 0);
    sessions.server_spoke(number);
    assert_eq!(sessions.established(), 0);
    sessions.client_spoke(number);
    assert_eq!(sessions.established(), 1);
    sessions.remove(number);
    assert_eq!((sessions.established(), sessions.victim()), (0, None));
}

#[derive(Debug, Clone)]
enum Step {
    Arrive(u32),
    ClientSpeaks(u32),
    ServerSpeaks(u32),
    Leave(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..40u32).prop_map(Step::Arrive),
        3 => (0..40u32).prop_map(Step::ClientSpeaks),
        3 => (0..40u32).prop_map(Step::ServerSpeaks),
        1 => (0..40u32).prop_map(Step::Leave),
    ]
}

/// The same rules on two plain lists, the one used longest ago first.
struct Model {
    most: usize,
    new: Vec<(u32, bool)>,
    established: Vec<u32>,
}

impl Model {
    fn len(&self) -> usize {
        self.new.len() + self.established.len()
    }

    fn victim(&self) -> Option<u32> {
        self.new.first().map(|(client, _)| *client).or(self.established.first().copied())
    }

    /// Takes it out and tells whether it had been answered, and whether it was established.
    fn take(&mut self, client: u32) -> Option<(bool, bool)> {
        if let Some(at) = self.new.iter().position(|(other, _)| *other == client) {
            return Some((self.new.remove(at).1, false));
        }
        let at = self.established.iter().position(|other| *other == client)?;
        self.established.remove(at);
        Some((true, true))
    }

    fn client_spoke(&mut self, client: u32) {
        match self.take(client) {
            None => {}
            Some((false, _)) => self.new.push((client, false)),
            Some((true, was_established)) => {
                self.established.push(client);
                if !was_established && self.established.len() > (self.most - self.most / 8).max(1) {
                    let oldest = self.established.remove(0);
                    self.new.push((oldest, true));
                }
            }
        }
    }

    fn server_spoke(&mut self, client: u32) {
        match self.take(client) {
            None => {}
            Some((_, true)) => self.established.push(client),
            Some((_, false)) => self.new.push((client, true)),
        }
    }
}

proptest! {
    #[test]
    fn agrees_with_two_plain_lists(
        most in 1..24usize,
        steps in prop::collection::vec(step(), 1..300),
    ) {
        let mut sessions = Sessions::default();
        sessions.expect(most);
        let mut model = Model { most, new: Vec::new(), established: Vec::new() };
        for step in steps {
            match step {
                Step::Arrive(client) if sessions.find(&parties(client)).is_some() => {}
                Step::Arrive(client) => {
                    let expected = model.victim().filter(|_| model.len() >= most);
                    expected.map(|victim| model.take(victim));
                    prop_assert_eq!(arrive(&mut sessions, most, client), expected);
                    model.new.push((client, false));
                }
                Step::ClientSpeaks(client) => {
                    sessions.find(&parties(client)).into_iter().for_each(|number| sessions.client_spoke(number));
                    model.client_spoke(client);
                }
                Step::ServerSpeaks(client) => {
                    sessions.find(&parties(client)).into_iter().for_each(|number| sessions.server_spoke(number));
                    model.server_spoke(client);
                }
                Step::Leave(client) => {
                    let gone = sessions.find(&parties(client)).and_then(|number| sessions.remove(number));
                    prop_assert_eq!(gone.is_some(), model.take(client).is_some());
                }
            }
            prop_assert_eq!(sessions.len(), model.len());
            prop_assert_eq!(sessions.established(), model.established.len());
            let victim = sessions.victim().and_then(|number| sessions.get(number).copied());
            prop_assert_eq!(victim, model.victim());
            for client in 0..40 {
                let known = model.new.iter().any(|(other, _)| *other == client)
                    || model.established.contains(&client);
                let found = sessions.find(&parties(client));
                prop_assert_eq!(found.is_some(), known);
                prop_assert!(found.is_none_or(|number| sessions.get(number) == Some(&client)));
            }
        }
    }
}
