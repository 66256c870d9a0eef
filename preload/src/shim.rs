//! What becomes of the calls of the program. Safe: every system call is one of `door.rs`.
//!
//! A connect that is under way belongs to us until its outcome is certain: whenever the program would hear of it, the
//! socket is asked first, and if the server did not take it, the same descriptor goes to the next one. Only when there is
//! no other is the failure left as the system has it. Nothing here waits.

use crate::choice::Choice;
use crate::control;
use crate::door::{self, Progress};
use crate::settings::Settings;
use crate::settings::Watchdog;
use crate::sockets::{Socket, Sockets, Stage, is_unsettled};
use crate::watchdog::{self, News};
use nix::libc;
use pen_checks::Asking;
use pen_core::balance::Attempt;
use pen_core::stats::glb::library_info;
use pen_proto::addr::Host;
use pen_proto::glb::Share;
use pen_sys::clock;
use pen_sys::net::resolve;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// A connect that the program gave up after so long says something about the server: a first SYN has been lost by then.
const PATIENCE_MS: u64 = 1000;

static SETTINGS: OnceLock<Settings> = OnceLock::new();
/// The addresses to intercept.
static BIND: OnceLock<Vec<SocketAddr>> = OnceLock::new();
static IS_ACTIVE: AtomicBool = AtomicBool::new(false);
/// Why it is not.
static MISTAKE: OnceLock<String> = OnceLock::new();
static IS_MISTAKE_TOLD: AtomicBool = AtomicBool::new(false);

/// Servers and sockets of this process.
pub struct State {
    pub choice: Choice,
    sockets: Sockets,
    /// By this the thread is reached that watches the servers.
    pub watching: Option<Asking>,
    pub news: News,
}

/// The library was loaded: reads the environment.
pub fn start() {
    match Settings::read(|name| std::env::var(name).ok()) {
        Ok(settings) => IS_ACTIVE.store(SETTINGS.set(settings).is_ok(), Ordering::Release),
        Err(reason) => {
            // Nobody set it before.
            let _: Result<(), String> = MISTAKE.set(reason);
        }
    }
}

/// A connect cannot be looked at, because the settings are wrong. Said once, and by programs that connect: a shell
/// starts many others.
pub fn tell_mistake() {
    if let Some(reason) = MISTAKE.get()
        && !IS_MISTAKE_TOLD.swap(true, Ordering::Relaxed)
    {
        door::say(reason);
    }
}

/// Whether anything is intercepted at all.
pub fn is_active() -> bool {
    IS_ACTIVE.load(Ordering::Acquire)
}

/// Whether a connect to this address is ours.
pub fn intercepts(to: SocketAddr) -> bool {
    let Some(settings) = SETTINGS.get().filter(|settings| is_active() && settings.bind.1 == to.port()) else {
        return false;
    };
    let canonical = SocketAddr::new(to.ip().to_canonical(), to.port());
    let bind = match (&settings.bind.0, BIND.get()) {
        (Host::Ip(ip), _) => return *ip == canonical.ip(),
        (_, Some(bind)) => bind,
        (host, None) => {
            BIND.get_or_init(|| door::unobserved(|| addresses(host, to.port())).unwrap_or_default())
        }
    };
    bind.contains(&canonical)
}

fn addresses(host: &Host, port: u16) -> Vec<SocketAddr> {
    let found = resolve::addresses(&host.to_string());
    let found = found.unwrap_or_else(|reason| {
        door::say(&reason);
        Vec::new()
    });
    found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect()
}

fn now_seconds() -> u32 {
    clock::steady_epoch_seconds(clock::monotonic_ms())
}

/// Differs from process to process, and after a fork; always the same with `PEN_SEED`.
fn seed() -> u64 {
    let given = std::env::var("PEN_SEED").ok().and_then(|seed| seed.parse().ok());
    let own = || clock::since_boot_usec() ^ (u64::from(door::pid()) << 32);
    let mixed = given.unwrap_or_else(own).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The servers, looked up; `None` when there is none, which is said once.
fn make_state() -> Option<State> {
    let settings = SETTINGS.get()?;
    let mut choice = Choice::new(settings, seed());
    for destination in &settings.destinations {
        let port = destination.port.unwrap_or(settings.bind.1);
        match (destination.share, resolve::socket_address(&destination.host, port)) {
            (share, Ok(address)) => _ = choice.put(address, share),
            (_, Err(reason)) => door::say(&reason),
        }
    }
    if !choice.has_servers() && settings.control.is_none() {
        door::say("there is no server; connects go where the program wants them");
        IS_ACTIVE.store(false, Ordering::Release);
        return None;
    }
    choice.begin_anew(seed());
    Some(State { choice, sockets: Sockets::default(), watching: None, news: News::default() })
}

/// Where lines of GLB's language are taken.
pub fn control_address() -> Option<&'static (Host, u16)> {
    SETTINGS.get()?.control.as_ref()
}

/// How the servers are watched, if they are.
pub fn watchdog() -> Option<&'static Watchdog> {
    SETTINGS.get()?.watchdog.as_ref()
}

/// Whether what becomes of servers is told.
pub fn is_verbose() -> bool {
    SETTINGS.get().is_some_and(|settings| settings.verbose)
}

/// The port that is intercepted.
pub fn bind_port() -> Option<u16> {
    SETTINGS.get().map(|settings| settings.bind.1)
}

/// The table of servers.
pub fn info() -> Option<String> {
    with_made_state(|state| library_info(&state.choice.rows(now_seconds())))
}

/// Adds a server, changes its weight, or removes it; false when there is none to remove.
pub fn put(address: SocketAddr, share: Share) -> Option<bool> {
    with_made_state(|state| state.choice.put(address, share))
}

pub fn with_made_state<T>(work: impl FnOnce(&mut State) -> T) -> Option<T> {
    if !door::with_state(|state| state.is_some())? {
        let made = door::unobserved(make_state)??;
        // Another thread may have been faster.
        return door::with_state(|state| work(state.get_or_insert(made)));
    }
    door::with_state(|state| state.as_mut().map(work))?
}

/// A child that was forked does not go its parent's way.
pub fn forked(state: &mut State) {
    state.choice.begin_anew(seed());
    state.news = News::default();
    if let Some(asking) = state.watching.take() {
        // Its thread is not here, and its descriptor is closed.
        std::mem::forget(asking);
    }
    watchdog::may_try_again();
}

/// A connect of the program that is ours.
pub enum Way {
    /// It goes as the program wants it.
    Plain,
    /// It ends at once with this error.
    Failed(i32),
    Connect(Connecting),
}

/// What is to be connected next.
pub struct Connecting {
    fd: i32,
    is_v6: bool,
    pub address: SocketAddr,
    /// `None`: a further call for a socket that has its server.
    attempt: Option<Attempt>,
}

/// What the program is told, or that the call is made again.
pub enum Outcome {
    Again(Connecting),
    /// 0 or an error.
    Told(i32),
}

/// The program calls connect() for an address of ours.
pub fn begin(fd: i32, asked: SocketAddr) -> Way {
    control::try_once();
    if door::is_new_process() {
        door::with_state(|state| state.as_mut().map(forked));
    }
    if crate::sockets::is_tracked(fd)
        && let Some(way) = door::with_state(|state| begin_again(state.as_mut()?, fd)).flatten()
    {
        return way;
    }
    if !door::prepare_tcp(fd) {
        return Way::Plain;
    }
    watchdog::before_connect(fd);
    let is_v6 = asked.is_ipv6();
    let begun = match door::with_state(|state| state.as_mut().map(|state| state.begin(is_v6))) {
        // The first connect of the process.
        Some(None) => {
            let Some(made) = door::unobserved(make_state).flatten() else { return Way::Plain };
            // Another thread may have been faster.
            door::with_state(|state| state.get_or_insert(made).begin(is_v6))
        }
        begun => begun.flatten(),
    };
    match begun {
        None => Way::Plain,
        Some(Err(errno)) => Way::Failed(errno),
        Some(Ok((attempt, address))) => {
            Way::Connect(Connecting { fd, is_v6, address, attempt: Some(attempt) })
        }
    }
}

/// The address as this family of sockets takes it, or that of the next server which has one.
fn reachable(
    choice: &mut Choice,
    attempt: &mut Attempt,
    address: SocketAddr,
    is_v6: bool,
) -> Option<SocketAddr> {
    let mut next = Some(address);
    while let Some(address) = next {
        match (address, is_v6) {
            (SocketAddr::V4(v4), true) => {
                return Some(SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into());
            }
            (SocketAddr::V6(v6), false) => match v6.ip().to_canonical() {
                IpAddr::V4(ip) => return Some(SocketAddr::new(ip.into(), v6.port())),
                IpAddr::V6(_) => next = choice.passed_over(attempt, now_seconds()),
            },
            _ => return Some(address),
        }
    }
    None
}

/// The socket has a server already.
fn begin_again(state: &mut State, fd: i32) -> Option<Way> {
    let socket = state.sockets.get(fd)?;
    if socket.cookie != door::cookie(fd) {
        state.close(fd);
        return None;
    }
    let stage = match socket.stage {
        Stage::UnderWay { .. } => {
            state.settle(fd);
            state.sockets.get(fd)?.stage
        }
        stage => stage,
    };
    if let Stage::Failed { errno } = stage {
        state.forget(fd);
        return Some(Way::Failed(errno));
    }
    let socket = state.sockets.get(fd)?;
    Some(Way::Connect(Connecting { fd, is_v6: socket.is_v6, address: socket.address, attempt: None }))
}

/// The call returned 0 or this error.
pub fn returned(connecting: Connecting, errno: i32) -> Outcome {
    let told = door::with_state(|state| state.as_mut().map(|state| state.returned(connecting, errno)));
    told.flatten().unwrap_or(Outcome::Told(errno))
}

/// Whether the server is to blame.
fn is_refusal(errno: i32) -> bool {
    matches!(
        errno,
        libc::ECONNREFUSED
            | libc::ETIMEDOUT
            | libc::EHOSTUNREACH
            | libc::ENETUNREACH
            | libc::EHOSTDOWN
            | libc::ENETDOWN
            | libc::ECONNABORTED
            | libc::EACCES
            | libc::EPERM
    )
}

impl State {
    /// The first server for a new socket, or the error that the program gets.
    fn begin(&mut self, is_v6: bool) -> Result<(Attempt, SocketAddr), i32> {
        let (mut attempt, address) = self.choice.begin(now_seconds()).ok_or(libc::EHOSTDOWN)?;
        match reachable(&mut self.choice, &mut attempt, address, is_v6) {
            Some(address) => Ok((attempt, address)),
            None => {
                self.choice.end(attempt);
                Err(libc::EAFNOSUPPORT)
            }
        }
    }

    fn returned(&mut self, connecting: Connecting, errno: i32) -> Outcome {
        let Connecting { fd, is_v6, address, attempt } = connecting;
        let Some(mut attempt) = attempt else { return self.returned_again(fd, errno) };
        let stage = match errno {
            0 => Stage::Connected,
            libc::EINPROGRESS | libc::EINTR => Stage::UnderWay { since_ms: clock::monotonic_ms() },
            _ => {
                let next = self.after_failure(&mut attempt, errno, is_v6);
                return match next {
                    Some(address) => {
                        Outcome::Again(Connecting { fd, is_v6, address, attempt: Some(attempt) })
                    }
                    None => {
                        self.choice.end(attempt);
                        Outcome::Told(errno)
                    }
                };
            }
        };
        if stage == Stage::Connected {
            self.choice.connected(&attempt);
        }
        if !Sockets::fits(fd) || (stage == Stage::Connected && !self.choice.has_counts()) {
            self.choice.end(attempt);
            return Outcome::Told(errno);
        }
        self.close(fd);
        self.sockets.add(fd, Socket { cookie: door::cookie(fd), is_v6, attempt, address, stage });
        Outcome::Told(errno)
    }

    /// Where to go after a connect that failed; `None`: nowhere.
    fn after_failure(&mut self, attempt: &mut Attempt, errno: i32, is_v6: bool) -> Option<SocketAddr> {
        let next = match errno {
            _ if is_refusal(errno) => self.choice.failed(attempt, now_seconds()),
            // No free local port, or a family that the socket or the host does not have.
            libc::EADDRNOTAVAIL | libc::EADDRINUSE | libc::EINVAL | libc::EAFNOSUPPORT => {
                self.choice.passed_over(attempt, now_seconds())
            }
            _ => None,
        };
        next.and_then(|address| reachable(&mut self.choice, attempt, address, is_v6))
    }

    /// A further call of the program for a socket that has its server.
    fn returned_again(&mut self, fd: i32, errno: i32) -> Outcome {
        match errno {
            0 | libc::EISCONN => {
                self.connected(fd);
                Outcome::Told(errno)
            }
            errno if is_refusal(errno) => {
                let Some(socket) = self.sockets.forget(fd) else { return Outcome::Told(errno) };
                let Socket { is_v6, mut attempt, .. } = socket;
                match self.after_failure(&mut attempt, errno, is_v6) {
                    Some(address) => {
                        Outcome::Again(Connecting { fd, is_v6, address, attempt: Some(attempt) })
                    }
                    None => {
                        self.choice.end(attempt);
                        Outcome::Told(errno)
                    }
                }
            }
            errno => Outcome::Told(errno),
        }
    }

    fn connected(&mut self, fd: i32) {
        if let Some(socket) = self.sockets.get(fd) {
            self.choice.connected(&socket.attempt);
            self.sockets.enter(fd, Stage::Connected);
        }
    }

    fn forget(&mut self, fd: i32) {
        if let Some(socket) = self.sockets.forget(fd) {
            self.choice.end(socket.attempt);
        }
    }

    /// The descriptor leads elsewhere from now on.
    pub fn close(&mut self, fd: i32) {
        let Some(mut socket) = self.sockets.close(fd) else { return };
        if let Stage::UnderWay { since_ms } = socket.stage
            && clock::monotonic_ms().saturating_sub(since_ms) >= PATIENCE_MS
            && socket.cookie == door::cookie(fd)
            && door::progress(fd) == Progress::UnderWay
        {
            self.choice.failed(&mut socket.attempt, now_seconds());
        }
        self.choice.end(socket.attempt);
    }

    pub fn close_between(&mut self, first: i32, last: i32) {
        self.sockets.between(first, last).into_iter().for_each(|fd| self.close(fd));
    }

    pub fn duplicate(&mut self, fd: i32, copy: i32) {
        self.close(copy);
        self.sockets.duplicate(fd, copy);
    }

    /// The program is about to hear of this socket. Whether it is to hear nothing yet.
    pub fn settle(&mut self, fd: i32) -> bool {
        let Some(socket) = self.sockets.get(fd) else { return false };
        if !matches!(socket.stage, Stage::UnderWay { .. }) {
            return false;
        }
        match door::progress(fd) {
            Progress::UnderWay => true,
            Progress::Connected => {
                self.connected(fd);
                false
            }
            Progress::Failed => self.settle_failure(fd),
        }
    }

    fn settle_failure(&mut self, fd: i32) -> bool {
        let now_seconds = now_seconds();
        let Some(socket) = self.sockets.get(fd) else { return false };
        if socket.cookie != door::cookie(fd) {
            self.close(fd);
            return false;
        }
        if !self.choice.has_other(&socket.attempt, now_seconds) {
            // Nothing is taken from the socket: the program finds it as if we were not there.
            if let Some(mut socket) = self.sockets.forget(fd) {
                self.choice.failed(&mut socket.attempt, now_seconds);
                self.choice.end(socket.attempt);
            }
            return false;
        }
        let errno = door::take_error(fd);
        if errno != 0 && !is_refusal(errno) {
            // The server took the connection and has ended it since.
            self.sockets.enter(fd, Stage::Failed { errno });
            return false;
        }
        self.connect_again(fd, if errno == 0 { libc::ECONNABORTED } else { errno })
    }

    /// The same descriptor, the next server.
    fn connect_again(&mut self, fd: i32, mut errno: i32) -> bool {
        door::disconnect(fd);
        loop {
            let Some(socket) = self.sockets.get(fd) else { return false };
            let is_v6 = socket.is_v6;
            let now_seconds = now_seconds();
            let attempt = &mut socket.attempt;
            let next = match is_refusal(errno) {
                true => self.choice.failed(attempt, now_seconds),
                false => self.choice.passed_over(attempt, now_seconds),
            };
            let next = next.and_then(|address| reachable(&mut self.choice, attempt, address, is_v6));
            let Some(address) = next else {
                self.sockets.enter(fd, Stage::Failed { errno });
                return false;
            };
            socket.address = address;
            errno = door::connect_without_waiting(fd, address);
            match errno {
                0 => {
                    self.connected(fd);
                    // What the program was about to hear is of the server before.
                    return true;
                }
                libc::EINPROGRESS | libc::EALREADY => {
                    let since_ms = clock::monotonic_ms();
                    self.sockets.enter(fd, Stage::UnderWay { since_ms });
                    return true;
                }
                _ => {}
            }
        }
    }

    /// What getsockopt(SO_ERROR) tells; `None`: what the system says.
    pub fn error(&mut self, fd: i32) -> Option<i32> {
        if !is_unsettled(fd) {
            return None;
        }
        if self.settle(fd) {
            return Some(0);
        }
        match self.sockets.get(fd)?.stage {
            Stage::Failed { errno } => {
                self.forget(fd);
                Some(errno)
            }
            _ => None,
        }
    }

    /// The unsettled descriptor that an epoll set knows by this.
    pub fn unsettled_in(&self, is_it: impl Fn(i32) -> bool) -> Option<i32> {
        self.sockets.unsettled_in(is_it)
    }
}
