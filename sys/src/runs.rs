//! Runs of datagrams: what follows one another in a batch to the same peer, and has the same size, is given to the system
//! as one message that it cuts up again (UDP_SEGMENT, Linux 4.18). Until then it is one packet in the network stack, not
//! many; with eight datagrams that halves what sending them costs. A run that came as one message goes on as one.
//!
//! Owns the messages for that. A system, a link or a route that does not do it makes no difference but the time: then the
//! datagrams are sent one by one. Called by `datagram.rs` only.

#![allow(unsafe_code)]

use super::datagram::{BATCH, Control, pieces_in, send_messages};
use nix::libc;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::{mem, ptr, slice};

/// What fits into an Ethernet frame with the headers of IPv6 and UDP: larger pieces than the link takes are refused.
const PIECE_BYTES_MAX: usize = 1452;
/// The whole of a message is no larger than a datagram over IPv6 may be; a system cuts it into 64 pieces or more.
const _: () = assert!(BATCH * PIECE_BYTES_MAX <= 65_535 - 48 && BATCH <= 64);

/// From linux/udp.h; other systems do not have it.
const UDP_SEGMENT: libc::c_int = 103;

/// Whether the system cuts up messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cutting {
    Unknown,
    Works,
    Refused,
}

/// Messages in the form in which the system takes them.
pub(super) struct Runs {
    headers: Vec<libc::mmsghdr>,
    /// By slot.
    vectors: Box<[libc::iovec]>,
    /// By message.
    controls: Box<[Control]>,
    /// How many slots each message has.
    lengths: Vec<usize>,
    /// Of single datagrams: what goes before each, and itself.
    single_vectors: Vec<[libc::iovec; 2]>,
    cutting: Cutting,
}

impl Default for Runs {
    fn default() -> Runs {
        // SAFETY: all-zero bytes are a valid iovec: a null pointer and a number.
        let vector = unsafe { mem::zeroed() };
        Runs {
            headers: Vec::with_capacity(BATCH),
            vectors: vec![vector; BATCH].into(),
            controls: vec![Control::EMPTY; BATCH].into(),
            lengths: Vec::with_capacity(BATCH),
            single_vectors: Vec::new(),
            cutting: Cutting::Unknown,
        }
    }
}

impl Runs {
    /// Sends what is in slots, of which `pieces` tells how large the datagrams of a run are, each datagram with `prefix`
    /// before it; as many of them together as can be. Returns how many slots the system took. `None`: each slot is a message
    /// as it stands, and nothing was sent.
    ///
    /// # Safety
    /// Each header must have one vector. Its pointers must lead to as much as they say, and for as long as the call lasts.
    ///
    /// # Errors
    /// Why it did not take the first.
    pub unsafe fn send(
        &mut self,
        socket: BorrowedFd<'_>,
        slots: &[libc::mmsghdr],
        pieces: &[u16],
        prefix: &[u8],
    ) -> Option<io::Result<usize>> {
        if prefix.is_empty() {
            // SAFETY: as the caller says.
            let together = unsafe { self.send_together(socket, slots, pieces) };
            if together.is_some() {
                return together;
            }
        }
        if prefix.is_empty() && pieces.iter().all(|size| *size == 0) {
            return None;
        }
        // SAFETY: as the caller says.
        Some(unsafe { self.send_singly(socket, slots, pieces, prefix) })
    }

    /// `None`: none go together, and nothing was sent.
    ///
    /// # Safety
    /// As [`Runs::send`].
    unsafe fn send_together(
        &mut self,
        socket: BorrowedFd<'_>,
        slots: &[libc::mmsghdr],
        pieces: &[u16],
    ) -> Option<io::Result<usize>> {
        if self.cutting == Cutting::Refused {
            return None;
        }
        // SAFETY: as the caller says.
        if !unsafe { self.gather(slots, pieces) } || !self.is_possible(socket) {
            return None;
        }
        // SAFETY: the headers have pointers of those that the caller answers for, and others to boxes of our own.
        match unsafe { send_messages(socket, &mut self.headers) } {
            Ok(sent) => Some(Ok(self.lengths[..sent].iter().sum())),
            Err(error) => match error.raw_os_error() {
                // The pieces are too large for the way they go, or too many.
                Some(libc::EINVAL | libc::EMSGSIZE) => None,
                // Some interfaces cannot do it, nor can IPsec.
                Some(libc::EIO | libc::EOPNOTSUPP) => {
                    self.cutting = Cutting::Refused;
                    None
                }
                _ => Some(Err(error)),
            },
        }
    }

    /// Sends each datagram as a message of its own. Of a run that the system did not take whole, the rest is lost.
    ///
    /// # Safety
    /// As [`Runs::send`].
    ///
    /// # Errors
    /// Why it did not take the first.
    unsafe fn send_singly(
        &mut self,
        socket: BorrowedFd<'_>,
        slots: &[libc::mmsghdr],
        pieces: &[u16],
        prefix: &[u8],
    ) -> io::Result<usize> {
        // Only read from.
        let before = libc::iovec { iov_base: prefix.as_ptr().cast_mut().cast(), iov_len: prefix.len() };
        self.single_vectors.clear();
        self.headers.clear();
        self.lengths.clear();
        for (slot, size) in slots.iter().zip(pieces) {
            // SAFETY: as the caller says.
            let libc::iovec { iov_base, iov_len } = unsafe { *slot.msg_hdr.msg_iov };
            let count = pieces_in(iov_len, *size);
            for piece in 0..count {
                let at = piece * usize::from(*size);
                let length = if *size == 0 { iov_len } else { (iov_len - at).min(usize::from(*size)) };
                let piece =
                    libc::iovec { iov_base: iov_base.cast::<u8>().wrapping_add(at).cast(), iov_len: length };
                self.single_vectors.push([before, piece]);
                self.headers.push(*slot);
            }
            self.lengths.push(count);
        }
        // Only now do the vectors stay where they are.
        for (header, vectors) in self.headers.iter_mut().zip(&mut self.single_vectors) {
            header.msg_hdr.msg_iov = vectors.as_mut_ptr();
            header.msg_hdr.msg_iovlen = 2;
        }
        let mut sent = 0;
        while sent < self.headers.len() {
            // SAFETY: the headers lead to vectors of our own, and these to what the caller answers for.
            match unsafe { send_messages(socket, &mut self.headers[sent..]) } {
                Ok(more) => sent += more,
                Err(error) if sent == 0 => return Err(error),
                Err(_) => break,
            }
        }
        let mut rest = sent;
        let whole = self.lengths.iter().take_while(|length| {
            let begun = rest > 0;
            rest = rest.saturating_sub(**length);
            begun
        });
        Ok(whole.count())
    }

    /// An older system would not refuse the message but send it as one datagram.
    fn is_possible(&mut self, socket: BorrowedFd<'_>) -> bool {
        if self.cutting == Cutting::Unknown {
            self.cutting = if knows_segments(socket) { Cutting::Works } else { Cutting::Refused };
        }
        self.cutting == Cutting::Works
    }

    /// Makes messages of slots; false when each is one datagram and none go together.
    ///
    /// # Safety
    /// As [`Runs::send`].
    unsafe fn gather(&mut self, slots: &[libc::mmsghdr], pieces: &[u16]) -> bool {
        self.headers.clear();
        self.lengths.clear();
        let mut first = 0;
        for (index, slot) in slots.iter().enumerate() {
            // SAFETY: as the caller says.
            self.vectors[index] = unsafe { *slot.msg_hdr.msg_iov };
            // SAFETY: as the caller says.
            let joins = index > 0
                && pieces[first] == 0
                && pieces[index] == 0
                && self.fits(first, index)
                && unsafe { same_peer(&slots[first], slot) };
            if joins && let (Some(header), Some(length)) = (self.headers.last_mut(), self.lengths.last_mut())
            {
                header.msg_hdr.msg_iovlen += 1;
                *length += 1;
                continue;
            }
            first = index;
            self.lengths.push(1);
            self.headers.push(*slot);
            let header = &mut self.headers[self.lengths.len() - 1].msg_hdr;
            header.msg_iov = &mut self.vectors[index];
        }
        if self.lengths.len() == slots.len() && pieces.iter().all(|size| *size == 0) {
            return false;
        }
        // SAFETY: as the caller says.
        unsafe { self.say_sizes(pieces) };
        true
    }

    /// Whether a datagram may follow those since `first`: all have one size, of which only the last may fall short, and
    /// nothing is no piece.
    fn fits(&self, first: usize, index: usize) -> bool {
        let size = |index: usize| self.vectors[index].iov_len;
        size(index - 1) == size(first)
            && (1..=size(first).min(PIECE_BYTES_MAX)).contains(&size(index))
            && size(first) <= PIECE_BYTES_MAX
    }

    /// Tells the system how large the pieces of each run are.
    ///
    /// # Safety
    /// As [`Runs::send`].
    unsafe fn say_sizes(&mut self, pieces: &[u16]) {
        let mut slot = 0;
        for ((header, control), length) in self.headers.iter_mut().zip(&mut self.controls).zip(&self.lengths)
        {
            let header = &mut header.msg_hdr;
            // SAFETY: each header has a vector.
            let gathered = if *length > 1 { unsafe { (*header.msg_iov).iov_len as u16 } } else { 0 };
            let size = pieces[slot].max(gathered);
            slot += length;
            if size == 0 {
                continue;
            }
            // SAFETY: as the caller says; both are buffers for control messages, of one size.
            unsafe {
                let there = bytes(header.msg_control, header.msg_controllen as _);
                ptr::copy_nonoverlapping(there.as_ptr(), control.as_mut_ptr().cast(), there.len());
            }
            let length = control.write(header.msg_controllen as _, libc::IPPROTO_UDP, UDP_SEGMENT, size);
            header.msg_control = control.as_mut_ptr();
            header.msg_controllen = length as _;
        }
    }
}

/// Whether two datagrams go to the same address, from the same.
///
/// # Safety
/// Pointers in the headers must lead to as much as they say.
unsafe fn same_peer(one: &libc::mmsghdr, other: &libc::mmsghdr) -> bool {
    let [one, other] = [&one.msg_hdr, &other.msg_hdr];
    let name = |header: &libc::msghdr| (header.msg_name, header.msg_namelen as usize);
    let control = |header: &libc::msghdr| (header.msg_control, header.msg_controllen as _);
    [(name(one), name(other)), (control(one), control(other))].into_iter().all(|(one, other)| {
        // SAFETY: as the caller says.
        unsafe { bytes(one.0, one.1) == bytes(other.0, other.1) }
    })
}

/// # Safety
/// There must be so many bytes, for as long as the result is used; without any, the pointer may be null.
unsafe fn bytes<'a>(start: *const libc::c_void, length: usize) -> &'a [u8] {
    if length == 0 {
        return &[];
    }
    // SAFETY: as the caller says.
    unsafe { slice::from_raw_parts(start.cast(), length) }
}

fn knows_segments(socket: BorrowedFd<'_>) -> bool {
    let mut size: libc::c_int = 0;
    let mut length = mem::size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: both pointers lead to variables that live through the call, the first to as many bytes as the second says.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_UDP,
            UDP_SEGMENT,
            (&raw mut size).cast(),
            &mut length,
        )
    };
    cfg!(target_os = "linux") && outcome == 0
}

#[cfg(test)]
#[path = "runs_tests.rs"]
mod tests;
