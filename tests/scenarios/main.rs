//! What pen does, seen from outside: each module is one behaviour, played on the real program.

#[path = "../common/mod.rs"]
mod common;

mod access;
mod affinity;
mod blacklist;
mod failover;
mod half_close;
mod limits;
mod policies;
