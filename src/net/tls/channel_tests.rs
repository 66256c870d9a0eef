//! Two channels that speak with each other, whatever pieces their bytes come in.

use super::*;
use proptest::prelude::*;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{
    CipherSuiteCommon, ClientConfig, RootCertStore, ServerConfig, SupportedCipherSuite, Tls12CipherSuite,
    Tls13CipherSuite,
};
use std::sync::Arc;

/// A client that trusts the server.
fn pair() -> (Channel, Channel) {
    pair_of(aws_lc_rs::default_provider())
}

fn pair_of(provider: CryptoProvider) -> (Channel, Channel) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(provider);
    let client = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let client = UnbufferedClientConnection::new(Arc::new(client), name).unwrap();
    let server = UnbufferedServerConnection::new(Arc::new(server)).unwrap();
    let channel = |end| Channel::new(end).unwrap();
    (channel(End::Client(Box::new(client))), channel(End::Server(Box::new(server))))
}

/// Carries what `from` has to say to `to` in pieces of this size, put behind what was kept or not; what comes out of it.
fn carry(from: &mut Channel, to: &mut Channel, piece: usize, lays_out: bool) -> Result<Vec<u8>, Error> {
    let (mut bytes, mut plain) = (Vec::new(), Vec::new());
    while from.wants_write() {
        from.write_to(&mut bytes).unwrap();
    }
    for piece in bytes.chunks(piece) {
        let mut wire = vec![0; KEPT_BYTES_MAX + piece.len()];
        let laid_out = if lays_out { to.lay_out(&mut wire) } else { 0 };
        wire[laid_out..laid_out + piece.len()].copy_from_slice(piece);
        to.take(&mut wire[..laid_out + piece.len()], laid_out, &mut |part| plain.extend_from_slice(part))?;
    }
    Ok(plain)
}

fn shake(client: &mut Channel, server: &mut Channel, piece: usize, lays_out: bool) {
    while client.wants_write() || server.wants_write() {
        carry(client, server, piece, lays_out).unwrap();
        carry(server, client, piece, lays_out).unwrap();
    }
    assert!(!client.common().is_handshaking() && !server.common().is_handshaking());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn everything_arrives_in_whatever_pieces(
        piece in prop_oneof![1usize..40, 40usize..20_000], lays_out in any::<bool>(),
        sizes in prop::collection::vec(0usize..50_000, 1..4),
    ) {
        let (mut client, mut server) = pair();
        shake(&mut client, &mut server, piece, lays_out);
        for (number, size) in sizes.into_iter().enumerate() {
            let sent: Vec<u8> = (0..size).map(|index| (index * 7 + number) as u8).collect();
            client.encrypt(&sent);
            prop_assert_eq!(&carry(&mut client, &mut server, piece, lays_out).unwrap(), &sent);
            // The end of a record may still be on the way when something is to be said.
            server.encrypt(&sent);
            prop_assert_eq!(&carry(&mut server, &mut client, piece, lays_out).unwrap(), &sent);
        }
        client.close();
        carry(&mut client, &mut server, piece, lays_out).unwrap();
        prop_assert!(server.peer_closed && !client.peer_closed);
    }
}

#[test]
fn an_idle_channel_holds_no_buffer() {
    let (mut client, mut server) = pair();
    shake(&mut client, &mut server, 100, true);
    client.encrypt(&[1; 100_000]);
    carry(&mut client, &mut server, 30_000, true).unwrap();
    for channel in [&client, &server] {
        let held = channel.kept.capacity() + channel.out.buffer.capacity();
        assert_eq!(held, 0);
    }
}

/// A record that comes in two parts, and an answer between them.
#[test]
fn a_side_speaks_while_it_waits_for_the_rest_of_a_record() {
    let (mut client, mut server) = pair();
    shake(&mut client, &mut server, 16_384, true);
    client.encrypt(b"question");
    let mut bytes = Vec::new();
    client.write_to(&mut bytes).unwrap();
    let (first, second) = bytes.split_at_mut(9);
    let mut heard = Vec::new();
    server.take(first, 0, &mut |part| heard.extend_from_slice(part)).unwrap();
    server.encrypt(b"meanwhile");
    assert_eq!(carry(&mut server, &mut client, 16_384, true).unwrap(), b"meanwhile");
    server.take(second, 0, &mut |part| heard.extend_from_slice(part)).unwrap();
    assert_eq!(heard, b"question");
}

/// The peer hears why, and nothing that is asked of a failed channel makes it look for bytes that are gone.
#[test]
fn a_channel_that_has_failed_only_says_why() {
    let (mut client, mut server) = pair();
    shake(&mut client, &mut server, 16_384, true);
    client.encrypt(b"question");
    let mut bytes = Vec::new();
    client.write_to(&mut bytes).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(server.take(&mut bytes, 0, &mut |_| {}), Err(Error::DecryptError));
    server.encrypt(b"answer");
    server.close();
    assert!(server.take(&mut [0; 5], 0, &mut |_| {}).is_err());
    let told = carry(&mut server, &mut client, 16_384, true).unwrap_err();
    assert_eq!(told, Error::AlertReceived(rustls::AlertDescription::BadRecordMac));
    assert!(!server.wants_write());
}

/// A cipher suite whose keys may encrypt so few records only: AES-GCM's may be used for 2^24, which no test sends.
fn frugal(suite: SupportedCipherSuite) -> CryptoProvider {
    const RECORDS: u64 = 20;
    let cipher_suite = match suite {
        SupportedCipherSuite::Tls12(suite) => {
            let common = CipherSuiteCommon { confidentiality_limit: RECORDS, ..suite.common };
            SupportedCipherSuite::Tls12(Box::leak(Box::new(Tls12CipherSuite { common, ..*suite })))
        }
        SupportedCipherSuite::Tls13(suite) => {
            let common = CipherSuiteCommon { confidentiality_limit: RECORDS, ..suite.common };
            SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite { common, ..*suite })))
        }
    };
    CryptoProvider { cipher_suites: vec![cipher_suite], ..aws_lc_rs::default_provider() }
}

#[test]
fn keys_are_renewed_when_they_have_encrypted_enough() {
    let (mut client, mut server) = pair_of(frugal(aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256));
    shake(&mut client, &mut server, 16_384, true);
    for number in 0..100 {
        client.encrypt(&[number; 100]);
        assert_eq!(carry(&mut client, &mut server, 16_384, true).unwrap(), [number; 100]);
    }
}

/// TLS 1.2 has no new keys: the connection breaks, without a farewell.
#[test]
fn exhausted_keys_end_a_session_as_a_failure() {
    let (mut client, mut server) =
        pair_of(frugal(aws_lc_rs::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256));
    shake(&mut client, &mut server, 16_384, true);
    let mut arrived = 0;
    let error = loop {
        client.encrypt(&[1; 100]);
        assert!(client.wants_write());
        let mut bytes = Vec::new();
        match client.write_to(&mut bytes) {
            Ok(_) => server.take(&mut bytes, 0, &mut |part| arrived += part.len()).unwrap(),
            Err(error) => break error,
        }
    };
    client.close();
    assert_eq!(error.to_string(), "the keys of the session are exhausted");
    assert!((1_000..=2_000).contains(&arrived) && !server.peer_closed);
    assert!(client.write_to(&mut Vec::new()).is_err());
}
