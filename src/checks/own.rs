//! Checks that the program brings along which has pen inside of it: each runs on a thread of its own, and may wait.

use crate::balance::Health;
use crate::sys::threads;
use pen_checks::{Asking, Message, Outcome, Target};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// A check of servers that a program brings along; see [`Service::check`](crate::Service::check).
///
/// ```
/// use pen::{Balancer, Check, CheckedServer, Server, ServerState, Service, Verdict};
///
/// /// Asks somewhere else than at the server.
/// struct Registry;
///
/// impl Check for Registry {
///     fn check(&self, server: &CheckedServer) -> Verdict {
///         match server.address.as_str() {
///             "127.0.0.1:9001" => Verdict::Up,
///             _ => Verdict::Down("not in the registry".into()),
///         }
///     }
/// }
///
/// let web = Service::new("web").listen("127.0.0.1:0").check(Registry).command("check_interval 0.01");
/// let web = web.server("127.0.0.1:9001").server("127.0.0.1:9002");
/// let balancer = Balancer::builder().service(web).start()?;
/// loop {
///     let servers = balancer.service("web").servers()?;
///     if servers[1].state == ServerState::Down {
///         assert_eq!(servers[0].state, ServerState::Up);
///         assert_eq!(servers[1].reason.as_deref(), Some("not in the registry"));
///         break;
///     }
/// }
/// # Ok::<(), pen::Error>(())
/// ```
pub trait Check: Send + Sync + 'static {
    /// How a server is. Each call has a thread of its own and may wait; it must return in the end, because stopping the
    /// balancer waits for it. After `timeout` the check counts as failed, and a verdict that comes later is not heard. A
    /// check of a server begins when the last one has returned.
    fn check(&self, server: &CheckedServer) -> Verdict;
}

/// A server that is to be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckedServer {
    /// Its number.
    pub number: usize,
    /// `10.0.0.1:80`, with the port of `check_port` if that is set, or the path of a Unix socket.
    pub address: String,
    /// How long a verdict is waited for, as `check_timeout` says.
    pub timeout: Duration,
}

impl CheckedServer {
    /// For a program that tries its own check.
    pub fn new(number: usize, address: impl Into<String>, timeout: Duration) -> CheckedServer {
        CheckedServer { number, address: address.into(), timeout }
    }
}

/// What a [`Check`] has found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is well.
    Up,
    /// It is chosen only when no other is left, for this reason.
    Avoid(String),
    /// It gets no clients, for this reason.
    Down(String),
}

/// Begins a check. The verdict comes as a message with these numbers.
pub(super) fn begin(
    check: Arc<dyn Check>,
    target: &Target,
    asking: Asking,
    (slot, turn): (u32, u32),
) -> io::Result<JoinHandle<()>> {
    let number = target.server.index().unwrap_or_default();
    let server = CheckedServer::new(number, target.address(), Duration::from_millis(target.watch.timeout_ms));
    threads::spawn("check", move || {
        let verdict = catch_unwind(AssertUnwindSafe(|| check.check(&server)));
        let verdict = verdict.unwrap_or_else(|_| Verdict::Down("the check has panicked".into()));
        let outcome = match verdict {
            Verdict::Up => Outcome::good(),
            Verdict::Avoid(reason) => {
                Outcome { health: Health::Avoid, is_answered: true, ..Outcome::bad(reason) }
            }
            Verdict::Down(reason) => Outcome { is_answered: true, ..Outcome::bad(reason) },
        };
        asking.inbox.put(Message::Verdict { slot, turn, outcome });
        asking.waker.wake();
    })
}
