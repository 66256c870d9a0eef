//! What the thread that checks must know of those for whom it does.

use crate::inbox::Asking;
use crate::target::Target;
use crate::wire::Session;
use pen_core::balance::{Chooser, TlsEndpoint};
use pen_core::checks::program::Member;
use pen_sys::child::Program;
use pen_sys::diag::Severity;
use pen_sys::net::connect::LocalAddress;
use pen_sys::net::keepalive::Keepalive;
use std::ffi::{OsStr, OsString};
use std::io;
use std::thread::JoinHandle;

/// Where the thread is at home.
pub trait Surroundings: Send {
    /// Tells the operator.
    fn say(&self, severity: Severity, text: &str);

    /// The same for what would be said again and again; `key` is what it is known by.
    fn once(&self, key: &str, text: &str);

    /// The program that checks this server has failed.
    fn lost(&self, _called: &str, _reason: &str) {}

    /// Starts a program with this environment and no other.
    ///
    /// # Errors
    /// It cannot be started.
    fn start(
        &self,
        program: &OsStr,
        arguments: &[String],
        environment: &[(OsString, OsString)],
    ) -> io::Result<Program>;
}

/// A service whose servers are checked, and who hears of it.
pub trait Watched: Send + Sync {
    /// No other service has it.
    fn number(&self) -> u16;

    /// As messages name it.
    fn name(&self) -> &str;

    /// From where its servers are reached.
    fn local(&self) -> LocalAddress;

    /// How silent connections to its servers are probed.
    fn keepalive(&self) -> Keepalive;

    /// Begins TLS with a server.
    ///
    /// # Errors
    /// Why there can be none, in words for the operator.
    fn session(&self, server: &TlsEndpoint) -> Result<Box<dyn Session>, String>;

    /// Begins a check of its own in the place of one that always succeeds. The verdict comes as a message with these
    /// numbers, of the slot and of the turn; `None`: it has none.
    fn begin_own(
        &self,
        target: &Target,
        asking: Asking,
        numbers: (u32, u32),
    ) -> Option<io::Result<JoinHandle<()>>>;

    /// Has this done to its selection, at once, and never across a system call. Not at all where there is none any more.
    fn decide(&self, decide: &mut dyn FnMut(&mut Chooser<'_>));

    /// A server counts as another than before.
    fn changed(&self);

    /// These members were named last.
    fn named(&self, members: Vec<Member>);
}

impl dyn Watched {
    /// As [`Watched::decide`], with an answer.
    pub(crate) fn with<T>(&self, decide: impl FnOnce(&mut Chooser<'_>) -> T) -> Option<T> {
        let (mut decide, mut decided) = (Some(decide), None);
        self.decide(&mut |chooser| decided = decide.take().map(|decide| decide(chooser)));
        decided
    }
}
