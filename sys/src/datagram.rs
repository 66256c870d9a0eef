//! Datagrams, many in one system call: recvmmsg(2) and sendmmsg(2), with the address of this machine that each came to
//! or is to come from. A slot of a batch holds one datagram, or a run of them that the system has not taken apart, because
//! the sender gave them as one message or the network card joined them (UDP_GRO, Linux 5.0).
//!
//! Owns the buffers. It decides nothing: what is done with a datagram is the business of `udp/`, its only user.

#![allow(unsafe_code)]

use super::runs::Runs;
use super::socket::{internet_address, retry, set_option};
use nix::libc;
use pen_proto::endpoint::OwnAddress;
use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

/// Datagrams in one system call.
pub const BATCH: usize = 32;
/// No datagram has more: its length is a number of 16 bits.
pub const DATAGRAM_BYTES_MAX: usize = 65_535;
/// A little more than 64 KiB, so that the beginnings of the buffers, which is what small datagrams use, do not all fall
/// into the same few lines of the processor's cache.
const STRIDE_BYTES: usize = 65_536 + 9 * 64;
/// Enough for one IP_PKTINFO or IPV6_PKTINFO, and UDP_SEGMENT or UDP_GRO.
const CONTROL_BYTES: usize = 64;

/// From linux/udp.h.
const UDP_GRO: libc::c_int = 104;

/// Control messages want the alignment of their header.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Control([u8; CONTROL_BYTES]);

impl Control {
    pub(super) const EMPTY: Control = Control([0; CONTROL_BYTES]);

    pub(super) fn as_mut_ptr(&mut self) -> *mut libc::c_void {
        self.0.as_mut_ptr().cast()
    }

    /// Writes a message behind the `at` bytes that are there, and returns how many there are then.
    pub(super) fn write<T>(&mut self, at: usize, level: libc::c_int, kind: libc::c_int, info: T) -> usize {
        let length = mem::size_of::<T>() as libc::c_uint;
        // SAFETY: these only compute.
        let (whole, space) = unsafe { (libc::CMSG_LEN(length), libc::CMSG_SPACE(length) as usize) };
        let room = &mut self.0[at..][..space];
        let message: *mut libc::cmsghdr = room.as_mut_ptr().cast();
        assert!(message.is_aligned(), "a control message behind {at} bytes");
        // SAFETY: the buffer has, as was just seen, the alignment of the header and room for it and for `info`.
        unsafe {
            (*message).cmsg_len = whole as _;
            (*message).cmsg_level = level;
            (*message).cmsg_type = kind;
            ptr::write_unaligned(libc::CMSG_DATA(message).cast(), info);
        }
        at + space
    }
}

/// Where in a batch the next datagram begins.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place {
    slot: usize,
    byte: usize,
}

/// Buffers for a batch of datagrams, in the form in which the system takes them.
pub struct Batch {
    buffers: Box<[u8]>,
    names: Box<[libc::sockaddr_storage]>,
    controls: Box<[Control]>,
    vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
    /// How large the datagrams of a run are, of which the last may be smaller; 0: it is a single one.
    pieces: Box<[u16]>,
    runs: Runs,
    count: usize,
}

// SAFETY: the pointers in `vectors` and `headers` lead to the boxes beside them, which move with them.
unsafe impl Send for Batch {}

impl Default for Batch {
    fn default() -> Batch {
        Batch::new()
    }
}

impl Batch {
    pub fn new() -> Batch {
        // SAFETY: all-zero bytes are valid values of all three: numbers and null pointers.
        let (name, vector, header) = unsafe { (mem::zeroed(), mem::zeroed(), mem::zeroed()) };
        let mut batch = Batch {
            buffers: vec![0; BATCH * STRIDE_BYTES].into(),
            names: vec![name; BATCH].into(),
            controls: vec![Control::EMPTY; BATCH].into(),
            vectors: vec![vector; BATCH].into(),
            headers: vec![header; BATCH].into(),
            pieces: vec![0; BATCH].into(),
            runs: Runs::default(),
            count: 0,
        };
        for index in 0..BATCH {
            batch.vectors[index].iov_base = batch.buffers[index * STRIDE_BYTES..].as_mut_ptr().cast();
            batch.headers[index].msg_hdr.msg_iov = &mut batch.vectors[index];
            batch.headers[index].msg_hdr.msg_iovlen = 1;
        }
        batch
    }

    /// Slots in use.
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn is_full(&self) -> bool {
        self.count == BATCH
    }

    pub fn clear(&mut self) {
        self.count = 0;
    }

    /// What is in the slot with this number.
    pub fn bytes(&self, index: usize) -> &[u8] {
        let length = self.headers[..self.count][index].msg_len as usize;
        &self.buffers[index * STRIDE_BYTES..][..length]
    }

    /// The datagrams in these slots, one after the other.
    pub fn datagrams(&self, slots: Range<usize>) -> impl Iterator<Item = &[u8]> {
        slots.flat_map(|slot| pieces_of(self.bytes(slot), self.pieces[slot]))
    }

    /// How many datagrams these slots hold.
    pub fn datagrams_in(&self, slots: Range<usize>) -> usize {
        slots.map(|slot| pieces_in(self.bytes(slot).len(), self.pieces[slot])).sum()
    }

    /// Whether a slot holds more than one.
    pub fn has_runs(&self) -> bool {
        self.pieces[..self.count].iter().any(|size| *size > 0)
    }

    /// Takes copies of the datagrams of another batch from this place on, each in a slot of its own, in place of what was
    /// here, as far as there is room, and moves the place on. Returns how many.
    pub fn copy_singly(&mut self, other: &Batch, from: &mut Place) -> usize {
        self.count = 0;
        while !self.is_full()
            && let Some((slot, datagram)) = other.next_single(from)
        {
            let index = self.count;
            self.buffers[index * STRIDE_BYTES..][..datagram.len()].copy_from_slice(datagram);
            self.names[index] = other.names[slot];
            self.controls[index] = other.controls[slot];
            self.pieces[index] = 0;
            let header = &mut self.headers[index];
            header.msg_len = datagram.len() as libc::c_uint;
            header.msg_hdr.msg_name = (&raw mut self.names[index]).cast();
            header.msg_hdr.msg_namelen = other.headers[slot].msg_hdr.msg_namelen;
            header.msg_hdr.msg_control = self.controls[index].as_mut_ptr();
            header.msg_hdr.msg_controllen = other.headers[slot].msg_hdr.msg_controllen;
            self.count += 1;
        }
        self.count
    }

    /// The datagram at this place, with the number of its slot; moves the place behind it.
    fn next_single(&self, place: &mut Place) -> Option<(usize, &[u8])> {
        let slot = place.slot;
        if slot >= self.count {
            return None;
        }
        let rest = &self.bytes(slot)[place.byte..];
        let size = match self.pieces[slot] {
            0 => rest.len(),
            size => rest.len().min(size.into()),
        };
        *place = match size < rest.len() {
            true => Place { slot, byte: place.byte + size },
            false => Place { slot: slot + 1, byte: 0 },
        };
        Some((slot, &rest[..size]))
    }

    /// Takes so many bytes away from the beginning of a single datagram.
    pub fn cut(&mut self, index: usize, count: usize) {
        let length = &mut self.headers[..self.count][index].msg_len;
        self.buffers[index * STRIDE_BYTES..][..*length as usize].copy_within(count.., 0);
        *length -= count as libc::c_uint;
    }

    /// Who sent it, and to which address of this machine. Only of what [`Batch::receive`] took. `None` when the system
    /// did not say.
    pub fn parties(&self, index: usize) -> Option<(SocketAddr, OwnAddress)> {
        let from = internet_address(&self.names[..self.count][index])?;
        Some((from, own_address(&self.headers[index].msg_hdr)?))
    }

    /// Takes what waits at a listening socket, `most` at most, in place of what was in the batch. Returns how many slots it
    /// filled; 0 when nothing waits.
    ///
    /// # Errors
    /// What the system says.
    pub fn receive(&mut self, listener: BorrowedFd<'_>, most: usize) -> io::Result<usize> {
        self.count = 0;
        for (header, name) in self.headers.iter_mut().zip(&mut self.names).take(most) {
            header.msg_hdr.msg_name = (&raw mut *name).cast();
            header.msg_hdr.msg_namelen = mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        }
        self.take(listener, most)
    }

    /// Takes what waits at a connected socket, `most` at most, behind what is in the batch, as far as there is room; it is to
    /// go to `to`, from the address `from`. Returns how many slots it filled; 0 when nothing waits.
    ///
    /// # Errors
    /// What the system says, such as that the peer is unreachable.
    pub fn relay(
        &mut self,
        socket: BorrowedFd<'_>,
        most: usize,
        to: &SocketAddr,
        from: &OwnAddress,
    ) -> io::Result<usize> {
        let first = self.count;
        for header in self.headers[first..].iter_mut().take(most) {
            forget_addresses(&mut header.msg_hdr);
        }
        let taken = self.take(socket, most)?;
        for index in first..first + taken {
            let header = &mut self.headers[index].msg_hdr;
            header.msg_namelen = write_address(&mut self.names[index], to, from);
            header.msg_name = (&raw mut self.names[index]).cast();
            header.msg_controllen = write_own_address(&mut self.controls[index], from) as _;
            header.msg_control = self.controls[index].as_mut_ptr();
        }
        Ok(taken)
    }

    fn take(&mut self, socket: BorrowedFd<'_>, most: usize) -> io::Result<usize> {
        let room = self.count..BATCH.min(self.count + most);
        for index in room.clone() {
            self.vectors[index].iov_len = STRIDE_BYTES.min(DATAGRAM_BYTES_MAX + 1);
            self.headers[index].msg_hdr.msg_control = self.controls[index].as_mut_ptr();
            self.headers[index].msg_hdr.msg_controllen = CONTROL_BYTES as _;
        }
        // SAFETY: each header names buffers of this batch with their sizes, or null with 0, and all live through the
        // call.
        let taken = unsafe { receive_messages(socket, &mut self.headers[room]) };
        match taken {
            Ok(taken) => {
                for index in self.count..self.count + taken {
                    self.pieces[index] = piece_size(&self.headers[index]);
                }
                self.count += taken;
                Ok(taken)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Sends what is in these slots as it is, addresses included, and returns how many of them the system took.
    ///
    /// # Errors
    /// Why it did not take the first.
    pub fn send(&mut self, socket: BorrowedFd<'_>, range: Range<usize>) -> io::Result<usize> {
        self.send_behind(socket, range, &[])
    }

    /// Sends what is in these slots to the peer of a connected socket, each datagram with `prefix` before it; otherwise as
    /// [`Batch::send`].
    ///
    /// # Errors
    /// As [`Batch::send`].
    pub fn send_connected(
        &mut self,
        socket: BorrowedFd<'_>,
        range: Range<usize>,
        prefix: &[u8],
    ) -> io::Result<usize> {
        for header in &mut self.headers[range.clone()] {
            forget_addresses(&mut header.msg_hdr);
        }
        self.send_behind(socket, range, prefix)
    }

    fn send_behind(
        &mut self,
        socket: BorrowedFd<'_>,
        range: Range<usize>,
        prefix: &[u8],
    ) -> io::Result<usize> {
        assert!(range.end <= self.count, "{range:?} of {}", self.count);
        for index in range.clone() {
            self.vectors[index].iov_len = self.headers[index].msg_len as usize;
        }
        let (headers, pieces) = (&mut self.headers[range.clone()], &self.pieces[range]);
        // SAFETY: the headers name buffers of this batch, or null with 0, each with one vector, and they and the prefix live
        // as long as this call.
        match unsafe { self.runs.send(socket, headers, pieces, prefix) } {
            Some(outcome) => outcome,
            // SAFETY: as above.
            None => unsafe { send_messages(socket, headers) },
        }
    }
}

/// The datagrams of a run, or a single one.
fn pieces_of(bytes: &[u8], size: u16) -> impl Iterator<Item = &[u8]> {
    let single = (size == 0).then_some(bytes);
    let run = if size == 0 { &[] } else { bytes };
    single.into_iter().chain(run.chunks(usize::from(size.max(1))))
}

/// How many those are.
pub(super) fn pieces_in(length: usize, size: u16) -> usize {
    if size == 0 { 1 } else { length.div_ceil(usize::from(size)) }
}

/// Receives with one system call, and returns how many messages came.
///
/// # Safety
/// Pointers in the headers must lead to as much room as they say.
///
/// # Errors
/// Why there is not even one.
unsafe fn receive_messages(socket: BorrowedFd<'_>, messages: &mut [libc::mmsghdr]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT;
    if let [message] = messages {
        // SAFETY: the caller answers for the header.
        let length =
            retry(|| unsafe { libc::recvmsg(socket.as_raw_fd(), &mut message.msg_hdr, flags as _) })?;
        message.msg_len = length as libc::c_uint;
        return Ok(1);
    }
    let count = messages.len() as libc::c_uint;
    // SAFETY: as above, for all headers.
    retry(|| unsafe {
        libc::recvmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), count, flags as _, ptr::null_mut())
    })
}

/// Sends with one system call, and returns how many messages the system took.
///
/// # Safety
/// Pointers in the headers must lead to as much as they say.
///
/// # Errors
/// Why it did not take the first.
pub(super) unsafe fn send_messages(
    socket: BorrowedFd<'_>,
    messages: &mut [libc::mmsghdr],
) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    if let [message] = messages {
        // SAFETY: the caller answers for the header.
        retry(|| unsafe { libc::sendmsg(socket.as_raw_fd(), &message.msg_hdr, flags as _) })?;
        return Ok(1);
    }
    let count = messages.len() as libc::c_uint;
    // SAFETY: the caller answers for the headers.
    retry(|| unsafe { libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), count, flags as _) })
}

fn forget_addresses(header: &mut libc::msghdr) {
    header.msg_name = ptr::null_mut();
    header.msg_namelen = 0;
    header.msg_control = ptr::null_mut();
    header.msg_controllen = 0;
}

/// What IP_PKTINFO or IPV6_PKTINFO tell.
fn own_address(header: &libc::msghdr) -> Option<OwnAddress> {
    if let Some(info) = told::<libc::in_pktinfo>(header, libc::IPPROTO_IP, libc::IP_PKTINFO) {
        // Of a datagram to a group or to everybody, this is the address to answer from.
        let ip = Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr));
        return Some(OwnAddress { ip: ip.into(), interface: 0 });
    }
    let info = told::<libc::in6_pktinfo>(header, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO)?;
    let ip = Ipv6Addr::from(info.ipi6_addr.s6_addr);
    let interface = if ip.is_unicast_link_local() { info.ipi6_ifindex } else { 0 };
    // A group is no address to answer from: the system is to choose one.
    let ip = if ip.is_multicast() { Ipv6Addr::UNSPECIFIED } else { ip };
    Some(OwnAddress { ip: ip.into(), interface })
}

/// What UDP_GRO tells of a message that was received; 0 of a single datagram.
fn piece_size(message: &libc::mmsghdr) -> u16 {
    let size = told::<libc::c_int>(&message.msg_hdr, libc::IPPROTO_UDP, UDP_GRO).unwrap_or(0);
    if (1..message.msg_len).contains(&(size as libc::c_uint)) { size as u16 } else { 0 }
}

/// The control message of this kind in a header that the system has filled.
fn told<T: Copy>(header: &libc::msghdr, level: libc::c_int, kind: libc::c_int) -> Option<T> {
    // SAFETY: the system has filled the header, whose control buffer is still there.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR return messages inside the control buffer, or null.
        let found = unsafe { ((*message).cmsg_level, (*message).cmsg_type) };
        if found == (level, kind) {
            // SAFETY: a message of this kind carries a T, perhaps not aligned: those who ask answer for that.
            return Some(unsafe { ptr::read_unaligned(libc::CMSG_DATA(message).cast()) });
        }
        // SAFETY: as for the first.
        message = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
    None
}

/// Writes the address in the form that a socket with this own address takes, and returns its length.
fn write_address(
    storage: &mut libc::sockaddr_storage,
    address: &SocketAddr,
    own: &OwnAddress,
) -> libc::socklen_t {
    let (v6, scope) = match (address, own.ip) {
        (SocketAddr::V4(v4), IpAddr::V4(_)) => {
            // SAFETY: all-zero bytes are a valid sockaddr_in.
            let mut raw: libc::sockaddr_in = unsafe { mem::zeroed() };
            raw.sin_family = libc::AF_INET as libc::sa_family_t;
            raw.sin_port = address.port().to_be();
            raw.sin_addr.s_addr = u32::from(*v4.ip()).to_be();
            // SAFETY: a sockaddr_storage has room and alignment for every address.
            unsafe { ptr::write((&raw mut *storage).cast(), raw) };
            return mem::size_of::<libc::sockaddr_in>() as libc::socklen_t;
        }
        (SocketAddr::V4(v4), IpAddr::V6(_)) => (v4.ip().to_ipv6_mapped(), 0),
        (SocketAddr::V6(v6), _) => (*v6.ip(), v6.scope_id()),
    };
    // SAFETY: all-zero bytes are a valid sockaddr_in6.
    let mut raw: libc::sockaddr_in6 = unsafe { mem::zeroed() };
    raw.sin6_family = libc::AF_INET6 as libc::sa_family_t;
    raw.sin6_port = address.port().to_be();
    raw.sin6_addr.s6_addr = v6.octets();
    raw.sin6_scope_id = scope;
    // SAFETY: as above.
    unsafe { ptr::write((&raw mut *storage).cast(), raw) };
    mem::size_of::<libc::sockaddr_in6>() as libc::socklen_t
}

/// Writes the control message that lets a datagram leave from this address, and returns its length.
fn write_own_address(control: &mut Control, own: &OwnAddress) -> usize {
    match own.ip {
        IpAddr::V4(ip) => {
            let info = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr { s_addr: u32::from(ip).to_be() },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            control.write(0, libc::IPPROTO_IP, libc::IP_PKTINFO, info)
        }
        IpAddr::V6(ip) => {
            let info = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr { s6_addr: ip.octets() },
                ipi6_ifindex: own.interface as _,
            };
            control.write(0, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info)
        }
    }
}

/// Asks for the own address with each datagram that comes.
pub fn tell_own_address(socket: BorrowedFd<'_>, family: &IpAddr) -> nix::Result<()> {
    match family {
        IpAddr::V4(_) => set_option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1),
        IpAddr::V6(_) => set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1),
    }
}

/// Asks the system for runs of datagrams as they come, not taken apart. Without it, or where the system does not know of
/// that, they only cost more.
pub fn take_runs(socket: BorrowedFd<'_>) {
    let _ = set_option(socket, libc::IPPROTO_UDP, UDP_GRO, 1);
}

/// Lets routers cut up a datagram that is too large for a link instead of sending back an error.
pub fn allow_fragments(socket: BorrowedFd<'_>, family: &IpAddr) -> nix::Result<()> {
    #[cfg(target_os = "linux")]
    match family {
        IpAddr::V4(_) => set_option(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DONT)?,
        IpAddr::V6(_) => {
            set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DONT)?;
            // Not for a socket bound to an IPv6 address, which never sends over IPv4.
            let _ = set_option(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DONT);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (socket, family);
    Ok(())
}

/// Asks for every ICMP error about what a connected socket sends: otherwise Linux tells only that a port is closed, not
/// that a host or a network cannot be reached. They are to be fetched with [`take_error`].
pub fn tell_errors(socket: BorrowedFd<'_>, family: &IpAddr) -> nix::Result<()> {
    #[cfg(target_os = "linux")]
    match family {
        IpAddr::V4(_) => set_option(socket, libc::IPPROTO_IP, libc::IP_RECVERR, 1)?,
        IpAddr::V6(_) => set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1)?,
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (socket, family);
    Ok(())
}

/// Fetches the errors that wait at a socket, all of them, because the system reports the socket as long as one is left.
/// Returns the last; `None` when there was none.
pub fn take_error(socket: BorrowedFd<'_>) -> Option<io::Error> {
    let mut last = pending_error(socket);
    #[cfg(target_os = "linux")]
    while drop_queued_error(socket) {
        // The system makes the next in the queue the pending one.
        last = pending_error(socket).or(last);
    }
    last
}

fn pending_error(socket: BorrowedFd<'_>) -> Option<io::Error> {
    let number = nix::sys::socket::getsockopt(&socket, nix::sys::socket::sockopt::SocketError);
    number.ok().filter(|number| *number != 0).map(io::Error::from_raw_os_error)
}

#[cfg(target_os = "linux")]
fn drop_queued_error(socket: BorrowedFd<'_>) -> bool {
    // SAFETY: all-zero bytes are a valid msghdr, one without any buffer.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    // SAFETY: `header` lives through the call and names no buffer.
    unsafe { libc::recvmsg(socket.as_raw_fd(), &mut header, libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT) >= 0 }
}

#[cfg(test)]
#[path = "datagram_tests.rs"]
mod tests;
