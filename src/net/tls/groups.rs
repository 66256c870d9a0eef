//! The groups in which keys are agreed on with clients, and whose order of them decides: ours.
//!
//! The library takes the first of the client's groups that its configuration has. A client that would get another group
//! than ours by that is given a configuration that has ours only.

use rustls::crypto::aws_lc_rs::kx_group;
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::{NamedGroup, ProtocolVersion};
use std::sync::Arc;

/// The best first: safe against quantum computers to come; then by what it costs, P-384 four times as much as the two
/// before it.
pub const GROUPS: [&dyn SupportedKxGroup; 4] =
    [kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];

/// Something for clients whose own order leads to our choice, and for each of the groups that others must be held to. The
/// last of [`GROUPS`] is chosen only for clients that have no other.
pub struct ByGroup<T> {
    any: T,
    only: [T; GROUPS.len() - 1],
}

impl ByGroup<Arc<CryptoProvider>> {
    /// The provider with all groups, and with one.
    pub fn of_provider(provider: &CryptoProvider) -> Self {
        let with = |groups: &[&'static dyn SupportedKxGroup]| {
            Arc::new(CryptoProvider { kx_groups: groups.to_vec(), ..provider.clone() })
        };
        ByGroup { any: with(&GROUPS), only: std::array::from_fn(|place| with(&GROUPS[place..=place])) }
    }
}

impl<T> ByGroup<T> {
    /// What is made of each.
    ///
    /// # Errors
    /// The first that cannot be made.
    pub fn try_map<U, E>(&self, make: impl Fn(&T) -> Result<U, E>) -> Result<ByGroup<U>, E> {
        let [first, second, third] = &self.only;
        Ok(ByGroup { any: make(&self.any)?, only: [make(first)?, make(second)?, make(third)?] })
    }

    /// That for a client with these groups, with which this version is going to be spoken.
    pub fn for_client(&self, offered: &[NamedGroup], version: ProtocolVersion) -> &T {
        held_to(offered, version).map_or(&self.any, |place| &self.only[place])
    }
}

/// The place of our choice, for a client whose own order leads to another one.
fn held_to(offered: &[NamedGroup], version: ProtocolVersion) -> Option<usize> {
    let place = |group: &NamedGroup| {
        GROUPS.iter().position(|ours| ours.name() == *group && ours.usable_for_version(version))
    };
    let theirs = offered.iter().find_map(place)?;
    let ours = offered.iter().filter_map(place).min()?;
    (ours < theirs).then_some(ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use NamedGroup::{FFDHE2048, X448, X25519, X25519MLKEM768, secp256r1, secp384r1, secp521r1};
    use ProtocolVersion::{TLSv1_2, TLSv1_3};
    use proptest::prelude::*;

    #[test]
    fn our_order_decides_where_the_client_has_another() {
        for (offered, version, held) in [
            (&[X25519, secp256r1, secp384r1][..], TLSv1_3, None),
            (&[secp384r1, secp256r1, X25519], TLSv1_3, Some(1)),
            (&[secp384r1, secp256r1, X25519], TLSv1_2, Some(1)),
            (&[secp384r1, secp521r1, secp256r1], TLSv1_2, Some(2)),
            (&[secp256r1, X25519], TLSv1_3, Some(1)),
            (&[secp521r1, X448, secp384r1], TLSv1_3, None),
            (&[X25519MLKEM768, X25519], TLSv1_3, None),
            (&[X25519, X25519MLKEM768], TLSv1_3, Some(0)),
            (&[X25519, X25519MLKEM768], TLSv1_2, None),
            (&[X25519MLKEM768, secp256r1, X25519], TLSv1_2, Some(1)),
            (&[FFDHE2048], TLSv1_3, None),
            (&[], TLSv1_2, None),
        ] {
            assert_eq!(held_to(offered, version), held, "{offered:?} {version:?}");
        }
    }

    proptest! {
        /// Whatever the client's order, the library is left no choice but ours.
        #[test]
        fn the_first_that_both_have_is_ours(
            offered in Just(vec![X25519MLKEM768, X25519, secp256r1, secp384r1, secp521r1]).prop_shuffle(), count in 0usize..=5,
        ) {
            let offered = &offered[..count];
            let by_group = ByGroup { any: GROUPS.to_vec(), only: std::array::from_fn(|place| vec![GROUPS[place]]) };
            let kept = by_group.for_client(offered, TLSv1_3);
            let name = |group: &&dyn SupportedKxGroup| group.name();
            let taken = offered.iter().find(|group| kept.iter().any(|own| own.name() == **group));
            let best = GROUPS.iter().map(name).find(|group| offered.contains(group));
            prop_assert_eq!(taken.copied(), best);
        }
    }
}
