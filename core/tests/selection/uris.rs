//! The policies by what clients ask for.

use crate::policies::{address, ask, farm, rules};
use crate::service::Service;
use crate::{NOW_SECONDS, server};
use pen_core::balance::{Admission, Asker, Attempt, Duty, ServerId, ServerSetup};
use pen_core::settings::Settings;
use pen_core::uri::Uri;
use pen_proto::commands::{AclEntry, AclMatch, Number, PolicyKind};
use proptest::collection::vec;
use proptest::prelude::*;

fn come(service: &mut Service, uri: u64) -> Option<Attempt> {
    ask(service, address(1), Some(Uri(uri)))
}

/// The index of the server that gets a client who asks for this and leaves at once.
fn visit(service: &mut Service, uri: u64) -> Option<usize> {
    let attempt = come(service, uri)?;
    let server = attempt.server().index();
    service.at().abandon(attempt);
    server
}

fn all(service: &mut Service, uris: u64) -> Vec<usize> {
    (0..uris).map(|uri| visit(service, uri).unwrap()).collect()
}

/// How many URIs the servers have, as statistics tell.
fn counts(service: &mut Service) -> Vec<u32> {
    let statuses = service.at().server_statuses(NOW_SECONDS);
    statuses.iter().map(|status| status.uris.unwrap()).collect()
}

fn down(service: &mut Service, index: usize, seconds: u32) {
    service.at().blacklist(ServerId::regular(index), seconds, NOW_SECONDS);
}

#[test]
fn static_is_the_hash_among_those_that_may_be_chosen() {
    let mut service = farm(PolicyKind::UriStatic, (1..=4).map(server).collect());
    assert_eq!(all(&mut service, 9), [0, 1, 2, 3, 0, 1, 2, 3, 0]);
    down(&mut service, 1, 9);
    assert_eq!(all(&mut service, 7), [0, 2, 3, 0, 2, 3, 0]);
    down(&mut service, 1, 0);
    assert_eq!(all(&mut service, 5), [0, 1, 2, 3, 0]);
    let mut setups: Vec<ServerSetup> = (1..=3).map(server).collect();
    setups[0].max = 1;
    setups[2].standby = 1;
    service.set_servers(setups, None, None);
    assert_eq!(all(&mut service, 4), [0, 1, 0, 1]);
    let held = come(&mut service, 0).unwrap();
    assert_eq!(all(&mut service, 4), [1, 1, 1, 1]);
    down(&mut service, 1, 9);
    assert_eq!(all(&mut service, 4), [2, 2, 2, 2]);
    service.at().abandon(held);
    assert_eq!(all(&mut service, 4), [0, 0, 0, 0]);
}

#[test]
fn a_failed_connect_leads_to_the_hash_among_the_others() {
    for policy in [PolicyKind::UriStatic, PolicyKind::UriHash] {
        let mut service = farm(policy, (1..=3).map(server).collect());
        let asker = Asker { uri: Some(Uri(7)), ..Asker::from(address(1)) };
        let Admission::Connect(mut attempt, _) = service.at().admit(asker, 1, NOW_SECONDS) else { panic!() };
        let first = attempt.server().index().unwrap();
        assert!(service.at().failed(asker, &mut attempt, NOW_SECONDS).is_some());
        let second = attempt.server().index().unwrap();
        assert_ne!(first, second);
        service.at().abandon(attempt);
        assert_eq!(visit(&mut service, 7), Some(second), "{policy:?}");
        down(&mut service, first, 0);
        let again = if policy == PolicyKind::UriHash { second } else { first };
        assert_eq!(visit(&mut service, 7), Some(again), "{policy:?}");
    }
}

/// Who asks for nothing goes where there are fewest connections.
#[test]
fn without_a_request_connections_count() {
    for policy in [PolicyKind::UriStatic, PolicyKind::UriHash] {
        let mut service = farm(policy, (1..=3).map(server).collect());
        let mut held: Vec<Attempt> = Vec::new();
        for _ in 0..9 {
            match service.at().admit(address(1), 1, NOW_SECONDS) {
                Admission::Connect(attempt, _) => held.push(attempt),
                Admission::Refused(refusal) => panic!("{refusal:?}"),
            }
        }
        let of = |index| held.iter().filter(|attempt| attempt.server().index() == Some(index)).count();
        assert_eq!([of(0), of(1), of(2)], [3, 3, 3], "{policy:?}");
        held.into_iter().for_each(|attempt| service.at().abandon(attempt));
    }
}

#[test]
fn every_uri_has_its_server_and_moves_for_good() {
    let setups: Vec<ServerSetup> = (1..=3).map(server).collect();
    let mut service = farm(PolicyKind::UriHash, setups.clone());
    let before = all(&mut service, 30);
    assert_eq!(counts(&mut service), [10, 10, 10]);
    assert_eq!(all(&mut service, 30), before);
    let mut disabled = setups.clone();
    disabled[0].duty = Duty::Disabled { since_seconds: NOW_SECONDS };
    service.set_servers(disabled, None, None);
    assert_eq!(counts(&mut service), [10, 10, 10], "nobody has asked for them yet");
    let after = all(&mut service, 30);
    assert!(before.iter().zip(&after).all(|(before, after)| *after > 0 && (*before == 0 || after == before)));
    assert_eq!(counts(&mut service), [0, 15, 15]);
    service.set_servers(setups.clone(), None, None);
    assert_eq!(all(&mut service, 30), after, "it does not get them back");
    // One that is gone has none, nor has another in its place.
    service.set_servers(setups[..2].to_vec(), None, None);
    service.set_servers(vec![server(1), server(9)], None, None);
    assert_eq!(counts(&mut service), [0, 0]);
    all(&mut service, 30);
    assert_eq!(counts(&mut service), [15, 15]);
}

/// Whoever is not let in where the URI belongs goes elsewhere, and the URI stays.
#[test]
fn a_full_server_gives_its_uris_away_and_a_list_does_not() {
    let mut setups: Vec<ServerSetup> = (1..=2).map(server).collect();
    let mut service = farm(PolicyKind::UriHash, setups.clone());
    assert_eq!(all(&mut service, 2), [0, 1]);
    setups[0].acl = 1;
    service.set_servers(setups.clone(), None, None);
    let mut settings = rules(PolicyKind::UriHash);
    deny_client(&mut settings);
    service.at().set_rules(settings.rules());
    assert_eq!(visit(&mut service, 0), Some(1));
    assert_eq!(counts(&mut service), [1, 1]);
    setups[0] = ServerSetup { max: 1, ..server(1) };
    service.set_servers(setups, None, None);
    let held = come(&mut service, 0).unwrap();
    assert_eq!((held.server().index(), visit(&mut service, 0)), (Some(0), Some(1)));
    service.at().abandon(held);
    assert_eq!((visit(&mut service, 0), counts(&mut service)), (Some(1), vec![0, 2]));
}

fn deny_client(settings: &mut Settings) {
    let what = AclMatch::V4 { address: 0x0a00_0001, mask: u32::MAX };
    settings.acls[1].push(AclEntry { permit: false, what }).unwrap();
}

/// Octopus's example: of 100 URIs, 5 percent are 5.
#[test]
fn the_busiest_server_gives_some_of_its_uris_to_the_idlest() {
    let mut settings = rules(PolicyKind::UriHash);
    settings.set_number(Number::RebalanceInterval, 30);
    let mut service = Service::new(16, &settings);
    service.set_servers((1..=2).map(server).collect(), None, None);
    let first = all(&mut service, 200);
    let of = |server| (0..200).filter(|uri| first[*uri as usize] == server).collect::<Vec<u64>>();
    let mut held: Vec<Attempt> = of(0)[..10].iter().map(|uri| come(&mut service, *uri).unwrap()).collect();
    let at = |service: &mut Service, seconds| {
        let asker = Asker { uri: Some(Uri(of(1)[0])), ..Asker::from(address(1)) };
        if let Admission::Connect(attempt, _) = service.at().admit(asker, 1, NOW_SECONDS + seconds) {
            service.at().abandon(attempt);
        }
        counts(service)
    };
    assert_eq!(at(&mut service, 29), [100, 100]);
    assert_eq!(at(&mut service, 30), [95, 105]);
    assert_eq!(at(&mut service, 59), [95, 105]);
    // 10 to 8 are 20 percent apart, and 10 to 7 are 30.
    held.extend(of(1)[..8].iter().map(|uri| come(&mut service, *uri).unwrap()));
    assert_eq!(at(&mut service, 60), [95, 105]);
    service.at().abandon(held.pop().unwrap());
    assert_eq!(at(&mut service, 90), [91, 109]);
    for (number, value) in
        [(Number::RebalanceInterval, 0), (Number::RebalanceThreshold, 0), (Number::RebalanceSize, 0)]
    {
        let mut none = settings.clone();
        none.set_number(number, value);
        service.at().set_rules(none.rules());
        assert_eq!(at(&mut service, 500), [91, 109], "{number:?}");
    }
    held.into_iter().for_each(|attempt| service.at().abandon(attempt));
}

proptest! {
    /// A URI that has a server which can be used goes there, whoever asks and whatever becomes of the others.
    #[test]
    fn a_uri_stays_as_long_as_its_server_can_be_used(
        steps in vec((0..4u8, 0..4usize, 0..12u64), 1..120),
    ) {
        let mut service = farm(PolicyKind::UriHash, (1..=4).map(server).collect());
        let mut known: Vec<Option<usize>> = vec![None; 12];
        let mut is_down = [false; 4];
        for (what, index, uri) in steps {
            match what {
                0 => {
                    is_down[index] = !is_down[index];
                    down(&mut service, index, if is_down[index] { 9 } else { 0 });
                }
                _ => {
                    let chosen = visit(&mut service, uri);
                    prop_assert_eq!(chosen.is_none(), is_down == [true; 4]);
                    if let Some(server) = chosen {
                        let before = known[uri as usize].replace(server);
                        prop_assert!(before.is_none_or(|before| before == server || is_down[before]));
                    }
                }
            }
            let assigned = known.iter().flatten().count() as u32;
            prop_assert_eq!(counts(&mut service).iter().sum::<u32>(), assigned);
        }
    }
}
