//! Choosing by load: who comes first, whose load is too much, who stands by, and whose connections do not survive.

use super::tests::{Farm, setup};
use super::*;
use crate::balance::{Finding, Health, Rebalance, ServerSetup, Untested};
use pen_proto::commands::PolicyKind;
use pen_proto::status::{ServerState, ServerStatus};
use proptest::prelude::*;

fn farm(servers: Vec<ServerSetup>, session_weight_thousandths: u32) -> Farm {
    Farm::with_rules(servers, |rules| {
        rules.policy = PolicyKind::LeastLoad;
        rules.session_weight_thousandths = session_weight_thousandths;
    })
}

/// Where so many new clients go.
fn counts(farm: &mut Farm, clients: usize, servers: usize) -> Vec<usize> {
    let mut counts = vec![0; servers];
    for _ in 0..clients {
        if let Some(server) = farm.goes_to() {
            counts[server as usize] += 1;
        }
    }
    counts
}

#[test]
fn the_load_and_the_connections_decide_together() {
    let mut farm = farm(vec![setup(1), setup(2)], 100);
    farm.hears(0, "0.5");
    farm.hears(1, "1.0");
    // Ten connections weigh a load of 1, as in the example of Octopus's manual.
    assert_eq!(counts(&mut farm, 5, 2), [5, 0]);
    assert_eq!(counts(&mut farm, 10, 2), [5, 5], "equal ones take turns");
    farm.hears(0, "3");
    assert_eq!(counts(&mut farm, 10, 2), [0, 10]);
}

#[test]
fn without_a_weight_of_sessions_the_load_alone_decides() {
    let mut farm = farm(vec![setup(1), setup(2)], 0);
    farm.hears(0, "0.501");
    farm.hears(1, "0.5");
    assert_eq!(counts(&mut farm, 20, 2), [0, 20]);
}

#[test]
fn a_load_counts_for_the_weight() {
    let mut farm = farm(vec![ServerSetup { weight: Some(Weight::whole(4)), ..setup(1) }, setup(2)], 0);
    farm.hears(0, "3.9");
    farm.hears(1, "1");
    assert_eq!(counts(&mut farm, 4, 2), [4, 0]);
    farm.hears(0, "4.1");
    assert_eq!(counts(&mut farm, 4, 2), [0, 4]);
}

#[test]
fn unknown_loads_come_last_with_the_fewest_connections_first() {
    let mut farm = farm(vec![setup(1), setup(2), setup(3)], 100);
    farm.hears(2, "50");
    assert_eq!(counts(&mut farm, 6, 3), [0, 0, 6], "a load that is known is preferred, however high");
    farm.hears(2, "maint");
    assert_eq!(counts(&mut farm, 6, 3), [3, 3, 0]);
    farm.hears(0, "9");
    assert_eq!(counts(&mut farm, 2, 3), [2, 0, 0]);
    farm.hears_nothing(0);
    assert_eq!(counts(&mut farm, 2, 3), [0, 2, 0]);
}

#[test]
fn too_much_load_keeps_new_clients_away_where_that_is_strict() {
    let maxload = Load::of_thousandths(4_000);
    let limited = |number, is_strict| ServerSetup { maxload, is_strict, ..setup(number) };
    for (is_strict, load, expected) in [
        (false, "9", Some(ServerState::Up)),
        (true, "4.03", Some(ServerState::Up)),
        (true, "4.04", Some(ServerState::Full)),
    ] {
        let mut farm = Farm::of(vec![limited(1, is_strict)]);
        farm.hears(0, load);
        assert_eq!(Some(farm.state(0)), expected, "{load}");
        assert_eq!(farm.goes_to().is_some(), expected == Some(ServerState::Up), "{load}");
        farm.hears_nothing(0);
        assert_eq!(farm.goes_to(), Some(0), "an unknown load is not too much");
    }
    let mut farm = Farm::of(vec![limited(1, true), setup(2)]);
    farm.hears(0, "5");
    assert_eq!(farm.server(0).effective_load_percent(), Some(125));
    assert_eq!((farm.goes_to(), farm.goes_to()), (Some(1), Some(1)));
    farm.hears(0, "1");
    assert_eq!(farm.goes_to(), Some(0));
}

#[test]
fn a_client_keeps_its_server_under_load() {
    let maxload = Load::of_thousandths(1_000);
    let mut farm = Farm::of(vec![ServerSetup { maxload, is_strict: true, ..setup(1) }, setup(2)]);
    assert_eq!(farm.goes_to(), Some(0));
    farm.hears(0, "2");
    farm.clients -= 1;
    assert_eq!(farm.goes_to(), Some(0), "the same client again");
    assert_eq!(farm.goes_to(), Some(1));
}

#[test]
fn those_that_stand_by_are_used_when_no_other_can_be() {
    let standby = ServerSetup { standby: 1, ..setup(2) };
    let mut farm = Farm::of(vec![ServerSetup { max: 2, ..setup(1) }, standby]);
    assert_eq!(farm.state(1), ServerState::Standby);
    let used: Vec<_> = (0..3).map(|_| farm.goes_to()).collect();
    assert_eq!(used, [Some(0), Some(0), Some(1)], "the first is full");
    farm.hears(0, "maxconn:1 down");
    assert_eq!(farm.goes_to(), Some(1));
    farm.hears(0, "up maxconn:0");
    assert_eq!(farm.state(0), ServerState::Full);
}

#[test]
fn connections_of_a_server_that_is_down_are_cut_where_that_is_wanted() {
    for is_cut_when_down in [false, true] {
        let checked = ServerSetup { untested: Untested::Used, is_cut_when_down, ..setup(1) };
        let mut farm = Farm::of(vec![checked, setup(2)]);
        assert_eq!(farm.goes_to(), Some(0));
        let overdue = |farm: &mut Farm| farm.pool.at(farm.selection).overdue(1_000);
        assert_eq!(overdue(&mut farm), []);
        let cut: &[ServerId] = if is_cut_when_down { &[ServerId::regular(0)] } else { &[] };
        let finding = |health| Finding {
            health,
            reason: "gone".into(),
            connected_since_seconds: None,
            took_us: None,
            served_ms: None,
        };
        let endpoint = farm.server(0).setup.endpoint;
        farm.pool.at(farm.selection).checked(ServerId::regular(0), &endpoint, &finding(Health::Down), 1_000);
        assert_eq!(overdue(&mut farm), cut);
        assert_eq!(farm.pool.at(farm.selection).awaits_ends(), is_cut_when_down);
        farm.pool.at(farm.selection).checked(ServerId::regular(0), &endpoint, &finding(Health::Up), 1_000);
        assert_eq!(overdue(&mut farm), []);
        farm.hears(0, "down");
        assert_eq!(overdue(&mut farm), cut);
        farm.hears(0, "up drain");
        assert_eq!(overdue(&mut farm), [], "who drains is not down");
        // A connect that fails says nothing of those that are open.
        farm.hears(0, "ready");
        farm.pool
            .at(farm.selection)
            .servers
            .change(ServerId::regular(0), |server| server.standing.fail(1_000));
        assert_eq!(overdue(&mut farm), []);
    }
}

proptest! {
    /// Nobody is chosen who has more to do for its weight than another that could be.
    #[test]
    fn nobody_else_has_less_to_do(
        loads in prop::collection::vec(prop::option::of(0..5_000u64), 1..8),
        clients in 1..30usize, session_weight in 0..300u32,
    ) {
        let mut farm = farm((0..loads.len()).map(|index| setup(index as u8 + 1)).collect(), session_weight);
        for (index, load) in loads.iter().enumerate() {
            if let Some(load) = load {
                farm.hears(index, &Load::of_thousandths(*load).to_string());
            }
        }
        let mut connections = vec![0u64; loads.len()];
        for _ in 0..clients {
            let chosen = farm.goes_to().unwrap() as usize;
            let cost = |index: usize| match loads[index] {
                Some(load) => (false, load + connections[index] * u64::from(session_weight)),
                None => (true, connections[index]),
            };
            let least = (0..loads.len()).map(cost).min().unwrap();
            prop_assert_eq!(cost(chosen), least);
            connections[chosen] += 1;
        }
    }
}

#[test]
fn every_state_but_up_has_a_reason_and_a_beginning() {
    let lone = |number, standby, max| ServerSetup { standby, max, ..setup(number) };
    let gap = || ServerSetup::new(Endpoint::Unset);
    let mut farm = Farm::of(vec![lone(1, 0, 1), lone(2, 1, 0)]);
    let said = |farm: &mut Farm, now_seconds| -> Vec<String> {
        let statuses = farm.pool.at(farm.selection).server_statuses(now_seconds);
        let said = |status: ServerStatus| {
            assert_eq!(status.state == Some(ServerState::Up), status.reason.is_none());
            format!("{} {:?}", status.state(), status.since_epoch_seconds.unwrap_or(0))
        };
        statuses.into_iter().map(said).collect()
    };
    let servers = |farm: &mut Farm, now_seconds, setups: Vec<ServerSetup>| {
        farm.pool.at(farm.selection).tell_time(now_seconds);
        farm.pool.set_servers(farm.selection, setups, None, None);
    };
    servers(&mut farm, 100, vec![lone(1, 0, 1), lone(2, 1, 0), gap()]);
    assert_eq!(said(&mut farm, 100)[2], "unset 100");
    servers(&mut farm, 110, vec![lone(1, 0, 1), lone(2, 0, 0), gap()]);
    servers(&mut farm, 120, vec![lone(1, 0, 1), lone(2, 1, 0), gap()]);
    assert_eq!(said(&mut farm, 200), ["up 0", "standby 120", "unset 100"]);

    assert_eq!(farm.goes_to(), Some(0), "at 1000");
    assert_eq!(said(&mut farm, 1_010), ["full 1000", "standby 120", "unset 100"]);
    farm.pool.at(farm.selection).blacklist(ServerId::regular(1), 30, 1_010);
    assert_eq!(said(&mut farm, 1_020)[1], "blacklisted 1010");
    assert_eq!(said(&mut farm, 1_050)[1], "standby 1040", "when that was over");
    servers(&mut farm, 1_060, vec![gap(), lone(2, 1, 0)]);
    assert_eq!(said(&mut farm, 1_070), ["removing 1060", "standby 1040"]);
    servers(&mut farm, 1_080, vec![lone(1, 0, 1), lone(2, 1, 0)]);
    assert_eq!(said(&mut farm, 1_090), ["full 1080", "standby 1040"], "it takes clients again, in vain");
}

/// Has a hundred URIs at each of two servers that have told these loads, waits for the interval, and counts them again.
fn rebalanced(
    maxload: u64,
    weights: [&str; 2],
    loads: [Option<&str>; 2],
    threshold_percent: u32,
) -> [u32; 2] {
    let servers = [0, 1].map(|index| ServerSetup {
        maxload: Load::of_thousandths(maxload),
        weight: Some(Weight::parse(weights[index]).unwrap()),
        ..setup(index as u8 + 1)
    });
    let mut farm = Farm::with_rules(servers.to_vec(), |rules| {
        (rules.policy, rules.forgets_clients) = (PolicyKind::UriHash, true);
        rules.rebalance = Rebalance { interval_seconds: 30, threshold_percent, size_percent: 5 };
    });
    // Each has half, whatever it weighs: they are taken by turns.
    for uri in 0..200 {
        let other = ServerId::regular((uri % 2) as usize ^ 1);
        farm.pool.at(farm.selection).blacklist(other, 30, 1_000);
        farm.asks_for(uri, 1_000);
        farm.pool.at(farm.selection).blacklist(other, 0, 1_000);
    }
    for (index, load) in loads.into_iter().enumerate() {
        load.map(|load| farm.hears(index, load));
    }
    farm.asks_for(0, 1_030);
    let statuses = farm.pool.at(farm.selection).server_statuses(1_030);
    [0, 1].map(|index: usize| statuses[index].uris.unwrap())
}

/// Octopus's example: 90 % and 10 % of the load that they may have.
#[test]
fn uris_go_from_the_most_loaded_server_to_the_least_loaded() {
    let half = Load::of_thousandths(4_000).thousandths().into();
    let even = ["1", "1"];
    let (told, turned) = ([Some("3.6"), Some("0.4")], [Some("0.4"), Some("3.6")]);
    assert_eq!(rebalanced(half, even, told, 30), [95, 105]);
    assert_eq!(rebalanced(half, even, turned, 30), [105, 95]);
    assert_eq!(rebalanced(half, even, told, 80), [95, 105], "in percentage points");
    assert_eq!(rebalanced(half, even, told, 81), [100, 100]);
    assert_eq!(rebalanced(half, even, told, 0), [100, 100], "never");
    assert_eq!(rebalanced(half, even, [Some("3.6"), None], 30), [100, 100], "unknown is not idle");
    assert_eq!(rebalanced(0, even, told, 80), [95, 105], "in percent of the greater load");
    assert_eq!(rebalanced(0, even, [Some("0.09"), Some("0")], 30), [100, 100], "nobody has anything to do");
    assert_eq!(rebalanced(0, ["9", "1"], told, 30), [100, 100], "the same for the weight");
    assert_eq!(rebalanced(0, ["18", "1"], told, 30), [105, 95]);
}
