//! Pen's log lines and datagrams: parsing never panics, and what parses is written back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pen_proto::logline::{parse_datagram, parse_line, write_datagram, write_line};

fuzz_target!(|bytes: &[u8]| {
    let _ = parse_line(bytes);
    let _ = parse_datagram(bytes);
    // Whatever a client sends, its line is one line and reads back.
    let client = pen_proto::addr::ClientAddr::Ip([192, 0, 2, 1].into());
    let mut line = Vec::new();
    write_line(&mut line, client, 1_700_000_000, "198.51.100.7", bytes);
    assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1);
    assert!(line.iter().all(|&byte| byte == b'\n' || (b' '..=b'~').contains(&byte)));
    assert!(parse_line(&line[..line.len() - 1]).is_some());
    let mut datagram = Vec::new();
    write_datagram(&mut datagram, client, "198.51.100.7", bytes);
    assert!(datagram.len() <= 1024);
    assert!(parse_datagram(&datagram).is_some());
});
