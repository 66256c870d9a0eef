#!/usr/bin/env bash
# rustls: handing out a connection's secrets, as kTLS needs them, drops what was received and not yet read, without an error.
#
# dangerous_extract_secrets() refuses while there is something left to send. It does not look at the other direction: plaintext
# that the program has not read, and the part of a record that has arrived, go with the connection that the call consumes.
# Seen with rustls 0.23.46:
#   records left to send            refused
#   5 bytes of plaintext unread     secrets given; the receiving sequence number counts the record; the bytes are gone
#   half of a record received       secrets given; the bytes are gone
# So before a socket is given to the kernel, its program must have read all plaintext and stand at the end of a record.
#
# Builds a program of 80 lines with pinned crates in a temporary folder (about a minute), and runs nothing else.
# Exit status: 0 seen as described, 1 something else was seen, 2 could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat >"$folder/Cargo.toml" <<'TOML'
[package]
name = "secrets"
version = "0.0.0"
edition = "2021"

[dependencies]
rustls = { version = "=0.23.46", default-features = false, features = ["std", "tls12", "ring"] }
rcgen = { version = "=0.14.6", default-features = false, features = ["ring"] }
TOML
cat >"$folder/src/main.rs" <<'RUST'
use std::io::{Read, Write};
use std::sync::Arc;

use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

/// A client and a server that have shaken hands and have nothing left to send.
fn pair() -> (ClientConnection, ServerConnection) {
    let made = rcgen::generate_simple_self_signed(["example.org".to_string()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut server = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    server.enable_secret_extraction = true;
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("example.org").unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    while client.wants_write() || server.wants_write() {
        let sent = sent(&mut client);
        give(&mut server, &sent);
        let mut answer = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut answer).unwrap();
        }
        let mut answer = &answer[..];
        while !answer.is_empty() {
            client.read_tls(&mut answer).unwrap();
            client.process_new_packets().unwrap();
        }
    }
    (client, server)
}

fn sent(client: &mut ClientConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).unwrap();
    }
    bytes
}

fn give(server: &mut ServerConnection, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        server.read_tls(&mut bytes).unwrap();
        server.process_new_packets().unwrap();
    }
}

fn main() {
    let (_, mut server) = pair();
    server.writer().write_all(b"answer").unwrap();
    println!("to send: {}", if server.dangerous_extract_secrets().is_err() { "refused" } else { "given" });

    let (mut client, mut server) = pair();
    let before = pair().1.dangerous_extract_secrets().unwrap().rx.0;
    client.writer().write_all(b"hello").unwrap();
    give(&mut server, &sent(&mut client));
    let after = server.dangerous_extract_secrets().map(|secrets| secrets.rx.0);
    println!("plaintext unread: {}", after.map_or("refused".into(), |after| format!("given, {} record on", after - before)));

    let (mut client, mut server) = pair();
    client.writer().write_all(b"hello").unwrap();
    let record = sent(&mut client);
    give(&mut server, &record[..record.len() / 2]);
    assert!(server.reader().read(&mut [0; 5]).is_err());
    println!("half a record: {}", if server.dangerous_extract_secrets().is_err() { "refused" } else { "given" });
}
RUST
(cd "$folder" && cargo build --quiet) || exit 2
seen=$("$folder/target/debug/secrets")
echo "$seen"
[ "$seen" = "$(printf 'to send: refused\nplaintext unread: given, 1 record on\nhalf a record: given')" ]
