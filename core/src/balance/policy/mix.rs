//! The mixing function of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014): stable, fast,
//! and no secret.

/// From one state of the generator to the next.
pub const MIX_STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Spreads what differs in a few bits over all of them.
#[inline]
pub fn mix(bits: u64) -> u64 {
    let mut bits = bits.wrapping_add(MIX_STEP);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
