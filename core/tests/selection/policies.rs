//! The policies beside Pen's: shares, ties, who is chosen when others go, and that nobody is chosen who cannot serve.

use crate::service::Service;
use crate::{NOW_SECONDS, server, settings};
use pen_core::balance::{Admission, Asker, Attempt, Released, Rules, ServerId, ServerSetup};
use pen_core::settings::Settings;
use pen_core::uri::Uri;
use pen_proto::addr::ClientAddr;
use pen_proto::commands::{AclEntry, AclMatch, Flag, Number, OneOf, PolicyKind};
use pen_proto::weight::Weight;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const CHOICES: u32 = 100_000;

fn weight(text: &str) -> Weight {
    Weight::parse(text).unwrap()
}

fn weighing(weight: Weight, port: u16) -> ServerSetup {
    ServerSetup { weight: Some(weight), ..server(port) }
}

/// Clients are forgotten, so that each visit is a choice.
pub fn rules(policy: PolicyKind) -> Settings {
    let mut settings = settings();
    settings.set_flag(Flag::Roundrobin, true);
    settings.set_choice(policy);
    settings
}

pub fn farm(policy: PolicyKind, servers: Vec<ServerSetup>) -> Service {
    let mut service = Service::new(16, &rules(policy));
    service.set_servers(servers, None, None);
    service
}

fn weighed(policy: PolicyKind, weights: &[&str]) -> Service {
    let setups = weights.iter().zip(1..).map(|(text, port)| weighing(weight(text), port));
    farm(policy, setups.collect())
}

pub fn address(number: u32) -> ClientAddr {
    ClientAddr::Ip(Ipv4Addr::from_bits(0x0a00_0000 + number).into())
}

fn come(service: &mut Service, client: ClientAddr) -> Option<Attempt> {
    ask(service, client, None)
}

/// A client that asks for this, or for what its address says.
pub fn ask(service: &mut Service, client: ClientAddr, uri: Option<Uri>) -> Option<Attempt> {
    let own = || match client {
        ClientAddr::Ip(IpAddr::V4(address)) => Some(Uri(address.to_bits().into())),
        _ => None,
    };
    let asker = Asker { uri: uri.or_else(own), ..Asker::from(client) };
    match service.at().admit(asker, 40_000, NOW_SECONDS) {
        Admission::Connect(attempt, _) => Some(attempt),
        Admission::Refused(_) => None,
    }
}

/// The index of the server that a client gets and leaves at once.
fn visit(service: &mut Service, client: ClientAddr) -> Option<usize> {
    let attempt = come(service, client)?;
    let server = attempt.server().index();
    service.at().abandon(attempt);
    server
}

fn visits(service: &mut Service, count: u32) -> Vec<usize> {
    (0..count).map(|number| visit(service, address(number)).unwrap()).collect()
}

fn counts(choices: &[usize], servers: usize) -> Vec<u32> {
    let mut counts = vec![0; servers];
    choices.iter().for_each(|choice| counts[*choice] += 1);
    counts
}

#[track_caller]
fn assert_shares(counts: &[u32], weights: &[&str]) {
    let thousandths = |text: &str| f64::from(weight(text).thousandths());
    let total: f64 = weights.iter().map(|text| thousandths(text)).sum();
    let all: u32 = counts.iter().sum();
    for (count, text) in counts.iter().zip(weights) {
        let share = f64::from(*count) / f64::from(all);
        let wanted = thousandths(text) / total;
        assert!((share - wanted).abs() <= 0.01, "{text}: {share} instead of {wanted}: {counts:?}");
    }
}

const WEIGHTS: [&[&str]; 4] =
    [&["1", "1", "1"], &["3", "1", "2"], &["0.5", "1.25", "0.001", "2"], &["65535", "7.5", "30000", "0"]];

/// All policies that weigh, with connections that end at once.
#[test]
fn shares_are_those_of_the_weights() {
    let weigh = [PolicyKind::RoundRobin, PolicyKind::LeastConn, PolicyKind::Random, PolicyKind::Source];
    for (policy, weights) in weigh.into_iter().flat_map(|policy| WEIGHTS.map(|weights| (policy, weights))) {
        let mut service = weighed(policy, weights);
        assert_shares(&counts(&visits(&mut service, CHOICES), weights.len()), weights);
    }
}

/// By connections, with connections that stay: to within one of the exact share, for Pen's `weight` too.
#[test]
fn connections_that_stay_are_shared_by_weight() {
    for weights in [&["3", "1", "2"][..], &["0.5", "1.25", "0.25"], &["1000.5", "999.5"]] {
        let mut pens = settings();
        [Flag::Roundrobin, Flag::Weight].iter().for_each(|flag| pens.set_flag(*flag, true));
        for rules in [rules(PolicyKind::LeastConn), pens] {
            let is_rounded = rules.flag(Flag::Weight) && weights.iter().all(|text| weight(text).is_whole());
            let mut service = Service::new(16, &rules);
            let setups = weights.iter().zip(1..).map(|(text, port)| weighing(weight(text), port));
            service.set_servers(setups.collect(), None, None);
            let held: Vec<Attempt> =
                (0..6_000).map(|number| come(&mut service, address(number)).unwrap()).collect();
            let servers: Vec<usize> = held.iter().map(|attempt| attempt.server().index().unwrap()).collect();
            let total: u32 = weights.iter().map(|text| weight(text).thousandths()).sum();
            for (count, text) in counts(&servers, weights.len()).iter().zip(weights) {
                let exact = 6_000.0 * f64::from(weight(text).thousandths()) / f64::from(total);
                let slack = if is_rounded { 2.0 } else { 1.0 };
                assert!((f64::from(*count) - exact).abs() <= slack, "{text}: {count} instead of {exact}");
            }
            held.into_iter().for_each(|attempt| service.at().release(attempt, Released::default()));
        }
    }
}

#[test]
fn round_robin_spreads_the_turns_of_a_heavy_server() {
    let letters =
        |choices: Vec<usize>| choices.iter().map(|index| ["A", "B", "C"][*index]).collect::<String>();
    assert_eq!(letters(visits(&mut weighed(PolicyKind::RoundRobin, &["5", "1", "1"]), 14)), "ABAAACAABAAACA");
    assert_eq!(letters(visits(&mut weighed(PolicyKind::RoundRobin, &["0.2", "0.1"]), 6)), "ABAABA");
    assert_eq!(letters(visits(&mut weighed(PolicyKind::RoundRobin, &["1", "1", "1"]), 6)), "ABCABC");
}

#[test]
fn equal_servers_are_equal() {
    for policy in [PolicyKind::RoundRobin, PolicyKind::LeastConn] {
        let mut service = weighed(policy, &["2"; 5]);
        assert_eq!(counts(&visits(&mut service, 5_000), 5), [1_000; 5], "{policy:?}");
    }
    // One is busy all the time: the others share the rest.
    let mut service = weighed(PolicyKind::LeastConn, &["1", "1", "1"]);
    let busy = come(&mut service, address(0)).unwrap();
    let servers = visits(&mut service, 100);
    assert_eq!(counts(&servers, 3).into_iter().filter(|count| *count > 0).collect::<Vec<_>>(), [50, 50]);
    service.at().abandon(busy);
}

/// A turn that was saved up under a large weight is not made up for under a small one.
#[test]
fn old_weights_are_soon_forgotten() {
    let mut service = weighed(PolicyKind::RoundRobin, &["65535", "60000"]);
    visits(&mut service, 7);
    service.set_servers(vec![weighing(weight("1"), 1), weighing(weight("1"), 2)], None, None);
    let both = counts(&visits(&mut service, 10), 2);
    assert!(both.iter().all(|count| (3..=7).contains(count)), "{both:?}");
}

#[test]
fn weight_0_is_for_clients_that_are_remembered() {
    for policy in PolicyKind::ALL.iter().filter(|policy| **policy != PolicyKind::Pen) {
        let mut settings = settings();
        settings.set_choice(*policy);
        let mut service = Service::new(16, &settings);
        service.set_servers(vec![weighing(weight("1"), 1)], None, None);
        assert_eq!(visit(&mut service, address(1)), Some(0));
        service.set_servers(vec![weighing(weight("0"), 1), weighing(weight("1"), 2)], None, None);
        assert_eq!(
            [1, 2].map(|client| visit(&mut service, address(client))),
            [Some(0), Some(1)],
            "{policy:?}"
        );
        service.at().blacklist(ServerId::regular(1), 9, NOW_SECONDS);
        assert_eq!([1, 2].map(|client| visit(&mut service, address(client))), [Some(0), None], "{policy:?}");
    }
}

#[test]
fn top_leaves_lower_weights_alone_until_nobody_else_is_left() {
    for policy in PolicyKind::ALL {
        let mut rules = rules(*policy);
        rules.set_flag(Flag::Top, true);
        let mut service = Service::new(16, &rules);
        let servers = ["1", "2.5", "2.5", "0.5"].iter().zip(1..);
        service.set_servers(servers.map(|(text, port)| weighing(weight(text), port)).collect(), None, None);
        let mut chosen = |down: &[usize]| {
            (0..4).for_each(|index| {
                let seconds = if down.contains(&index) { 9 } else { 0 };
                service.at().blacklist(ServerId::regular(index), seconds, NOW_SECONDS);
            });
            let mut servers = visits(&mut service, 400);
            servers.sort_unstable();
            servers.dedup();
            servers
        };
        let of_two = |servers: Vec<usize>| match policy {
            PolicyKind::Single => servers == [1],
            _ => servers == [1, 2],
        };
        assert!(of_two(chosen(&[])), "{policy:?}");
        assert_eq!(chosen(&[1]), [2], "{policy:?}");
        assert_eq!(chosen(&[1, 2]), [0], "{policy:?}");
        assert_eq!(chosen(&[0, 1, 2]), [3], "{policy:?}");
    }
}

#[test]
fn single_changes_only_for_a_failure_or_a_higher_weight() {
    let mut service = weighed(PolicyKind::Single, &["1", "2", "2"]);
    let mut next = 0;
    let mut chosen = |service: &mut Service| {
        next += 1;
        visit(service, address(next)).unwrap()
    };
    let blacklist = |service: &mut Service, index, seconds| {
        service.at().blacklist(ServerId::regular(index), seconds, NOW_SECONDS);
    };
    assert_eq!(chosen(&mut service), 1);
    blacklist(&mut service, 1, 9);
    assert_eq!(chosen(&mut service), 2);
    blacklist(&mut service, 1, 0);
    assert_eq!(chosen(&mut service), 2, "an equal one that returns changes nothing");
    let with = |weights: [&str; 3]| {
        weights.iter().zip(1..).map(|(text, port)| weighing(weight(text), port)).collect::<Vec<_>>()
    };
    service.set_servers(with(["3", "2", "2"]), None, None);
    assert_eq!(chosen(&mut service), 0);
    service.set_servers(with(["2", "2", "2"]), None, None);
    assert_eq!(chosen(&mut service), 0, "it is not higher any more, but neither is another");
    let full: Vec<ServerSetup> =
        with(["2", "2", "2"]).into_iter().map(|setup| ServerSetup { max: 1, ..setup }).collect();
    service.set_servers(full, None, None);
    let held = come(&mut service, address(90)).unwrap();
    assert_eq!(held.server().index(), Some(0));
    assert_eq!(chosen(&mut service), 1, "the next stands in");
    service.at().abandon(held);
    assert_eq!(chosen(&mut service), 0);
}

#[test]
fn the_same_seed_draws_the_same_lots() {
    let draw = |seed| {
        let mut pool = pen_core::balance::Pool::new(16).seeded(seed);
        let key = pool.add_selection(rules(PolicyKind::Random).rules());
        pool.set_servers(key, (1..=5).map(server).collect(), None, None);
        let mut next = || match pool.at(key).admit(address(1), 0, NOW_SECONDS) {
            Admission::Connect(attempt, _) => attempt.server().index(),
            Admission::Refused(_) => None,
        };
        (0..32).map(|_| next()).collect::<Vec<_>>()
    };
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
}

fn named(names: &[&str]) -> Vec<ServerSetup> {
    let setup = |(name, port): (&&str, u16)| ServerSetup {
        name: Some((*name).into()),
        weight: Some(weight(["1", "2", "0.5"][name.len() % 3])),
        ..server(port)
    };
    names.iter().zip(1..).map(setup).collect()
}

fn clients() -> impl Iterator<Item = ClientAddr> {
    let ip = |number: u32| match number % 2 {
        0 => IpAddr::from(Ipv4Addr::from_bits(0xc633_6400 + number)),
        _ => IpAddr::from(Ipv6Addr::from_bits((0x2001_0db8 << 96) + u128::from(number))),
    };
    (0..20_000).map(move |number| ClientAddr::Ip(ip(number)))
}

#[test]
fn source_chooses_alike_whatever_the_order() {
    let names: Vec<String> = (0..40).map(|number| format!("s{}", number * number)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let backwards: Vec<&str> = names.iter().rev().copied().collect();
    let mut one = farm(PolicyKind::Source, named(&names));
    let mut other = farm(PolicyKind::Source, named(&backwards));
    for client in clients() {
        let name = |order: &[&str], index: Option<usize>| order[index.unwrap()].to_owned();
        assert_eq!(name(&names, visit(&mut one, client)), name(&backwards, visit(&mut other, client)));
    }
}

/// When a server goes for good, when it fails, and when it comes back.
#[test]
fn source_moves_hardly_anybody_but_the_clients_of_a_server_that_goes() {
    for count in [2, 3, 10, 100, 1_000] {
        let names: Vec<String> = (0..count).map(|number| format!("web{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let all = named(&names);
        let mut service = farm(PolicyKind::Source, all.clone());
        let chosen = |service: &mut Service| {
            clients().map(|client| visit(service, client).unwrap()).collect::<Vec<_>>()
        };
        let before = chosen(&mut service);
        let gone = count / 2;
        let mut less = all.clone();
        less[gone] = ServerSetup::default();
        service.set_servers(less, None, None);
        let removed = chosen(&mut service);
        service.set_servers(all, None, None);
        assert_eq!(chosen(&mut service), before, "all come back");
        service.at().blacklist(ServerId::regular(gone), 9, NOW_SECONDS);
        let failed = chosen(&mut service);
        let others = || before.iter().filter(|index| **index != gone).count();
        let moved = |after: &[usize]| {
            before.iter().zip(after).filter(|(before, after)| **before != gone && before != after).count()
        };
        assert_eq!(moved(&failed), 0, "{count} servers");
        assert!(moved(&removed) * 100 <= others(), "{} of {} moved", moved(&removed), others());
        assert!(!removed.contains(&gone) && !failed.contains(&gone));
        service.at().blacklist(ServerId::regular(gone), 0, NOW_SECONDS);
        assert_eq!(chosen(&mut service), before);
    }
}

/// One of a thousand is left: all clients find it.
#[test]
fn source_finds_the_last_server() {
    let mut service = farm(PolicyKind::Source, (1..=1_000).map(server).collect());
    (1..1_000).for_each(|index| service.at().blacklist(ServerId::regular(index), 9, NOW_SECONDS));
    assert!(visits(&mut service, 1_000).iter().all(|index| *index == 0));
}

/// A server that comes back gets a share that grows with time: at once when it failed, at the next choice when it is new.
#[test]
fn a_server_that_comes_back_is_ramped_up() {
    let weigh = [PolicyKind::RoundRobin, PolicyKind::LeastConn, PolicyKind::Random, PolicyKind::Source];
    for policy in weigh.into_iter().map(Some).chain([None]) {
        let mut settings = rules(policy.unwrap_or(PolicyKind::Pen));
        settings.set_number(Number::SlowStart, 100_000);
        settings.set_flag(Flag::Weight, policy.is_none());
        let mut service = Service::new(16, &settings);
        let both = || vec![server(1), server(2)];
        service.set_servers(both(), None, None);
        // Pen's own mode goes by connections alone: those that stay are shared by weight.
        let share_at = |service: &mut Service, now_seconds: u32| {
            let choose = |number| match service.at().admit(address(number), 1, now_seconds) {
                Admission::Connect(attempt, _) => attempt,
                Admission::Refused(refusal) => panic!("{refusal:?}"),
            };
            let held: Vec<Attempt> = (0..4_000).map(choose).collect();
            let second = held.iter().filter(|attempt| attempt.server().index() == Some(1)).count();
            held.into_iter().for_each(|attempt| service.at().abandon(attempt));
            second as f64 / 4_000.0
        };
        let at = |seconds| NOW_SECONDS + seconds;
        assert!((share_at(&mut service, at(0)) - 0.5).abs() < 0.03, "{policy:?}: both were there at start");
        service.at().blacklist(ServerId::regular(1), 10, at(0));
        // A share of 0.005, 0.5 or 1 beside 1.
        for (seconds, expected) in [(9, 0.0), (10, 0.005), (60, 0.335), (111, 0.5)] {
            let share = share_at(&mut service, at(seconds));
            assert!((share - expected).abs() < 0.03, "{policy:?}, second {seconds}: {share}");
        }
        let mut three = both();
        three.push(server(3));
        three.swap(1, 2);
        service.set_servers(three, None, None);
        let states = |service: &mut Service, seconds| {
            let statuses = service.at().server_statuses(at(seconds));
            statuses.iter().map(|status| status.state.unwrap().to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(states(&mut service, 200), "up warming warming", "{policy:?}: at other addresses");
        assert!(share_at(&mut service, at(200)) < 0.03, "{policy:?}");
        assert_eq!(states(&mut service, 299), "up warming warming", "{policy:?}");
        assert_eq!(states(&mut service, 300), "up up up", "{policy:?}");
    }
}

/// One has a time of its own.
#[test]
fn a_server_may_have_its_own_time() {
    let mut settings = rules(PolicyKind::RoundRobin);
    settings.set_number(Number::SlowStart, 100_000);
    let mut service = Service::new(16, &settings);
    let own = |ms| ServerSetup { slow_start_ms: Some(ms), ..server(2) };
    service.set_servers(
        vec![server(1), own(0), ServerSetup { slow_start_ms: Some(2_000), ..server(3) }],
        None,
        None,
    );
    (0..3).for_each(|index| {
        service.at().blacklist(ServerId::regular(index), 1, NOW_SECONDS);
    });
    let states = |service: &mut Service, seconds| {
        let statuses = service.at().server_statuses(NOW_SECONDS + seconds);
        statuses.iter().map(|status| status.state.unwrap().to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(states(&mut service, 1), "warming up warming");
    assert_eq!(states(&mut service, 3), "warming up up");
}

fn any_server() -> impl Strategy<Value = ServerSetup> {
    let weight = select(vec!["0", "0.25", "1", "3", "3"]).prop_map(|text| Some(weight(text)));
    (prop::bool::weighted(0.9), weight, select(vec![0, 0, 1, 3]), 0..3u8, 0..2u8).prop_map(
        |(has_port, weight, max, acl, standby)| ServerSetup {
            weight,
            max,
            acl,
            standby,
            ..server(u16::from(has_port) * 80)
        },
    )
}

proptest! {
    /// Whatever becomes of the servers, nobody gets one that is away, full, shut to it or of weight 0, and everybody gets
    /// one where there is one.
    #[test]
    fn nobody_gets_a_server_that_cannot_serve(
        servers in vec(any_server(), 1..9),
        policy in select(PolicyKind::ALL),
        top in any::<bool>(),
        steps in vec((0..3u8, 0..9usize, 0..4u32), 1..60),
    ) {
        let mut settings = rules(policy);
        settings.set_flag(Flag::Top, top);
        let of = |address, mask| AclMatch::V4 { address, mask };
        settings.acls[1].push(AclEntry { permit: true, what: of(0x0a00_0001, u32::MAX) }).unwrap();
        settings.acls[2].push(AclEntry { permit: false, what: of(0, 0) }).unwrap();
        let rules: Rules = settings.rules();
        let mut service = Service::new(16, &settings);
        service.set_servers(servers.clone(), None, None);
        let mut held: Vec<Attempt> = Vec::new();
        let mut down = vec![false; servers.len()];
        for (what, which, client) in steps {
            let index = which % servers.len();
            match what {
                0 => {
                    down[index] = !down[index];
                    let seconds = if down[index] { 9 } else { 0 };
                    service.at().blacklist(ServerId::regular(index), seconds, NOW_SECONDS);
                }
                1 if !held.is_empty() => {
                    let attempt = held.swap_remove(which % held.len());
                    service.at().abandon(attempt);
                }
                _ => {
                    let client = address(client);
                    let weigh = servers.iter().any(|setup| setup.endpoint.is_complete() && setup.weight > Some(Weight::ZERO));
                    let may = |index: usize| {
                        let (setup, count) = (&servers[index], held.iter().filter(|attempt| attempt.server().index() == Some(index)).count());
                        let weightless = setup.weight == Some(Weight::ZERO) && (policy != PolicyKind::Pen || weigh);
                        setup.endpoint.is_complete() && !down[index] && !weightless
                            && (setup.max == 0 || count < setup.max as usize)
                            && rules.lists.permit(setup.acl.into(), client)
                    };
                    let able: Vec<usize> = (0..servers.len()).filter(|index| may(*index)).collect();
                    match come(&mut service, client) {
                        None if policy == PolicyKind::Pen => {}
                        None => prop_assert!(able.is_empty(), "{able:?}"),
                        Some(attempt) => {
                            let index = attempt.server().index().unwrap();
                            prop_assert!(able.contains(&index), "{index} of {able:?}");
                            let best = able.iter().map(|index| servers[*index].standby).min();
                            prop_assert_eq!(Some(servers[index].standby), best);
                            held.push(attempt);
                        }
                    }
                }
            }
        }
        held.into_iter().for_each(|attempt| service.at().abandon(attempt));
    }
}
