//! The running balancer as the main thread sees it: workers, the shared state between them, and messages to them.

use crate::balance::Balancer;
use crate::net::listen::Listener;
use crate::settings::Settings;
use pen_proto::status::{ConnectionStatus, Totals};
use std::io;
use std::sync::MutexGuard;

/// Handle on the workers. Dropping it does not stop them: call [`Runtime::stop`].
pub struct Runtime {}

/// What the workers answered to a question.
pub struct Snapshot {
    pub connections: Vec<ConnectionStatus>,
    pub totals: Totals,
    /// Number of the connection opened last.
    pub connections_last: u64,
    /// Effective limit after `conn_max` and the descriptor limit.
    pub connections_max: u64,
    pub workers: u32,
}

impl Runtime {
    /// Publishes new settings; workers pick them up at their next wake-up.
    pub fn set_settings(&self, _settings: Settings) {
        todo!()
    }
    /// Servers, clients and the choice between them. Hold it briefly, never across a system call.
    pub fn balancer(&self) -> MutexGuard<'_, Balancer> {
        todo!()
    }
    /// Asks every worker; waits at most a second for those that are busy.
    pub fn snapshot(&self) -> Snapshot {
        todo!()
    }
    /// Closes a connection by number; false when there is none.
    pub fn close_connection(&self, _number: u32) -> bool {
        todo!()
    }
    /// Replaces all listeners; connections stay.
    pub fn set_listeners(&self, _listeners: Vec<Listener>) -> io::Result<()> {
        todo!()
    }
}
