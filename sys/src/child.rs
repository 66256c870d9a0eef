//! Programs that pen runs beside itself: started without a shell, asked over a pipe, and ended with all that they have
//! started.
//!
//! Owns no policy: when a program is asked, and how long it may take, is the caller's business.

#![allow(unsafe_code)]

#[cfg(target_os = "linux")]
mod apart;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// A program that runs, or has ended and is not forgotten yet.
#[derive(Debug)]
pub struct Program {
    process: Process,
    group: Pid,
    stdin: Option<File>,
    stdout: File,
    stderr: File,
}

#[derive(Debug)]
enum Process {
    Child(Child),
    /// No child of this process.
    #[cfg(target_os = "linux")]
    Apart(apart::Keeper),
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
        Program::with(Process::Child(child), group, [stdin.into(), stdout.into(), stderr.into()])
    }

    /// Starts a program as [`Program::start`] does, from its path, so that it is no child of this process: whoever here
    /// waits for any child does not meet it, and no signal tells of its end. It is ended when the calling thread is gone.
    ///
    /// # Errors
    /// It cannot be started.
    #[cfg(target_os = "linux")]
    pub fn start_apart(
        program: &OsStr,
        arguments: &[String],
        environment: &[(OsString, OsString)],
    ) -> io::Result<Program> {
        keep_descriptors();
        let (process, group, pipes) = apart::start(program, arguments, environment)?;
        Program::with(Process::Apart(process), group, pipes)
    }

    fn with(process: Process, group: Pid, pipes: [OwnedFd; 3]) -> io::Result<Program> {
        for pipe in &pipes {
            fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        let [stdin, stdout, stderr] = pipes.map(File::from);
        Ok(Program { process, group, stdin: Some(stdin), stdout, stderr })
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.group.as_raw() as u32
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
        let child = match &mut self.process {
            Process::Child(child) => child,
            #[cfg(target_os = "linux")]
            Process::Apart(keeper) => return keeper.take_end().map(in_words),
        };
        let options = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(self.group), options) {
            Ok(WaitStatus::StillAlive) => return None,
            // As long as it is not reaped, its number is not given to another group.
            Ok(_) => _ = killpg(self.group, Signal::SIGKILL),
            Err(_) => {}
        }
        let status = child.try_wait().ok().flatten();
        Some(status.map_or_else(|| "ended".into(), in_words))
    }
}

fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".into(),
    }
}

fn read(pipe: &mut File, buffer: &mut [u8]) -> Option<usize> {
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
            match &mut self.process {
                Process::Child(child) => _ = child.wait(),
                #[cfg(target_os = "linux")]
                Process::Apart(keeper) => keeper.wait(),
            }
        }
    }
}

/// Where a program is, as a shell finds it: by its path, or in PATH.
pub fn find(program: &str) -> Option<PathBuf> {
    let is_program = |path: &Path| {
        path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        return std::path::absolute(program).ok().filter(|path| is_program(path));
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|directory| directory.join(program)).find(|path| is_program(path))
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
    #[cfg(target_os = "linux")]
    fn one_apart_is_the_same_and_nobodys_child() {
        let start = |program: &str, script: &str| {
            let environment = [("PATH".into(), "/usr/bin:/bin".into()), ("ONLY".into(), "this".into())];
            Program::start_apart(OsStr::new(program), &["-c".into(), script.into()], &environment)
        };
        let mut program = start("/bin/sh", "read word; echo \"$word $ONLY $HOME $PPID\"; exit 3").unwrap();
        let pid = Pid::from_raw(program.pid() as i32);
        assert!(waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG).is_err());
        assert!(program.take_end().is_none() && program.tell(b"hello\n"));
        let said = said(&mut program);
        assert!(
            said.starts_with("hello this  ") && !said.ends_with(&format!(" {}\n", std::process::id())),
            "{said}"
        );
        assert_eq!(wait(|| program.take_end()), "ended with status 3");
        let missing = start("/no/such", "").unwrap_err();
        assert_eq!(missing.raw_os_error(), Some(libc::ENOENT));
        // TERM ends it although this thread takes no signals, and what it has started goes with it.
        use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
        let mut before = SigSet::empty();
        pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before)).unwrap();
        let mut sleeping = start("/bin/sh", "sleep 1000 & wait").unwrap();
        pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None).unwrap();
        sleeping.signal(Signal::SIGTERM);
        assert_eq!(wait(|| sleeping.take_end()), "was ended by signal 15");
        drop(start("/bin/sh", "trap '' TERM; while :; do sleep 1; done").unwrap());
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
