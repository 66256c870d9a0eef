//! A balancer that runs.

use super::builder::Builder;
use super::error::Error;
use super::handle::ServiceHandle;
use super::line::Line;
use crate::sys::signals;
use pen_proto::commands::{Command, Number};
use std::fmt;
use std::thread::JoinHandle;
use std::time::Duration;

/// A running load balancer. It serves until it is stopped or dropped, on threads of its own.
///
/// All calls take `&self` and wait for the answer of the balancer's main thread, which takes well under a millisecond
/// unless names of hosts have to be looked up. Threads that share it have it in an [`Arc`](std::sync::Arc). A program with an
/// asynchronous runtime makes the calls that look names up, and [`Balancer::stop`], where it may block
/// (`spawn_blocking` and the like).
///
/// ```
/// use pen::{Balancer, Service};
/// use std::io::{Read, Write};
/// use std::net::{TcpListener, TcpStream};
///
/// let server = TcpListener::bind("127.0.0.1:0")?;
/// let web = Service::new("web").listen("127.0.0.1:0").server(server.local_addr()?);
/// let balancer = Balancer::builder().service(web).start()?;
///
/// let mut client = TcpStream::connect(balancer.service("web").addresses()?[0])?;
/// client.write_all(b"hello")?;
/// let mut bytes = [0; 5];
/// server.accept()?.0.read_exact(&mut bytes)?;
/// assert_eq!(&bytes, b"hello");
///
/// balancer.stop()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Balancer {
    line: Line,
    /// Its main thread.
    thread: Option<JoinHandle<Result<(), String>>>,
}

impl Balancer {
    /// Describes a balancer.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(super) fn new(line: Line, thread: JoinHandle<Result<(), String>>) -> Balancer {
        Balancer { line, thread: Some(thread) }
    }

    /// Carries out a line of the language of commands, as a control socket does, and returns the reply: complete lines, or
    /// nothing for most settings. A line that names no service is for `main`, or for the only one.
    ///
    /// ```
    /// # use pen::{Balancer, Service};
    /// # let web = Service::new("web").listen("127.0.0.1:0").server("127.0.0.1:9");
    /// # let balancer = Balancer::builder().service(web).start()?;
    /// balancer.command("timeout 3")?;
    /// assert_eq!(balancer.command("timeout")?, "3\n");
    /// let error = balancer.command("timeout never").unwrap_err();
    /// assert!(error.to_string().contains("never"));
    /// # Ok::<(), pen::Error>(())
    /// ```
    ///
    /// # Errors
    /// The command is wrong or could not be carried out, and nothing has changed; or the balancer has ended.
    pub fn command(&self, line: &str) -> Result<String, Error> {
        self.line.say(line, None)
    }

    /// The service with this name. Whether there is one, is told by what is asked of it.
    pub fn service(&self, name: impl Into<String>) -> ServiceHandle<'_> {
        ServiceHandle::new(&self.line, name.into())
    }

    /// The names of all services, in the order in which they were made, `main` first.
    ///
    /// # Errors
    /// The balancer has ended.
    pub fn services(&self) -> Result<Vec<String>, Error> {
        self.line
            .ask(|engine| engine.config().services.iter().map(|service| service.name.to_string()).collect())
    }

    /// Whether it still serves. It ends by itself by the command `exit`, if `exit_enabled` was said, or when one of its
    /// threads has failed.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// Why it had to.
    pub fn wait(mut self) -> Result<(), Error> {
        self.join()
    }

    /// Closes every connection, writes logs to their end, and returns when all threads of the balancer have ended. Dropping
    /// it does the same, and tells no errors.
    ///
    /// # Errors
    /// It had ended by itself before, for this reason.
    pub fn stop(mut self) -> Result<(), Error> {
        self.line.order(signals::Request::Stop);
        self.join()
    }

    /// Takes no more clients, lets connections end, and stops when the last one has, or after `at_most`, in whole seconds
    /// rounded up; [`Duration::MAX`] sets no limit.
    ///
    /// # Errors
    /// As [`Balancer::stop`].
    pub fn drain(mut self, at_most: Duration) -> Result<(), Error> {
        let seconds = seconds_of(at_most);
        match seconds {
            0 => return self.stop(),
            _ => self.line.command(None, Command::number(Number::ShutdownTimeout, limit(seconds)))?,
        };
        self.line.order(signals::Request::Drain);
        self.join()
    }

    fn join(&mut self) -> Result<(), Error> {
        if self.line.is_own_thread() {
            return Err(Error::own_thread());
        }
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(Err(reason))) => Err(Error::failed(reason)),
            Some(Err(_)) => Err(Error::failed("the main thread of the balancer has panicked")),
            Some(Ok(Ok(()))) | None => Ok(()),
        }
    }
}

/// In whole seconds, rounded up.
pub(super) fn seconds_of(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))
}

/// What `shutdown_timeout` takes: 0 is no limit.
fn limit(seconds: u64) -> u64 {
    if seconds > pen_proto::commands::SECONDS_MAX { 0 } else { seconds }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.line.order(signals::Request::Stop);
            // A thread of its own, in a hook that had the last of it, cannot wait for itself; the balancer ends all the same.
            let _ = self.join();
        }
    }
}

impl fmt::Debug for Balancer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Balancer").field("is_running", &self.is_running()).finish_non_exhaustive()
    }
}
