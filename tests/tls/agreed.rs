//! What pen and its peers agree on: keys of every kind, the group in which session keys are agreed on, tickets, records.

use crate::PATIENT;
use crate::certificates::{Authority, WithCertificate};
use crate::common::backend::Backend;
use crate::common::pattern;
use crate::common::pen::{Pen, Start};
use crate::common::programs::{all_installed, command, run};
use crate::common::tempdir::TempDir;
use crate::peers::{BOTH_VERSIONS, Speaker, tls_backend_serving};
use rustls::crypto::aws_lc_rs::kx_group;
use rustls::{NamedGroup, SupportedProtocolVersion, version};
use std::io::Write;

/// More than two full records.
const REPLY_BYTES: usize = 40_000;

/// A server that says this much and ends.
fn server() -> Backend {
    Backend::serving(|mut stream| {
        let _ = pattern::write(&mut stream, REPLY_BYTES);
    })
}

fn before(server: &Backend, authority: &Authority) -> Start {
    Pen::before([server]).certificate(&authority.sign(&["web.test"]))
}

/// What `openssl s_client` with these words shows until the server ends.
fn s_client(pen: &Pen, words: &str) -> String {
    let address = pen.address.to_string();
    let mut all = vec!["s_client", "-connect", &address, "-ign_eof"];
    all.extend(words.split_whitespace());
    run("openssl", &all, "").stdout
}

#[test]
fn our_order_of_groups_decides() {
    if !all_installed(&[("openssl", "openssl")]) {
        return;
    }
    let (authority, server) = (Authority::new("authority"), server());
    let start = before(&server, &authority).directory("sites").command("ssl_sni_path sites");
    authority.sign(&["site.test"]).put(&start.path("sites"), "site.test");
    let pen = start.start();
    for words in ["-tls1_2", "-tls1_3", "", "-servername site.test"] {
        for (groups, taken) in [
            ("P-384:P-256:X25519", "X25519,"),
            ("P-256:X25519", "X25519,"),
            ("P-521:P-384:P-256", "prime256v1,"),
            ("X448:P-384", "secp384r1,"),
        ] {
            let said = s_client(&pen, &format!("{words} -groups {groups}"));
            let key = said.lines().find(|line| line.starts_with("Server Temp Key: "));
            assert!(key.is_some_and(|key| key.contains(taken)), "{words} {groups}: {said:.2000}");
        }
    }
}

#[test]
fn session_keys_are_safe_against_quantum_computers_to_come() {
    let (authority, server) = (Authority::new("authority"), server());
    let pen = before(&server, &authority).start();
    let group = |speaker: Speaker| {
        let client = speaker.connect(pen.address, "web.test");
        client.stream.conn.negotiated_key_exchange_group().map(|group| group.name())
    };
    let hybrid = Some(NamedGroup::X25519MLKEM768);
    assert_eq!(group(Speaker::trusting(&authority)), hybrid);
    let reluctant = [kx_group::SECP256R1, kx_group::X25519, kx_group::X25519MLKEM768];
    let speaker = |versions: &[&'static SupportedProtocolVersion]| {
        Speaker::with_groups(&authority, &reluctant, versions)
    };
    assert_eq!(group(speaker(&BOTH_VERSIONS)), hybrid);
    assert_eq!(group(speaker(&[&version::TLS12])), Some(NamedGroup::X25519), "TLS 1.2 has no such group");
    assert_eq!(pen.control("ssl_option no_tlsv1.3"), "");
    assert_eq!(group(speaker(&BOTH_VERSIONS)), Some(NamedGroup::X25519), "nor has pen without TLS 1.3");
}

#[test]
fn servers_are_offered_the_same_group() {
    let authority = Authority::new("authority");
    let server = tls_backend_serving(&authority.sign(&["web.test"]), |mut stream| {
        let _ = stream.conn.complete_io(&mut stream.sock);
        let group = stream.conn.negotiated_key_exchange_group().map(|group| group.name());
        let _ = writeln!(stream, "{group:?}");
    });
    let line = format!("server 0 address 127.0.0.1 port {} tls noverify\n", server.port());
    let pen = Pen::before([] as [&str; 0]).options(PATIENT).config(&line).start();
    assert_eq!(pen.connect().line(), "Some(X25519MLKEM768)");
}

#[test]
fn clients_that_cannot_read_tickets_get_none() {
    if !all_installed(&[("openssl", "openssl")]) {
        return;
    }
    let (authority, server) = (Authority::new("authority"), server());
    let pen = before(&server, &authority).start();
    let tickets = |words: &str| s_client(&pen, &format!("-msg {words}")).matches("NewSessionTicket").count();
    let speaker = Speaker::with(&authority, None, &[&version::TLS13]);
    let resumes = || {
        let mut client = speaker.connect(pen.address, "web.test");
        let resumed = client.is_resumed();
        assert_eq!(client.rest().len(), REPLY_BYTES); // a ticket comes with the first bytes
        resumed
    };
    assert!(tickets("-tls1_3") > 0 && tickets("-tls1_2") > 0);
    assert_eq!((resumes(), resumes()), (false, true));
    assert_eq!(pen.control("ssl_option no_ticket"), "");
    assert_eq!((tickets("-tls1_3"), tickets("-tls1_2")), (0, 0));
    let session = pen.path("session").display().to_string();
    s_client(&pen, &format!("-tls1_2 -sess_out {session}"));
    let again = s_client(&pen, &format!("-tls1_2 -sess_in {session}"));
    assert!(again.contains("Reused, TLSv1.2"), "by its number: {again:.2000}");
    resumes(); // the ticket of before is still good, and there is no new one
    assert!(!resumes());
}

#[test]
fn records_are_as_small_as_clients_need_them() {
    if !all_installed(&[("openssl", "openssl")]) {
        return;
    }
    let (authority, server) = (Authority::new("authority"), server());
    let pen = before(&server, &authority).start();
    // The header of a record in hexadecimal: its kind, its version, and how long it is.
    let longest = |words: &str| {
        let said = s_client(&pen, &format!("-msg {words}"));
        let headers = said.lines().zip(said.lines().skip(1));
        let received = headers.filter(|(line, _)| line.starts_with("<<<") && line.contains("RecordHeader"));
        let length = |header: &str| {
            let digits: String = header.split_whitespace().skip(3).take(2).collect();
            usize::from_str_radix(&digits, 16).unwrap_or_else(|error| panic!("{header}: {error}"))
        };
        received.map(|(_, header)| length(header)).max().expect("records")
    };
    for words in ["-tls1_2", "-tls1_3"] {
        assert!(longest(words) > 16_000, "{words}");
    }
    assert_eq!(pen.control("ssl_record_max 1024"), "1024\n");
    for words in ["-tls1_2", "-tls1_3"] {
        let bytes = longest(words);
        assert!((1024..=1024 + 40).contains(&bytes), "{words}: {bytes}");
    }
    assert_eq!(
        pattern::read_to_end(&mut Speaker::trusting(&authority).connect(pen.address, "web.test").stream),
        REPLY_BYTES
    );
}

#[test]
fn keys_of_every_length_and_kind_serve() {
    if !all_installed(&[("openssl", "openssl")]) {
        return;
    }
    let dir = TempDir::new();
    let server = server();
    for (name, key) in [
        ("rsa2304", "RSA -pkeyopt rsa_keygen_bits:2304"),
        ("rsa3000", "RSA -pkeyopt rsa_keygen_bits:3000"),
        ("rsa4094", "RSA -pkeyopt rsa_keygen_bits:4094"),
        ("rsa8192", ""), // made beforehand, because that takes a minute
        ("exponent3", "RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3"),
        ("exponent17", "RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:17"),
        ("p521", "EC -pkeyopt ec_paramgen_curve:P-521"),
    ] {
        let openssl = |words: String| {
            let output =
                command("openssl").args(words.split_whitespace()).current_dir(dir.path()).output().unwrap();
            assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
        };
        match key {
            "" => drop(dir.file(&format!("{name}.key"), include_str!("rsa8192.key"))),
            _ => openssl(format!("genpkey -algorithm {key} -out {name}.key")),
        }
        openssl(format!("req -x509 -new -key {name}.key -subj /CN=web.test -days 30 -out {name}.crt"));
        let text =
            |ending: &str| std::fs::read_to_string(dir.path().join(format!("{name}.{ending}"))).unwrap();
        let both = text("crt") + &text("key");
        let pen = Pen::before([&server]).file("pen.pem", &both).options("-E pen.pem").start();
        for version in ["-tls1_2", "-tls1_3"] {
            let said = s_client(&pen, version);
            assert!(
                said.contains("Cipher is ") && said.len() > REPLY_BYTES,
                "{name} {version}: {said:.2000}"
            );
        }
    }
}
