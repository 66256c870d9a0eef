//! What stands in for `tls/` in a build without the feature `tls`: commands that need it are refused with the reason,
//! and choosing servers by name works all the same, because it decrypts nothing.

use crate::balance::TlsEndpoint;
use crate::proxy_protocol::extensions::ClientTls;
use crate::tls::TlsPlan;
use std::fmt;
use std::io::{self, Write};

const ABSENT: &str = "this pen was built without TLS";

/// See the module `tls` of a build with the feature.
#[derive(Debug, Default)]
pub struct Tls {
    /// Whether clients are sent to servers by the name that they ask for.
    pub routes: bool,
}

/// As there.
pub struct Loading<'a> {
    pub before: Option<&'a Tls>,
    pub again: bool,
    pub warnings: Vec<String>,
}

/// As there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble(pub String);

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Tls {
    /// # Errors
    /// Something needs TLS.
    pub fn load(plan: &TlsPlan, _: &mut Loading<'_>) -> Result<Tls, String> {
        if plan.is_needed() { Err(ABSENT.into()) } else { Ok(Tls { routes: plan.routes }) }
    }

    /// Clients speak none.
    pub fn is_spoken(&self) -> bool {
        false
    }

    /// Nothing is ever looked for.
    pub fn on_found(&self, _: impl Fn() + Send + Sync + 'static) {}

    /// # Errors
    /// Always.
    pub fn to_server(&self, _: &TlsEndpoint, _: Option<&[u8]>) -> Result<Session, Trouble> {
        Err(Trouble(ABSENT.into()))
    }
}

/// There is none.
#[derive(Debug)]
pub enum Session {}

impl Session {
    /// # Panics
    /// Always: [`Tls::is_spoken`] says that there is no use for it.
    pub fn with_client() -> Session {
        unreachable!("{ABSENT}")
    }
    pub fn shake(&mut self, _: &mut [u8]) -> Result<(), Trouble> {
        match *self {}
    }
    pub fn choose(&mut self, _: &Tls, _: u64) -> Result<bool, Trouble> {
        match *self {}
    }
    pub fn is_handshaking(&self) -> bool {
        match *self {}
    }
    pub fn lay_out(&self, _: &mut [u8]) -> usize {
        match *self {}
    }
    pub fn decrypt(&mut self, _: &mut [u8], _: usize, _: &mut [u8]) -> Result<usize, Trouble> {
        match *self {}
    }
    pub fn read_plain(&mut self, _: &mut [u8]) -> usize {
        match *self {}
    }
    pub fn is_inside_record(&self) -> bool {
        match *self {}
    }
    pub fn peer_closed(&self) -> bool {
        match *self {}
    }
    pub fn encrypt(&mut self, _: &[u8]) {
        match *self {}
    }
    pub fn close(&mut self) {
        match *self {}
    }
    pub fn wants_write(&self) -> bool {
        match *self {}
    }
    pub fn write_to(&mut self, _: &mut dyn Write) -> io::Result<usize> {
        match *self {}
    }
    pub fn server_name(&self) -> Option<&str> {
        match *self {}
    }
    pub fn protocol(&self) -> Option<&[u8]> {
        match *self {}
    }
    pub fn client_tls(&self) -> Option<ClientTls<'_>> {
        match *self {}
    }
    pub fn is_resumed(&self) -> bool {
        match *self {}
    }
}
