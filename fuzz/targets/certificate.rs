//! Certificates, OCSP responses and PEM files: none make their readers panic, and a certificate is one to its last byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pen_core::tls::certificate::{Certificate, name};
use pen_core::tls::{algorithm, ocsp, pem};

fuzz_target!(|bytes: &[u8]| {
    if let Some(read) = Certificate::read(bytes) {
        let _ = (read.is_authority(), read.common_name(), read.out_of_date(0), read.demands_the_unknown());
        let _ = (name(read.issuer), algorithm::name(read.key_algorithm), read.may_be_used_for(&[]));
        assert!(Certificate::read(&bytes[..bytes.len() - 1]).is_none());
    }
    let _ = (ocsp::answers(bytes), algorithm::of_private_key(bytes));
    if let Ok(blocks) = pem::blocks(bytes) {
        assert!(blocks.iter().all(|block| block.line > 0 && block.body.len() < bytes.len()));
    }
});
