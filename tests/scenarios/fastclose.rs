//! `tcp_fastclose`: whose end of file ends the whole connection.

use crate::common::backend::{Backend, read_line};
use crate::common::client::{End, ending};
use crate::common::pen::Pen;
use crate::common::wait;
use std::io::Write;
use std::net::Shutdown;
use std::sync::mpsc::{self, Receiver};

/// What the server heard after it had ended its own side.
fn server_ends_first(mode: &str) -> Option<String> {
    let (heard, hears): (_, Receiver<Option<String>>) = mpsc::channel();
    let server = Backend::serving(move |mut stream| {
        stream.write_all(b"bye\n").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        heard.send(read_line(&stream)).unwrap();
    });
    let pen = Pen::before([&server]).command(format!("tcp_fastclose {mode}")).start();
    let mut client = pen.connect();
    assert_eq!(client.rest(), b"bye\n");
    // Under fastclose the connection may be gone already.
    let _ = client.stream.write_all(b"late\n");
    wait::received(&hears)
}

/// What the client heard after it had ended its own side.
fn client_ends_first(mode: &str) -> Option<String> {
    let server = Backend::serving(|mut stream| {
        stream.write_all(b"hello\n").unwrap();
        if ending(&mut stream) == End::Eof {
            // Under fastclose nobody takes it.
            let _ = stream.write_all(b"late\n");
        }
    });
    let pen = Pen::before([&server]).command(format!("tcp_fastclose {mode}")).start();
    let mut client = pen.connect();
    assert_eq!(client.line(), "hello");
    client.end();
    client.try_line()
}

#[test]
fn off_lets_both_sides_finish() {
    assert_eq!(server_ends_first("off").as_deref(), Some("late"));
    assert_eq!(client_ends_first("off").as_deref(), Some("late"));
}

#[test]
fn up_ends_with_the_server() {
    assert_eq!(server_ends_first("up"), None);
    assert_eq!(client_ends_first("up").as_deref(), Some("late"));
}

#[test]
fn down_ends_with_the_client() {
    assert_eq!(server_ends_first("down").as_deref(), Some("late"));
    assert_eq!(client_ends_first("down"), None);
}

#[test]
fn both_end_with_either() {
    assert_eq!(server_ends_first("both"), None);
    assert_eq!(client_ends_first("both"), None);
}

#[test]
fn fastclose_still_delivers_what_came_before_the_end() {
    const BYTES: usize = 1_000_000;
    let server = Backend::serving(|mut stream| crate::common::pattern::write(&mut stream, BYTES).unwrap());
    let pen = Pen::before([&server]).command("tcp_fastclose both").start();
    for _ in 0..20 {
        assert_eq!(crate::common::pattern::read_to_end(&mut pen.connect().stream), BYTES);
    }
}
