//! The policies against their rules as they are told, on random farms; and that no change of a server escapes them.

use super::*;
use crate::balance::selection::keyed;
use crate::balance::servers::{Endpoint, Server, ServerSetup};
use crate::balance::tried::Tried;
use crate::settings::Settings;
use pen_proto::load::Load;
use pen_proto::weight::Weight;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::net::Ipv4Addr;

const NOW_SECONDS: u32 = 1_000;
const BLACKLIST_SECONDS: u64 = 30;

/// What happens to a server after it was set up.
#[derive(Debug, Clone, Copy)]
struct Fate {
    connections: u32,
    failed_at_seconds: Option<u32>,
    /// The operator blacklisted it for so long.
    commanded_seconds: Option<u32>,
}

fn any_server() -> impl Strategy<Value = (ServerSetup, Fate)> {
    let names = select(vec![&[][..], &[], &["a.test"], &["b.test"], &["a.test", "b.test"]]);
    let setup = (prop::bool::weighted(0.9), option::of((0..4u32).prop_map(Weight::whole)), 0..4u32, names);
    let setup = setup.prop_map(|(has_port, weight, prio, names)| ServerSetup {
        weight,
        prio,
        sni: names.iter().map(|name| name.to_string()).collect(),
        ..ServerSetup::new(Endpoint::Inet(([127, 0, 0, 1], has_port.into()).into()))
    });
    let seconds = prop_oneof![969..=971u32, Just(NOW_SECONDS), Just(0)];
    let fate = (0..6u32, option::of(seconds), option::weighted(0.2, 0..2u32));
    let fate = fate.prop_map(|(connections, failed_at_seconds, commanded_seconds)| Fate {
        connections,
        failed_at_seconds,
        commanded_seconds,
    });
    (setup, fate)
}

/// The servers after their fates, all of them met one by one.
fn farm(servers: &[(ServerSetup, Fate)]) -> Servers {
    let mut farm = Servers::new(BLACKLIST_SECONDS);
    farm.set(keyed(servers.iter().map(|(setup, _)| setup.clone()).collect()), None, None);
    for (index, (_, fate)) in servers.iter().enumerate() {
        let changed = farm.change(ServerId::regular(index), |server| {
            server.connections = fate.connections;
            fate.failed_at_seconds.into_iter().for_each(|seconds| server.standing.fail(seconds));
            fate.commanded_seconds
                .into_iter()
                .for_each(|seconds| server.blacklist(seconds, BLACKLIST_SECONDS, NOW_SECONDS));
        });
        assert!(changed.is_some());
    }
    farm
}

/// The choices by the servers themselves: by `prio`, by weight, by hash of 0 to 6, and in turn after `last`, where
/// weight 0 gets nobody if others have more.
fn told(farm: &Servers, route: Route, hash: usize, last: usize) -> [Option<usize>; 4] {
    let servers = farm.regular();
    let serves = |index: &usize| servers[*index].serves(route);
    let usable = |index: &usize| serves(index) && servers[*index].is_usable(BLACKLIST_SECONDS, NOW_SECONDS);
    let all = || 0..servers.len();
    let load =
        |server: &Server| 256_000 * u64::from(server.connections) / u64::from(server.weight().thousandths());
    let serving: Vec<usize> = all().filter(serves).collect();
    let weigh =
        servers.iter().any(|server| server.setup.endpoint.is_complete() && server.weight() > Weight::ZERO);
    let turn = (1..=servers.len()).map(|step| (last + step) % servers.len());
    [
        all().filter(usable).min_by_key(|&index| servers[index].setup.prio),
        all()
            .filter(|index| usable(index) && servers[*index].weight() > Weight::ZERO)
            .min_by_key(|&index| load(&servers[index])),
        hash.checked_rem(serving.len()).map(|place| serving[place]),
        turn.into_iter().find(|index| usable(index) && !(weigh && servers[*index].weight() == Weight::ZERO)),
    ]
}

/// What changes between two choices by load.
#[derive(Debug, Clone)]
enum Event {
    Connections(Index, u32),
    Load(Index, Option<u32>),
    Fails(Index),
    Passes(u32),
    Weighs(u32, bool),
    Choices,
}

fn any_event() -> impl Strategy<Value = Event> {
    let index = any::<Index>;
    prop_oneof![
        (index(), 0..4u32).prop_map(|(server, count)| Event::Connections(server, count)),
        (index(), option::of(0..4u32)).prop_map(|(server, load)| Event::Load(server, load)),
        index().prop_map(Event::Fails),
        (0..40u32).prop_map(Event::Passes),
        (0..2u32, any::<bool>()).prop_map(|(weight, top)| Event::Weighs(weight * 1_000, top)),
        Just(Event::Choices),
    ]
}

proptest! {
    /// The ranking says what comparing all servers says.
    #[test]
    fn least_load_misses_no_change(
        servers in vec((any_server(), 0..4u32, 0..2u8), 1..12),
        events in vec(any_event(), 0..40),
        tried in any::<Index>(),
    ) {
        let servers: Vec<_> = servers.into_iter().map(|((setup, fate), max, standby)| {
            (ServerSetup { max, standby, ..setup }, fate)
        }).collect();
        let mut farm = farm(&servers);
        let mut rules = Settings::default().rules();
        rules.policy = PolicyKind::LeastLoad;
        let (mut policy, mut now_seconds) = (least_load::LeastLoad::default(), NOW_SECONDS);
        let at = |server: Index| ServerId::regular(server.index(servers.len()));
        let (mut sets, mut key) = (Tried::default(), None);
        sets.add(&mut key, at(tried));
        for event in events {
            match event {
                Event::Connections(server, count) => {
                    farm.change(at(server), |server| server.connections = count);
                }
                Event::Load(server, load) => {
                    let load = load.map(|load| Load::of_thousandths(u64::from(load) * 500));
                    farm.change(at(server), |server| server.loaded.get_or_insert_default().load = load);
                }
                Event::Fails(server) => {
                    farm.change(at(server), |server| server.standing.fail(now_seconds));
                }
                Event::Passes(seconds) => now_seconds += seconds,
                Event::Weighs(session_weight, top) => {
                    (rules.session_weight_thousandths, rules.top) = (session_weight, top);
                }
                Event::Choices => {}
            }
            for tried in [ServerSet::EMPTY, ServerSet::EMPTY, sets.of(key)] {
                let question = Question {
                    role: Role::Member,
                    client: ClientAddr::Ip(Ipv4Addr::LOCALHOST.into()),
                    client_port: 0,
                    rules: &rules,
                    servers: &farm,
                    route: Route::DEFAULT,
                    uri: None,
                    now_seconds,
                    standby: 0,
                    weight_min: Weight::LEAST,
                    others: Some(Others { own: ServerId::NONE, tried }),
                };
                let top = question.top().filter(|_| rules.top).unwrap_or(Weight::LEAST);
                let question = Question { weight_min: top, ..question };
                let compared = policy.compare_all(&question);
                prop_assert_eq!(policy.choose(&question), compared);
            }
        }
    }

    #[test]
    fn choices_are_those_of_the_rules(
        servers in vec(any_server(), 0..12),
        name in select(vec![None, Some("a.test"), Some("b.test"), Some("c.test")]),
        hash in 0..7u8,
        last in 0..20usize,
    ) {
        let farm = farm(&servers);
        let rules = Settings::default().rules();
        let question = Question {
            role: Role::Member,
            client: ClientAddr::Ip(Ipv4Addr::new(hash, 0, 0, 0).into()),
            client_port: 0,
            rules: &rules,
            servers: &farm,
            route: farm.route(name),
            uri: None,
            now_seconds: NOW_SECONDS,
            standby: 0,
            weight_min: Weight::ZERO,
            others: None,
        };
        let choices = [
            rank::by_prio(&question),
            rank::by_weight(&question),
            pen::hash::choose(&question),
            pen::turns::Turns::after(last).choose(&question),
        ];
        prop_assert_eq!(choices, told(&farm, question.route, hash.into(), last));
    }

    #[test]
    fn glances_follow_every_change(
        before in vec(any_server(), 0..8),
        after in vec(any_server(), 0..8),
        vanishes in any::<bool>(),
        blacklist_seconds in 29..32u64,
    ) {
        let mut farm = farm(&before);
        farm.set(keyed(after.iter().map(|(setup, _)| setup.clone()).collect()), None, None);
        if vanishes {
            farm.ids().for_each(|id| farm.vanished(id, NOW_SECONDS));
        }
        farm.set_blacklist_seconds(blacklist_seconds);
        let glance = |server| Glance::of(server, Role::Member, blacklist_seconds);
        let servers: Vec<Glance> = farm.regular().iter().map(glance).collect();
        prop_assert_eq!(farm.glances(), &servers[..]);
    }
}
