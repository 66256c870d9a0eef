//! Who has which part of all addresses: a lookup table after Eisenbud et al., "Maglev: A Fast and Reliable Software Network
//! Load Balancer" (NSDI 2016), section 3.4, with weights.

use super::mix;
use pen_proto::weight::Weight;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Places of the table; a prime, so that every step goes through all. Always the same, because with another number nearly
/// all clients would move.
const PLACES: u64 = 65_537;
/// No server.
const NOBODY: u16 = u16::MAX;
/// Bits of the time between two turns of a weight of a thousandth.
const TIME_BITS: u32 = 46;

/// A server in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its number; the table does not depend on it.
    pub index: usize,
    /// Of its name.
    hash: u64,
    weight: Weight,
}

impl Member {
    /// `name` is what all pens know it by.
    pub fn new(index: usize, name: &str, weight: Weight) -> Member {
        // FNV-1a, 64 bits.
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Member { index, hash: mix(name.bytes().fold(0xcbf2_9ce4_8422_2325, step)), weight }
    }

    /// How much it is the client's; the greatest is. Of many clients each server has as many as its weight says (Wang and
    /// Ravishankar, weighted rendezvous hashing).
    pub fn rank(&self, client: u64) -> f64 {
        // From above 0 to below 1.
        let lot = ((mix(self.hash ^ client) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        -f64::from(self.weight.thousandths()) / lot.ln()
    }
}

/// The index of a server for each place.
#[derive(Debug, Default)]
pub struct Table {
    places: Vec<u16>,
}

impl Table {
    /// Each server in its turn takes the next place of its own way through the table that is still free; turns come as
    /// often as the weight says, and among equals in an order that depends on the names alone.
    pub fn of(members: &[Member]) -> Table {
        if members.is_empty() {
            return Table::default();
        }
        let mut places = vec![NOBODY; PLACES as usize];
        let turn = |member: &Member, count: u64| {
            // It fits: there are fewer turns than 2^17.
            ((count + 1) << TIME_BITS) / u64::from(member.weight.thousandths())
        };
        let first = |(at, member): (usize, &Member)| Reverse((turn(member, 0), member.hash, at));
        let mut turns: BinaryHeap<_> = members.iter().enumerate().map(first).collect();
        let mut ways: Vec<Way> = members.iter().map(Way::of).collect();
        for _ in 0..PLACES {
            let Some(mut next) = turns.peek_mut() else { break };
            let Reverse((time, _, at)) = &mut *next;
            let way = &mut ways[*at];
            while places[way.place as usize] != NOBODY {
                way.go_on();
            }
            places[way.place as usize] = members[*at].index as u16;
            way.taken += 1;
            *time = turn(&members[*at], way.taken);
        }
        Table { places }
    }

    /// Whose place this is.
    pub fn at(&self, hash: u64) -> Option<usize> {
        // The upper half of the product: as good as a remainder, without a division.
        let place = (u128::from(hash) * u128::from(PLACES)) >> 64;
        self.places.get(place as usize).map(|index| (*index).into())
    }
}

/// A server's own way through all places.
struct Way {
    place: u64,
    step: u64,
    taken: u64,
}

impl Way {
    fn of(member: &Member) -> Way {
        let step = mix(member.hash.wrapping_add(1)) % (PLACES - 1) + 1;
        Way { place: mix(member.hash) % PLACES, step, taken: 0 }
    }

    fn go_on(&mut self) {
        self.place += self.step;
        if self.place >= PLACES {
            self.place -= PLACES;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another table would send nearly all clients elsewhere, and disagree with pens of other versions.
    #[test]
    fn the_table_is_always_the_same() {
        let member = |(index, (name, thousandths)): (usize, &(&str, u32))| {
            let weight = Weight::parse(&format!("{}.{:03}", thousandths / 1000, thousandths % 1000)).unwrap();
            Member::new(index, name, weight)
        };
        let servers = [("a", 1_000), ("b", 2_500), ("10.0.0.1 80", 500)];
        let members: Vec<Member> = servers.iter().enumerate().map(member).collect();
        let table = Table::of(&members);
        let count = |index| table.places.iter().filter(|place| **place == index).count();
        assert_eq!([0, 1, 2].map(count), [16_384, 40_961, 8_192]);
        let first: Vec<u16> = table.places.iter().take(24).copied().collect();
        assert_eq!(first, [0, 1, 1, 1, 1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 0, 1]);
    }
}
