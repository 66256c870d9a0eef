//! The running pen as commands see it. `instance.rs` is the one that serves; `fake.rs` only remembers.

use super::plan::Plan;
use pen_proto::status::{ConnectionStatus, Status};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

/// What a question about the running pen needs to know. More may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Servers,
    Clients,
    Connections,
    /// All figures of all services, and no list of clients or connections: these may be long.
    Figures,
    Everything,
}

/// Which connections there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Open {
    pub numbers: BTreeSet<u32>,
    /// How many there may be.
    pub max: u64,
}

/// What is done once and is no setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// Skips a server for so many seconds from now; 0 releases it.
    Blacklist { service: Arc<str>, server: u16, seconds: u32 },
    /// Forgets the failures, the blacklisting and the counts of a server.
    Reset { service: Arc<str>, server: u16 },
    /// Cuts the connections of a server.
    CutServer { service: Arc<str>, server: u16 },
    /// Closes a connection.
    Close { number: u32 },
    /// Closes the connections that a service left behind which was removed.
    Cut { service: Arc<str> },
    /// Ends pen at the next turn of the main loop, as SIGTERM does.
    Stop,
}

/// The running pen, as far as commands touch it. It follows a new configuration in two steps: [`Running::open`] may fail and
/// has changed nothing then, [`Running::switch`] cannot fail. Addresses in a plan are numeric: nothing here looks up a name.
pub trait Running {
    /// Everything that a plan needs, open and not used yet.
    type Opened;

    /// Opens the files and sockets of `plan` and gets the memory for it. What is in use stays in use.
    ///
    /// # Errors
    ///
    /// The setting, with the reason.
    fn open(&mut self, plan: &Plan<'_>) -> Result<Self::Opened, String>;
    /// Follows `plan` with what was opened for it. Open connections stay.
    fn switch(&mut self, plan: &Plan<'_>, opened: Self::Opened);
    /// A snapshot of `service`; of whichever there is when it is not there.
    fn ask(&mut self, wanted: Wanted, service: &str) -> Status;
    /// Whether a service of this name was removed, and has connections still.
    fn is_leaving(&self, service: &str) -> bool;
    /// The connections of all services.
    fn open_connections(&mut self) -> Open;
    /// Open connections and sessions of each service, by name.
    fn connections(&mut self) -> BTreeMap<Arc<str>, u64>;
    /// The smallest number for a new server of `service`: none has it by `is_configured`, and no connection is left of an
    /// earlier one.
    fn free_number(&self, service: &str, is_configured: &dyn Fn(usize) -> bool) -> usize;
    /// The connections that servers see from this address.
    fn seen_from(&mut self, end: SocketAddr) -> Vec<ConnectionStatus>;
    /// False when there is nothing to do it to.
    fn act(&mut self, deed: Deed) -> bool;
}
