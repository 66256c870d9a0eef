//! The table of flows: order of use, what gives way, and random play against a simple model.

use super::*;
use proptest::prelude::*;

const PATIENCE: Patience = Patience { fresh_ms: 10, proven_ms: 100, closing_ms: 20 };

fn key(number: u16) -> FlowKey {
    FlowKey { client: ([10, 0, 0, 1], number).into(), port: 80 }
}

fn add(track: &mut Track<u16>, number: u16, stage: Stage, now_ms: u64) -> Option<u16> {
    let given_up = track.insert(key(number), number, 1, now_ms);
    let slot = track.find(&key(number)).unwrap();
    track.touch(slot, stage, 1, now_ms);
    given_up.map(|flow| flow.value)
}

#[test]
fn flows_expire_by_stage_and_by_their_last_packet() {
    let mut track = Track::new(10);
    add(&mut track, 1, Stage::Fresh, 0);
    add(&mut track, 2, Stage::Proven, 0);
    add(&mut track, 3, Stage::Closing, 0);
    add(&mut track, 4, Stage::Fresh, 5);
    assert_eq!(track.next_deadline_ms(&PATIENCE), Some(10));
    let expired = |track: &mut Track<u16>, now_ms| track.expire(now_ms, &PATIENCE).map(|flow| flow.value);
    assert_eq!(expired(&mut track, 9), None);
    assert_eq!(expired(&mut track, 10), Some(1));
    assert_eq!(expired(&mut track, 10), None);
    let slot = track.find(&key(4)).unwrap();
    track.touch(slot, Stage::Fresh, 1, 14);
    assert_eq!(expired(&mut track, 20), Some(3));
    assert_eq!(expired(&mut track, 23), None, "touched since");
    assert_eq!(expired(&mut track, 24), Some(4));
    assert_eq!(expired(&mut track, 100), Some(2));
    assert!(track.is_empty());
    assert_eq!(track.next_deadline_ms(&PATIENCE), None);
}

#[test]
fn what_has_ended_gives_way_before_what_goes_on() {
    let mut track = Track::new(3);
    add(&mut track, 1, Stage::Proven, 0);
    add(&mut track, 2, Stage::Closing, 1);
    add(&mut track, 3, Stage::Proven, 2);
    assert_eq!(add(&mut track, 4, Stage::Proven, 3), Some(2));
    assert_eq!(add(&mut track, 5, Stage::Proven, 4), Some(1));
    track.grow(4);
    assert_eq!(add(&mut track, 6, Stage::Proven, 5), None);
    assert_eq!(track.len(), 4);
}

#[test]
fn a_flood_of_first_packets_displaces_first_packets() {
    let mut track = Track::new(800);
    for number in 0..600 {
        add(&mut track, number, Stage::Proven, 0);
    }
    for number in 1_000..50_000 {
        add(&mut track, number, Stage::Fresh, 1);
    }
    assert_eq!(track.len(), 800);
    for number in 0..600 {
        assert!(track.find(&key(number)).is_some(), "flow {number} is gone");
    }
    assert!(track.find(&key(49_999)).is_some(), "the newest is there");
}

#[test]
fn slots_are_used_again() {
    let mut track = Track::new(4);
    for round in 0..100 {
        add(&mut track, round, Stage::Fresh, 0);
        let slot = track.find(&key(round)).unwrap();
        assert_eq!(track.remove(slot).unwrap().value, round);
        assert!(track.remove(slot).is_none(), "only once");
    }
    assert_eq!(track.slots_used(), 1);
}

#[derive(Debug, Clone)]
enum Deed {
    /// Adds a flow or touches it.
    Packet(u16, usize),
    Remove(u16),
    Pass(u64),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        6 => (0u16..40, 0usize..3).prop_map(|(number, stage)| Deed::Packet(number, stage)),
        1 => (0u16..40).prop_map(Deed::Remove),
        1 => (0u64..15).prop_map(Deed::Pass),
    ]
}

proptest! {
    /// The model is a list, the last one touched at the end.
    #[test]
    fn the_table_does_as_a_list_would(deeds in prop::collection::vec(deed(), 0..300)) {
        const SLOTS: usize = 16;
        let mut track = Track::new(SLOTS);
        let mut model: Vec<(u16, Stage, u64)> = Vec::new();
        let mut now_ms = 0;
        for deed in deeds {
            match deed {
                Deed::Packet(number, stage) => {
                    let mut stage = Stage::ALL[stage];
                    match track.find(&key(number)) {
                        Some(slot) => track.touch(slot, stage, 1, now_ms),
                        None => {
                            stage = Stage::Fresh;
                            if let Some(gone) = track.insert(key(number), number, 1, now_ms) {
                                prop_assert_eq!(model.len(), SLOTS);
                                let fresh = model.iter().filter(|(_, stage, _)| *stage == Stage::Fresh).count();
                                let order = match fresh > SLOTS / FRESH_SHARE {
                                    true => [Stage::Fresh, Stage::Closing, Stage::Proven],
                                    false => [Stage::Closing, Stage::Proven, Stage::Fresh],
                                };
                                let oldest = |stage| model.iter().position(|(_, other, _)| *other == stage);
                                let expected = order.into_iter().find_map(oldest).unwrap();
                                prop_assert_eq!(model.remove(expected).0, gone.value);
                            }
                        }
                    }
                    model.retain(|(other, ..)| *other != number);
                    model.push((number, stage, now_ms));
                }
                Deed::Remove(number) => {
                    let removed = track.find(&key(number)).and_then(|slot| track.remove(slot));
                    prop_assert_eq!(removed.is_some(), model.iter().any(|(other, ..)| *other == number));
                    model.retain(|(other, ..)| *other != number);
                }
                Deed::Pass(ms) => {
                    now_ms += ms;
                    while track.expire(now_ms, &PATIENCE).is_some() {}
                    model.retain(|(_, stage, active_ms)| active_ms + PATIENCE.of(*stage) > now_ms);
                }
            }
            prop_assert_eq!(track.len(), model.len());
            for (number, stage, active_ms) in &model {
                let flow = track.find(&key(*number)).and_then(|slot| track.get(slot)).unwrap();
                prop_assert_eq!((flow.value, flow.stage, flow.active_ms), (*number, *stage, *active_ms));
            }
        }
    }
}
