//! Datagrams through real sockets on loopback.

use super::*;
use std::net::UdpSocket;
use std::os::fd::AsFd;

fn bound(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_nonblocking(true).unwrap();
    let family = socket.local_addr().unwrap().ip();
    tell_own_address(socket.as_fd(), &family).unwrap();
    allow_fragments(socket.as_fd(), &family).unwrap();
    socket
}

/// Loopback delivers at once.
fn receive(batch: &mut Batch, socket: &UdpSocket, count: usize) {
    assert_eq!(batch.receive(socket.as_fd(), BATCH).unwrap(), count);
    assert_eq!(batch.len(), count);
}

#[test]
fn a_batch_keeps_datagrams_apart_and_whole() {
    let (listener, client) = (bound("127.0.0.1:0"), bound("127.0.0.1:0"));
    let largest: Vec<u8> = (0..65_507u32).map(|byte| (byte % 251) as u8).collect();
    let sent: [&[u8]; 4] = [b"one", b"", &largest, b"four"];
    for bytes in sent {
        client.send_to(bytes, listener.local_addr().unwrap()).unwrap();
    }
    let mut batch = Batch::new();
    receive(&mut batch, &listener, 4);
    for (index, bytes) in sent.iter().enumerate() {
        assert!(batch.bytes(index) == *bytes, "datagram {index}");
        let (from, own) = batch.parties(index).unwrap();
        assert_eq!(from, client.local_addr().unwrap());
        assert_eq!((own.ip, own.interface), (IpAddr::from([127, 0, 0, 1]), 0));
    }
    receive(&mut batch, &listener, 0);
}

#[test]
fn an_answer_leaves_from_the_address_that_was_spoken_to() {
    for (any, spoken_to) in
        [("0.0.0.0:0", "127.0.0.7"), ("[::]:0", "127.0.0.7"), ("[::]:0", "::1"), ("127.0.0.3:0", "127.0.0.3")]
    {
        let listener = bound(any);
        let to = SocketAddr::new(spoken_to.parse().unwrap(), listener.local_addr().unwrap().port());
        let client = bound(if to.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" });
        client.send_to(b"question", to).unwrap();
        let mut batch = Batch::new();
        receive(&mut batch, &listener, 1);
        let (from, own) = batch.parties(0).unwrap();
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let upstream = bound("127.0.0.1:0");
        upstream.connect(server.local_addr().unwrap()).unwrap();
        for answer in ["first", "second"] {
            server.send_to(answer.as_bytes(), upstream.local_addr().unwrap()).unwrap();
        }
        batch.clear();
        assert_eq!(batch.relay(upstream.as_fd(), BATCH, &from, &own).unwrap(), 2);
        assert_eq!(batch.send(listener.as_fd(), 0..2).unwrap(), 2);
        let mut buffer = [0; 64];
        for answer in ["first", "second"] {
            let (length, sender) = client.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..length], sender), (answer.as_bytes(), to), "{any}");
        }
    }
}

#[test]
fn a_batch_is_filled_from_several_sockets() {
    let listener = bound("127.0.0.1:0");
    let own = OwnAddress { ip: [127, 0, 0, 1].into(), interface: 0 };
    let mut batch = Batch::new();
    let clients = [bound("127.0.0.1:0"), bound("127.0.0.1:0")];
    for client in &clients {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let upstream = bound("127.0.0.1:0");
        upstream.connect(server.local_addr().unwrap()).unwrap();
        for _ in 0..BATCH {
            server.send_to(b"x", upstream.local_addr().unwrap()).unwrap();
        }
        let room = BATCH - batch.len();
        let wanted = room.min(20);
        let taken = batch.relay(upstream.as_fd(), BATCH, &client.local_addr().unwrap(), &own).unwrap();
        assert!(taken >= wanted, "{taken}");
        if batch.is_full() {
            break;
        }
    }
    assert!(batch.is_full());
    assert_eq!(batch.send(listener.as_fd(), 0..BATCH).unwrap(), BATCH);
    assert!(clients[0].recv_from(&mut [0; 8]).is_ok());
}

#[test]
fn a_prefix_goes_before_each_datagram_and_leaves_the_batch_as_it_was() {
    let (listener, client) = (bound("127.0.0.1:0"), bound("127.0.0.1:0"));
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let upstream = bound("127.0.0.1:0");
    upstream.connect(server.local_addr().unwrap()).unwrap();
    for datagram in ["first", "", "third"] {
        client.send_to(datagram.as_bytes(), listener.local_addr().unwrap()).unwrap();
    }
    let mut batch = Batch::new();
    receive(&mut batch, &listener, 3);
    for prefix in ["before ", ""] {
        assert_eq!(batch.send_connected(upstream.as_fd(), 0..3, prefix.as_bytes()).unwrap(), 3);
        for (index, datagram) in ["first", "", "third"].iter().enumerate() {
            assert_eq!(batch.bytes(index), datagram.as_bytes());
            let mut buffer = [0; 64];
            let length = server.recv(&mut buffer).unwrap();
            assert_eq!(buffer[..length], *[prefix, datagram].concat().as_bytes());
        }
    }
}

#[test]
fn an_icmp_error_is_told_once() {
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let socket = bound("127.0.0.1:0");
    socket.connect(closed).unwrap();
    tell_errors(socket.as_fd(), &closed.ip()).unwrap();
    assert!(take_error(socket.as_fd()).is_none());
    socket.send(b"anybody?").unwrap();
    let error = take_error(socket.as_fd()).expect("loopback answers at once");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    assert!(take_error(socket.as_fd()).is_none());
}

#[test]
fn addresses_are_written_as_the_system_reads_them() {
    let v4 = OwnAddress { ip: [127, 0, 0, 1].into(), interface: 0 };
    let v6 = OwnAddress { ip: Ipv6Addr::LOCALHOST.into(), interface: 0 };
    for (address, own, expected) in [
        ("192.0.2.1:53", v4, "192.0.2.1:53"),
        ("192.0.2.1:53", v6, "[::ffff:192.0.2.1]:53"),
        ("[fe80::1%3]:53", v6, "[fe80::1%3]:53"),
    ] {
        // SAFETY: all-zero bytes are a valid sockaddr_storage.
        let mut storage: libc::sockaddr_storage = unsafe { mem::zeroed() };
        write_address(&mut storage, &address.parse().unwrap(), &own);
        assert_eq!(internet_address(&storage), Some(expected.parse().unwrap()));
    }
}
