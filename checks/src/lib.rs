//! Checks of servers, and questions for their load: what a thread does that has a poller of its own and the programs that
//! it runs.
//!
//! Owns all the work of that thread, [`Watcher::run`], and starts none: who has one says in [`Surroundings`] how programs
//! are started and where messages go, and in [`Watched`] whose servers they are and who hears what was found. Knows no
//! TLS; a [`Session`] is brought along by who does. Used by pen, which watches the servers of all its services, and by
//! libpen, which watches those of one program.

mod inbox;
mod probe;
mod program;
mod rounds;
mod slot;
mod snmp;
mod target;
mod watched;
mod watcher;
mod wire;

pub use inbox::{Asking, Inbox, Message};
pub use slot::Outcome;
pub use target::{Target, TargetKey};
pub use watched::{Surroundings, Watched};
pub use watcher::Watcher;
pub use wire::Session;
