//! The one privilege of root that pen may keep when it becomes another user: using addresses that are not its own; and
//! giving up all others.
//!
//! Linux divides root into capabilities, which belong to threads. They are narrowed before the workers start, so every
//! thread has the same. Called by `privileges.rs`, and by whoever wants to know whether something is allowed.

#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::libc;

/// Raw and packet sockets, and IP_TRANSPARENT: binding to addresses of others (capabilities(7)). Not routes, firewall
/// rules or interfaces, which CAP_NET_ADMIN has as well.
const CAP_NET_RAW: u32 = 13;
const CAP_NET_ADMIN: u32 = 12;

/// The two words of version 3 have room for no more.
const CAPABILITY_MAX: libc::c_ulong = 63;

/// Version 3 of the interface, which has 64 capabilities in two words (linux/capability.h).
const VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    /// 0 is the calling thread.
    thread: libc::c_int,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Word {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Whether this thread may bind sockets to addresses of others: IP_TRANSPARENT takes either capability.
pub fn may_use_foreign_addresses() -> bool {
    let Ok([low, _]) = present() else { return false };
    low.effective & (1 << CAP_NET_RAW | 1 << CAP_NET_ADMIN) != 0
}

/// Lets capabilities outlast the next change of user, for [`keep_foreign_addresses_only`].
pub fn outlast_change_of_user() -> nix::Result<()> {
    nix::sys::prctl::set_keepcaps(true)
}

/// Empties the bounding set: no program that this thread starts can have a capability, whatever its file says. To be
/// called while the thread is root; one that may not do this (CAP_SETPCAP was taken from it) has its set as it is.
///
/// # Errors
/// The system does not know the call.
pub fn empty_bounding_set() -> nix::Result<()> {
    for capability in 0..=CAPABILITY_MAX {
        // SAFETY: takes numbers only.
        let dropped = unsafe {
            libc::prctl(
                libc::PR_CAPBSET_DROP,
                capability,
                0 as libc::c_ulong,
                0 as libc::c_ulong,
                0 as libc::c_ulong,
            )
        };
        match Errno::result(dropped) {
            Ok(_) => {}
            // Beyond the last capability of this kernel; lack of CAP_SETPCAP.
            Err(Errno::EINVAL | Errno::EPERM) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Gives up every capability but the one to use addresses of others.
///
/// # Errors
/// The thread did not have it.
pub fn keep_foreign_addresses_only() -> nix::Result<()> {
    let kept = Word { effective: 1 << CAP_NET_RAW, permitted: 1 << CAP_NET_RAW, inheritable: 0 };
    let header = Header { version: VERSION_3, thread: 0 };
    let words = [kept, Word::default()];
    // SAFETY: `header` and the two words that version 3 asks for live through the call, which only reads them.
    let failed = unsafe { libc::syscall(libc::SYS_capset, &raw const header, words.as_ptr()) };
    Errno::result(failed).map(drop)
}

fn present() -> nix::Result<[Word; 2]> {
    let mut header = Header { version: VERSION_3, thread: 0 };
    let mut words = [Word::default(); 2];
    // SAFETY: `header` and the two words that version 3 fills live through the call.
    let failed = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, words.as_mut_ptr()) };
    Errno::result(failed).map(|_| words)
}
