//! A program on a terminal of its own: keys in, what is shown out.

use super::wait::eventually;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::ttyname;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, ExitStatus, Stdio};

/// Milliseconds of silence after which what is waited for will not come.
const SILENCE_MS: u16 = 20_000;

/// A program on a terminal of its own. It is killed when this is dropped.
pub struct Terminal {
    master: File,
    name: String,
    pub child: Child,
    /// Shown and not yet waited for.
    shown: String,
}

impl Terminal {
    /// Starts `command` on a terminal with so many columns and rows.
    pub fn start(mut command: Command, (columns, rows): (u16, u16)) -> Terminal {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave } = openpty(&size, None).unwrap();
        // A program that had this end, too, would never hear that it is closed.
        fcntl(&master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
        let name = ttyname(&slave).unwrap().display().to_string();
        let slave = || Stdio::from(slave.try_clone().unwrap());
        command.stdin(slave()).stdout(slave()).stderr(slave());
        command.env("TERM", "xterm").env_remove("NO_COLOR").env_remove("XDG_STATE_HOME");
        let child = command.spawn().unwrap();
        Terminal { master: File::from(master), name, child, shown: String::new() }
    }

    /// Types.
    pub fn write(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// What is shown up to and with `wanted`, after what was waited for last; fails after a long silence.
    pub fn until(&mut self, wanted: &str) -> String {
        loop {
            if let Some(at) = self.shown.find(wanted) {
                return self.shown.drain(..at + wanted.len()).collect();
            }
            let more = self.read().unwrap_or_else(|trouble| panic!("{trouble} {wanted:?}: {:?}", self.shown));
            self.shown.push_str(&String::from_utf8_lossy(&more));
        }
    }

    /// Whether it takes lines, and shows what is typed: as shells and programs leave it to each other.
    pub fn is_cooked(&self) -> bool {
        let flags = tcgetattr(&self.master).unwrap().local_flags;
        flags.contains(LocalFlags::ICANON | LocalFlags::ECHO)
    }

    /// Hangs up, as a terminal that is closed does. How the program ended.
    pub fn hang_up(mut self) -> ExitStatus {
        self.master = File::open("/dev/null").unwrap();
        let ended = eventually("its end", || self.child.try_wait().unwrap(), Option::is_some);
        ended.expect("waited for")
    }

    /// The path of its device.
    pub fn name(&self) -> String {
        self.name.clone()
    }

    /// What is shown next.
    ///
    /// # Errors
    /// Nothing comes, in words to be followed by what was waited for.
    pub fn read(&mut self) -> Result<Vec<u8>, &'static str> {
        let mut sockets = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
        if poll(&mut sockets, PollTimeout::from(SILENCE_MS)).unwrap() == 0 {
            return Err("waited in vain for");
        }
        let mut buffer = [0; 4096];
        match self.master.read(&mut buffer).unwrap_or(0) {
            0 => Err("the program ended before"),
            count => Ok(buffer[..count].to_vec()),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
