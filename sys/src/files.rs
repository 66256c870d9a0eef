//! Files that others must not be able to turn against pen: pid file, logs, statistics, saved configuration.
//!
//! pen often starts as root and writes where others may write too, so no path is opened before it is known what it
//! leads to. A symbolic link anywhere in a path counts only if root or the user that pen is placed it, and in a directory
//! where not everybody may; a file is replaced by a finished one wherever its directory allows that. Called by the main thread; must not be called by workers, it blocks.

use crate::escape::Escaped;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, Flock, FlockArg, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, fchown, geteuid};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Permissions of everything pen creates, less the umask: others may read, only the owner may write.
pub const MODE: u32 = 0o644;

/// As many links as Linux follows in one path.
const LINKS_MAX: usize = 40;

/// Write permission for everybody, in `st_mode`.
const WORLD_WRITABLE: u32 = 0o002;

/// How a file got its new text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// Readers see the old text or the new one, never a part.
    Whole,
    /// Its directory allows no other file: readers may see the beginning of the new text before the end of the old one.
    InPlace,
}

/// Replaces the file at `path` by `bytes`, with the permissions `mode` less the umask.
///
/// The file keeps its owner where the system allows that, which is for root: a page that pen writes after it gave up its
/// privileges must stay its own when a job of root replaces it. Where pen may write the file but not its directory, the
/// file is written in place; it is never empty meanwhile.
///
/// # Errors
/// What the system says; [`ErrorKind::InvalidInput`] when `path` leads to something that is not a regular file, or
/// through a link that others may have placed.
pub fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> io::Result<Written> {
    let target = follow(path)?;
    let old = regular(&target)?;
    match Temporary::create(&target, mode) {
        Ok(mut temporary) => {
            temporary.file.write_all(bytes)?;
            if let Some(old) = old {
                keep_owner(&temporary.file, &old)?;
            }
            temporary.replace(&target)?;
            Ok(Written::Whole)
        }
        Err(error) if old.is_some() && error.kind() == ErrorKind::PermissionDenied => {
            overwrite(&target, bytes)?;
            Ok(Written::InPlace)
        }
        Err(error) => Err(error),
    }
}

/// A file that is written piece by piece and takes its place only when it is finished; otherwise it leaves nothing.
pub struct NewFile {
    temporary: Temporary,
    target: PathBuf,
}

impl NewFile {
    /// With the permissions of the file whose place it will take, or `mode` less the umask.
    ///
    /// # Errors
    /// What the system says; [`ErrorKind::InvalidInput`] when something else than a regular file is there, be it a link.
    pub fn create(target: &Path, mode: u32) -> io::Result<NewFile> {
        let old = regular(target)?;
        let temporary = Temporary::create(target, mode)?;
        if let Some(old) = old {
            temporary.file.set_permissions(old.permissions())?;
        }
        Ok(NewFile { temporary, target: target.to_path_buf() })
    }

    /// Where it is until it is finished.
    pub fn unfinished_path(&self) -> &Path {
        self.temporary.path.as_ref().expect("still temporary")
    }

    /// Puts it on the disk and then in its place.
    ///
    /// # Errors
    /// What the system says; what was there is untouched.
    pub fn publish(self) -> io::Result<()> {
        self.temporary.file.sync_all()?;
        self.temporary.replace(&self.target)
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.temporary.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens a log for appending and creates it when it is missing.
///
/// A FIFO is opened without waiting for a reader, and writing to it never waits either. `/dev/stdout` and
/// `/dev/stderr` work whatever is behind them.
///
/// # Errors
/// What the system says; [`ErrorKind::InvalidInput`] for a link that others may have placed.
pub fn open_append(path: &Path) -> io::Result<File> {
    let target = follow(path)?;
    match open(&target, OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT | OFlag::O_NONBLOCK, MODE) {
        // A FIFO that nobody reads, or a socket behind /dev/stdout: neither can be opened for writing only.
        Err(error) if error.raw_os_error() == Some(nix::libc::ENXIO) => match standard_stream(path) {
            Some(stream) => stream,
            // Being a reader of it too, pen neither waits for one nor loses the log when one goes away.
            None => open(&target, OFlag::O_RDWR | OFlag::O_NONBLOCK, 0),
        },
        opened => opened,
    }
}

/// As [`open_append`], but the file itself must be no link, whoever placed it.
///
/// # Errors
/// As [`open_append`].
pub fn open_messages(path: &Path) -> io::Result<File> {
    match is_link(path)? {
        true => Err(refusal(path, "is a symbolic link")),
        false => open_append(path),
    }
}

/// Opens what [`follow`] found, and nothing else: whatever became a link since then is an error. `mode` is for a file
/// that is created, 0 without O_CREAT.
fn open(target: &Path, flags: OFlag, mode: u32) -> io::Result<File> {
    let flags = flags | OFlag::O_CLOEXEC;
    let how = OpenHow::new().flags(flags).mode(Mode::from_bits_truncate(mode));
    let resolve = if is_magic(target) { ResolveFlag::empty() } else { ResolveFlag::RESOLVE_NO_SYMLINKS };
    match openat2(AT_FDCWD, target, how.resolve(resolve)) {
        Ok(file) => Ok(file.into()),
        // A kernel before 5.6, or a filter that does not know the call: at least the last name is no link.
        Err(Errno::ENOSYS | Errno::EPERM) => {
            let flags = if is_magic(target) { flags } else { flags | OFlag::O_NOFOLLOW };
            Ok(nix::fcntl::open(target, flags, Mode::from_bits_truncate(mode))?.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// The stream that `/dev/stdout` or `/dev/stderr` stands for, when the path is one of them.
fn standard_stream(path: &Path) -> Option<io::Result<File>> {
    let copy = match path.to_str()? {
        "/dev/stdout" => io::stdout().as_fd().try_clone_to_owned(),
        "/dev/stderr" => io::stderr().as_fd().try_clone_to_owned(),
        _ => return None,
    };
    Some(copy.map(File::from))
}

/// Where `path` leads, without a link in it but those of /proc; what is there may not exist yet.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut links_left = LINKS_MAX;
    let mut target = PathBuf::new();
    // The names still to go, the next one last.
    let mut names: Vec<OsString> = names_of(path).rev().collect();
    while let Some(name) = names.pop() {
        let place = target.join(&name);
        if is_magic(&place) {
            target = names.iter().rev().fold(place, |path, name| path.join(name));
            break;
        }
        if !is_link(&place)? {
            target = place;
            continue;
        }
        may_be_followed(&place)?;
        links_left = links_left
            .checked_sub(1)
            .ok_or_else(|| refusal(path, "leads through too many symbolic links"))?;
        // An absolute one begins with `/`, which replaces the directory when it is joined.
        names.extend(names_of(&fs::read_link(&place)?).rev());
    }
    // A path that is to lead to a directory still says so.
    Ok(if path.as_os_str().as_bytes().ends_with(b"/") { target.join("") } else { target })
}

fn names_of(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().map(Component::as_os_str).map(OsString::from).collect::<Vec<_>>().into_iter()
}

/// # Errors
/// Somebody with fewer privileges may have placed the link.
fn may_be_followed(link: &Path) -> io::Result<()> {
    if fs::metadata(directory_of(link))?.mode() & WORLD_WRITABLE != 0 {
        return Err(refusal(link, "is a symbolic link in a directory where everybody may write"));
    }
    let owner = fs::symlink_metadata(link)?.uid();
    if owner != 0 && owner != geteuid().as_raw() {
        return Err(refusal(link, "is a symbolic link that belongs to another user"));
    }
    Ok(())
}

fn is_link(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(metadata.is_symlink()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The links in /proc lead to open files; their text (`pipe:[123]`) is no path. Only the kernel places them.
fn is_magic(path: &Path) -> bool {
    path.starts_with("/proc") || path.starts_with("/dev/fd")
}

fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// Opens for reading without waiting (a named pipe would wait for its writer).
///
/// # Errors
/// It cannot be opened, or is no regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("not a regular file")),
    }
}

/// The text of a file of at most `bytes_max` bytes; what is not UTF-8 in it is replaced.
///
/// # Errors
/// As [`open_regular`], or it cannot be read, or is longer.
pub fn read_text(path: &Path, bytes_max: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    open_regular(path)?.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > bytes_max {
        true => Err(io::Error::other(format!("more than {bytes_max} bytes"))),
        false => Ok(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

/// As [`open_regular`], but takes /dev/null too: the file of who has nothing to say.
///
/// # Errors
/// As [`open_regular`].
pub fn open_regular_or_null(path: &Path) -> io::Result<File> {
    let is_null = |metadata: fs::Metadata| {
        metadata.file_type().is_char_device()
            && fs::metadata("/dev/null").is_ok_and(|null| null.rdev() == metadata.rdev())
    };
    match fs::metadata(path).is_ok_and(is_null) {
        true => File::open(path),
        false => open_regular(path),
    }
}

/// What is there, if anything; an error when it is not a regular file.
fn regular(path: &Path) -> io::Result<Option<fs::Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(Some(metadata)),
        Ok(metadata) => Err(refusal(path, describe(metadata.file_type()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Gives a new file to the owner of the one whose place it will take.
fn keep_owner(new: &File, old: &fs::Metadata) -> io::Result<()> {
    let ours = new.metadata()?;
    if !geteuid().is_root() || (ours.uid(), ours.gid()) == (old.uid(), old.gid()) {
        return Ok(());
    }
    Ok(fchown(new, Some(Uid::from_raw(old.uid())), Some(Gid::from_raw(old.gid())))?)
}

fn describe(kind: fs::FileType) -> &'static str {
    if kind.is_dir() {
        "is a directory"
    } else if kind.is_fifo() {
        "is a FIFO"
    } else if kind.is_socket() {
        "is a socket"
    } else {
        "is not a regular file"
    }
}

fn refusal(path: &Path, reason: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, format!("{} {reason}", path.display()))
}

/// Not atomic; for a file whose directory pen may not write. In one go and cut off afterwards, so that nobody finds it
/// empty.
fn overwrite(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = open_existing(OFlag::O_WRONLY, path)?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)
}

/// Opens a regular file that exists and is not a link, whatever may have happened to the path since it was looked at.
fn open_existing(access: OFlag, path: &Path) -> io::Result<File> {
    let file = open(path, access | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK, 0)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(refusal(path, "is not a regular file")) }
}

/// A file under construction beside its target; gone again unless it took the target's place.
struct Temporary {
    file: File,
    path: Option<PathBuf>,
}

impl Temporary {
    fn create(target: &Path, mode: u32) -> io::Result<Temporary> {
        const ATTEMPTS_MAX: usize = 100;
        let mut last = None;
        for _ in 0..ATTEMPTS_MAX {
            let path = temporary_path(target)?;
            // O_EXCL: neither follows a link nor takes a file that somebody has placed there.
            match open(&path, OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL, mode) {
                Ok(file) => return Ok(Temporary { file, path: Some(path) }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.expect("at least one attempt"))
    }

    /// Takes the place of whatever is at `target`.
    fn replace(mut self, target: &Path) -> io::Result<()> {
        fs::rename(self.path.as_ref().expect("still temporary"), target)?;
        self.path = None;
        Ok(())
    }

    /// Takes the place at `target` if nothing is there; the error is [`ErrorKind::AlreadyExists`] otherwise.
    fn place(self, target: &Path) -> io::Result<()> {
        fs::hard_link(self.path.as_ref().expect("still temporary"), target)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // Nobody can be told, and a stray temporary file harms nothing.
            let _ = fs::remove_file(path);
        }
    }
}

/// `.NAME.PID.COUNT`, in the directory of the target: renaming works only inside a file system.
fn temporary_path(target: &Path) -> io::Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = target.file_name().ok_or_else(|| refusal(target, "has no file name"))?;
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    Ok(directory_of(target).join(temporary))
}

/// The file that says which process is pen: its number in decimal, without a newline, as Pen writes it.
///
/// The file is locked (flock) as long as pen lives, so a file left behind by a crash is told from one in use. Dropping
/// removes it; where that is no longer possible it is emptied, so that it names nobody.
pub struct PidFile {
    path: PathBuf,
    pid: u32,
    file: Flock<File>,
}

impl PidFile {
    /// Writes the number of this process, so call it after the last fork.
    ///
    /// # Errors
    /// [`ErrorKind::ResourceBusy`] with the other's number when another pen holds the file; else as
    /// [`write_atomically`].
    pub fn create(path: &Path) -> io::Result<PidFile> {
        const ATTEMPTS_MAX: usize = 10;
        let path = std::path::absolute(follow(path)?)?;
        let pid = std::process::id();
        for _ in 0..ATTEMPTS_MAX {
            let file = match open_to_lock(&path) {
                Ok(old) => replace_pid(&path, old, pid)?,
                Err(error) if error.kind() == ErrorKind::NotFound => place_pid(&path, pid)?,
                Err(error) => return Err(error),
            };
            if let Some(file) = file {
                return Ok(PidFile { path, pid, file });
            }
        }
        Err(io::Error::new(ErrorKind::ResourceBusy, format!("{} changes all the time", path.display())))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // A forked child is not the process that the file names.
        if std::process::id() != self.pid {
            return;
        }
        let removed = is_at(&self.file, &self.path) && fs::remove_file(&self.path).is_ok();
        if !removed {
            // The last attempt to leave no number behind that another process may get; there is no other.
            let _ = self.file.set_len(0);
        }
    }
}

/// For writing where that is allowed, so that the file can be kept when its directory may not be written.
fn open_to_lock(path: &Path) -> io::Result<File> {
    match open_existing(OFlag::O_RDWR, path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => open_existing(OFlag::O_RDONLY, path),
        opened => opened,
    }
}

/// `None` when somebody else replaced the file meanwhile.
fn replace_pid(path: &Path, old: File, pid: u32) -> io::Result<Option<Flock<File>>> {
    let mut old = lock(old, path)?;
    if !is_at(&old, path) {
        return Ok(None);
    }
    match Temporary::create(path, MODE) {
        Ok(mut temporary) => {
            write_pid(&mut temporary.file, pid)?;
            // Renaming does not change the inode, so the lock is there before anybody can see the file.
            let locked = lock(temporary.file.try_clone()?, path)?;
            temporary.replace(path)?;
            Ok(Some(locked))
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            old.set_len(0)?;
            write_pid(&mut old, pid)?;
            Ok(Some(old))
        }
        Err(error) => Err(error),
    }
}

/// `None` when somebody else was faster.
fn place_pid(path: &Path, pid: u32) -> io::Result<Option<Flock<File>>> {
    let mut temporary = Temporary::create(path, MODE)?;
    write_pid(&mut temporary.file, pid)?;
    let locked = lock(temporary.file.try_clone()?, path)?;
    match temporary.place(path) {
        Ok(()) => Ok(Some(locked)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(error),
    }
}

fn write_pid(file: &mut File, pid: u32) -> io::Result<()> {
    file.write_all(pid.to_string().as_bytes())
}

fn lock(file: File, path: &Path) -> io::Result<Flock<File>> {
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(file, error)| match error {
        nix::errno::Errno::EWOULDBLOCK => held(file, path),
        error => error.into(),
    })
}

fn held(file: File, path: &Path) -> io::Error {
    let mut number = String::new();
    let holder = match file.take(20).read_to_string(&mut number) {
        Ok(1..) => format!("process {}", Escaped(number.trim())),
        _ => "another process".into(),
    };
    io::Error::new(
        ErrorKind::ResourceBusy,
        format!("{} belongs to {holder}, which is running", path.display()),
    )
}

/// Whether `path` still leads to this very file.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(there)) => (open.dev(), open.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
