//! Runs through real sockets on loopback.

use super::super::datagram::{Batch, Place};
use super::*;
use crate::datagram::take_runs;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use pen_proto::endpoint::OwnAddress;
use std::io::IoSlice;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsFd;

fn pair() -> (UdpSocket, UdpSocket) {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver.set_nonblocking(true).unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.connect(receiver.local_addr().unwrap()).unwrap();
    (receiver, sender)
}

/// Datagrams of these sizes, each of another byte.
fn datagrams(sizes: &[usize]) -> Vec<Vec<u8>> {
    sizes.iter().enumerate().map(|(index, size)| vec![index as u8; *size]).collect()
}

/// Puts what `from` has waiting into the batch, for `to`.
fn fill(batch: &mut Batch, from: &UdpSocket, to: &UdpSocket) {
    let own = OwnAddress { ip: [127, 0, 0, 1].into(), interface: 0 };
    batch.relay(from.as_fd(), BATCH, &to.local_addr().unwrap(), &own).unwrap();
}

fn next(receiver: &UdpSocket) -> Option<Vec<u8>> {
    let mut buffer = [0; 70_000];
    receiver.recv(&mut buffer).ok().map(|length| buffer[..length].to_vec())
}

/// What each run would have, of datagrams with these sizes.
fn gathered(sizes: &[usize]) -> Option<Vec<usize>> {
    let mut datagrams = datagrams(sizes);
    let mut vectors: Vec<libc::iovec> = datagrams
        .iter_mut()
        .map(|bytes| libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() })
        .collect();
    // SAFETY: all-zero bytes are a valid mmsghdr, one without any buffer.
    let mut headers: Vec<libc::mmsghdr> = vec![unsafe { mem::zeroed() }; sizes.len()];
    for (header, vector) in headers.iter_mut().zip(&mut vectors) {
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
    }
    let mut runs = Runs::default();
    // SAFETY: the headers lead to the vectors, and these to the datagrams.
    unsafe { runs.gather(&headers, &vec![0; sizes.len()]) }.then_some(runs.lengths)
}

#[test]
fn equal_ones_and_a_shorter_last_one_go_together() {
    let table: [(&[usize], Option<&[usize]>); 10] = [
        (&[], None),
        (&[7], None),
        (&[7, 7], Some(&[2])),
        (&[7, 7, 3, 3, 3], Some(&[3, 2])),
        (&[7, 8, 8, 8], Some(&[1, 3])),
        (&[3, 7, 9], None),
        (&[7, 7, 0, 7], Some(&[2, 1, 1])),
        (&[0, 0], None),
        (&[PIECE_BYTES_MAX, PIECE_BYTES_MAX], Some(&[2])),
        (&[PIECE_BYTES_MAX + 1, PIECE_BYTES_MAX + 1, 4], None),
    ];
    for (sizes, expected) in table {
        assert_eq!(gathered(sizes).as_deref(), expected, "{sizes:?}");
    }
}

#[test]
fn datagrams_arrive_as_they_were_however_they_are_sent() {
    for sizes in
        [&[100; 32][..], &[5, 5, 5, 2, 9, 9, 0, 0, 1452, 1452, 1453, 1453, 60_000, 1], &[1400, 1400, 1399]]
    {
        let sent = datagrams(sizes);
        let ((inbox, source), (receiver, sender)) = (pair(), pair());
        for datagram in &sent {
            source.send(datagram).unwrap();
        }
        let mut batch = Batch::new();
        fill(&mut batch, &inbox, &receiver);
        let unconnected = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(batch.send(unconnected.as_fd(), 0..sent.len()).unwrap(), sent.len());
        let got: Vec<Vec<u8>> = std::iter::from_fn(|| next(&receiver)).collect();
        assert!(got == sent, "to an address: {sizes:?}");
        assert_eq!(batch.send_connected(sender.as_fd(), 0..sent.len(), b"").unwrap(), sent.len());
        let got: Vec<Vec<u8>> = std::iter::from_fn(|| next(&receiver)).collect();
        assert!(got == sent, "to a peer: {sizes:?}");
    }
}

#[test]
fn what_the_system_has_refused_once_is_not_tried_again() {
    let (receiver, sender) = pair();
    let mut runs = Runs { cutting: Cutting::Refused, ..Runs::default() };
    let mut piece = *b"piece";
    let mut vector = libc::iovec { iov_base: piece.as_mut_ptr().cast(), iov_len: piece.len() };
    // SAFETY: all-zero bytes are a valid mmsghdr, one without any buffer.
    let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
    header.msg_hdr.msg_iov = &mut vector;
    header.msg_hdr.msg_iovlen = 1;
    // SAFETY: the headers lead to the vector, and that to the bytes.
    assert!(unsafe { runs.send(sender.as_fd(), &[header; 3], &[0; 3], &[]) }.is_none());
    assert_eq!(next(&receiver), None, "the caller sends them itself");
    if knows_segments(sender.as_fd()) {
        runs.cutting = Cutting::Unknown;
        // SAFETY: as above.
        let sent = unsafe { runs.send(sender.as_fd(), &[header; 3], &[0; 3], &[]) };
        assert_eq!(sent.expect("three that go together").unwrap(), 3);
        assert_eq!(
            [next(&receiver), next(&receiver), next(&receiver)],
            [(); 3].map(|()| Some(piece.to_vec()))
        );
    }
}

#[test]
fn datagrams_to_different_peers_stay_apart() {
    let pairs = [pair(), pair()];
    let mut batch = Batch::new();
    let receivers: Vec<UdpSocket> = pairs.iter().map(|_| pair().0).collect();
    for ((inbox, source), receiver) in pairs.iter().zip(&receivers) {
        (0..3).for_each(|_| {
            assert_eq!(source.send(&receiver.local_addr().unwrap().port().to_be_bytes()).unwrap(), 2)
        });
        fill(&mut batch, inbox, receiver);
    }
    let listener = UdpSocket::bind("127.0.0.1:0").unwrap();
    assert_eq!(batch.send(listener.as_fd(), 0..6).unwrap(), 6);
    for receiver in &receivers {
        let got: Vec<Vec<u8>> = std::iter::from_fn(|| next(receiver)).collect();
        let port = receiver.local_addr().unwrap().port().to_be_bytes().to_vec();
        assert_eq!(got, vec![port; 3]);
    }
}

#[test]
fn a_run_leaves_from_the_address_that_was_spoken_to() {
    for (any, to, own) in [
        ("0.0.0.0:0", "127.0.0.1:0", "127.0.0.7"),
        ("[::]:0", "[::1]:0", "::1"),
        ("[::]:0", "127.0.0.1:0", "::ffff:127.0.0.7"),
    ] {
        let listener = UdpSocket::bind(any).unwrap();
        let receiver = UdpSocket::bind(to).unwrap();
        receiver.set_nonblocking(true).unwrap();
        let (inbox, source) = pair();
        (0..3).for_each(|_| assert_eq!(source.send(b"equal").unwrap(), 5));
        let mut batch = Batch::new();
        let own: IpAddr = own.parse().unwrap();
        let spoken_to = OwnAddress { ip: own, interface: 0 };
        batch.relay(inbox.as_fd(), BATCH, &receiver.local_addr().unwrap(), &spoken_to).unwrap();
        assert_eq!(batch.send(listener.as_fd(), 0..3).unwrap(), 3);
        for _ in 0..3 {
            let mut buffer = [0; 8];
            let (length, from) = receiver.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..length], from.ip()), (&b"equal"[..], own.to_canonical()));
        }
    }
}

/// What a sender gives to the system as one message, so many bytes in each datagram.
fn send_run(sender: &UdpSocket, bytes: &[u8], size: u16) {
    let control = [ControlMessage::UdpGsoSegments(&size)];
    let sent = sendmsg::<()>(sender.as_raw_fd(), &[IoSlice::new(bytes)], &control, MsgFlags::empty(), None);
    assert_eq!(sent.unwrap(), bytes.len());
}

#[test]
fn a_run_that_came_whole_goes_on_whole_and_arrives_as_it_was() {
    for (size, length) in [(1200, 40 * 1200), (1400, 1400 * 7 + 3), (1, 64), (9000, 27_001), (500, 501)] {
        let sent: Vec<u8> = (0..length).map(|byte| (byte % 251) as u8).collect();
        let expected: Vec<Vec<u8>> = sent.chunks(size.into()).map(<[u8]>::to_vec).collect();
        let ((inbox, source), (receiver, sender)) = (pair(), pair());
        take_runs(inbox.as_fd());
        source.send(b"single").unwrap();
        send_run(&source, &sent, size);
        let mut batch = Batch::new();
        fill(&mut batch, &inbox, &receiver);
        assert!(batch.has_runs(), "the system took them apart");
        assert_eq!(batch.len(), 2);
        assert_eq!(batch.datagrams_in(0..2), 1 + expected.len());
        let first = (&b"single"[..], &b"single"[..]);
        assert_eq!((batch.datagrams(0..1).next().unwrap(), batch.bytes(0)), first);
        assert!(batch.datagrams(1..2).eq(expected.iter()), "{size}");
        let unconnected = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(batch.send(unconnected.as_fd(), 1..2).unwrap(), 1);
        assert!(std::iter::from_fn(|| next(&receiver)).eq(expected.iter().cloned()), "to an address: {size}");
        assert_eq!(batch.send_connected(sender.as_fd(), 0..2, b"to ").unwrap(), 2);
        let headed = [&b"single"[..]].into_iter().chain(expected.iter().map(Vec::as_slice));
        let headed = headed.map(|datagram| [b"to ", datagram].concat());
        assert!(std::iter::from_fn(|| next(&receiver)).eq(headed), "behind a prefix: {size}");
        let (mut singles, mut place) = (Batch::new(), Place::default());
        let mut copied = Vec::new();
        while singles.copy_singly(&batch, &mut place) > 0 {
            assert!(!singles.has_runs());
            copied.extend((0..singles.len()).map(|slot| singles.bytes(slot).to_vec()));
        }
        assert_eq!(copied[0], b"single");
        assert!(copied[1..] == expected, "copied: {size}");
    }
}

#[test]
fn a_run_arrives_where_the_system_cannot_cut() {
    let ((inbox, source), (receiver, sender)) = (pair(), pair());
    take_runs(inbox.as_fd());
    send_run(&source, b"onetwothr4", 3);
    let mut batch = Batch::new();
    fill(&mut batch, &inbox, &receiver);
    // SAFETY: all-zero bytes are a valid mmsghdr, one without any buffer.
    let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
    let mut run = batch.bytes(0).to_vec();
    let mut vector = libc::iovec { iov_base: run.as_mut_ptr().cast(), iov_len: run.len() };
    header.msg_hdr.msg_iov = &mut vector;
    header.msg_hdr.msg_iovlen = 1;
    let mut runs = Runs { cutting: Cutting::Refused, ..Runs::default() };
    // SAFETY: the header leads to the vector, and that to the bytes.
    let sent = unsafe { runs.send(sender.as_fd(), &[header], &[3], &[]) };
    assert_eq!(sent.expect("a run is no message").unwrap(), 1);
    let got: Vec<Vec<u8>> = std::iter::from_fn(|| next(&receiver)).collect();
    assert_eq!(got, [&b"one"[..], b"two", b"thr", b"4"]);
}
