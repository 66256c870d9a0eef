//! So many within so many seconds: `client_rate`.

use std::fmt;

/// Kept as one number. 0 of them is no rate at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rate {
    pub count: u32,
    /// Never 0 where there is a count.
    pub seconds: u32,
}

impl Rate {
    /// As the settings keep it.
    pub fn to_bits(self) -> u64 {
        u64::from(self.count) << 32 | u64::from(self.seconds)
    }

    /// What [`Rate::to_bits`] made.
    pub fn from_bits(bits: u64) -> Rate {
        Rate { count: (bits >> 32) as u32, seconds: bits as u32 }
    }
}

/// As a line has it: `10 60`, or `0`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rate { count: 0, .. } => f.write_str("0"),
            Rate { count, seconds } => write!(f, "{count} {seconds}"),
        }
    }
}
