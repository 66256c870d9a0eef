//! Which server gets a client. Pure: the time is an argument, and nothing here opens a socket.
//!
//! A [`Pool`] is a client table and the [`Selection`]s of all services that share it: servers, the [`Rules`] between
//! them, and a policy with its memory. Workers share a pool behind a short lock, taken to admit a client and to release
//! its connection (and in between only when a connect fails), never across a system call. What needs both the clients
//! and the servers goes through a [`Chooser`]. Statistics and control commands read a selection in `status.rs`.
//!
//! The order of the rules is Pen's. On purpose different:
//!
//! - A place at a server is counted from the moment of the choice, so a maximum also holds while connects are under way.
//! - A connect that fails late fails over as well; each server is tried at most once for a connection.
//! - A client that its first server does not take goes where the policy in force prefers among those that take it, not
//!   to the neighbour, whose share would double.
//! - When nobody else takes a client, servers that failed are tried again; what the operator blacklisted is not.
//! - Gaps, port 0 and unspecified addresses are never chosen.
//! - A client that `client_acl` denies never reaches the emergency server.
//! - A server without a weight has weight 1.
//! - In turn, a server of weight 0 beside others that have more is for the clients that belong to it.
//! - A server that checks find down gets nobody, not even as a last resort; one to be avoided is used only where no other
//!   is left, and loses its clients meanwhile.
//! - A server that drains, is disabled or is removed gets nobody; clients that belong to it are chosen anew.
//!
//! `now_seconds` is epoch seconds throughout and must not go back.

mod attempt;
mod changes;
mod checked;
mod chooser;
mod clients;
mod clones;
mod direct;
mod glance;
mod id;
mod idlers;
mod keys;
mod leaving;
mod limits;
mod loaded;
mod news;
mod policy;
mod polls;
mod pool;
mod queue;
mod ramp;
mod routes;
mod rules;
mod selection;
mod servers;
mod standing;
mod status;
mod tried;
mod walk;
mod warmth;

pub use attempt::{Admission, Arrival, Asker, Attempt, Refusal, Released};
pub use checked::{Finding, Health, Untested};
pub use chooser::Chooser;
pub use clients::{Room as ClientRoom, SlotKey};
pub use clones::CloneAttempt;
pub use idlers::{IdlerPlace, IdlerTarget};
pub use leaving::Emptied;
pub use limits::{ClientLimits, IDLE_CLIENTS_MAX};
pub use loaded::{AgentWord, Loaded, Reading};
pub use news::News;
pub use pen_proto::endpoint::Places;
pub use policy::{Candidate, Mode, Own, View};
pub use polls::{Extra, Poll};
pub use pool::{Pool, SelectionKey};
pub use queue::{Claim, LOOKED_AT_MAX, Ticket, Waiting};
pub use routes::Route;
pub use rules::{Lists, Rebalance, Rules};
pub use selection::Selection;
pub use servers::{Endpoint, SERVER_NUMBERS, ServerId, ServerSetup, TlsEndpoint};
pub use standing::Duty;
pub use status::{LiveServers, add_flows, add_idlers, add_live, add_live_to_clients, add_times};
