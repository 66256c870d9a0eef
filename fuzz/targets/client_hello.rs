//! First bytes of TLS clients: none make the reader panic, a verdict on a beginning is never taken back, and a name that
//! was read is a host name.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pen_core::tls::hello::{HELLO_BYTES_MAX, Hello, read};
use pen_proto::commands::host_name;

fuzz_target!(|bytes: &[u8]| {
    let verdict = read(bytes);
    let (first, _) = bytes.split_at(bytes.len() / 2);
    let early = read(first);
    assert!(early == Hello::Incomplete || early == verdict || first.len() >= HELLO_BYTES_MAX);
    match verdict {
        Hello::Incomplete => assert!(bytes.len() < HELLO_BYTES_MAX),
        Hello::Tls(Some(name)) => assert_eq!(host_name(&name), Some(name.clone())),
        Hello::Tls(None) | Hello::Other => {}
    }
});
