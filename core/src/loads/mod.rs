//! What the load of servers means: how it is asked for, and what the answers say. Pure: no socket, no child, no clock.
//!
//! Owns the language of SNMP agents, as far as one figure needs it (`snmp.rs`), and that of agents that say a line
//! (`agent.rs`). What becomes of an answer is in `balance/loaded.rs`; who asks is the thread of pen's `checks/`.

pub mod agent;
pub mod snmp;
