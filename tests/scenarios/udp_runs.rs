//! Runs of datagrams that a sender gives to the system as one message: pen takes and passes on the message as a whole, and
//! nobody sees a difference but in what it costs.

use crate::common::datagram::{UdpClient, UdpServer, send_run};
use crate::common::pen::Pen;
use crate::common::ports::free_port;
use crate::common::wait::eventually;
use crate::idlers::total;
use pen_core::proxy_protocol::{Endpoints, Transport, write_v2};

/// A run and its datagrams, of which the last is shorter.
fn run(size: usize, count: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
    let bytes: Vec<u8> = (0..size * count - size / 2).map(|byte| (byte / size + byte) as u8).collect();
    let datagrams = bytes.chunks(size).map(<[u8]>::to_vec).collect();
    (bytes, datagrams)
}

/// Sends back, as one run, what it got of this many datagrams.
fn mirror(size: usize, count: usize) -> UdpServer {
    let got = std::sync::Mutex::new(Vec::new());
    UdpServer::handling(&format!("127.0.0.1:{}", free_port()), move |socket, datagram, peer| {
        let mut got = got.lock().unwrap();
        got.extend_from_slice(datagram);
        if got.len() == size * count - size / 2 {
            send_run(socket, &got, size as u16, peer);
            got.clear();
        }
    })
}

#[test]
fn a_run_arrives_as_the_datagrams_it_is_of_both_ways() {
    for (size, count) in [(1200, 40), (100, 60), (8000, 7)] {
        let server = mirror(size, count);
        let pen = Pen::before([&server]).options("-U").command("threads 1").start();
        let client = UdpClient::new(pen.address);
        let (bytes, datagrams) = run(size, count);
        // From the second on, pen has the answers as runs too.
        for round in 1..=4 {
            client.send_run(&bytes, size as u16);
            let answers: Vec<Vec<u8>> = (0..count).map(|_| client.answer()).collect();
            assert!(answers == datagrams, "{count} of {size} bytes, round {round}");
        }
        assert!(server.datagrams() == vec![datagrams.clone(); 4].concat());
        let sent = || total(&pen, "up_datagrams");
        eventually("datagrams counted one by one", sent, |sent| *sent == 4 * count as u64);
        assert_eq!(total(&pen, "down_datagrams"), 4 * count as u64);
    }
}

#[test]
fn headers_go_before_each_datagram_of_a_run() {
    let server = UdpServer::mute();
    let pen = Pen::before([&server]).options("-U").command("server 0 proxy v2").start();
    let client = UdpClient::new(pen.address);
    let (bytes, datagrams) = run(300, 9);
    client.send_run(&bytes, 300);
    let got = || server.datagrams();
    let got = eventually("all of them", got, |got| got.len() == datagrams.len());
    for (got, datagram) in got.iter().zip(&datagrams) {
        assert!(got.starts_with(b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c") && got[28..] == *datagram);
    }
}

#[test]
fn headers_are_taken_off_each_datagram_of_a_run() {
    const DOWNSTREAM: &str = "127.0.0.2";
    let server = UdpServer::mute();
    let pen = Pen::before([&server]).options("-U").command(format!("proxy_accept {DOWNSTREAM}")).start();
    let named = |index: usize| {
        let endpoints =
            Endpoints::new(([192, 0, 2, 7], 4000 + index as u16).into(), ([198, 51, 100, 1], 53).into());
        let mut bytes = Vec::new();
        write_v2(Some(&endpoints), Transport::Datagram, &mut bytes);
        [&bytes[..], format!("words {index:02}").as_bytes()].concat()
    };
    let run: Vec<u8> = (0..50).flat_map(named).collect();
    UdpClient::from(DOWNSTREAM, pen.address).send_run(&run, named(0).len() as u16);
    let mut got = eventually("all of them", || server.datagrams(), |got| got.len() == 50);
    got.sort();
    assert!(got.iter().enumerate().all(|(index, got)| *got == format!("words {index:02}").into_bytes()));
    assert_eq!(server.peers().len(), 50, "a session for each client");
}
