//! What comes of comparing a member with its clone: how fast each answers, how its connections end, and where answers
//! differ. Pure: the time is an argument.
//!
//! `answer` keeps of an answer what is needed to compare it, `spread` how long many took, `tally` all that one worker has
//! found about a service. Which server is a clone is for [`crate::balance`].

mod answer;
mod spread;
mod tally;

pub use answer::{Answer, COMPARED_BYTES_MAX, Ignored};
pub use spread::Spread;
pub use tally::{Half, Pair, Tally};
