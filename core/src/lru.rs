//! The order in which things were last used, threaded through the slots that they lie in. Pure.
//!
//! Owns nothing but the ends of the list: the links lie in the slots, wherever those are. Adding, removing and finding the
//! oldest take the same time however many there are. Used by the client table, UDP sessions and flows of direct server
//! return.

/// The number of a slot plus one, so that zeroed memory is a list without members.
pub type Link = u32;
/// No slot.
pub const END: Link = 0;

/// The neighbours of a slot in its list. Kept in the slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Links {
    older: Link,
    newer: Link,
}

/// Slots by number, each with its links.
pub trait Slots {
    /// # Panics
    /// For a number without a slot.
    fn links(&mut self, slot: u32) -> &mut Links;
}

/// A list of slots, the one used last at its new end.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lru {
    oldest: Link,
    newest: Link,
    length: usize,
}

impl Lru {
    /// The one that was not used for the longest time.
    pub fn oldest(&self) -> Option<u32> {
        self.oldest.checked_sub(1)
    }

    /// The one that was used next after this one of the list.
    pub fn newer(&self, slots: &mut impl Slots, slot: u32) -> Option<u32> {
        slots.links(slot).newer.checked_sub(1)
    }

    pub fn len(&self) -> usize {
        self.length
    }

    /// Adds a slot that is in no list, as the one used last.
    #[inline]
    pub fn push(&mut self, slots: &mut impl Slots, slot: u32) {
        let older = std::mem::replace(&mut self.newest, slot + 1);
        match older.checked_sub(1) {
            Some(older) => slots.links(older).newer = slot + 1,
            None => self.oldest = slot + 1,
        }
        *slots.links(slot) = Links { older, newer: END };
        self.length += 1;
    }

    /// Takes out a slot of this list.
    #[inline]
    pub fn remove(&mut self, slots: &mut impl Slots, slot: u32) {
        let Links { older, newer } = *slots.links(slot);
        match older.checked_sub(1) {
            Some(older) => slots.links(older).newer = newer,
            None => self.oldest = newer,
        }
        match newer.checked_sub(1) {
            Some(newer) => slots.links(newer).older = older,
            None => self.newest = older,
        }
        self.length -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    impl Slots for Vec<Links> {
        fn links(&mut self, slot: u32) -> &mut Links {
            &mut self[slot as usize]
        }
    }

    proptest! {
        #[test]
        fn it_is_a_queue_from_which_anybody_may_step(uses in prop::collection::vec((0_u32..12, any::<bool>()), 0..200)) {
            let (mut slots, mut list, mut model) = (vec![Links::default(); 12], Lru::default(), VecDeque::new());
            for (slot, stays) in uses {
                if let Some(at) = model.iter().position(|other| *other == slot) {
                    model.remove(at);
                    list.remove(&mut slots, slot);
                }
                if stays {
                    model.push_back(slot);
                    list.push(&mut slots, slot);
                }
                prop_assert_eq!((list.oldest(), list.len()), (model.front().copied(), model.len()));
            }
            while let Some(oldest) = list.oldest() {
                prop_assert_eq!(model.pop_front(), Some(oldest));
                list.remove(&mut slots, oldest);
            }
            prop_assert!(model.is_empty());
        }
    }
}
