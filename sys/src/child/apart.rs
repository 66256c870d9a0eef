//! A program that is nobody's child here. Its parent is a keeper: a process that starts it, waits for it, and ends it should
//! this process be gone.
//!
//! The keeper sends no signal when it ends, and wait(2) passes it over unless asked for such processes (`__WCLONE`): that
//! holds as long as it does not call exec(2). So it shares the memory of this process instead, as the program does until
//! its exec(2). Both touch nothing but what is prepared for them and call nothing but the system; and as long as this
//! process lives none of the keeper's calls fails, because errno is that of the thread that started it.

use nix::errno::Errno;
use nix::libc::{self, c_char, c_int, c_long, c_void};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, pthread_sigmask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

/// Room for each of the two to run in.
const STACK_BYTES: usize = 64 << 10;
const SIGNAL_MAX: c_int = 64;
/// As tables of processes show it.
const NAME: &CStr = c"libpen keeper";
/// How long a program may take to end by itself when this process is gone, and then after TERM.
const PATIENCE: libc::timespec = libc::timespec { tv_sec: 0, tv_nsec: 250_000_000 };

/// What the two work on.
struct Shared {
    program: *const c_char,
    arguments: *const *const c_char,
    environment: *const *const c_char,
    /// Its standard input, output and error.
    pipes: [c_int; 3],
    /// Where that of the program begins.
    stack: *mut c_void,
    /// The process that waits for the start.
    starter: c_int,
    /// 0 until the program is started, or cannot be; -1 then.
    pid: AtomicI32,
    /// Why it cannot be started.
    errno: c_int,
    /// How it ended, as wait(2) has it.
    status: c_int,
}

// SAFETY: the pointers are the keeper's to read, and lead to memory that stays until it has ended.
unsafe impl Send for Shared {}

/// The process that keeps a program. Its memory is given back when it has ended.
pub struct Keeper {
    pid: Pid,
    has_ended: bool,
    shared: Box<Shared>,
    _stacks: Vec<u128>,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.pid.fmt(f)
    }
}

/// Starts a program and its keeper. Answers the number of the program's group, and our ends of its pipes.
///
/// # Errors
/// It cannot be started.
pub fn start(
    program: &OsStr,
    arguments: &[String],
    environment: &[(OsString, OsString)],
) -> io::Result<(Keeper, Pid, [OwnedFd; 3])> {
    let text = |bytes: &[u8]| CString::new(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    let program = text(program.as_bytes())?;
    let words = arguments.iter().map(|word| text(word.as_bytes()));
    let words = std::iter::once(Ok(program.clone())).chain(words).collect::<io::Result<Vec<_>>>()?;
    let variable =
        |(name, value): &(OsString, OsString)| text(&[name.as_bytes(), b"=", value.as_bytes()].concat());
    let variables = environment.iter().map(variable).collect::<io::Result<Vec<_>>>()?;
    let pointers = |texts: &[CString]| {
        let pointers = texts.iter().map(|text| text.as_ptr());
        pointers.chain(std::iter::once(ptr::null())).collect::<Vec<_>>()
    };
    let (words, variables) = (pointers(&words), pointers(&variables));
    let [(input, stdin), (stdout, output), (stderr, errors)] = [pipe()?, pipe()?, pipe()?];
    // They grow downwards: that of the keeper from the end, that of the program from the middle.
    let mut stacks = vec![0_u128; 2 * STACK_BYTES / size_of::<u128>()];
    let half = stacks.len() / 2;
    let mut shared = Box::new(Shared {
        program: program.as_ptr(),
        arguments: words.as_ptr(),
        environment: variables.as_ptr(),
        pipes: [input.as_raw_fd(), output.as_raw_fd(), errors.as_raw_fd()],
        // SAFETY: it is the middle.
        stack: unsafe { stacks.as_mut_ptr().add(half) }.cast(),
        starter: std::process::id() as c_int,
        pid: AtomicI32::new(0),
        errno: 0,
        status: 0,
    });
    let mut before = SigSet::empty();
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))?;
    // SAFETY: the stack and what is shared stay where they are until the keeper has ended; what the program is started
    // with, until it has its own memory.
    let keeper = unsafe {
        let top = stacks.as_mut_ptr().add(2 * half);
        libc::clone(keep, top.cast(), libc::CLONE_VM, (&raw mut *shared).cast())
    };
    let error = io::Error::last_os_error();
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
    if keeper == -1 {
        return Err(error);
    }
    let pid = loop {
        match shared.pid.load(Ordering::Acquire) {
            0 => futex(&shared.pid, libc::FUTEX_WAIT, 0),
            pid => break pid,
        }
    };
    let mut keeper = Keeper { pid: Pid::from_raw(keeper), has_ended: false, shared, _stacks: stacks };
    if pid == -1 {
        keeper.wait();
        return Err(io::Error::from_raw_os_error(keeper.shared.errno));
    }
    Ok((keeper, Pid::from_raw(pid), [stdin, stdout, stderr]))
}

impl Keeper {
    /// How the program ended, when it and all that it has started are gone.
    pub fn take_end(&mut self) -> Option<ExitStatus> {
        let options = WaitPidFlag::__WCLONE | WaitPidFlag::WNOHANG;
        self.has_ended = self.has_ended || waitpid(self.pid, Some(options)) != Ok(WaitStatus::StillAlive);
        self.has_ended.then(|| ExitStatus::from_raw(self.shared.status))
    }

    /// Waits for that.
    pub fn wait(&mut self) {
        while !self.has_ended {
            self.has_ended = waitpid(self.pid, Some(WaitPidFlag::__WCLONE)) != Err(Errno::EINTR);
        }
    }
}

impl Drop for Keeper {
    /// Not before it has ended: what it works on goes.
    fn drop(&mut self) {
        if !self.has_ended {
            // It ends its program then.
            let _ = kill(self.pid, Signal::SIGTERM);
            self.wait();
        }
    }
}

fn futex(word: &AtomicI32, what: c_int, value: c_long) {
    // SAFETY: it waits until the word is another, or wakes who does.
    unsafe {
        let what = c_long::from(what | libc::FUTEX_PRIVATE_FLAG);
        libc::syscall(libc::SYS_futex, word.as_ptr(), what, value, ptr::null::<libc::timespec>());
    }
}

/// A pipe, where it is read and where it is written. Not in the place of what the program gets: that is put over others.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    let above = |end: OwnedFd| match end.as_raw_fd() {
        0..=2 => {
            // SAFETY: the command takes and gives a number.
            let fd = unsafe { libc::fcntl(end.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 3) };
            // SAFETY: it was made here.
            if fd == -1 { Err(io::Error::last_os_error()) } else { Ok(unsafe { OwnedFd::from_raw_fd(fd) }) }
        }
        _ => Ok(end),
    };
    Ok((above(reader)?, above(writer)?))
}

/// The keeper, with all signals blocked. TERM tells it that the thread that started it is gone.
extern "C" fn keep(shared: *mut c_void) -> c_int {
    // SAFETY: `start` gave it; the other side reads nothing but `pid` until this process has ended.
    unsafe {
        let shared = shared.cast::<Shared>();
        libc::syscall(libc::SYS_prctl, libc::PR_SET_NAME, NAME.as_ptr());
        libc::syscall(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, c_long::from(libc::SIGTERM));
        // Where this is ignored, children are not waited for.
        let by_default: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGCHLD, &by_default, ptr::null_mut());
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let pid = libc::clone(run, (*shared).stack, flags, shared.cast());
        if pid == -1 {
            (*shared).errno = Errno::last_raw();
        }
        let is_started = pid != -1 && (*shared).errno == 0;
        (*shared).pid.store(if is_started { pid } else { -1 }, Ordering::Release);
        futex(&(*shared).pid, libc::FUTEX_WAKE, 1);
        libc::syscall(libc::SYS_close_range, 0 as c_long, c_long::from(u32::MAX), 0 as c_long);
        if pid != -1 {
            await_end(pid, (*shared).starter);
            // As long as it is not waited for, its number is not given to another group.
            libc::syscall(libc::SYS_kill, c_long::from(-pid), c_long::from(libc::SIGKILL));
            let status = &raw mut (*shared).status;
            libc::syscall(libc::SYS_wait4, c_long::from(pid), status, 0 as c_long, ptr::null_mut::<c_void>());
        }
    }
    0
}

/// Until the program has ended, which it is made to do when the one that started it is gone.
///
/// # Safety
/// The process is a child of this one.
unsafe fn await_end(pid: c_int, starter: c_int) {
    // SAFETY: the system writes to what is given it, and signals go to the program alone.
    unsafe {
        let mut awaited: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut awaited);
        libc::sigaddset(&mut awaited, libc::SIGCHLD);
        libc::sigaddset(&mut awaited, libc::SIGTERM);
        let mut due = [libc::SIGTERM, libc::SIGKILL].into_iter();
        let mut is_orphan = libc::syscall(libc::SYS_getppid) != c_long::from(starter);
        loop {
            let mut found: libc::siginfo_t = std::mem::zeroed();
            let options = c_long::from(libc::WEXITED | libc::WNOHANG | libc::WNOWAIT);
            let no_usage = ptr::null_mut::<c_void>();
            libc::syscall(
                libc::SYS_waitid,
                libc::P_PID,
                c_long::from(pid),
                &raw mut found,
                options,
                no_usage,
            );
            if found.si_pid() == pid {
                return;
            }
            let patience: *const libc::timespec = match is_orphan && due.len() > 0 {
                true => &PATIENCE,
                false => ptr::null(),
            };
            let nothing = ptr::null_mut::<c_void>();
            let size = (SIGNAL_MAX / 8) as c_long;
            match libc::syscall(libc::SYS_rt_sigtimedwait, &raw const awaited, nothing, patience, size) {
                -1 => {
                    if let Some(signal) = due.next() {
                        libc::syscall(libc::SYS_kill, c_long::from(-pid), c_long::from(signal));
                    }
                }
                signal => is_orphan |= signal == c_long::from(libc::SIGTERM),
            }
        }
    }
}

/// The program, until it is one.
extern "C" fn run(shared: *mut c_void) -> c_int {
    // SAFETY: `keep` gave it, and waits. The system is called directly: in a process with functions of its own in the
    // system's place, those are not for this one.
    unsafe {
        let shared = shared.cast::<Shared>();
        libc::syscall(libc::SYS_setpgid, 0 as c_long, 0 as c_long);
        for (number, pipe) in (*shared).pipes.into_iter().enumerate() {
            if libc::syscall(libc::SYS_dup3, c_long::from(pipe), number as c_long, 0 as c_long) == -1 {
                (*shared).errno = Errno::last_raw();
                return 1;
            }
        }
        // What handles signals here is not there after exec(2), and must not run before it. A pipe that nobody reads ends
        // a program unless it wants otherwise.
        for signal in 1..=SIGNAL_MAX {
            let mut action: libc::sigaction = std::mem::zeroed();
            libc::sigaction(signal, ptr::null(), &mut action);
            if action.sa_sigaction != libc::SIG_IGN || signal == libc::SIGPIPE {
                action = std::mem::zeroed();
                libc::sigaction(signal, &action, ptr::null_mut());
            }
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut());
        libc::execve((*shared).program, (*shared).arguments, (*shared).environment);
        (*shared).errno = Errno::last_raw();
    }
    1
}
