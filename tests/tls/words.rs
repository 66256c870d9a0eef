//! What is said of handshakes that fail, to the operator and to the peer.

use crate::common::backend::Backend;
use crate::common::client::Client;
use crate::common::pen::Pen;
use crate::common::programs::run;
use crate::common::wait::eventually;
use crate::strange::{before, is_served};
use crate::workshop::{EC, WEB, Workshop};
use std::io::{Read, Write};

#[test]
fn handshakes_of_clients_fail_in_the_words_of_an_operator() {
    let Some(shop) = Workshop::open().map(Workshop::three) else { return };
    let server = Backend::named("A");
    let file = |name: &str| shop.path(name).display().to_string();
    let pen = Pen::before([&server])
        .options("-dd -E")
        .word(file("web.crt"))
        .options("-K")
        .word(file("web.key"))
        .start();
    let (address, root) = (pen.address.to_string(), file("root.crt"));
    for (words, alert, told) in [
        ("-tls1_1 -cipher ALL:@SECLEVEL=0", "alert number 70", "the peer speaks nothing newer than TLS 1.1"),
        ("-tls1 -cipher ALL:@SECLEVEL=0", "alert number 70", "the peer speaks nothing newer than TLS 1.1"),
        (
            "-groups X448",
            "alert number 40",
            "no key exchange in common; ours are ephemeral, with X25519MLKEM768, ",
        ),
        (
            "-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA",
            "alert number 40",
            "no cipher in common; ours have ephemeral keys",
        ),
        ("-sigalgs RSA+SHA256", "alert number 40", "no kind of signature in common that goes with our key"),
        (
            "-verify_return_error",
            "verify failed",
            "the peer says: it knows no authority that vouches for our certificate (alert 48)",
        ),
    ] {
        let mut all = vec!["s_client", "-connect", &address, "-CAfile", &root];
        all.extend(words.split_whitespace());
        let said = run("openssl", &all, "");
        assert!(said.stderr.contains(alert), "{words}: {said:?}");
        eventually("the reason", || pen.stderr(), |text| text.contains(told));
    }
    for (bytes, told) in [
        (
            &b"GET / HTTP/1.1\r\nHost: web.test\r\n\r\n"[..],
            r#"what the peer sends is no TLS; it begins with "GET / HTTP/""#,
        ),
        (b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10\x01\x00\x80", r#"no TLS; it begins with "\x80.\x01"#),
    ] {
        let mut client = Client::connect(pen.address);
        client.stream.write_all(bytes).unwrap();
        let _ = client.stream.read_to_end(&mut Vec::new()); // an end or a reset
        eventually(
            "the reason",
            || pen.stderr().replace("\\\\", "\\").replace("\\\"", "\""),
            |text| text.contains(told),
        );
    }
    assert_eq!(server.accepted(), 0);
}

#[test]
fn handshakes_of_servers_fail_in_the_words_of_an_operator() {
    let Some(shop) = Workshop::open().map(Workshop::three) else { return };
    shop.signed("short", "root", "rsa:1024", WEB, "");
    shop.signed("sha1", "root", EC, WEB, "-sha1");
    shop.signed("late", "root", EC, WEB, "-days -1");
    for (name, words, verify, told) in [
        (
            "web",
            "-tls1_1 -cipher ALL:@SECLEVEL=0",
            false,
            "the peer says: it speaks no version of TLS that we speak (alert 70)",
        ),
        (
            "web",
            "-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA",
            false,
            "the peer says: it finds no version, cipher, key exchange",
        ),
        (
            "web",
            "-Verify 1",
            false,
            "TLS broke off: the peer says: it wants a certificate of ours (alert 116)",
        ),
        (
            "short",
            "-cipher ALL:@SECLEVEL=0",
            true,
            "has an RSA key of 1024 bits, and fewer than 2048 are not safe",
        ),
        ("sha1", "-cipher ALL:@SECLEVEL=0", true, "is signed in a way that is not taken: ECDSA with SHA-1"),
        ("late", "", true, "expired on "),
        ("web", "", true, "has no authority that we know"),
    ] {
        let (_server, port) = shop.serve(name, words);
        let words = if verify { "verify web.test" } else { "noverify" };
        let authority = format!("ssl_server_ca_file {}", shop.path("root.crt").display());
        let pen = before(port, words).command(authority).options("-dd").start();
        assert!(!is_served(&pen), "{name}");
        eventually("the reason", || pen.stderr(), |text| text.contains(told));
    }
}

#[test]
fn keys_that_are_not_taken_are_called_by_their_kind() {
    let Some(shop) = Workshop::open().map(Workshop::three) else { return };
    for (file, words, kind) in [
        ("rsa1024", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024", "an RSA key of 1024 bits"),
        ("old1024", "genrsa -traditional -out old1024.key 1024", "an RSA key of 1024 bits"),
        ("k1", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1", "a key for secp256k1"),
        ("sec1", "ecparam -genkey -name brainpoolP256r1 -noout -out sec1.key", "a key for brainpoolP256r1"),
        ("ed448", "genpkey -algorithm ED448", "a key for Ed448"),
    ] {
        let out = if words.contains("-out") { String::new() } else { format!(" -out {file}.key") };
        shop.run(&format!("{words}{out}"));
        let path = |name: &str| shop.path(name).display().to_string();
        let told = Pen::before(["127.0.0.1:80"])
            .options("--check -E")
            .word(path("web.crt"))
            .options("-K")
            .word(path(&format!("{file}.key")))
            .run();
        let wanted = "want an RSA key of 2048 to 8192 bits or one for P-256, P-384, P-521 or Ed25519, got ";
        assert!(
            told.code == Some(1) && told.stderr.contains(wanted) && told.stderr.contains(kind),
            "{file}: {told:?}"
        );
    }
}
