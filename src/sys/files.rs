//! Files that others must not be able to turn against pen: pid file, logs, statistics, saved configuration.
//!
//! pen often starts as root and writes where others may write too, so no path is opened before it is known what it
//! leads to. Symbolic links count only where nobody but the owner of the directory can place them; a file is replaced
//! by a finished one, never half written. Called by the main thread; must not be called by workers, it blocks.

use crate::escape::Escaped;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::unistd::{Gid, Uid, fchown, geteuid};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Permissions of everything pen creates, less the umask: others may read, only the owner may write.
pub const MODE: u32 = 0o644;

/// As many links as Linux follows in one path.
const LINKS_MAX: usize = 40;

/// Write permission for everybody, in `st_mode`.
const WORLD_WRITABLE: u32 = 0o002;

/// Replaces the file at `path` by `bytes`, with the permissions `mode` less the umask. Readers see the old file or
/// the new one, never a part.
///
/// The file keeps its owner where the system allows that, which is for root: a page that pen writes after it gave up its
/// privileges must stay its own when a job of root replaces it. Where pen may write the file but not its directory, the
/// file is written in place.
///
/// # Errors
/// What the system says; [`ErrorKind::InvalidInput`] when `path` leads to something that is not a regular file, or
/// through a link in a directory where everybody may write.
pub fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let target = follow(path)?;
    let old = regular(&target)?;
    match Temporary::create(&target, mode) {
        Ok(mut temporary) => {
            temporary.file.write_all(bytes)?;
            if let Some(old) = old {
                keep_owner(&temporary.file, &old)?;
            }
            temporary.replace(&target)
        }
        Err(error) if old.is_some() && error.kind() == ErrorKind::PermissionDenied => {
            overwrite(&target, bytes)
        }
        Err(error) => Err(error),
    }
}

/// Opens a log for appending and creates it when it is missing.
///
/// A FIFO is opened without waiting for a reader, and writing to it never waits either. `/dev/stdout` and
/// `/dev/stderr` work whatever is behind them.
///
/// # Errors
/// What the system says; [`ErrorKind::InvalidInput`] for a link in a directory where everybody may write.
pub fn open_append(path: &Path) -> io::Result<File> {
    let target = follow(path)?;
    let link = if is_magic(&target) { OFlag::empty() } else { OFlag::O_NOFOLLOW };
    let flags = (OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | link).bits();
    let opened = OpenOptions::new().append(true).create(true).mode(MODE).custom_flags(flags).open(&target);
    match opened {
        // A FIFO that nobody reads, or a socket behind /dev/stdout: neither can be opened for writing only.
        Err(error) if error.raw_os_error() == Some(nix::libc::ENXIO) => match standard_stream(path) {
            Some(stream) => stream,
            // Being a reader of it too, pen neither waits for one nor loses the log when one goes away.
            None => OpenOptions::new().read(true).write(true).custom_flags(flags).open(&target),
        },
        opened => opened,
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

/// Where `path` leads: the end of the chain of links, which may not exist yet.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_path_buf();
    for _ in 0..LINKS_MAX {
        if is_magic(&target) || !is_link(&target)? {
            return Ok(target);
        }
        let directory = directory_of(&target);
        if fs::metadata(&directory)?.mode() & WORLD_WRITABLE != 0 {
            return Err(refusal(&target, "is a symbolic link in a directory where everybody may write"));
        }
        // Joining an absolute path replaces the directory.
        target = directory.join(fs::read_link(&target)?);
    }
    Err(refusal(path, "leads through too many symbolic links"))
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

/// Not atomic; for a file whose directory pen may not write.
fn overwrite(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = open_existing(OpenOptions::new().write(true), path)?;
    file.set_len(0)?;
    file.write_all(bytes)
}

/// Opens a regular file that exists and is not a link, whatever may have happened to the path since it was looked at.
fn open_existing(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    let file = options.custom_flags(flags.bits()).open(path)?;
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
            match OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(mode)
                .custom_flags((OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW).bits())
                .open(&path)
            {
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
    match open_existing(OpenOptions::new().read(true).write(true), path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            open_existing(OpenOptions::new().read(true), path)
        }
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
