//! What a server is known by.

use super::ServerSetup;

impl ServerSetup {
    /// What it is known by on other machines, and here after its address has changed: its name, else its host and port.
    pub(in crate::balance) fn lasting_name(&self) -> String {
        let host = if self.host_name.is_empty() { &self.address_text } else { &self.host_name };
        let port = || self.endpoint.port();
        self.name.clone().unwrap_or_else(|| format!("{host} {}", port()))
    }
}
