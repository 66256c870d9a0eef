//! How connections with TLS end, on either side.

use crate::PATIENT;
use crate::certificates::{Authority, WithCertificate};
use crate::common::backend::{Backend, echo};
use crate::common::client::{End, ending, reset};
use crate::common::pattern;
use crate::common::pen::Pen;
use crate::common::wait::eventually;
use crate::peers::{BOTH_VERSIONS, Speaker, TlsClient, tls_backend_serving};
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, Mutex};

const REPLY_BYTES: usize = 3 << 20;

#[test]
fn close_notify_travels_on_and_the_reply_comes_whole() {
    let authority = Authority::new("authority");
    let server = Backend::replying_after_eof(REPLY_BYTES);
    let pen = Pen::before([&server]).certificate(&authority.sign(&["web.test"])).start();
    for version in BOTH_VERSIONS {
        for _ in 0..5 {
            let mut client = Speaker::with(&authority, None, &[version]).connect(pen.address, "web.test");
            client.send("request");
            client.end();
            assert_eq!(pattern::read_to_end(&mut client.stream), REPLY_BYTES, "{version:?}");
        }
    }
}

#[test]
fn the_end_of_a_server_is_said_in_tls() {
    let authority = Authority::new("authority");
    let server = Backend::serving(|mut stream| {
        let _ = stream.write_all(b"all there is");
    });
    for mode in ["off", "up", "down", "both"] {
        let pen = Pen::before([&server])
            .certificate(&authority.sign(&["web.test"]))
            .command(format!("tcp_fastclose {mode}"))
            .start();
        let mut client = Speaker::trusting(&authority).connect(pen.address, "web.test");
        assert_eq!(client.rest(), b"all there is", "{mode}");
    }
}

#[test]
fn a_server_that_is_cut_off_is_no_end() {
    let authority = Authority::new("authority");
    let server = Backend::serving(|mut stream| {
        let _ = stream.write_all(b"half of");
        let _ = stream.read(&mut [0; 100]); // until the client has it
        reset(stream);
    });
    let pen = Pen::before([&server]).certificate(&authority.sign(&["web.test"])).start();
    let mut client = Speaker::trusting(&authority).connect(pen.address, "web.test");
    let mut half = [0; 7];
    client.stream.read_exact(&mut half).unwrap();
    client.send("go on");
    let error = client.stream.read(&mut [0]).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof),
        "not an end in order: {error}"
    );
}

#[test]
fn a_client_that_only_ends_its_connection_is_heard_to_the_last_byte() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let authority = Authority::new("authority");
    let server = Backend::serving({
        let heard = heard.clone();
        move |mut stream| {
            let mut bytes = Vec::new();
            let _ = stream.read_to_end(&mut bytes);
            heard.lock().unwrap().extend(bytes);
        }
    });
    let pen = Pen::before([&server]).certificate(&authority.sign(&["web.test"])).start();
    let mut client = Speaker::trusting(&authority).connect(pen.address, "web.test");
    client.send(vec![b'x'; 100_000]);
    client.stream.sock.shutdown(Shutdown::Write).unwrap();
    eventually("the server to hear it all", || heard.lock().unwrap().len(), |count| *count == 100_000);
}

/// A server that greets, and how its last connection ended.
fn server_that_tells_its_end() -> (Backend, Arc<Mutex<Option<End>>>) {
    let ended = Arc::new(Mutex::new(None));
    let told = ended.clone();
    let server = Backend::serving(move |mut stream| {
        let _ = stream.write_all(b"A\n");
        *told.lock().unwrap() = Some(ending(&mut stream));
    });
    (server, ended)
}

#[test]
fn a_client_that_resets_is_a_reset_for_the_server() {
    let authority = Authority::new("authority");
    let (server, ended) = server_that_tells_its_end();
    let pen = Pen::before([&server]).certificate(&authority.sign(&["web.test"])).start();
    let mut client = Speaker::trusting(&authority).connect(pen.address, "web.test");
    client.line();
    reset(client.stream.sock);
    eventually("the reset", || *ended.lock().unwrap(), |end| *end == Some(End::Reset));
}

#[test]
fn bytes_that_were_changed_on_the_way_end_the_connection() {
    let authority = Authority::new("authority");
    let server = Backend::serving(echo);
    let pen = Pen::before([&server]).certificate(&authority.sign(&["web.test"])).start();
    let mut client = Speaker::trusting(&authority).connect(pen.address, "web.test");
    assert_eq!(client.exchange("hello"), "hello");
    client.stream.sock.write_all(&[23, 3, 3, 0, 32]).unwrap();
    client.stream.sock.write_all(&[7; 32]).unwrap();
    assert!(client.stream.read(&mut [0]).is_err(), "an alert, or a reset");
    eventually("the server to be let go", || server.open(), |open| *open == 0);
}

/// One record with these plain bytes, as `speaker` would send it, cut in half.
fn half_a_record(client: &mut TlsClient) -> Vec<u8> {
    let mut record = Vec::new();
    client.stream.conn.writer().write_all(&[b'x'; 1000]).unwrap();
    client.stream.conn.write_tls(&mut record).unwrap();
    record.truncate(record.len() / 2);
    record
}

#[test]
fn a_client_that_ends_within_a_record_is_a_reset_for_the_server() {
    let authority = Authority::new("authority");
    let (server, ended) = server_that_tells_its_end();
    let pen = Pen::before([&server]).certificate(&authority.sign(&["web.test"])).start();
    for (is_torn, expected) in [(true, End::Reset), (false, End::Eof)] {
        let mut client = Speaker::trusting(&authority).connect(pen.address, "web.test");
        client.line();
        let half = half_a_record(&mut client);
        if is_torn {
            client.stream.sock.write_all(&half[..1]).unwrap(); // also within the header of a record
            client.stream.sock.write_all(&half[1..]).unwrap();
        }
        client.stream.sock.shutdown(Shutdown::Write).unwrap();
        eventually("the end", || ended.lock().unwrap().take(), |end| *end == Some(expected));
    }
}

#[test]
fn a_server_that_ends_within_a_record_is_a_reset_for_a_client_without_tls() {
    let authority = Authority::new("authority");
    let server = tls_backend_serving(&authority.sign(&["web.test"]), |mut stream| {
        let _ = stream.read(&mut [0; 10]);
        let mut record = Vec::new();
        stream.conn.writer().write_all(&[b'x'; 1000]).unwrap();
        stream.conn.write_tls(&mut record).unwrap();
        let _ = stream.sock.write_all(&record[..record.len() / 2]);
    });
    let pen = Pen::before([] as [&str; 0])
        .options(PATIENT)
        .config(&format!("server 0 address 127.0.0.1 port {} tls noverify\n", server.port()))
        .start();
    let mut client = pen.connect();
    client.send("go on\n");
    assert_eq!(ending(&mut client.stream), End::Reset);
}

/// As without TLS: close_notify is the end too.
#[test]
fn a_place_is_free_before_the_client_learns_that_its_connection_is_over() {
    let authority = Authority::new("authority");
    let server = Backend::serving(echo);
    let pen = Pen::before([format!("{server}:1")])
        .certificate(&authority.sign(&["web.test"]))
        .command("threads 4")
        .start();
    for visit in 0..100 {
        let mut client = Speaker::trusting(&authority).connect(pen.address, "web.test");
        client.send("hello\n");
        client.end();
        assert_eq!(client.rest(), b"hello\n", "visit {visit}");
    }
}
