//! Listening sockets, for clients and for the control door.

use crate::errors::reason;
use crate::inherited::{Inherited, Place, internet_address};
use crate::net::{datagram, resolve};
use crate::published::lock;
use crate::{clock, socket};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::libc;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, UnixAddr, bind, connect, getsockopt, listen,
    setsockopt, sockopt,
};
use nix::sys::stat::{FchmodatFlags, Mode, fchmod, fchmodat, fstat};
use nix::unistd::{Gid, Uid, fchown, fchownat};
use pen_proto::addr::{Host, ListenAddr};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// An open listening socket, non-blocking. A Unix socket's file goes when the listener does.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    /// Of a UDP listener: the sockets of all workers but the first.
    more: Vec<OwnedFd>,
    /// What the operator wrote.
    pub text: Arc<String>,
    /// `None` for a Unix socket. The real port, also when 0 was asked for.
    pub address: Option<SocketAddr>,
    /// Of a Unix socket; goes with the last listener that has it.
    file: Mutex<Option<Arc<SocketFile>>>,
    /// It came from a socket unit, which listens on when this pen has ended.
    is_borrowed: bool,
}

/// What names of sockets begin with that this program has had stored.
pub(crate) const STORED: &str = "pen_";

/// A socket file that we made, recognised by its inode: another process may have replaced it meanwhile.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
    /// It stays: somebody else listens there, too.
    is_kept: AtomicBool,
}

impl SocketFile {
    fn at(path: PathBuf) -> io::Result<SocketFile> {
        let made = std::fs::symlink_metadata(&path)?;
        if !made.file_type().is_socket() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(SocketFile { path, device: made.dev(), inode: made.ino(), is_kept: AtomicBool::new(false) })
    }

    /// Makes it a file of this mode and of our group, if a mode is wanted: the pen before may have been told otherwise.
    fn set_mode(&self, mode: Option<u32>) -> io::Result<()> {
        let Some(mode) = mode else { return Ok(()) };
        let now = std::fs::symlink_metadata(&self.path)?;
        if now.gid() != Gid::effective().as_raw() {
            fchownat(AT_FDCWD, &self.path, None, Some(Gid::effective()), AtFlags::AT_SYMLINK_NOFOLLOW)?;
        }
        if now.mode() & 0o777 != mode {
            let mode = Mode::from_bits_truncate(mode as libc::mode_t);
            fchmodat(AT_FDCWD, &self.path, mode, FchmodatFlags::NoFollowSymlink)?;
        }
        Ok(())
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if !*self.is_kept.get_mut()
            && let Ok(now) = std::fs::symlink_metadata(&self.path)
            && (now.dev(), now.ino()) == (self.device, self.inode)
        {
            // In a jail or without privileges the file may be out of reach; the next start replaces it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// How a listener is opened.
#[derive(Debug, Clone, Copy)]
pub struct ListenOptions {
    /// Length of the queue of clients not yet accepted.
    pub backlog: u64,
    /// Accepted sockets inherit it.
    pub nodelay: bool,
    /// Permissions of a Unix socket's file, whatever the umask is; `None`: what the umask leaves.
    pub mode: Option<u32>,
    /// For UDP, with so many sockets among which the system divides the clients; 0: for TCP.
    pub datagram_sockets: usize,
    /// Beside a listener that [`Listener::share`]s, until that is closed. Otherwise a port belongs to one listener: a
    /// second pen on it must be told, not given every other client.
    pub shared: bool,
}

/// What handshakes that had begun get to end before their listener is closed: more than they take within a country.
const HANDSHAKES_MS: u64 = 50;

/// Has listeners take nobody further, and gives those time who are about to connect. Who is connected already can be
/// accepted until the listeners are closed. For the main thread.
pub fn begin_no_more<'a>(listeners: impl IntoIterator<Item = &'a Listener>) {
    let slow: Vec<_> = listeners.into_iter().filter(|listener| listener.begin_no_more()).collect();
    if !slow.is_empty() {
        clock::wait_ms(HANDSHAKES_MS);
    }
}

impl Listener {
    /// Opens a listener. Names are looked up, so this may block.
    ///
    /// The error says which address and why, for example `127.0.0.1:80: address already in use`.
    pub fn open(address: &ListenAddr, options: ListenOptions) -> io::Result<Listener> {
        let (socket, more, file) = open_sockets(address, options)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {}", address.text, reason(&error))))?;
        let bound = nix::sys::socket::getsockname::<SockaddrStorage>(socket.as_raw_fd()).ok();
        let address_bound = bound.as_ref().and_then(internet_address);
        let (text, file) = (Arc::new(address.text.clone()), Mutex::new(file.map(Arc::new)));
        Ok(Listener { socket, more, text, address: address_bound, file, is_borrowed: false })
    }

    /// Takes the socket that was handed down for this address, or opens one.
    ///
    /// # Errors
    /// The address with the reason.
    pub fn adopt_or_open(
        address: &ListenAddr,
        options: ListenOptions,
        inherited: &mut Inherited,
    ) -> io::Result<Listener> {
        Listener::adopt(address, options, inherited).unwrap_or_else(|| Listener::open(address, options))
    }

    /// The listener at this address among the sockets handed down; `None` where there is none that serves.
    ///
    /// # Errors
    /// The address and what the system refuses.
    fn adopt(
        address: &ListenAddr,
        options: ListenOptions,
        inherited: &mut Inherited,
    ) -> Option<io::Result<Listener>> {
        let place = place_of(address, options)?;
        let mut sockets = inherited.take(&place).into_iter();
        let first = sockets.next()?;
        let is_borrowed = !first.name.starts_with(STORED);
        let file = match &place {
            // Without its file nobody finds it.
            Place::Unix(path) => Some(Arc::new(SocketFile::at(path.clone()).ok()?)),
            _ => None,
        };
        file.iter().for_each(|file| file.is_kept.store(is_borrowed, Ordering::Relaxed));
        let own_file = file.as_ref().filter(|_| !is_borrowed);
        let (socket, mut more) = (first.fd, sockets.map(|socket| socket.fd).collect::<Vec<_>>());
        let mut set_up = || {
            if let Place::Datagram(address) = place {
                return datagram::adopt(&socket, &mut more, address, options.datagram_sockets);
            }
            more.clear();
            own_file.map_or(Ok(()), |file| file.set_mode(options.mode))?;
            set_up_stream(&socket, options, matches!(place, Place::Unix(_)))
        };
        if let Err(error) = set_up() {
            let text = format!("{}: {}", address.text, reason(&error));
            return Some(Err(io::Error::new(error.kind(), text)));
        }
        let bound = match place {
            Place::Stream(address) | Place::Datagram(address) => Some(address),
            Place::Unix(_) => None,
        };
        let (text, file) = (Arc::new(address.text.clone()), Mutex::new(file));
        Some(Ok(Listener { socket, more, text, address: bound, file, is_borrowed }))
    }

    /// The name under which a supervisor keeps its sockets for the next pen; `None` where a socket unit has them.
    pub fn stored_as(&self) -> Option<String> {
        let place = match (self.address, self.path()) {
            (Some(address), _) => format!("{}_{address}", if self.is_datagram() { "udp" } else { "tcp" }),
            (None, path) => path?.display().to_string(),
        };
        let harmless = |letter: char| letter.is_ascii_alphanumeric() || "./_-".contains(letter);
        let name = place.replace(|letter| !harmless(letter), "_");
        (!self.is_borrowed).then(|| format!("{STORED}{name}"))
    }

    /// All that it has, the first one first.
    pub fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        [&self.socket].into_iter().chain(&self.more).map(AsFd::as_fd)
    }

    /// Leaves the file of a Unix socket where it is, for the next pen.
    pub fn keep_file(&self) {
        self.file().iter().for_each(|file| file.is_kept.store(true, Ordering::Relaxed));
    }

    fn is_datagram(&self) -> bool {
        getsockopt(&self.socket, sockopt::SockType) == Ok(SockType::Datagram)
    }

    /// The same listener for the same address, as it is written in another way; `None` for another address.
    ///
    /// # Errors
    /// A want of descriptors.
    pub fn renamed(&self, address: &ListenAddr, options: ListenOptions) -> Option<io::Result<Listener>> {
        let is_same = match (&address.host, &address.port) {
            (Host::Unix(path), _) => self.path().is_some_and(|own| *own == *PathBuf::from(path)),
            (host, Some(port)) => {
                let port = resolve::port_number(port).ok()?;
                self.address.is_some_and(|own| resolve::socket_address(host, port) == Ok(own))
            }
            (_, None) => false,
        };
        let again = || {
            let socket = self.socket.try_clone()?;
            if options.datagram_sockets == 0 {
                start(&socket, options)?;
            }
            let more = self.more.iter().map(OwnedFd::try_clone).collect::<io::Result<_>>()?;
            let (text, file) = (Arc::new(address.text.clone()), Mutex::new(self.file().clone()));
            let is_borrowed = self.is_borrowed;
            Ok(Listener { socket, more, text, address: self.address, file, is_borrowed })
        };
        is_same.then(again)
    }

    /// Whether both have one socket: one is the other [`Listener::renamed`].
    pub fn shares_socket(&self, other: &Listener) -> bool {
        let inode =
            |listener: &Listener| fstat(&listener.socket).map(|status| (status.st_dev, status.st_ino));
        inode(self).is_ok_and(|own| inode(other) == Ok(own))
    }

    /// Lets another listener of this user at an overlapping address be opened beside this one, with
    /// [`ListenOptions::shared`].
    pub fn share(&self, shared: bool) {
        for socket in [&self.socket].into_iter().chain(&self.more) {
            // Fails on Unix sockets, which have no ports.
            let _ = setsockopt(socket, sockopt::ReusePort, &shared);
        }
    }

    /// Whether its own sockets share the address.
    pub fn is_divided(&self) -> bool {
        !self.more.is_empty()
    }

    /// Makes another user the owner, who may then open listeners that share its port.
    pub fn give_to(&self, user: Uid, group: Gid) {
        for socket in [&self.socket].into_iter().chain(&self.more) {
            // Where that is not possible, no other listener can share.
            let _ = fchown(socket, Some(user), Some(group));
        }
    }

    /// From now on nobody begins to connect; true when there may be some who had begun.
    fn begin_no_more(&self) -> bool {
        // Without its file a Unix socket is found by nobody.
        *self.file() = None;
        // A socket unit goes on listening, and may start pen again.
        !self.is_borrowed && socket::begin_no_more(self.socket.as_fd()).is_ok() && self.address.is_some()
    }

    fn file(&self) -> MutexGuard<'_, Option<Arc<SocketFile>>> {
        lock(&self.file)
    }

    /// The socket at which this worker takes datagrams; that of the first one when there are not so many.
    pub fn datagram_socket(&self, worker: usize) -> BorrowedFd<'_> {
        let own = worker.checked_sub(1).and_then(|others| self.more.get(others));
        own.unwrap_or(&self.socket).as_fd()
    }

    /// Makes the file of a Unix socket that it made a file of this group.
    ///
    /// # Errors
    /// Only root and members of the group may.
    pub fn give_file_to(&self, group: Gid) -> io::Result<()> {
        let Some(file) = self.file().clone().filter(|_| !self.is_borrowed) else { return Ok(()) };
        fchownat(AT_FDCWD, &file.path, None, Some(group), AtFlags::AT_SYMLINK_NOFOLLOW)?;
        Ok(())
    }

    /// Whether clients accepted from now on send small pieces at once.
    pub fn set_nodelay(&self, nodelay: bool) {
        // Fails on Unix sockets, which do not delay.
        let _ = setsockopt(&self.socket, sockopt::TcpNoDelay, &nodelay);
    }

    /// Whether a client is taken only when it has sent something, or a second is over.
    pub fn set_defer_accept(&self, defers: bool) {
        // Fails on sockets that are not of TCP: nothing is deferred there.
        let _ = socket::set_option(
            self.socket.as_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            libc::c_int::from(defers),
        );
    }

    /// The path of a Unix socket listener.
    pub fn path(&self) -> Option<PathBuf> {
        self.file().as_ref().map(|file| file.path.clone())
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

type Sockets = (OwnedFd, Vec<OwnedFd>, Option<SocketFile>);

fn open_sockets(address: &ListenAddr, options: ListenOptions) -> io::Result<Sockets> {
    if let Host::Unix(path) = &address.host {
        let (socket, file) = open_unix(path, options)?;
        return Ok((socket, Vec::new(), Some(file)));
    }
    let port = address.port.as_ref().ok_or_else(|| io::Error::other("want a port"))?;
    let port = resolve::port_number(port).map_err(io::Error::other)?;
    let address = resolve::socket_address(&address.host, port).map_err(io::Error::other)?;
    if options.datagram_sockets == 0 {
        return Ok((open_internet(address, options)?, Vec::new(), None));
    }
    let (socket, more) = datagram::listen(address, options.datagram_sockets, options.shared)?;
    Ok((socket, more, None))
}

/// Where a socket for this address would be; `None` when the address leads nowhere.
fn place_of(address: &ListenAddr, options: ListenOptions) -> Option<Place> {
    if let Host::Unix(path) = &address.host {
        return Some(Place::Unix(path.into()));
    }
    let port = resolve::port_number(address.port.as_ref()?).ok()?;
    let place = resolve::socket_address(&address.host, port).ok()?;
    Some(if options.datagram_sockets == 0 { Place::Stream(place) } else { Place::Datagram(place) })
}

/// A listening socket as if it had been opened here.
fn set_up_stream(socket: &OwnedFd, options: ListenOptions, is_unix: bool) -> io::Result<()> {
    if !is_unix {
        setsockopt(socket, sockopt::KeepAlive, &true)?;
        setsockopt(socket, sockopt::TcpNoDelay, &options.nodelay)?;
    }
    start(socket, options)
}

fn new_socket(family: AddressFamily) -> io::Result<OwnedFd> {
    Ok(nix::sys::socket::socket(
        family,
        SockType::Stream,
        SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC,
        None,
    )?)
}

fn start(socket: &OwnedFd, options: ListenOptions) -> io::Result<()> {
    let backlog = i32::try_from(options.backlog).unwrap_or(i32::MAX);
    Ok(listen(socket, Backlog::new(backlog).unwrap_or(Backlog::MAXCONN))?)
}

fn open_internet(address: SocketAddr, options: ListenOptions) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = new_socket(family)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    setsockopt(&socket, sockopt::ReusePort, &options.shared)?;
    setsockopt(&socket, sockopt::KeepAlive, &true)?;
    if options.nodelay {
        setsockopt(&socket, sockopt::TcpNoDelay, &true)?;
    }
    if address.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6V6Only, &false)?;
    }
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    start(&socket, options)?;
    Ok(socket)
}

/// A file in the way is removed only when it is a socket that nobody answers on.
fn open_unix(path: &str, options: ListenOptions) -> io::Result<(OwnedFd, SocketFile)> {
    let address = UnixAddr::new(path)?;
    if let Ok(existing) = std::fs::symlink_metadata(path) {
        if !existing.file_type().is_socket() {
            return Err(io::Error::other("exists and is not a socket; not removed"));
        }
        if is_answered(&address)? {
            return Err(io::Error::from(io::ErrorKind::AddrInUse));
        }
        std::fs::remove_file(path)?;
    }
    let socket = new_socket(AddressFamily::Unix)?;
    let mode = options.mode.map(|mode| Mode::from_bits_truncate(mode as libc::mode_t));
    if let Some(mode) = mode {
        // On Linux bind(2) gives the file what the socket has of it, less the umask; elsewhere this may be an error.
        let _ = fchmod(&socket, mode);
    }
    bind(socket.as_raw_fd(), &address)?;
    let file = SocketFile::at(path.into())?;
    // The umask is every thread's and stays. Nobody connects before listen(2), whatever the file allows until then.
    if let Some(mode) = mode
        && std::fs::symlink_metadata(path)?.mode() as libc::mode_t & 0o777 != mode.bits()
    {
        fchmodat(AT_FDCWD, path, mode, FchmodatFlags::NoFollowSymlink)?;
    }
    start(&socket, options)?;
    Ok((socket, file))
}

/// Whether somebody listens there. A full queue is an answer too, and not waited for.
fn is_answered(address: &UnixAddr) -> io::Result<bool> {
    match connect(new_socket(AddressFamily::Unix)?.as_raw_fd(), address) {
        Ok(()) | Err(Errno::EAGAIN) => Ok(true),
        Err(Errno::ECONNREFUSED) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tempdir::TempDir;
    use std::os::unix::fs::PermissionsExt;

    const OPTIONS: ListenOptions =
        ListenOptions { backlog: 0, nodelay: true, mode: Some(0o600), datagram_sockets: 0, shared: false };

    #[test]
    fn a_unix_socket_has_the_mode_that_is_wanted_and_no_other() {
        let directory = TempDir::new();
        for mode in [0o600, 0o660, 0o666, 0o777] {
            let path = directory.join(format!("socket-{mode:o}"));
            let address = ListenAddr::parse(path.to_str().unwrap()).unwrap();
            let _listener = Listener::open(&address, ListenOptions { mode: Some(mode), ..OPTIONS }).unwrap();
            let got = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert_eq!(got, mode, "{got:o} instead of {mode:o}");
        }
    }

    #[test]
    fn a_unix_socket_with_a_full_queue_is_in_use() {
        let directory = TempDir::new();
        let address = ListenAddr::parse(directory.join("socket").to_str().unwrap()).unwrap();
        let listener = Listener::open(&address, OPTIONS).unwrap();
        let _waiting = std::os::unix::net::UnixStream::connect(listener.path().unwrap()).unwrap();
        let error = Listener::open(&address, OPTIONS).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{error}");
        assert!(error.to_string().ends_with("/socket: address in use"), "{error}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn who_is_connected_stays_and_nobody_comes_after() {
        use nix::sys::socket::accept;
        use std::net::TcpStream;
        let options = ListenOptions { backlog: 9, ..OPTIONS };
        let mut any_port = ListenAddr::parse("127.0.0.1:1").unwrap();
        any_port.port = Some(pen_proto::addr::Port::Number(0));
        let listener = Listener::open(&any_port, options).unwrap();
        let waiting = TcpStream::connect(listener.address.unwrap()).unwrap();
        begin_no_more([&listener]);
        let late = TcpStream::connect(listener.address.unwrap()).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::ConnectionRefused);
        assert!(accept(listener.socket.as_raw_fd()).is_ok(), "{waiting:?} waited");
        assert_eq!(accept(listener.socket.as_raw_fd()), Err(Errno::EAGAIN));
    }

    #[test]
    fn one_address_has_one_listener_however_it_is_written() {
        let directory = TempDir::new();
        let path = directory.join("socket").to_str().unwrap().to_string();
        let parse = |text: &str| ListenAddr::parse(text).unwrap();
        let listener = Listener::open(&parse(&path), OPTIONS).unwrap();
        let renamed =
            listener.renamed(&parse(&path.replace("/socket", "//socket")), OPTIONS).unwrap().unwrap();
        drop(listener);
        assert!(renamed.path().unwrap().exists(), "it is still listened on");
        assert!(renamed.renamed(&parse("127.0.0.1:80"), OPTIONS).is_none());
        drop(renamed);
        assert!(!directory.join("socket").exists());
    }

    #[test]
    fn a_unix_socket_left_behind_is_replaced_and_removed_at_the_end() {
        let directory = TempDir::new();
        let path = directory.join("socket");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let address = ListenAddr::parse(path.to_str().unwrap()).unwrap();
        let listener = Listener::open(&address, OPTIONS).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        drop(listener);
        assert!(!path.exists());
    }
}
