//! The thread that watches the servers, where that was asked for: what pen's own does, for one program.
//!
//! It takes no signals and has descriptors of its own, so the program neither meets nor inherits what it opens; and its
//! programs are no children of this process. It begins with the first connect that is intercepted, in each process anew, and
//! ends with its programs when the process calls exit(3). What it has to say is said by the next thread of the program that
//! connects: it has no standard error.

use crate::choice::Members;
use crate::door;
use crate::settings::Watchdog;
use crate::shim::{self, State};
use crate::thread;
use pen_checks::{Asking, Inbox, Message, Session, Surroundings, Target, Watched, Watcher};
use pen_core::balance::{Chooser, TlsEndpoint};
use pen_core::checks::program::Member;
use pen_sys::child::Program;
use pen_sys::diag::Severity;
use pen_sys::net::connect::LocalAddress;
use pen_sys::net::keepalive::Keepalive;
use pen_sys::net::poller::Poller;
use pen_sys::net::resolve;
use pen_sys::waking::{Waker, Wakeups};
use pen_sys::{apart, clock, errors};
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

/// How long a blocking connect waits for the first word about every server, from the start of the thread.
const FIRST_WORD_MS: u64 = 1000;
/// How long exit(3) waits for the end of all programs, which get TERM and KILL before.
const END_MS: u64 = 900;
const LOOK_MS: u64 = 1;
/// A name that a check has named is looked up again after so long.
const NAME_MS: u64 = 60_000;
/// What waits to be said; more is dropped.
const NEWS_MAX: usize = 100;

/// What programs find in their environment.
static ENVIRONMENT: OnceLock<Vec<(OsString, OsString)>> = OnceLock::new();
/// The process has no thread yet, and may try to have one.
static MAY_TRY: AtomicBool = AtomicBool::new(false);
static BEGAN_MS: AtomicU64 = AtomicU64::new(0);
/// Servers of which nothing is known yet.
static UNTESTED: AtomicUsize = AtomicUsize::new(0);
static HAS_ENDED: AtomicBool = AtomicBool::new(false);
static HAS_NEWS: AtomicBool = AtomicBool::new(false);

/// What is to be said.
#[derive(Default)]
pub struct News {
    lines: Vec<String>,
    said: BTreeSet<String>,
}

/// The library was loaded, and a watchdog is wanted. Programs of checks are not balanced themselves.
pub fn prepare() {
    let environment = std::env::vars_os().filter(|(name, _)| name != "LD_PRELOAD");
    // Nobody set it before.
    let _: Result<(), _> = ENVIRONMENT.set(environment.collect());
    MAY_TRY.store(true, Ordering::Relaxed);
}

/// The thread is not in this process.
pub fn may_try_again() {
    MAY_TRY.store(shim::watchdog().is_some(), Ordering::Relaxed);
    UNTESTED.store(0, Ordering::Relaxed);
    HAS_NEWS.store(false, Ordering::Relaxed);
}

/// The program connects: the thread begins if that is wanted and was not tried yet, what there is to say is said, and a
/// connect that may wait waits for the first word about the servers, for a moment.
pub fn before_connect(fd: i32) {
    if MAY_TRY.load(Ordering::Relaxed)
        && MAY_TRY.swap(false, Ordering::Relaxed)
        && let Some(watchdog) = shim::watchdog()
    {
        let _begun = begin(watchdog);
    }
    if HAS_NEWS.load(Ordering::Relaxed) {
        say_news();
    }
    if UNTESTED.load(Ordering::Relaxed) > 0 && door::is_blocking(fd) {
        let end_ms = BEGAN_MS.load(Ordering::Relaxed) + FIRST_WORD_MS;
        while UNTESTED.load(Ordering::Acquire) > 0 && clock::monotonic_ms() < end_ms {
            door::pause_ms(LOOK_MS);
        }
    }
}

/// `None`: there is no thread, or no descriptor, to be had.
fn begin(watchdog: &'static Watchdog) -> Option<()> {
    let (theirs, ours) = UnixStream::pair().ok()?;
    let (theirs, ours) = (door::hide(theirs)?, door::hide(ours)?);
    let asking = Asking { inbox: Arc::new(Inbox::default()), waker: Waker::over(ours).ok()? };
    let known = asking.clone();
    let targets = shim::with_made_state(move |state| {
        state.watching = Some(known);
        state.choice.targets(&watchdog.watch)
    })?;
    UNTESTED.store(targets.len(), Ordering::Relaxed);
    BEGAN_MS.store(clock::monotonic_ms(), Ordering::Relaxed);
    HAS_ENDED.store(false, Ordering::Relaxed);
    asking.inbox.put(Message::Follow(Arc::new(Here), targets, watchdog.rounds));
    let begun = thread::start("libpen checks", move || run(theirs, &asking));
    if begun.is_none() {
        UNTESTED.store(0, Ordering::Relaxed);
        HAS_ENDED.store(true, Ordering::Relaxed);
    }
    begun
}

/// What the thread does.
fn run(stream: UnixStream, asking: &Asking) {
    door::stand_apart();
    if let Err(error) = door::guarded(|| watch(stream, asking)).unwrap_or(Ok(())) {
        tell(None, &format!("servers cannot be watched: {}", errors::reason(&error)));
    }
    UNTESTED.store(0, Ordering::Release);
    HAS_ENDED.store(true, Ordering::Release);
}

fn watch(stream: UnixStream, asking: &Asking) -> io::Result<()> {
    if let Err(error) = apart::separate(stream.as_fd()) {
        door::unhide(stream);
        return Err(error);
    }
    // From here on descriptors of the process are none of this thread's: its waker is for others to use.
    let poller = Poller::woken_by(asking.waker.clone(), Wakeups::over(stream)?)?;
    let environment = ENVIRONMENT.get().cloned().unwrap_or_default();
    Watcher::new(poller, Box::new(Here), environment, asking.clone()).run(&asking.inbox);
    Ok(())
}

/// The servers are others than before.
pub fn follow() {
    let Some(watchdog) = shim::watchdog().filter(|_| !HAS_ENDED.load(Ordering::Relaxed)) else { return };
    let watching = |state: &mut State| Some((state.watching.clone()?, state.choice.targets(&watchdog.watch)));
    let watching = door::with_state(|state| state.as_mut().and_then(watching)).flatten();
    if let Some((asking, targets)) = watching {
        asking.inbox.put(Message::Follow(Arc::new(Here), targets, watchdog.rounds));
        if !door::is_apart() {
            asking.waker.wake();
        }
    }
}

/// The process calls exit(3): programs end before it does.
pub fn end() {
    let watching = door::with_state(|state| state.as_mut().and_then(|state| state.watching.take())).flatten();
    if let Some(asking) = watching {
        asking.inbox.put(Message::Stop);
        asking.waker.wake();
        let end_ms = clock::monotonic_ms() + END_MS;
        while !HAS_ENDED.load(Ordering::Acquire) && clock::monotonic_ms() < end_ms {
            door::pause_ms(LOOK_MS);
        }
        // Its descriptors go with the process.
        std::mem::forget(asking);
    }
    say_news();
}

fn say_news() {
    HAS_NEWS.store(false, Ordering::Relaxed);
    let lines = door::with_state(|state| state.as_mut().map(|state| std::mem::take(&mut state.news.lines)));
    lines.flatten().into_iter().flatten().for_each(|line| door::say(&line));
}

/// Has this said, and with a key only the first time.
fn tell(key: Option<&str>, text: &str) {
    door::with_state(|state| {
        let Some(State { news, .. }) = state else { return };
        if news.lines.len() < NEWS_MAX && key.is_none_or(|key| news.said.insert(key.to_owned())) {
            news.lines.push(text.to_owned());
            HAS_NEWS.store(true, Ordering::Relaxed);
        }
    });
}

/// This process, and the one service that it has.
struct Here;

impl Surroundings for Here {
    /// A program of others is silent about servers that come and go, unless it was asked to say more.
    fn say(&self, _: Severity, text: &str) {
        if shim::is_verbose() {
            tell(None, text);
        }
    }

    fn once(&self, key: &str, text: &str) {
        tell(Some(key), text);
    }

    fn lost(&self, called: &str, reason: &str) {
        if !shim::is_verbose() {
            tell(Some(called), &format!("{called}: {reason}"));
        }
    }

    fn start(
        &self,
        program: &OsStr,
        arguments: &[String],
        environment: &[(OsString, OsString)],
    ) -> io::Result<Program> {
        Program::start_apart(program, arguments, environment)
    }
}

impl Watched for Here {
    fn number(&self) -> u16 {
        0
    }

    fn name(&self) -> &str {
        pen_proto::status::MAIN
    }

    fn local(&self) -> LocalAddress {
        LocalAddress::Any
    }

    fn keepalive(&self) -> Keepalive {
        Keepalive { on: false, idle_seconds: 0, interval_seconds: 0, probes: 0 }
    }

    fn session(&self, _: &TlsEndpoint) -> Result<Box<dyn Session>, String> {
        Err("libpen has none".into())
    }

    fn begin_own(&self, _: &Target, _: Asking, _: (u32, u32)) -> Option<io::Result<JoinHandle<()>>> {
        None
    }

    fn decide(&self, decide: &mut dyn FnMut(&mut Chooser<'_>)) {
        door::with_state(|state| {
            if let Some(state) = state {
                decide(&mut state.choice.chooser());
            }
        });
    }

    fn changed(&self) {
        let one_less = |untested: usize| Some(untested.saturating_sub(1));
        // It always has another.
        let _: Result<_, _> = UNTESTED.fetch_update(Ordering::Release, Ordering::Relaxed, one_less);
    }

    fn named(&self, members: Vec<Member>) {
        let places = members.iter().filter_map(|member| Some((place(member)?, member.weight)));
        let members: Members = places.collect();
        let is_changed = door::with_state(|state| state.as_mut().map(|state| state.choice.follow(&members)));
        if is_changed.flatten() == Some(true) {
            follow();
        }
    }
}

/// Where a member is. This thread may wait for its name.
fn place(member: &Member) -> Option<SocketAddr> {
    thread_local! {
        static NAMES: RefCell<HashMap<String, (u64, Option<SocketAddr>)>> = RefCell::default();
    }
    let port = member.port.or(shim::bind_port())?;
    let look_up = || resolve::socket_address(&member.host, port).ok();
    let Some(name) = member.host.name() else { return look_up() };
    let now_ms = clock::monotonic_ms();
    NAMES.with_borrow_mut(|names| {
        names.retain(|_, (until_ms, _)| *until_ms > now_ms);
        let (_, found) = names.entry(name.to_owned()).or_insert_with(|| (now_ms + NAME_MS, look_up()));
        found.map(|found| SocketAddr::new(found.ip(), port))
    })
}
