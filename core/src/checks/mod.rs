//! What checks of servers mean. Pure: no socket, no child, no clock.
//!
//! Owns how many checks make a verdict (`tracker.rs`), what the answers of programs (`program.rs`), of web servers
//! (`http.rs`) and of others (`search.rs`) say, which weights follow from the time that checks take (`latency.rs`), and
//! which members checks have named (`discovery.rs`). What becomes of a verdict is in `balance/checked.rs`; who asks is the
//! thread of pen's `checks/`.

pub mod discovery;
pub mod http;
pub mod latency;
pub mod program;
mod search;
mod tracker;

pub use search::{SEARCH_BYTES_MAX, Search, Seen};
pub use tracker::{Tracker, Turns};
