//! `server N proxy v2-ssl`: a server learns that its client speaks TLS with pen.

use crate::certificates::{Authority, WithCertificate};
use crate::common::backend::{Backend, echo};
use crate::common::pen::Pen;
use crate::peers::{Speaker, TlsClient};
use pen_core::proxy_protocol::parse;
use ppp::v2::{Header, Type};
use rustls::version::{TLS12, TLS13};
use std::io::Read;
use std::net::SocketAddr;

/// What a header says, of which the endpoints are left to others.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    source: Option<SocketAddr>,
    authority: Option<String>,
    protocol: Option<String>,
    ssl: Option<Ssl>,
}

#[derive(Debug, PartialEq, Eq)]
struct Ssl {
    flags: u8,
    verdict: u32,
    /// By their types.
    texts: Vec<(u8, String)>,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Reads a header byte by byte, with the crate ppp.
fn told(mut read: impl FnMut() -> u8) -> Told {
    let mut bytes = Vec::new();
    let header = loop {
        bytes.push(read());
        if let Some(header) = parse(&bytes).expect("a header") {
            break header;
        }
    };
    let mut told = Told { source: header.endpoints.map(|ends| ends.source()), ..Told::default() };
    for tlv in Header::try_from(&bytes[..]).unwrap().tlvs() {
        let tlv = tlv.unwrap();
        match tlv.kind {
            kind if kind == u8::from(Type::ALPN) => told.protocol = Some(text(&tlv.value)),
            kind if kind == u8::from(Type::Authority) => told.authority = Some(text(&tlv.value)),
            kind if kind == u8::from(Type::SSL) => {
                let (flags, rest) = tlv.value.split_first().unwrap();
                let (verdict, mut rest) = rest.split_first_chunk::<4>().unwrap();
                let mut texts = Vec::new();
                while let Some(([kind, 0, length], after)) = rest.split_first_chunk() {
                    texts.push((*kind, text(&after[..usize::from(*length)])));
                    rest = &after[usize::from(*length)..];
                }
                told.ssl = Some(Ssl { flags: *flags, verdict: u32::from_be_bytes(*verdict), texts });
            }
            other => panic!("an extension {other}"),
        }
    }
    told
}

fn told_to(client: &mut TlsClient) -> Told {
    told(|| {
        let mut byte = [0];
        client.stream.read_exact(&mut byte).expect("the rest of the header");
        byte[0]
    })
}

#[test]
fn a_server_learns_of_version_cipher_name_and_protocol() {
    let authority = Authority::new("authority");
    let server = Backend::serving(echo);
    let pen = Pen::before([&server])
        .certificate(&authority.sign(&["web.test"]))
        .command("server 0 proxy v2-ssl")
        .command("ssl_alpn http/1.1")
        .command("ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:TLS_AES_128_GCM_SHA256")
        .start();
    let cases =
        [(&TLS12, "TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"), (&TLS13, "TLSv1.3", "TLS_AES_128_GCM_SHA256")];
    for (version, name, cipher) in cases {
        let speaker = Speaker::with(&authority, None, &[version]).offering(&["http/1.1"]);
        let mut client = speaker.connect(pen.address, "web.test");
        client.send("hello\n");
        let expected = Told {
            source: Some(client.stream.sock.local_addr().unwrap()),
            authority: Some("web.test".into()),
            protocol: Some("http/1.1".into()),
            ssl: Some(Ssl { flags: 1, verdict: 1, texts: vec![(0x21, name.into()), (0x23, cipher.into())] }),
        };
        assert_eq!(told_to(&mut client), expected);
        assert_eq!((client.line(), client.exchange("again")), ("hello".into(), "again".into()));
    }
    let shown = pen.control("servers json");
    assert!(shown.contains(r#""proxy":"v2-ssl""#), "{shown}");
    pen.control("write saved");
    assert!(pen.text("saved").contains(" proxy v2-ssl\n"));
}

#[test]
fn without_tls_nothing_is_told_of_it() {
    let server = Backend::serving(echo);
    let pen = Pen::before([&server]).command("server 0 proxy v2-ssl").start();
    let mut client = pen.connect();
    let source = Some(client.local());
    let mut byte = [0];
    let told = told(|| {
        client.stream.read_exact(&mut byte).expect("the rest of the header");
        byte[0]
    });
    assert_eq!(told, Told { source, ..Told::default() });
}

#[test]
fn a_certificate_of_the_client_is_told_of_in_each_connection_of_its_session() {
    const SSL: u8 = 0x01;
    const ON_THIS_CONNECTION: u8 = 0x02;
    const IN_THIS_SESSION: u8 = 0x04;
    let authority = Authority::new("authority");
    let own = authority.sign(&["somebody"]);
    let server = Backend::serving(echo);
    let pen = Pen::before([&server])
        .certificate(&authority.sign(&["web.test"]))
        .file("staff.pem", &authority.pem)
        .options("-G staff.pem")
        .command("ssl_client_certificate optional")
        .command("server 0 proxy v2-ssl")
        .start();
    let speaker = Speaker::with(&authority, Some(&own), &[&TLS13]);
    for on_this_connection in [ON_THIS_CONNECTION, 0] {
        let mut client = speaker.connect(pen.address, "web.test");
        let Ssl { flags, verdict, texts } = told_to(&mut client).ssl.unwrap();
        assert_eq!((flags, verdict), (SSL | IN_THIS_SESSION | on_this_connection, 0));
        assert_eq!(texts[1], (0x22, "rcgen self signed cert".into()), "its common name unless one is given");
        assert_eq!(client.exchange("hello"), "hello"); // the ticket comes before the answer
    }
    let mut stranger = Speaker::trusting(&authority).connect(pen.address, "web.test");
    let Ssl { flags, verdict, .. } = told_to(&mut stranger).ssl.unwrap();
    assert_eq!((flags, verdict), (SSL, 1));
}

/// A pen that ends TLS before a pen that relays: the second passes on what the first has said.
#[test]
fn what_a_downstream_says_is_passed_on() {
    let authority = Authority::new("authority");
    let server = Backend::serving(echo);
    let second =
        Pen::before([&server]).command("proxy_accept 127.0.0.9").command("server 0 proxy v2-ssl").start();
    let first = Pen::before([second.address])
        .certificate(&authority.sign(&["web.test"]))
        .command("source 127.0.0.9")
        .command("server 0 proxy v2-ssl")
        .start();
    let mut client = Speaker::trusting(&authority).connect(first.address, "web.test");
    let source = Some(client.stream.sock.local_addr().unwrap());
    let told = told_to(&mut client);
    assert_eq!((told.source, told.authority.as_deref()), (source, Some("web.test")));
    let Ssl { flags, texts, .. } = told.ssl.unwrap();
    assert_eq!((flags, &texts[0]), (1, &(0x21, "TLSv1.3".to_owned())));
    second.control("server 0 proxy v2");
    let mut client = Speaker::trusting(&authority).connect(first.address, "web.test");
    assert_eq!(told_to(&mut client).ssl, None, "only with v2-ssl");
}
