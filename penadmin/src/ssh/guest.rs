//! One connection: who is it, and which channels it opens.

use super::channel;
use crate::office::{Office, Visitor};
use crate::users::Users;
use pen_proto::escape::Escaped;
use pen_sys::clock;
use pen_sys::program::complain;
use russh::keys::PublicKey;
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey};
use russh::{Channel, ChannelOpenFailure, Error};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Channels of one connection at once: a client may share one among several terminals.
const CHANNELS_MAX: usize = 8;

/// What is known of a connection, for those who look after it.
#[derive(Default)]
pub struct Seen {
    user: OnceLock<(String, PublicKey)>,
    /// When something was said last, in ms of the monotonic clock.
    said_ms: AtomicU64,
    pub channels: AtomicUsize,
}

impl Seen {
    /// The name under which it has logged in.
    pub fn user(&self) -> Option<&str> {
        self.user.get().map(|(name, _)| name.as_str())
    }

    /// Who that is at this moment; nobody when the user, or the key, is there no more.
    pub fn visitor(&self, office: &Office) -> Option<Visitor> {
        let (name, key) = self.user.get()?;
        let users = users(office);
        let access = users.get(name).filter(|_| has_key(&users, name, key))?.access;
        Some(Visitor { name: name.clone(), access, door: "ssh" })
    }

    pub fn says_something(&self) {
        self.said_ms.store(clock::monotonic_ms(), Ordering::Relaxed);
    }

    /// How long nothing was said.
    pub fn quiet(&self) -> Duration {
        let said_ms = self.said_ms.load(Ordering::Relaxed);
        Duration::from_millis(clock::monotonic_ms().saturating_sub(said_ms))
    }
}

fn users(office: &Office) -> Arc<Users> {
    office.users.users(|reason| complain(format_args!("penadmin: {reason}")))
}

fn has_key(users: &Users, name: &str, key: &PublicKey) -> bool {
    let is_it = |text: &str| PublicKey::from_openssh(text).is_ok_and(|own| own.key_data() == key.key_data());
    users.get(name).is_some_and(|user| user.keys.iter().any(|own| is_it(own.as_str())))
}

/// What the library calls for a connection.
pub struct Guest {
    office: Arc<Office>,
    seen: Arc<Seen>,
    peer: SocketAddr,
}

impl Guest {
    pub fn new(office: Arc<Office>, seen: Arc<Seen>, peer: SocketAddr) -> Guest {
        Guest { office, seen, peer }
    }

    fn judge(&self, name: &str, key: &PublicKey) -> Auth {
        if has_key(&users(&self.office), name, key) { Auth::Accept } else { Auth::reject() }
    }
}

/// What is not here is refused by the library: passwords, forwarding, agents.
impl Handler for Guest {
    type Error = Error;

    async fn auth_publickey_offered(&mut self, name: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Error> {
        Ok(self.judge(name, offer.public_key))
    }

    async fn auth_publickey(&mut self, name: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Error> {
        let verdict = self.judge(name, key.public_key);
        if matches!(verdict, Auth::Accept) {
            self.seen.says_something();
            // Once: a connection stays that of who has opened it.
            if self.seen.user.set((name.into(), key.public_key.clone())).is_err() {
                return Ok(Auth::reject());
            }
            complain(format_args!("penadmin: {} came in by ssh from {}", Escaped(name), self.peer.ip()));
        }
        Ok(verdict)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Error> {
        if self.seen.channels.fetch_add(1, Ordering::SeqCst) >= CHANNELS_MAX {
            self.seen.channels.fetch_sub(1, Ordering::SeqCst);
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        reply.accept().await;
        tokio::spawn(channel::serve(channel, session.handle(), self.office.clone(), self.seen.clone()));
        Ok(())
    }
}
