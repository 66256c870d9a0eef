//! Who is at the other end of a Unix socket, as the system knows it: nobody can pretend to be somebody else.
//!
//! The user and the groups are those of the process when it connected.

#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::libc;
use nix::unistd::{Gid, Uid};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The user at the other end.
///
/// # Errors
/// It is no Unix socket.
pub fn user_of(socket: BorrowedFd<'_>) -> io::Result<Uid> {
    Ok(credentials(socket)?.0)
}

/// Whether the process at the other end belongs to the group, by its own group or one of its supplementary groups.
///
/// # Errors
/// It is no Unix socket.
pub fn is_in_group(socket: BorrowedFd<'_>, group: Gid) -> io::Result<bool> {
    Ok(credentials(socket)?.1 == group || supplementary_groups(socket)?.contains(&group.as_raw()))
}

#[cfg(target_os = "linux")]
fn credentials(socket: BorrowedFd<'_>) -> io::Result<(Uid, Gid)> {
    let peer = nix::sys::socket::getsockopt(&socket, nix::sys::socket::sockopt::PeerCredentials)?;
    Ok((Uid::from_raw(peer.uid()), Gid::from_raw(peer.gid())))
}

#[cfg(not(target_os = "linux"))]
fn credentials(socket: BorrowedFd<'_>) -> io::Result<(Uid, Gid)> {
    Ok(nix::unistd::getpeereid(socket)?)
}

/// Room that most processes' groups fit in.
#[cfg(target_os = "linux")]
const GROUPS: usize = 64;

#[cfg(target_os = "linux")]
fn supplementary_groups(socket: BorrowedFd<'_>) -> io::Result<Vec<libc::gid_t>> {
    let mut groups: Vec<libc::gid_t> = vec![0; GROUPS];
    loop {
        let mut bytes = size_of_val(&groups[..]) as libc::socklen_t;
        // SAFETY: the kernel writes at most `bytes` bytes to `groups`, which is so long and outlives the call, and the
        // length to `bytes`.
        let done = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &mut bytes,
            )
        };
        let count = bytes as usize / size_of::<libc::gid_t>();
        match Errno::result(done) {
            Ok(_) => {
                groups.truncate(count);
                return Ok(groups);
            }
            // Then the length says how much there is; it does not change any more.
            Err(Errno::ERANGE) if count > groups.len() => groups.resize(count, 0),
            // Before Linux 4.13: the process's own group is all that is known.
            Err(Errno::ENOPROTOOPT) => return Ok(Vec::new()),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Where the system does not tell, the process's own group is all that is known.
#[cfg(not(target_os = "linux"))]
fn supplementary_groups(_socket: BorrowedFd<'_>) -> io::Result<Vec<libc::gid_t>> {
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::{getegid, geteuid, getgroups};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_process_at_the_other_end_is_known() {
        let (near, _far) = UnixStream::pair().unwrap();
        assert_eq!(user_of(near.as_fd()).unwrap(), geteuid());
        assert!(is_in_group(near.as_fd(), getegid()).unwrap());
        for group in getgroups().unwrap() {
            assert!(is_in_group(near.as_fd(), group).unwrap(), "{group}");
        }
        assert!(!is_in_group(near.as_fd(), Gid::from_raw(3_999_999_999)).unwrap());
    }
}
