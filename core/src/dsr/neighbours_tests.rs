//! Servers that answer, move and fall silent.

use super::*;
use std::net::Ipv4Addr;

const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
const PATIENCE_MS: u64 = 3_000;

fn asked(neighbours: &mut Neighbours, now_ms: u64) -> Vec<(Option<Mac>, bool)> {
    neighbours.due(now_ms, PATIENCE_MS).iter().map(|due| (due.mac, due.silent)).collect()
}

#[test]
fn a_server_is_asked_each_second_until_it_answers() {
    let mut neighbours = Neighbours::default();
    neighbours.set([SERVER], 500);
    assert_eq!(neighbours.next_ms(), Some(500));
    assert_eq!(asked(&mut neighbours, 500), [(None, false)]);
    assert_eq!(asked(&mut neighbours, 1_499), []);
    assert_eq!(neighbours.reach(SERVER, 1_499, PATIENCE_MS), Reach::Asked);
    assert_eq!(asked(&mut neighbours, 1_500), [(None, false)]);
    assert!(neighbours.heard(SERVER, MAC, 1_600));
    assert_eq!(neighbours.reach(SERVER, 1_600, PATIENCE_MS), Reach::At(MAC));
    assert_eq!(asked(&mut neighbours, 6_599), []);
    assert_eq!(asked(&mut neighbours, 6_600), [(Some(MAC), false)], "and again after a while");
    assert_eq!(neighbours.reach(SERVER, 9_599, PATIENCE_MS), Reach::At(MAC), "known until it is missed");
}

#[test]
fn silence_means_gone_until_the_next_word() {
    let mut neighbours = Neighbours::default();
    neighbours.set([SERVER], 0);
    for second in 0..3 {
        assert_eq!(asked(&mut neighbours, second * 1_000), [(None, false)]);
    }
    assert_eq!(neighbours.reach(SERVER, 2_999, PATIENCE_MS), Reach::Asked);
    assert_eq!(neighbours.reach(SERVER, 3_000, PATIENCE_MS), Reach::Silent);
    assert_eq!(asked(&mut neighbours, 3_000), [(None, true)]);
    assert!(neighbours.heard(SERVER, MAC, 3_500));
    assert_eq!(neighbours.reach(SERVER, 3_500, PATIENCE_MS), Reach::At(MAC));
}

#[test]
fn strangers_and_impossible_addresses_are_not_learned() {
    let mut neighbours = Neighbours::default();
    neighbours.set([SERVER], 0);
    assert!(!neighbours.heard([10, 0, 0, 2].into(), MAC, 0));
    assert!(!neighbours.heard(SERVER, Mac::BROADCAST, 0));
    assert!(!neighbours.heard(SERVER, Mac([0; 6]), 0));
    assert_eq!(neighbours.list(), [(SERVER, None)]);
    neighbours.heard(SERVER, MAC, 0);
    neighbours.set([SERVER, [10, 0, 0, 2].into()], 0);
    assert_eq!(neighbours.reach(SERVER, 0, PATIENCE_MS), Reach::At(MAC), "kept");
    neighbours.set([], 0);
    assert_eq!(neighbours.reach(SERVER, 0, PATIENCE_MS), Reach::Silent);
}
