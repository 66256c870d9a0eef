//! systemd's side of its protocols: a journal, a socket that hears of readiness and states and keeps descriptors, and a start that
//! hands them down.

use crate::common::tempdir::TempDir;
use crate::common::wait::{PATIENCE, eventually, watch};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use std::cell::RefCell;
use std::fs::{self, File};
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

/// What a unit has.
pub struct Supervisor {
    dir: TempDir,
    socket: UnixDatagram,
    heard: RefCell<Heard>,
}

#[derive(Default)]
struct Heard {
    states: Vec<String>,
    kept: Vec<(String, OwnedFd)>,
}

impl Supervisor {
    pub fn new() -> Supervisor {
        let dir = TempDir::new();
        let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        socket.set_nonblocking(true).unwrap();
        Supervisor { dir, socket, heard: RefCell::default() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts pen with these words, hands it at most three descriptors down, and waits until it is ready.
    ///
    /// # Panics
    /// When it ends instead, with what it said.
    pub fn start(&self, words: &[&str], handed_down: Vec<(String, OwnedFd)>) -> Unit<'_> {
        self.heard.borrow_mut().states.clear();
        let names: Vec<&str> = handed_down.iter().map(|(name, _)| &**name).collect();
        // The standard streams are the only descriptors that a child gets without others getting them, too.
        let listen = match names.len() {
            0 => String::new(),
            count => format!("LISTEN_PID=$$ LISTEN_FDS={count} LISTEN_FDNAMES='{}' ", names.join(":")),
        };
        let mut moved = String::new();
        for (number, from) in ["<&0", ">&1", ">&2"].iter().enumerate().take(names.len()) {
            moved += &format!("{}{from} ", number + 3);
        }
        let error = self.path("stderr");
        let script = format!("{listen}exec \"$@\" {moved}</dev/null >/dev/null 2>\"{}\"", error.display());
        let mut streams = handed_down.into_iter().map(|(_, fd)| Stdio::from(fd));
        let mut next = || streams.next().unwrap_or_else(Stdio::null);
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_pen"), "-f"]).args(words);
        command.stdin(next()).stdout(next()).stderr(next()).current_dir(self.dir.path());
        command.env("NOTIFY_SOCKET", self.path("notify")).env("FDSTORE", "8");
        let journal = File::create(&error).unwrap().metadata().unwrap();
        command.env("JOURNAL_STREAM", format!("{}:{}", journal.dev(), journal.ino()));
        let mut unit = Unit { supervisor: self, child: command.spawn().unwrap() };
        eventually(
            "pen to be ready",
            || {
                let ended = unit.child.try_wait().unwrap();
                assert!(ended.is_none(), "{ended:?}: {}", self.said());
                self.has_heard("READY=1")
            },
            |ready| *ready,
        );
        unit
    }

    /// What pen has said.
    pub fn said(&self) -> String {
        fs::read_to_string(self.path("stderr")).unwrap_or_default()
    }

    /// Whether this state came, also as a beginning.
    pub fn has_heard(&self, state: &str) -> bool {
        self.hear();
        self.heard.borrow().states.iter().any(|heard| heard.starts_with(state))
    }

    /// The names of what it keeps.
    pub fn kept(&self) -> Vec<String> {
        self.hear();
        self.heard.borrow().kept.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Gives away what it keeps, for the next start.
    pub fn take_kept(&self) -> Vec<(String, OwnedFd)> {
        self.hear();
        std::mem::take(&mut self.heard.borrow_mut().kept)
    }

    fn hear(&self) {
        let Heard { states, kept } = &mut *self.heard.borrow_mut();
        while let Some((text, descriptors)) = self.receive() {
            let name = text.lines().find_map(|line| line.strip_prefix("FDNAME=")).unwrap_or_default();
            if text.lines().any(|line| line == "FDSTORE=1") {
                kept.extend(descriptors.into_iter().map(|descriptor| (name.to_string(), descriptor)));
            } else if text.lines().any(|line| line == "FDSTOREREMOVE=1") {
                kept.retain(|(kept, _)| kept != name);
            }
            states.extend(text.lines().map(String::from));
        }
    }

    /// One datagram, and the descriptors that came with it.
    fn receive(&self) -> Option<(String, Vec<OwnedFd>)> {
        let mut bytes = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut rights = RecvAncillaryBuffer::new(&mut space);
        let parts = &mut [IoSliceMut::new(&mut bytes)];
        let length = recvmsg(&self.socket, parts, &mut rights, RecvFlags::CMSG_CLOEXEC).ok()?.bytes;
        let descriptors = rights.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        });
        let descriptors = descriptors.flatten().collect();
        Some((String::from_utf8_lossy(&bytes[..length]).into_owned(), descriptors))
    }
}

/// A pen under supervision; killed when dropped.
pub struct Unit<'a> {
    supervisor: &'a Supervisor,
    child: Child,
}

impl Unit<'_> {
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("pen is gone");
    }

    /// # Panics
    /// When it does not end.
    pub fn wait(&mut self) -> Option<i32> {
        let ended = watch(|| self.child.try_wait().unwrap(), Option::is_some).unwrap_or_default();
        let ended: ExitStatus = ended
            .unwrap_or_else(|| panic!("pen did not end within {PATIENCE:?}\n{}", self.supervisor.said()));
        ended.code()
    }
}

impl Drop for Unit<'_> {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
