//! Programs that pen runs beside itself: started without a shell, asked over a pipe, and ended with all that they have
//! started.
//!
//! Owns no policy: when a program is asked, and how long it may take, is the caller's business.

#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};

/// A program that runs, or has ended and is not forgotten yet.
#[derive(Debug)]
pub struct Program {
    child: Child,
    group: Pid,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    stderr: ChildStderr,
}

impl Program {
    /// Starts a program, found by its path or in PATH, in a process group of its own, with this environment, and with no
    /// other descriptors than its three.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(
        program: &OsStr,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> io::Result<Program> {
        keep_descriptors();
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(environment).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let group = Pid::from_raw(child.id() as i32);
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            unreachable!("all three are pipes");
        };
        for pipe in [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()] {
            fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        Ok(Program { child, group, stdin: Some(stdin), stdout, stderr })
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it writes on standard output and on standard error: readable when there is something, or it has ended.
    pub fn outputs(&self) -> [BorrowedFd<'_>; 2] {
        [self.stdout.as_fd(), self.stderr.as_fd()]
    }

    /// Writes a line to it. False when it takes none: it has ended, or has not read what it was told before.
    pub fn tell(&mut self, line: &[u8]) -> bool {
        let Some(stdin) = &mut self.stdin else { return false };
        matches!(stdin.write(line), Ok(count) if count == line.len())
    }

    /// Lets it see the end of its input.
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Reads its standard output. `None`: nothing is there now; zero bytes: it writes no more.
    pub fn read(&mut self, buffer: &mut [u8]) -> Option<usize> {
        read(&mut self.stdout, buffer)
    }

    /// The same for its standard error.
    pub fn read_errors(&mut self, buffer: &mut [u8]) -> Option<usize> {
        read(&mut self.stderr, buffer)
    }

    /// Sends a signal to it and to what it has started.
    pub fn signal(&self, signal: Signal) {
        // There may be nobody left.
        let _ = killpg(self.group, signal);
    }

    /// Whether it has ended; what it has started and left behind is killed then. Answers how it ended, in words.
    pub fn take_end(&mut self) -> Option<String> {
        let options = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(self.group), options) {
            Ok(WaitStatus::StillAlive) => return None,
            // As long as it is not reaped, its number is not given to another group.
            Ok(_) => self.signal(Signal::SIGKILL),
            Err(_) => {}
        }
        let status = self.child.try_wait().ok().flatten();
        Some(match status {
            Some(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("ended with status {code}"),
                (None, Some(signal)) => format!("was ended by signal {signal}"),
                (None, None) => "ended".into(),
            },
            None => "ended".into(),
        })
    }
}

fn read(pipe: &mut impl Read, buffer: &mut [u8]) -> Option<usize> {
    match pipe.read(buffer) {
        Ok(count) => Some(count),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => None,
        Err(_) => Some(0),
    }
}

/// Has no program inherit what pen has open. What pen opens itself is never inherited; this is for what was open when pen
/// was started.
fn keep_descriptors() {
    #[cfg(target_os = "linux")]
    // SAFETY: it only marks descriptors, as FD_CLOEXEC does for each.
    let marked =
        unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    #[cfg(not(target_os = "linux"))]
    let marked = -1;
    if marked == 0 {
        return;
    }
    let last = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE);
    for fd in 3..last.map_or(1024, |(soft, _)| soft.min(65_536)) as i32 {
        // SAFETY: a descriptor that is not open is an error and nothing else.
        if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 && Errno::last() != Errno::EBADF
        {
            break;
        }
    }
}

impl Drop for Program {
    /// Nobody is left behind.
    fn drop(&mut self) {
        if self.take_end().is_none() {
            self.signal(Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use std::fs::File;
    use std::os::fd::AsRawFd;

    fn shell(script: &str) -> Program {
        let environment = [("PATH".into(), "/usr/bin:/bin".into()), ("ONLY".into(), "this".into())];
        Program::start(OsStr::new("sh"), ["-c", script], environment).unwrap()
    }

    fn wait<T>(mut look: impl FnMut() -> Option<T>) -> T {
        for _ in 0..4_000 {
            if let Some(found) = look() {
                return found;
            }
            clock::wait_ms(5);
        }
        panic!("waited in vain");
    }

    fn said(program: &mut Program) -> String {
        let mut text = Vec::new();
        wait(|| {
            let mut buffer = [0; 1000];
            loop {
                match program.read(&mut buffer) {
                    Some(0) => return Some(String::from_utf8(text.clone()).unwrap()),
                    Some(count) => text.extend_from_slice(&buffer[..count]),
                    None => return None,
                }
            }
        })
    }

    #[test]
    fn it_has_its_words_its_environment_and_no_descriptor_of_ours() {
        let inherited = File::open("/dev/null").unwrap();
        let fd = inherited.as_raw_fd();
        fcntl(&inherited, FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
        let mut program = shell(&format!(
            "read word; echo \"$word $ONLY $HOME\"; (: <&{fd}) 2>/dev/null && echo open; exit 3"
        ));
        assert!(program.tell(b"hello\n"));
        assert_eq!(said(&mut program), "hello this \n");
        assert_eq!(wait(|| program.take_end()), "ended with status 3");
        assert!(Program::start(OsStr::new("/no/such"), [""], []).is_err());
    }

    #[test]
    fn its_children_end_with_it() {
        let mut program = shell("sleep 1000 & echo $!; read word");
        let sleeper = wait(|| {
            let mut buffer = [0; 100];
            let count = program.read(&mut buffer)?;
            String::from_utf8_lossy(&buffer[..count]).trim().parse::<i32>().ok()
        });
        program.end_input();
        wait(|| program.take_end());
        let is_gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{sleeper}/stat")).unwrap_or_default();
            (stat.is_empty() || stat.contains(") Z")).then_some(())
        };
        wait(is_gone);
        let stubborn = shell("trap '' TERM; while :; do sleep 1; done");
        let pid = stubborn.pid();
        drop(stubborn);
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }
}
