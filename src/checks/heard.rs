//! A service of pen as the thread that checks knows it, and where that thread is at home.

use super::members::Members;
use super::own;
use crate::balance::{Chooser, TlsEndpoint};
use crate::log::diag::{self, Severity};
use crate::net::connect::LocalAddress;
use crate::net::keepalive::Keepalive;
use crate::net::keepalive_of;
use crate::net::tls;
use crate::service::Service;
use crate::shared::Shared;
use crate::sys::child::Program;
use pen_checks::{Asking, Session, Surroundings, Target, Watched};
use pen_core::checks::program::Member;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::sync::Arc;
use std::thread::JoinHandle;

/// This process.
pub struct Here;

impl Surroundings for Here {
    fn say(&self, severity: Severity, text: &str) {
        diag::say(severity, text);
    }

    fn once(&self, key: &str, text: &str) {
        diag::once(key, text);
    }

    fn start(
        &self,
        program: &OsStr,
        arguments: &[String],
        environment: &[(OsString, OsString)],
    ) -> io::Result<Program> {
        Program::start(program, arguments, environment.iter().cloned())
    }
}

/// Who hears what is found about the servers of a service.
pub struct Heard {
    pub service: Arc<Service>,
    pub shared: Arc<Shared>,
    pub members: Arc<Members>,
}

impl Watched for Heard {
    fn number(&self) -> u16 {
        self.service.number
    }

    fn name(&self) -> &str {
        &self.service.name
    }

    fn local(&self) -> LocalAddress {
        self.service.settings().get().source().map_or(LocalAddress::Any, LocalAddress::Source)
    }

    fn keepalive(&self) -> Keepalive {
        keepalive_of(&self.service.settings().get())
    }

    fn session(&self, server: &TlsEndpoint) -> Result<Box<dyn Session>, String> {
        let session = self.service.tls().get().to_server(server, None);
        session.map(|session| Box::new(session) as Box<dyn Session>).map_err(|trouble| trouble.0)
    }

    fn begin_own(
        &self,
        target: &Target,
        asking: Asking,
        numbers: (u32, u32),
    ) -> Option<io::Result<JoinHandle<()>>> {
        Some(own::begin(self.service.own_check()?.clone(), target, asking, numbers))
    }

    fn decide(&self, decide: &mut dyn FnMut(&mut Chooser<'_>)) {
        self.service.with(decide);
    }

    fn changed(&self) {
        // Idlers, and clients that wait, may have another server now.
        self.shared.announce();
        // Their connections may be to be cut.
        self.members.ring();
    }

    fn named(&self, members: Vec<Member>) {
        self.members.put(&self.service.name, members);
    }
}

impl Session for tls::Session {
    fn is_handshaking(&self) -> bool {
        self.is_handshaking()
    }

    fn shake(&mut self, bytes: &mut [u8]) -> Result<(), String> {
        self.shake(bytes).map_err(|trouble| trouble.0)
    }

    fn decrypt(&mut self, bytes: &mut [u8], plain: &mut [u8]) -> Result<usize, String> {
        self.decrypt(bytes, 0, plain).map_err(|trouble| trouble.0)
    }

    fn read_plain(&mut self, plain: &mut [u8]) -> usize {
        self.read_plain(plain)
    }

    fn peer_closed(&self) -> bool {
        self.peer_closed()
    }

    fn encrypt(&mut self, plain: &[u8]) {
        self.encrypt(plain);
    }

    fn close(&mut self) {
        self.close();
    }

    fn wants_write(&self) -> bool {
        self.wants_write()
    }

    fn write_to(&mut self, out: &mut dyn Write) -> io::Result<usize> {
        self.write_to(out)
    }
}
