//! Members and clones: two lots that do not mix, whatever chooses.

use super::*;
use crate::balance::{Admission, Mode, Pool, Rules, SelectionKey, ServerSetup};
use crate::settings::Settings;
use pen_proto::addr::ClientAddr;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

const NOW: u32 = 1_000;
const POLICIES: [PolicyKind; 6] = [
    PolicyKind::Pen,
    PolicyKind::RoundRobin,
    PolicyKind::LeastConn,
    PolicyKind::Single,
    PolicyKind::Random,
    PolicyKind::Source,
];

fn setup(index: usize, role: Role) -> ServerSetup {
    let address = SocketAddr::from(([10, 0, 0, index as u8 + 1], 80));
    ServerSetup { role, ..ServerSetup::new(Endpoint::Inet(address)) }
}

fn client(number: u32) -> ClientAddr {
    ClientAddr::Ip(IpAddr::V4(Ipv4Addr::from_bits(number.wrapping_mul(2_654_435_761))))
}

fn rules(policy: PolicyKind) -> Rules {
    Rules { policy, forgets_clients: true, ..Settings::default().rules() }
}

fn farm(rules: Rules, setups: Vec<ServerSetup>) -> (Pool, SelectionKey) {
    let mut pool = Pool::new(64).seeded(7);
    let key = pool.add_selection(rules);
    pool.set_servers(key, setups, None, None);
    (pool, key)
}

type Visit = (Option<usize>, Option<usize>);

/// The member and the clone of a client that leaves at once.
fn visit(pool: &mut Pool, key: SelectionKey, number: u32) -> Visit {
    let mut chooser = pool.at(key);
    let member = match chooser.admit(client(number), 0, NOW) {
        Admission::Connect(attempt, _) => {
            let index = attempt.server().index();
            chooser.release(attempt, Released::default());
            index
        }
        Admission::Refused(_) => None,
    };
    let clone = chooser.admit_clone(ServerId::NONE, client(number), 0, NOW).and_then(|(attempt, _)| {
        let index = attempt.server().index();
        chooser.release_clone(attempt, Released::default());
        index
    });
    (member, clone)
}

proptest! {
    /// To members clones are as places without a server, and the other way round.
    #[test]
    fn each_lot_is_chosen_as_if_the_other_was_not_there(roles in prop::collection::vec(any::<bool>(), 1..9)) {
        let role = |is_clone: bool| if is_clone { Role::Clone } else { Role::Member };
        let all: Vec<_> = roles.iter().enumerate().map(|(i, is_clone)| setup(i, role(*is_clone))).collect();
        let members = all.iter().map(|setup| match setup.role {
            Role::Member => setup.clone(),
            Role::Clone => ServerSetup::default(),
        });
        for policy in POLICIES {
            let (mut pool, key) = farm(rules(policy), all.clone());
            let (mut alone, alone_key) = farm(rules(policy), members.clone().collect());
            for number in 0..40 {
                let (member, clone) = visit(&mut pool, key, number);
                prop_assert_eq!(member, visit(&mut alone, alone_key, number).0, "{:?}", policy);
                prop_assert!(member.is_none_or(|index| !roles[index]), "{:?} sends a client to a clone", policy);
                prop_assert!(clone.is_none_or(|index| roles[index]), "{:?} copies to a member", policy);
                prop_assert_eq!(clone.is_some(), roles.contains(&true));
            }
        }
    }
}

#[test]
fn pens_hash_counts_members_alone_and_clones_alone() {
    let rules = Rules { mode: Mode::Hash, ..rules(PolicyKind::Pen) };
    let roles = [Role::Clone, Role::Member, Role::Clone, Role::Member];
    let (mut pool, key) =
        farm(rules, roles.into_iter().enumerate().map(|(i, role)| setup(i, role)).collect());
    let visits: Vec<_> = (0..200).map(|number| visit(&mut pool, key, number)).collect();
    for index in 0..4 {
        let times =
            |of: fn(&Visit) -> Option<usize>| visits.iter().filter(|visit| of(visit) == Some(index)).count();
        let (as_member, as_clone) = (times(|visit| visit.0), times(|visit| visit.1));
        let (served, other) = if index % 2 == 1 { (as_member, as_clone) } else { (as_clone, as_member) };
        assert!((70..=130).contains(&served) && other == 0, "server {index}: {as_member}, {as_clone}");
    }
}

#[test]
fn the_wanted_share_has_a_clone() {
    for percent in [0, 1, 33, 50, 99, 100] {
        let rules = Rules { clone_percent: percent, ..rules(PolicyKind::RoundRobin) };
        let (mut pool, key) =
            farm(rules, vec![setup(0, Role::Member), setup(1, Role::Member), setup(2, Role::Clone)]);
        let mut cloned = [0; 2];
        for number in 0..1_000 {
            let (member, clone) = visit(&mut pool, key, number);
            cloned[member.unwrap()] += u64::from(clone.is_some());
        }
        // Of each member's, too: the share does not follow the turns.
        for cloned in cloned {
            assert!(cloned.abs_diff(percent * 5) <= 10, "{percent} percent of 500 are {cloned}");
        }
        assert_eq!(pool.at(key).may_clone(), percent > 0);
    }
}

#[test]
fn a_clone_that_fails_or_is_full_is_passed_over_and_counts_as_no_server() {
    let full = ServerSetup { max: 1, ..setup(1, Role::Clone) };
    let (mut pool, key) = farm(rules(PolicyKind::RoundRobin), vec![setup(0, Role::Member), full]);
    let mut chooser = pool.at(key);
    assert_eq!(chooser.count_up(NOW), (1, 1));
    let (held, endpoint) = chooser.admit_clone(ServerId::NONE, client(1), 0, NOW).expect("it has room");
    assert_eq!(endpoint.ip(), Some([10, 0, 0, 2].into()));
    assert!(chooser.admit_clone(ServerId::NONE, client(2), 0, NOW).is_none(), "it is full");
    assert_eq!(chooser.server_statuses(NOW)[1].connections, 1);
    chooser.release_clone(held, Released { established: true, up_bytes: 7, down_bytes: 9 });
    let status = &chooser.server_statuses(NOW)[1];
    assert_eq!((status.connections, status.connections_total), (0, 1));
    assert_eq!((status.sent_bytes, status.received_bytes, status.role), (7, 9, Role::Clone));
    let (failed, _) = chooser.admit_clone(ServerId::NONE, client(3), 0, NOW).expect("it has room again");
    assert!(!failed.clears_failure());
    chooser.clone_failed(&failed, NOW);
    chooser.release_clone(failed, Released::default());
    assert!(
        !chooser.has_usable_clone(NOW) && chooser.admit_clone(ServerId::NONE, client(4), 0, NOW).is_none()
    );
    let later = NOW + 30;
    let (again, _) =
        chooser.admit_clone(ServerId::NONE, client(5), 0, later).expect("its blacklist time is over");
    assert!(again.clears_failure());
    chooser.clone_connected(&again);
    chooser.release_clone(again, Released::default());
    assert!(chooser.has_usable_clone(NOW));
    assert_eq!(chooser.take_news().any_left, None, "clones are nobody's servers");
}

#[test]
fn a_client_of_a_server_that_becomes_a_clone_goes_elsewhere_and_its_connection_is_counted_there() {
    let rules = Rules { forgets_clients: false, ..rules(PolicyKind::RoundRobin) };
    let (mut pool, key) = farm(rules, vec![setup(0, Role::Member), setup(1, Role::Member)]);
    let Admission::Connect(own, _) = pool.at(key).admit(client(1), 0, NOW) else {
        panic!("there are servers")
    };
    let index = own.server().index().unwrap();
    let role = |at: usize| if at == index { Role::Clone } else { Role::Member };
    pool.set_servers(key, vec![setup(0, role(0)), setup(1, role(1))], None, None);
    let mut chooser = pool.at(key);
    let Admission::Connect(next, _) = chooser.admit(client(1), 0, NOW) else { panic!("one is left") };
    assert_eq!(next.server().index(), Some(1 - index));
    assert_eq!(chooser.server_statuses(NOW)[index].connections, 1);
    chooser.release(own, Released::default());
    chooser.release(next, Released::default());
    assert!(chooser.server_statuses(NOW).iter().all(|server| server.connections == 0));
}

fn warm_up(index: usize, seconds: u64) -> ServerSetup {
    ServerSetup { warm_up_ms: seconds * 1_000, ..setup(index, Role::Member) }
}

/// Who serves a client now, and who gets the copy.
fn visit_at(pool: &mut Pool, key: SelectionKey, now_seconds: u32) -> Visit {
    let mut chooser = pool.at(key);
    let Admission::Connect(attempt, _) = chooser.admit(client(now_seconds), 0, now_seconds) else {
        return (None, None);
    };
    let member = attempt.server();
    let clone = chooser.admit_clone(member, client(now_seconds), 0, now_seconds);
    let copied = clone.as_ref().and_then(|(clone, _)| clone.server().index());
    if let Some((clone, _)) = clone {
        chooser.release_clone(clone, Released::default());
    }
    chooser.release(attempt, Released::default());
    (member.index(), copied)
}

fn state(pool: &mut Pool, key: SelectionKey, index: usize, now_seconds: u32) -> String {
    let status = pool.at(key).server_statuses(now_seconds).swap_remove(index);
    let reason = status.reason.unwrap_or_default();
    format!("{} {} {reason}", status.role, status.state.unwrap()).trim_end().to_string()
}

#[test]
fn a_new_server_is_a_clone_until_it_is_warm_and_then_a_member() {
    for policy in POLICIES {
        let (mut pool, key) = farm(rules(policy), vec![warm_up(0, 60)]);
        assert_eq!(state(&mut pool, key, 0, NOW), "member up", "it was there from the beginning");
        let both = || vec![warm_up(0, 60), warm_up(1, 60)];
        pool.set_servers(key, both(), None, None);
        assert_eq!(state(&mut pool, key, 1, NOW), "clone warming warm_up");
        for seconds in [0, 1, 59] {
            assert_eq!(visit_at(&mut pool, key, NOW + seconds), (Some(0), Some(1)), "{policy:?} {seconds}");
        }
        pool.set_servers(key, both(), None, None);
        assert_eq!(state(&mut pool, key, 1, NOW + 59), "clone warming warm_up");
        assert_eq!(pool.at(key).server_statuses(NOW + 59)[1].since_epoch_seconds, Some(NOW.into()));
        assert_eq!(state(&mut pool, key, 1, NOW + 60), "member up", "without a choice");
        let visits: Vec<_> = (60..360).map(|seconds| visit_at(&mut pool, key, NOW + seconds)).collect();
        assert!(visits.iter().all(|visit| visit.1.is_none()), "{policy:?}");
        let served = visits.iter().filter(|visit| visit.0 == Some(1)).count();
        assert!(policy == PolicyKind::Single || served > 50, "{policy:?}: {served}");
        pool.at(key).blacklist(ServerId::regular(1), 5, NOW + 400);
        assert_eq!(state(&mut pool, key, 1, NOW + 405), "member up", "it is not new when it is back");
    }
}

#[test]
fn a_server_that_warms_up_serves_where_no_other_does() {
    let rules = rules(PolicyKind::RoundRobin);
    let (mut pool, key) = farm(rules, vec![setup(0, Role::Member)]);
    pool.set_servers(key, vec![setup(0, Role::Member), warm_up(1, 60), warm_up(2, 0)], None, None);
    assert_eq!(state(&mut pool, key, 2, NOW), "member up", "it has no warm_up");
    pool.set_servers(key, vec![setup(0, Role::Member), warm_up(1, 60)], None, None);
    pool.at(key).blacklist(ServerId::regular(0), 10, NOW);
    assert_eq!(visit_at(&mut pool, key, NOW), (Some(1), None), "nobody gets a copy of its own clients");
    assert_eq!(visit_at(&mut pool, key, NOW + 10), (Some(0), Some(1)));
    pool.set_servers(key, vec![setup(0, Role::Member), warm_up(1, 0)], None, None);
    assert_eq!(state(&mut pool, key, 1, NOW + 11), "member up", "it need not be warm any more");
}
