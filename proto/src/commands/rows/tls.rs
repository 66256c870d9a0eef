//! The rows about TLS.

use super::{OPTIONAL_FILE, SECONDS, arg, file, number, optional, text};
use crate::commands::{
    Answer, Arg, Choice, Complete, Group, Kind, List, Number, Row, SSL_RECORD_BYTES_MAX, Taken, Text, When,
    protocols,
};

const LIVE: Row = Row { group: Group::Tls, ..super::LIVE };
const NEW: Row = Row { group: Group::Tls, ..super::NEW };

const BYTES: &[Arg] = &[optional("BYTES", Complete::Number)];
const OPTIONAL_DIRECTORY: &[Arg] = &[optional("DIRECTORY", Complete::Path)];

const TLS_OPTIONS: &[&str] = &[
    "cipher_server_preference",
    "no_sslv2",
    "no_sslv3",
    "no_ticket",
    "no_tlsv1",
    "no_tlsv1.1",
    "no_tlsv1.2",
    "no_tlsv1.3",
];

const CLIENT_CERTIFICATES: &[&str] = &["off", "optional", "required"];

const ANY_PROTOCOL: &str = "TLS 1.2 and 1.3 are spoken, as with the original; ssl_option excludes one.";
const NO_RENEGOTIATION: &str = "No client can renegotiate, so there is nothing to limit.";

pub const ROWS: &[Row] = &[
    Row {
        word: "ssl_alpn",
        no: true,
        args: &[optional("NAME[,NAME...]", Complete::Text)],
        kind: Kind::Text {
            text: Text::SslAlpn,
            read: |word| protocols(word).map(|_| word.to_owned()),
            answer: Answer::Silent,
        },
        summary: "protocols to agree on with clients inside TLS (ALPN)",
        detail: "In order of preference, such as `h2,http/1.1`; name what the servers speak. pen refuses a \
                 client that offers protocols and none of these. Without the setting pen negotiates none, \
                 and clients speak what they speak by default, which is HTTP/1.1 on the web. With `http \
                 replace`, h2 is an error.",
        ..NEW
    },
    Row {
        word: "ssl_ca_file",
        letter: Some('G'),
        no: true,
        args: OPTIONAL_FILE,
        kind: file(Text::SslCaFile, Answer::Silent),
        summary: "CA certificates to verify clients with",
        detail: "A PEM file with one or more. pen uses it together with `ssl_ca_path`; without both, it uses \
                 the CA certificates of the system. pen warns of certificates that have expired or are not \
                 those of a CA, and does not trust them; a client's own certificate may be in the file too. \
                 See `ssl_client_certificate`.",
        ..NEW
    },
    Row {
        word: "ssl_ca_path",
        letter: Some('A'),
        no: true,
        args: OPTIONAL_DIRECTORY,
        kind: file(Text::SslCaPath, Answer::Silent),
        summary: "directory of CA certificates to verify clients with",
        detail: "PEM files named by their hashes, such as 5ed36f99.0, as `openssl rehash` links them. pen \
                 ignores files with other names.",
        ..NEW
    },
    Row {
        word: "ssl_certificate",
        letter: Some('E'),
        no: true,
        args: OPTIONAL_FILE,
        kind: file(Text::SslCertificate, Answer::Silent),
        summary: "file with the certificate; turns TLS on for clients",
        detail: "A PEM file with the certificate, then the intermediate certificates, if any; the key may be \
                 in it too. pen reads it at start before it gives up privileges, again on the signal HUP and \
                 when you give the command. Connections are not disturbed; when the new file has an error, \
                 pen reports it and keeps the old certificate. After `-j` and `-u` pen looks for the file \
                 inside the new root directory, with the new user's rights.",
        ..NEW
    },
    Row {
        word: "ssl_ciphers",
        no: true,
        args: &[optional("LIST", Complete::Text)],
        kind: text(Text::SslCiphers),
        summary: "ciphers to offer, as an OpenSSL cipher list",
        detail: "Names and groups with colons between them: `ECDHE-RSA-AES128-GCM-SHA256`, \
                 `ECDHE+AESGCM:!AES128`, `HIGH`. Of these pen offers the ones that are safe today: ephemeral \
                 keys with AES-GCM or ChaCha20-Poly1305. The reply names the words for all others; a list of \
                 which nothing is left is an error. As in OpenSSL, TLS 1.3 has its own ciphers, which only \
                 names such as `TLS_AES_128_GCM_SHA256` select.",
        ..LIVE
    },
    Row {
        word: "ssl_client_certificate",
        args: &[optional("off|optional|required", Complete::Words(CLIENT_CERTIFICATES))],
        kind: Kind::Choice {
            choice: Choice::SslClientCertificate,
            words: CLIENT_CERTIFICATES,
            default: 0,
            answer: Answer::Value,
        },
        summary: "whether clients must show a certificate",
        detail: "With `optional` a client may have none, but pen refuses a wrong one. pen verifies them with \
                 `ssl_ca_file` and `ssl_ca_path`. It is an error without `ssl_certificate`, because clients \
                 then speak no TLS. The option -R stands for `required`.",
        ..NEW
    },
    Row {
        word: "ssl_client_renegotiation_interval",
        args: SECONDS,
        kind: Kind::Idle { why: NO_RENEGOTIATION, taken: Taken::Seconds },
        unit: "seconds",
        summary: "how often a client may renegotiate: never",
        detail: "Accepted without effect: no client can renegotiate here, so there is nothing to limit.",
        ..LIVE
    },
    Row {
        word: "ssl_handshake_timeout",
        args: SECONDS,
        kind: number(Number::SslHandshakeTimeout, 1, 3_600, 10),
        unit: "seconds",
        summary: "how long a TLS handshake of a client may take",
        detail: "Seconds since the connect. pen disconnects a client that is slower; it has not chosen a \
                 server by then. The setting also limits how long pen waits for the name that `server N sni` \
                 needs.",
        ..NEW
    },
    Row {
        word: "ssl_key",
        letter: Some('K'),
        no: true,
        args: OPTIONAL_FILE,
        kind: file(Text::SslKey, Answer::Silent),
        summary: "file with the key of the certificate",
        detail: "A PEM file. Without it the key is in the file of `ssl_certificate`.",
        ..NEW
    },
    Row {
        word: "ssl_ocsp_response",
        no: true,
        args: OPTIONAL_FILE,
        kind: file(Text::SslOcspResponse, Answer::Silent),
        summary: "file with the OCSP response to staple to the certificate",
        detail: "DER, at most 10000 bytes. Give the command again when there is a new one; pen also reads it \
                 again on the signal HUP. pen staples it while it is valid and says that the certificate is \
                 good; otherwise pen warns.",
        ..LIVE
    },
    Row {
        word: "ssl_option",
        no: true,
        args: &[arg("OPTION", Complete::Words(TLS_OPTIONS))],
        no_args: &[arg("OPTION", Complete::Words(TLS_OPTIONS))],
        kind: Kind::List(List::SslOption),
        summary: "switch a TLS option on",
        detail: "`cipher_server_preference`: pen's order of ciphers counts, not the client's. `no_ticket`: \
                 give no session tickets; clients with TLS 1.2 can still resume a session by its number, \
                 clients with TLS 1.3 cannot. `no_tlsv1.2`, `no_tlsv1.3`: do not speak that version. \
                 `no_sslv2`, `no_sslv3`, `no_tlsv1` and `no_tlsv1.1` are accepted without effect: pen never \
                 speaks these versions.",
        ..LIVE
    },
    Row {
        word: "ssl_record_max",
        args: BYTES,
        kind: number(Number::SslRecordMax, 512, SSL_RECORD_BYTES_MAX, SSL_RECORD_BYTES_MAX),
        unit: "bytes",
        summary: "how many bytes a TLS record to a client may hold",
        detail: "For clients with little memory, which cannot hold a record of 16384 bytes. Encryption adds \
                 up to 40 bytes, which do not count. Small records cost more processor time.",
        ..NEW
    },
    Row {
        word: "ssl_server_ca_file",
        no: true,
        args: OPTIONAL_FILE,
        kind: file(Text::SslServerCaFile, Answer::Silent),
        summary: "CA certificates to verify servers with",
        detail: "A PEM file with one or more, for servers with `tls verify`. Without it pen uses the CA \
                 certificates of the system. A server's own certificate may be in the file too.",
        ..NEW
    },
    Row {
        word: "ssl_sni_path",
        no: true,
        args: OPTIONAL_DIRECTORY,
        kind: file(Text::SslSniPath, Answer::Silent),
        summary: "directory of certificates by the name a client asks for (SNI)",
        detail: "For www.example.org, in lower case: www.example.org.crt and www.example.org.key, both PEM; \
                 and, where they exist, www.example.org.ca with the CA certificates to verify this site's \
                 clients with, and www.example.org.ocsp. A client that asks for a name without files gets \
                 the certificate of `ssl_certificate`. pen reads the directory at start and on the signal \
                 HUP. When a client asks for a name that came later, pen looks for it, for an unknown one at \
                 most once in 10 seconds; it reads known ones again after an hour.",
        ..LIVE
    },
    Row {
        word: "-L",
        letter: Some('L'),
        args: &[arg("PROTOCOL", Complete::Words(&["ssl23", "ssl2", "ssl3", "tls1"]))],
        kind: Kind::Idle { why: ANY_PROTOCOL, taken: Taken::Protocol },
        summary: "accepted; TLS 1.2 and 1.3 are spoken",
        detail: "The original's selector limited nothing that is still in use. `ssl_option` excludes a \
                 version.",
        ..LIVE
    },
    Row {
        word: "-R",
        letter: Some('R'),
        kind: Kind::OptionOnly,
        when: When::Start,
        summary: "require a certificate of clients",
        detail: "Means `ssl_client_certificate required`.",
        ..LIVE
    },
];
