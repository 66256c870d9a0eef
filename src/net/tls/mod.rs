//! TLS by rustls: what is loaded from files, and sessions that turn plain bytes into encrypted ones and back.
//!
//! Owns certificates and sessions, no socket: `conn/end.rs` moves the bytes. Loaded by the main thread, at start with
//! the privileges that reading keys needs; workers share the result and never read a file. `tls_absent.rs` stands here in
//! a build without the feature `tls`.

mod authorities;
mod channel;
mod directory;
mod files;
mod front;
mod groups;
mod judge;
mod pss;
mod servers;
mod session;
mod signature;
mod staple;
mod words;

pub use session::{Session, Trouble};

use crate::balance::TlsEndpoint;
use crate::tls::{TlsPlan, ciphers};
use front::Front;
use rustls::SupportedCipherSuite;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use servers::Servers;
use std::fmt;
use std::sync::Arc;

/// Everything that is loaded for a [`TlsPlan`].
#[derive(Default)]
pub struct Tls {
    front: Option<Front>,
    servers: Option<Servers>,
    /// Whether servers are chosen by the name that clients ask for.
    pub routes: bool,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tls { front, servers, routes } = self;
        let parts = (front.is_some(), servers.is_some(), routes);
        write!(f, "Tls {parts:?}") // keys are nobody's business
    }
}

/// How a part that cannot be loaded is taken.
pub struct Loading<'a> {
    /// What was loaded before.
    pub before: Option<&'a Tls>,
    /// Whether a part that cannot be loaded stays as it was before: the paths are the same, and the files are read again.
    pub again: bool,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

impl Loading<'_> {
    /// The new part, or the old one with a warning if it is only read again.
    fn or_before<T>(&mut self, new: Result<T, String>, before: Option<T>) -> Result<T, String> {
        match (new, before.filter(|_| self.again)) {
            (Err(reason), Some(old)) => {
                self.warnings.push(format!("{reason}; going on with the old one"));
                Ok(old)
            }
            (new, _) => new,
        }
    }
}

impl Tls {
    /// Reads every file that the plan names.
    ///
    /// # Errors
    /// The command, its file and what is wrong with it; unless the old part may stay.
    pub fn load(plan: &TlsPlan, loading: &mut Loading<'_>) -> Result<Tls, String> {
        let before = loading.before;
        let front = Front::load(plan, before.and_then(|tls| tls.front.as_ref()), loading)?;
        let servers = Servers::load(plan, before.and_then(|tls| tls.servers.as_ref()), loading)?;
        Ok(Tls { front, servers, routes: plan.routes })
    }

    /// Whether clients speak TLS to us.
    pub fn is_spoken(&self) -> bool {
        self.front.is_some()
    }

    /// What to call when a certificate that a session waits for has been looked for.
    pub fn on_found(&self, wake: impl Fn() + Send + Sync + 'static) {
        if let Some(front) = &self.front {
            front.on_found(Box::new(wake));
        }
    }

    /// A session with a server. `protocol` is what its client speaks inside TLS, if they agreed on that.
    ///
    /// # Errors
    /// There is no name to ask for.
    pub fn to_server(&self, server: &TlsEndpoint, protocol: Option<&[u8]>) -> Result<Session, Trouble> {
        match &self.servers {
            Some(servers) => servers.session(server, protocol),
            None => Err(Trouble("TLS is being switched on".into())),
        }
    }
}

/// The ciphers of a choice, in its order.
fn provider(choice: &ciphers::Choice) -> CryptoProvider {
    let known = everything();
    let suite = |cipher: &ciphers::Cipher| -> Option<SupportedCipherSuite> {
        let name = |suite: &SupportedCipherSuite| format!("{:?}", suite.suite());
        known.cipher_suites.iter().find(|suite| name(suite) == cipher.standard_name).copied()
    };
    let cipher_suites = choice.tls13.iter().chain(&choice.tls12).filter_map(suite).collect();
    CryptoProvider { cipher_suites, ..known }
}

/// Everything that is safe.
fn default_provider() -> Arc<CryptoProvider> {
    Arc::new(everything())
}

fn everything() -> CryptoProvider {
    CryptoProvider { kx_groups: groups::GROUPS.to_vec(), ..aws_lc_rs::default_provider() }
}
