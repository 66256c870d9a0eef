//! Access log lines: parsing never panics, and nothing dangerous reaches a terminal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pen_proto::weblog::time::{fraction_of, parse_time, write_time};
use pen_proto::weblog::{WebLine, find_request, write_as_pen_data, write_visible};

fuzz_target!(|bytes: &[u8]| {
    if let Some((client, request)) = find_request(bytes) {
        let _ = (client.map(|place| &bytes[place]), &bytes[request]);
    }
    if let Some(line) = WebLine::parse(bytes) {
        let mut out = Vec::new();
        line.write(&mut out, b"192.0.2.1");
        write_as_pen_data(&mut out, bytes);
    }
    if let Some(seconds) = parse_time(bytes) {
        let mut text = Vec::new();
        write_time(&mut text, seconds, fraction_of(bytes));
    }
    let mut visible = Vec::new();
    write_visible(&mut visible, bytes);
    assert!(visible.iter().all(|&byte| byte >= b' ' && byte != 0x7f || byte == b'\n'));
});
