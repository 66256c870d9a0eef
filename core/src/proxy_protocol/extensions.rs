//! Extensions of a header of version 2 (TLVs: type, length in two bytes, value): what pen tells a server of its client's
//! TLS, and what it passes on of a downstream's word. Pure.
//!
//! Facts are from sections 2.2.1 to 2.2.6 of the document; what it leaves open (a server that reads the SSL extension of
//! a client without a certificate) is as HAProxy does it.

use super::{HEADER_BYTES_MAX, V2_LOCAL, V2_SIGNATURE, v2_address_bytes};

const ALPN: u8 = 0x01;
const AUTHORITY: u8 = 0x02;
/// A checksum of the whole header.
pub(super) const CRC32C: u8 = 0x03;
const UNIQUE_ID: u8 = 0x05;
const SSL: u8 = 0x20;
/// These stand in the value of [`SSL`], behind its flags and the verdict on the certificate.
const SSL_VERSION: u8 = 0x21;
const SSL_COMMON_NAME: u8 = 0x22;
const SSL_CIPHER: u8 = 0x23;

/// The client speaks TLS.
const CLIENT_SSL: u8 = 0x01;
/// It has shown a certificate on this connection.
const CLIENT_CERTIFICATE_CONNECTION: u8 = 0x02;
/// It has shown one in this session, which may be older than the connection.
const CLIENT_CERTIFICATE_SESSION: u8 = 0x04;
/// No certificate was shown and found right.
const UNVERIFIED: u32 = 1;

/// What is told of a client that speaks TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientTls<'a> {
    /// As OpenSSL writes it, `TLSv1.3`.
    pub version: &'a str,
    /// OpenSSL's name.
    pub cipher: &'a str,
    /// The name that the client asked for.
    pub server_name: Option<&'a str>,
    /// What is spoken inside TLS, if the two agreed on it.
    pub protocol: Option<&'a [u8]>,
    /// That of the client, which was found right.
    pub certificate: Option<Shown>,
}

/// A client's certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// Of its subject, if that has one.
    pub common_name: Option<String>,
    /// It was shown in an earlier connection of the session.
    pub earlier: bool,
}

/// The extensions for a server: those of a trusted downstream (see [`passed_on`]), and what is known of the client's TLS
/// where the downstream told nothing.
pub fn for_server(told: &[u8], tls: Option<&ClientTls<'_>>) -> Vec<u8> {
    let mut out = told.to_vec();
    let has = |kind| extensions(told).any(|(told, _)| told == kind);
    let Some(tls) = tls.filter(|_| !has(SSL)) else { return out };
    let protocol = tls.protocol.map(|protocol| (ALPN, protocol));
    let authority = tls.server_name.map(|name| (AUTHORITY, name.as_bytes()));
    for (kind, value) in protocol.into_iter().chain(authority).filter(|(kind, _)| !has(*kind)) {
        write(kind, value, &mut out);
    }
    write(SSL, &ssl(tls), &mut out);
    out
}

/// The value of the SSL extension.
fn ssl(tls: &ClientTls<'_>) -> Vec<u8> {
    let (flags, verdict) = match &tls.certificate {
        None => (CLIENT_SSL, UNVERIFIED),
        Some(Shown { earlier: true, .. }) => (CLIENT_SSL | CLIENT_CERTIFICATE_SESSION, 0),
        Some(_) => (CLIENT_SSL | CLIENT_CERTIFICATE_SESSION | CLIENT_CERTIFICATE_CONNECTION, 0),
    };
    let mut value = vec![flags];
    value.extend(verdict.to_be_bytes());
    let name = tls.certificate.as_ref().and_then(|certificate| certificate.common_name.as_deref());
    for (kind, text) in
        [(SSL_VERSION, tls.version), (SSL_COMMON_NAME, name.unwrap_or("")), (SSL_CIPHER, tls.cipher)]
    {
        if !text.is_empty() {
            write(kind, text.as_bytes(), &mut value);
        }
    }
    value
}

/// What would not fit into a whole header, as a name in a strange certificate may be, is left out.
fn write(kind: u8, value: &[u8], out: &mut Vec<u8>) {
    let Some(length) = u16::try_from(value.len()).ok().filter(|_| value.len() <= HEADER_BYTES_MAX) else {
        return;
    };
    out.push(kind);
    out.extend(length.to_be_bytes());
    out.extend_from_slice(value);
}

/// What a complete header tells that servers are told too: about TLS, the name asked for, the protocol inside, and the
/// number that the downstream gave the connection. A checksum or a filling is of this header only, and a downstream that
/// says of a client that it has no TLS may not know.
pub fn passed_on(header: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (kind, value) in extensions(block(header)) {
        let is_wanted = match kind {
            ALPN | AUTHORITY | UNIQUE_ID => true,
            SSL => value.first().is_some_and(|flags| flags & CLIENT_SSL != 0),
            _ => false,
        };
        if is_wanted {
            write(kind, value, &mut out);
        }
    }
    out
}

/// The extensions of a complete header; none in version 1, and where nobody knows where they begin.
fn block(header: &[u8]) -> &[u8] {
    let Some([version, family, _, _, rest @ ..]) = header.get(12..) else { return &[] };
    let is_plain = header.starts_with(V2_SIGNATURE) && *version != V2_LOCAL;
    let address_bytes = v2_address_bytes(family >> 4).filter(|_| is_plain);
    address_bytes.and_then(|bytes| rest.get(bytes..)).unwrap_or(&[])
}

/// The extensions as far as they are whole.
fn extensions(mut block: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&[kind, high, low], rest) = block.split_first_chunk()?;
        let (value, after) = rest.split_at_checked(u16::from_be_bytes([high, low]).into())?;
        block = after;
        Some((kind, value))
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Endpoints, Transport, parse, write_v2, write_v2_with};
    use super::*;

    fn endpoints() -> Endpoints {
        Endpoints::new("192.0.2.7:40000".parse().unwrap(), "198.51.100.1:443".parse().unwrap())
    }

    fn header(extensions: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_v2_with(Some(&endpoints()), Transport::Stream, extensions, &mut bytes);
        assert_eq!(parse(&bytes).unwrap().unwrap().endpoints, Some(endpoints()));
        bytes
    }

    fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
        [&[kind, 0, value.len() as u8], value].concat()
    }

    #[test]
    fn a_client_with_tls_is_told_of() {
        let plain =
            ClientTls { version: "TLSv1.3", cipher: "TLS_AES_128_GCM_SHA256", ..ClientTls::default() };
        let shown = |earlier| Some(Shown { common_name: Some("anna".into()), earlier });
        let named = ClientTls { server_name: Some("a.example"), protocol: Some(b"h2"), ..plain.clone() };
        let version = tlv(0x21, b"TLSv1.3");
        let cipher = tlv(0x23, b"TLS_AES_128_GCM_SHA256");
        let cases: [(&ClientTls, u8, u8, &[u8]); 4] = [
            (&plain, 1, 1, b""),
            (&ClientTls { certificate: shown(false), ..plain.clone() }, 7, 0, b"anna"),
            (&ClientTls { certificate: shown(true), ..plain.clone() }, 5, 0, b"anna"),
            (&ClientTls { certificate: Some(Shown::default()), ..plain.clone() }, 7, 0, b""),
        ];
        for (tls, flags, verdict, name) in cases {
            let name = if name.is_empty() { Vec::new() } else { tlv(0x22, name) };
            let value = [&[flags, 0, 0, 0, verdict][..], &version, &name, &cipher].concat();
            assert_eq!(for_server(&[], Some(tls)), tlv(0x20, &value));
        }
        let told = for_server(&[], Some(&named));
        assert!(told.starts_with(&[tlv(0x01, b"h2"), tlv(0x02, b"a.example")].concat()));
        assert_eq!(for_server(&[], None), b"");
    }

    #[test]
    fn a_downstream_is_believed_and_what_it_does_not_know_is_added() {
        let ssl = tlv(0x20, &[&[1, 0, 0, 0, 1][..], &tlv(0x21, b"TLSv1.2")].concat());
        let plain = tlv(0x20, &[0, 0, 0, 0, 1]);
        let [alpn, authority, id] = [tlv(0x01, b"http/1.1"), tlv(0x02, b"b.example"), tlv(0x05, b"unique")];
        let all = [alpn, authority.clone(), tlv(0x04, b"filling"), ssl.clone(), id.clone(), tlv(0xea, b"x")]
            .concat();
        let told = passed_on(&header(&all));
        assert_eq!(told.len(), all.len() - tlv(0x04, b"filling").len() - tlv(0xea, b"x").len());
        let ours = ClientTls { version: "TLSv1.3", server_name: Some("a.example"), ..ClientTls::default() };
        assert_eq!(
            for_server(&told, Some(&ours)),
            told,
            "its TLS is the client's, ours that with the downstream"
        );
        let told = passed_on(&header(&[authority.clone(), plain].concat()));
        assert_eq!(told, authority);
        let added = for_server(&told, Some(&ours));
        assert!(added.starts_with(&authority) && !added.windows(9).any(|part| part == b"a.example"));
        assert!(added.windows(7).any(|part| part == b"TLSv1.3"));
    }

    #[test]
    fn headers_without_extensions_have_none_to_pass_on() {
        let mut bare = Vec::new();
        write_v2(None, Transport::Stream, &mut bare);
        let mut local = header(&tlv(0x02, b"a.example"));
        local[12] = V2_LOCAL;
        for header in [&b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\r\n"[..], &bare, &local, &header(b""), b""] {
            assert_eq!(passed_on(header), b"");
        }
    }

    #[test]
    fn what_is_too_long_is_left_out() {
        let long = "a".repeat(HEADER_BYTES_MAX + 1);
        let tls = ClientTls { version: "TLSv1.3", server_name: Some(&long), ..ClientTls::default() };
        assert_eq!(
            for_server(&[], Some(&tls)),
            for_server(&[], Some(&ClientTls { server_name: None, ..tls.clone() }))
        );
    }
}
