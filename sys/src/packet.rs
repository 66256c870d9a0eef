//! Packet sockets (packet(7)): whole frames of one interface, received and sent in batches.
//!
//! Owns the socket and its options. With every frame goes what the kernel says about work left to the hardware: a
//! checksum not yet made, several segments in one. Given back with the frame, that work is done on the way out, so
//! frames of local interfaces and of network cards that merge segments can be passed on as they are.

#![allow(unsafe_code)]

use super::socket::{option, set_option};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socket, sockopt};
use std::io;
use std::mem::{self, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

/// What the kernel puts before a frame when asked to (struct virtio_net_hdr): what was left to the hardware.
pub const OFFLOAD_BYTES: usize = 10;
const ETHERNET_BYTES: usize = 14;
/// The largest IP packet that segments are merged into, its Ethernet header and what precedes it.
const PACKET_BYTES_MAX: usize = OFFLOAD_BYTES + ETHERNET_BYTES + 65_535;
/// Packets moved by one system call.
pub const BATCH_MAX: usize = 32;
/// What may wait in the socket, so that a busy moment loses nothing: some 20 ms of a saturated gigabit.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;

/// The type of this argument is the C library's choice: int with glibc, unsigned int with musl.
#[cfg(target_env = "musl")]
const DONT_WAIT: libc::c_uint = libc::MSG_DONTWAIT as libc::c_uint;
#[cfg(not(target_env = "musl"))]
const DONT_WAIT: libc::c_int = libc::MSG_DONTWAIT;

/// An instruction of a filter as bpf(4) has it: code, steps over if true, if false, operand.
pub type Instruction = (u16, u8, u8, u32);

/// A packet socket on one interface.
#[derive(Debug)]
pub struct PacketSocket {
    fd: OwnedFd,
    interface: u32,
}

/// Buffers for a batch of packets.
pub struct Batch {
    buffers: Vec<Vec<u8>>,
    lengths: [usize; BATCH_MAX],
    count: usize,
}

impl Default for Batch {
    fn default() -> Batch {
        Batch { buffers: vec![vec![0; PACKET_BYTES_MAX]; BATCH_MAX], lengths: [0; BATCH_MAX], count: 0 }
    }
}

impl Batch {
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// A packet behind its [`OFFLOAD_BYTES`].
    ///
    /// # Panics
    /// From [`Batch::len`] on.
    pub fn packet(&mut self, number: usize) -> &mut [u8] {
        assert!(number < self.count, "packet {number} of {}", self.count);
        &mut self.buffers[number][..self.lengths[number]]
    }

    pub fn packet_ref(&self, number: usize) -> &[u8] {
        &self.buffers[number][..self.lengths[number]]
    }
}

impl PacketSocket {
    /// Opens a socket that receives what `filter` lets pass. Needs CAP_NET_RAW; nothing done with it later does.
    pub fn open(
        interface: u32,
        filter: impl IntoIterator<Item: Into<Instruction>>,
    ) -> io::Result<PacketSocket> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        // Without a protocol: it receives nothing before it is bound.
        let fd = socket(AddressFamily::Packet, SockType::Raw, flags, None)?;
        let socket = PacketSocket { fd, interface };
        let on: libc::c_int = 1;
        set_option(socket.fd.as_fd(), libc::SOL_PACKET, libc::PACKET_VNET_HDR, on)?;
        socket.set_filter(filter)?;
        // The first may exceed the system's limit and is for root alone.
        if setsockopt(&socket.fd, sockopt::RcvBufForce, &RECEIVE_BUFFER_BYTES).is_err() {
            setsockopt(&socket.fd, sockopt::RcvBuf, &RECEIVE_BUFFER_BYTES)?;
        }
        socket.bind()?;
        Ok(socket)
    }

    fn bind(&self) -> io::Result<()> {
        // SAFETY: all-zero bytes are a valid sockaddr_ll.
        let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = self.interface as libc::c_int;
        // SAFETY: `address` lives through the call and its size is given.
        let failed = unsafe {
            libc::bind(
                self.fd.as_raw_fd(),
                (&raw const address).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            )
        };
        Ok(Errno::result(failed).map(drop)?)
    }

    /// Replaces the filter.
    pub fn set_filter(&self, filter: impl IntoIterator<Item: Into<Instruction>>) -> io::Result<()> {
        let convert = |(code, jt, jf, k): Instruction| libc::sock_filter { code, jt, jf, k };
        let mut program: Vec<libc::sock_filter> = filter.into_iter().map(Into::into).map(convert).collect();
        let length = program.len().try_into().map_err(io::Error::other)?;
        let description = libc::sock_fprog { len: length, filter: program.as_mut_ptr() };
        // The kernel copies the program and checks it.
        Ok(set_option(self.fd.as_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, description)?)
    }

    /// Has the interface receive every group, for as long as the socket is open.
    pub fn hear_all_groups(&self) -> io::Result<()> {
        // SAFETY: all-zero bytes are a valid packet_mreq.
        let mut membership: libc::packet_mreq = unsafe { mem::zeroed() };
        membership.mr_ifindex = self.interface as libc::c_int;
        membership.mr_type = libc::PACKET_MR_ALLMULTI as u16;
        Ok(set_option(self.fd.as_fd(), libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, membership)?)
    }

    /// Fills the batch with what is there; empty when there is nothing.
    ///
    /// # Errors
    /// The interface is down or gone, or the kernel could not describe a packet, which is lost then.
    pub fn receive(&self, batch: &mut Batch) -> io::Result<()> {
        let mut vectors = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH_MAX];
        for (vector, buffer) in vectors.iter_mut().zip(&mut batch.buffers) {
            *vector = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        }
        let mut messages = headers(&mut vectors);
        batch.count = 0;
        // SAFETY: each header points to one vector, and that to a buffer of the length given; all live through the call.
        let count = unsafe {
            libc::recvmmsg(
                self.fd.as_raw_fd(),
                messages.as_mut_ptr(),
                BATCH_MAX as libc::c_uint,
                DONT_WAIT,
                ptr::null_mut(),
            )
        };
        match Errno::result(count) {
            Ok(count) => batch.count = count as usize,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
        for (length, message) in batch.lengths.iter_mut().zip(&messages[..batch.count]) {
            let truncated = message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            // Nothing can be done with a part.
            *length = if truncated { 0 } else { message.msg_len as usize };
        }
        Ok(())
    }

    /// Sends packets, each behind its [`OFFLOAD_BYTES`]; at most [`BATCH_MAX`]. Returns how many the kernel did not
    /// take: it is out of buffers, or a frame does not fit the interface. Nobody waits for it.
    ///
    /// # Panics
    /// With more than [`BATCH_MAX`].
    pub fn send<'a>(&self, packets: impl Iterator<Item = &'a [u8]>) -> usize {
        let mut vectors = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH_MAX];
        let mut count = 0;
        for packet in packets {
            // The kernel only reads through this pointer.
            vectors[count] =
                libc::iovec { iov_base: packet.as_ptr().cast_mut().cast(), iov_len: packet.len() };
            count += 1;
        }
        let mut messages = headers(&mut vectors);
        let (mut done, mut lost) = (0, 0);
        while done < count {
            let rest = &mut messages[done..count];
            // SAFETY: each header points to one vector, and that to a packet that the caller lends; all live through
            // the call.
            let sent = unsafe {
                libc::sendmmsg(self.fd.as_raw_fd(), rest.as_mut_ptr(), rest.len() as libc::c_uint, DONT_WAIT)
            };
            match Errno::result(sent) {
                Ok(sent) => done += sent.max(1) as usize,
                Err(Errno::EINTR) => {}
                // The first of them; the others may do.
                Err(_) => {
                    done += 1;
                    lost += 1;
                }
            }
        }
        lost
    }

    /// How many packets found no room in the socket since this was last asked.
    pub fn overrun(&self) -> u64 {
        // SAFETY: a tpacket_stats is made of numbers.
        let stats = unsafe {
            option::<libc::tpacket_stats>(self.fd.as_fd(), libc::SOL_PACKET, libc::PACKET_STATISTICS)
        };
        stats.map_or(0, |(stats, _)| stats.tp_drops.into())
    }
}

fn headers(vectors: &mut [libc::iovec; BATCH_MAX]) -> [libc::mmsghdr; BATCH_MAX] {
    // SAFETY: all-zero bytes are a valid mmsghdr (no address, no vectors, no control data).
    let mut messages: [libc::mmsghdr; BATCH_MAX] = unsafe { mem::zeroed() };
    for (message, vector) in messages.iter_mut().zip(vectors) {
        message.msg_hdr.msg_iov = vector;
        message.msg_hdr.msg_iovlen = 1;
    }
    messages
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
