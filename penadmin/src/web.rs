//! The door for browsers and scripts: a page, and an API over HTTP that the page uses too.
//!
//! The way of a request: `server` (sockets, TLS, limits) → `guard` (is it meant for us, headers of every answer) →
//! `api` (who is it, what is wanted) → the office on a thread that may block. `login` lets people in, `looks` bounds what their
//! passwords cost. `sessions` and `crate::throttle` decide, without clock and sockets; `assets` is the page.

mod answers;
mod api;
mod assets;
mod guard;
mod login;
mod looks;
mod server;
mod sessions;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "web/without_tls.rs"]
mod tls;

pub use server::{Settings, run};

use crate::office::Office;
use crate::throttle::Throttle;
use looks::Looks;
use pen_sys::program::complain;
use sessions::Sessions;
use std::sync::{Arc, Mutex, PoisonError};

/// What requests share.
#[derive(Clone)]
struct House(Arc<Inner>);

struct Inner {
    office: Arc<Office>,
    sessions: Mutex<Sessions>,
    throttle: Mutex<Throttle>,
    looks: Looks,
    /// Names under which browsers may find us, beside addresses and `localhost`.
    names: Vec<String>,
    cookie: Cookie,
}

/// The name and the attributes of the cookie.
struct Cookie {
    name: String,
    is_secure: bool,
}

impl std::ops::Deref for House {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Inner {
    fn sessions(&self) -> std::sync::MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn throttle(&self) -> std::sync::MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn users(&self) -> Arc<crate::users::Users> {
        self.office.users.users(|reason| complain(format_args!("penadmin: {reason}")))
    }
}
