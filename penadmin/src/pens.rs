//! The pens that are administered, by their control sockets.
//!
//! Each has a thread of its own that asks it for services and servers now and then ([`watch`]), so that many visitors cost
//! a pen no more than one, and one that hangs or is gone keeps nobody else waiting. Everything else is asked on a
//! connection of its own ([`Pen::ask`]), of which each pen has a few. [`exchange`] hands files to a pen.

pub mod exchange;
pub mod watch;

use pen_sys::control::{Address, Patience, Session};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use watch::Watch;

/// Questions that a pen is asked at once, beside those of its watch. For one more the answer is [`Trouble::Busy`].
pub const ASKS_MAX: usize = 4;

/// How long a pen may take for an answer; it waits up to five seconds for a name server itself.
const SILENCE_SECONDS: u64 = 20;
const CONNECT_SECONDS: u64 = 3;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The pen could not be reached, or did not answer.
    Lost(String),
    /// Too many wait for it already.
    Busy,
}

/// A pen.
pub struct Pen {
    /// What visitors call it: what stood before the `=`, or its address.
    pub name: String,
    address: Address,
    watch: Watch,
    asks: AtomicUsize,
}

impl Pen {
    /// Reads `[NAME=]CONTROL`.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Pen, String> {
        let (name, address) = match text.split_once('=') {
            // A path may have a `=` in it; a name has no `/`.
            Some((name, address)) if !name.contains('/') => (name, address),
            _ => (text, text),
        };
        if name.is_empty() || name.chars().any(pen_proto::escape::is_dangerous) {
            return Err(format!("want [NAME=]CONTROL, got {}", pen_proto::addr::quoted(text)));
        }
        let address = Address::parse(address)?;
        let watch = Watch::default();
        Ok(Pen { name: name.into(), address, watch, asks: AtomicUsize::new(0) })
    }

    /// Where its control socket is, as it was written.
    pub fn address(&self) -> &str {
        self.address.text()
    }

    /// Whether the pen has this name, or this address.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.address() == name
    }

    /// What the watch has seen.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Says a line to the pen and waits for the answer; the inner error is pen's own. Blocks.
    ///
    /// # Errors
    /// There is no answer.
    pub fn ask(&self, line: &str) -> Result<Result<String, String>, Trouble> {
        let _place = Place::take(&self.asks).ok_or(Trouble::Busy)?;
        // A session even for one line: without it, being turned away looks like the empty answer of most settings.
        let session = self.session(Duration::from_secs(SILENCE_SECONDS));
        session.and_then(|mut session| session.ask(line)).map_err(Trouble::Lost)
    }

    fn session(&self, silence: Duration) -> Result<Session, String> {
        let connect = Duration::from_secs(CONNECT_SECONDS);
        let patience = Patience { connect, queue: connect, silence, until_ms: u64::MAX };
        Session::open_with(self.address.clone(), patience)
    }
}

/// A place among those who ask; free again when it is dropped.
struct Place<'a>(&'a AtomicUsize);

impl Place<'_> {
    fn take(asks: &AtomicUsize) -> Option<Place<'_>> {
        let more = |count| (count < ASKS_MAX).then_some(count + 1);
        asks.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok().map(|_| Place(asks))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pen_sys::tempdir::TempDir;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_pen_has_a_name() {
        let pen = Pen::parse("shop=/run/shop/control").unwrap();
        assert!(pen.is_called("shop") && pen.is_called("/run/shop/control") && !pen.is_called("/run/shop"));
        assert_eq!(Pen::parse("/run/a=b").unwrap().name, "/run/a=b");
        assert_eq!(Pen::parse("[::1]:8888").unwrap().name, "[::1]:8888");
        for text in ["", "=/run/x", "a", "a=b", "a\tb=/run/x"] {
            assert!(Pen::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn one_that_is_gone_or_turns_us_away_is_told_from_an_empty_answer() {
        let directory = TempDir::new();
        let path = directory.path().join("control");
        let pen = Pen::parse(path.to_str().unwrap()).unwrap();
        let lost = pen.ask("write").unwrap_err();
        assert!(
            matches!(&lost, Trouble::Lost(reason) if reason.ends_with("no such file or directory")),
            "{lost:?}"
        );
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || drop(listener.accept().unwrap()));
        assert!(matches!(pen.ask("write"), Err(Trouble::Lost(_))));
        server.join().unwrap();
    }

    #[test]
    fn there_are_so_many_places() {
        let asks = AtomicUsize::new(0);
        let places: Vec<_> = (0..ASKS_MAX).map(|_| Place::take(&asks).unwrap()).collect();
        assert!(Place::take(&asks).is_none());
        drop(places);
        assert!(Place::take(&asks).is_some());
    }
}
