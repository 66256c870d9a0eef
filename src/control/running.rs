//! The running pen as commands see it. `instance.rs` is the one that serves; `fake.rs` only remembers.

use crate::settings::{Config, Settings};
use pen_proto::addr::ListenAddr;
use pen_proto::commands::LogTarget;
use pen_proto::status::Status;
use std::sync::Arc;

/// What a question about the running pen needs to know. More may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Servers,
    Clients,
    Connections,
    Everything,
}

/// The running pen, as far as commands touch it. Addresses in what it is given are numeric: nothing here looks up a
/// name.
pub trait Running {
    /// A log that was opened and is not yet written to.
    type Log;
    /// Certificates and keys that were read and are not used yet.
    type Tls;
    /// Memory for larger tables, not used yet.
    type Room;

    /// Opens a log target; `None` is no log. What is in use stays in use.
    ///
    /// # Errors
    ///
    /// The target with the reason.
    fn open_log(&mut self, target: Option<&LogTarget>) -> Result<Self::Log, String>;
    /// Writes to `log` from now on.
    fn use_log(&mut self, log: Self::Log);
    /// Reads the certificates and keys of `config`. What is in use stays in use. `again`: the same files were read before,
    /// and one that is wrong now leaves the old in force, with a message.
    ///
    /// # Errors
    ///
    /// The command with its file and the reason.
    fn load_tls(&mut self, config: &Config, again: bool) -> Result<Self::Tls, String>;
    /// Begins new TLS sessions with `tls` from now on. Open connections stay.
    fn use_tls(&mut self, tls: Self::Tls);
    /// Gets the memory that tables need to be as large as `config` wants them.
    ///
    /// # Errors
    ///
    /// The command with how much it wants.
    fn make_room(&mut self, config: &Config) -> Result<Self::Room, String>;
    /// Lets the tables grow into `room`.
    fn use_room(&mut self, room: Self::Room);
    /// Listens on `address` instead of where it did. Open connections stay.
    ///
    /// # Errors
    ///
    /// The address with the reason; then it listens where it did.
    fn listen(&mut self, address: &ListenAddr, settings: &Settings) -> Result<(), String>;
    fn set_settings(&mut self, settings: Arc<Settings>);
    /// Takes the servers, the emergency and the abuse server of `config`. State and counters of a server stay with its
    /// number.
    fn set_servers(&mut self, config: &Config);
    /// Skips a server for so many seconds from now; 0 releases it.
    fn blacklist(&mut self, server: u16, seconds: u32);
    /// False when there is no such connection.
    fn close_connection(&mut self, number: u32) -> bool;
    fn status(&mut self, wanted: Wanted) -> Status;
    /// Ends pen at the next turn of the main loop, as SIGTERM does.
    fn stop(&mut self);
}
