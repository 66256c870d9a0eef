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
        summary: "protocols to agree on with clients inside TLS",
        detail: "In the order in which they are preferred, such as `h2,http/1.1`; name what the servers speak. A \
                 client that offers protocols and none of these is refused. Without the setting pen does not take \
                 part, and clients speak what they speak by default, which is HTTP/1.1 on the web. With \
                 `http replace`, h2 is an error.",
        ..NEW
    },
    Row {
        word: "ssl_ca_file",
        letter: Some('G'),
        no: true,
        args: OPTIONAL_FILE,
        kind: file(Text::SslCaFile, Answer::Silent),
        summary: "certificates by which those of clients are judged",
        detail: "A PEM file with one or more. Used together with `ssl_ca_path`; without both, the system's \
                 certificates are used. What is out of date or no authority is told and not believed; a client's own \
                 certificate may stand there too. See `ssl_client_certificate`.",
        ..NEW
    },
    Row {
        word: "ssl_ca_path",
        letter: Some('A'),
        no: true,
        args: OPTIONAL_DIRECTORY,
        kind: file(Text::SslCaPath, Answer::Silent),
        summary: "directory of certificates by which those of clients are judged",
        detail: "PEM files named by their hashes, such as 5ed36f99.0, as `openssl rehash` links them. Files with other \
                 names are left alone.",
        ..NEW
    },
    Row {
        word: "ssl_certificate",
        letter: Some('E'),
        no: true,
        args: OPTIONAL_FILE,
        kind: file(Text::SslCertificate, Answer::Silent),
        summary: "file with the certificate; turns TLS on for clients",
        detail: "A PEM file with the certificate, then the intermediate certificates, if any; the key may be in it too. \
                 It is read at start before privileges are given up, again on the signal HUP and when the command is \
                 given: connections are not disturbed, and what is wrong is told and keeps the old certificate. After \
                 `-j` and `-u` the file is then looked for inside the new root directory, with the new user's rights.",
        ..NEW
    },
    Row {
        word: "ssl_ciphers",
        no: true,
        args: &[optional("LIST", Complete::Text)],
        kind: text(Text::SslCiphers),
        summary: "ciphers to offer, as OpenSSL writes lists of them",
        detail: "Names and groups with colons between them: `ECDHE-RSA-AES128-GCM-SHA256`, `ECDHE+AESGCM:!AES128`, \
                 `HIGH`. Of them those are offered that are safe today: ephemeral keys with AES-GCM or \
                 ChaCha20-Poly1305. Words for others are named in the reply and offered by nobody; a list of which \
                 nothing is left is an error. As in OpenSSL, TLS 1.3 has its own ciphers, which only names such as \
                 `TLS_AES_128_GCM_SHA256` choose among.",
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
        detail: "With `optional` a client may have none, but a wrong one is refused. They are judged by `ssl_ca_file` \
                 and `ssl_ca_path`. An error without `ssl_certificate`: clients then speak no TLS. The option -R stands \
                 for `required`.",
        ..NEW
    },
    Row {
        word: "ssl_client_renegotiation_interval",
        args: SECONDS,
        kind: Kind::Idle { why: NO_RENEGOTIATION, taken: Taken::Seconds },
        unit: "seconds",
        summary: "how often a client may renegotiate: never",
        detail: "Accepted and explained: no client can renegotiate here, so there is nothing to limit.",
        ..LIVE
    },
    Row {
        word: "ssl_handshake_timeout",
        args: SECONDS,
        kind: number(Number::SslHandshakeTimeout, 1, 3_600, 10),
        unit: "seconds",
        summary: "how long a TLS handshake of a client may take",
        detail: "Counted from the connect. Who is slower is disconnected; no server has heard of the client by then. \
                 It also limits how long pen waits for the name that `server N sni` goes by.",
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
        detail: "DER, at most 10000 bytes. Give the command again when there is a new one; on the signal HUP it is read \
                 again too. It is stapled while it is in date and says something good of the certificate; what it \
                 says else is told.",
        ..LIVE
    },
    Row {
        word: "ssl_option",
        no: true,
        args: &[arg("OPTION", Complete::Words(TLS_OPTIONS))],
        no_args: &[arg("OPTION", Complete::Words(TLS_OPTIONS))],
        kind: Kind::List(List::SslOption),
        summary: "switch a TLS option on",
        detail: "`cipher_server_preference`: pen's order of ciphers counts, not the client's. `no_ticket`: give no \
                 tickets by which clients take up their session again; those with TLS 1.2 still can by its number, \
                 those with TLS 1.3 cannot. `no_tlsv1.2`, `no_tlsv1.3`: do not speak that version. `no_sslv2`, `no_sslv3`, `no_tlsv1` and `no_tlsv1.1` are \
                 accepted: these versions are never spoken.",
        ..LIVE
    },
    Row {
        word: "ssl_record_max",
        args: BYTES,
        kind: number(Number::SslRecordMax, 512, SSL_RECORD_BYTES_MAX, SSL_RECORD_BYTES_MAX),
        unit: "bytes",
        summary: "how much of a stream a TLS record to a client may hold",
        detail: "For clients with little memory, which cannot hold a record of 16384 bytes. What encryption adds, 40 \
                 bytes at most, is not counted. Small records cost more processor time.",
        ..NEW
    },
    Row {
        word: "ssl_server_ca_file",
        no: true,
        args: OPTIONAL_FILE,
        kind: file(Text::SslServerCaFile, Answer::Silent),
        summary: "certificates by which those of servers are judged",
        detail: "A PEM file with one or more, for servers with `tls verify`. Without it, the system's certificates are \
                 used. A server's own certificate may stand there too.",
        ..NEW
    },
    Row {
        word: "ssl_sni_path",
        no: true,
        args: OPTIONAL_DIRECTORY,
        kind: file(Text::SslSniPath, Answer::Silent),
        summary: "directory of certificates by the name a client asks for",
        detail: "For www.example.org, in lower case: www.example.org.crt and www.example.org.key, both PEM; if there \
                 are, www.example.org.ca with the certificates by which those of this site's clients are judged, and \
                 www.example.org.ocsp. Who asks for a name that is not there gets the certificate of \
                 `ssl_certificate`. The directory is read at start and on the signal HUP; names that come later are \
                 looked for when they are asked for, unknown ones at most once in 10 seconds, and known ones are read \
                 again after an hour.",
        ..LIVE
    },
    Row {
        word: "-L",
        letter: Some('L'),
        args: &[arg("PROTOCOL", Complete::Words(&["ssl23", "ssl2", "ssl3", "tls1"]))],
        kind: Kind::Idle { why: ANY_PROTOCOL, taken: Taken::Protocol },
        summary: "accepted; TLS 1.2 and 1.3 are spoken",
        detail: "The original's selector limited nothing that is still in use. `ssl_option` excludes a version.",
        ..LIVE
    },
    Row {
        word: "-R",
        letter: Some('R'),
        kind: Kind::OptionOnly,
        when: When::Start,
        summary: "require a certificate of clients",
        detail: "As `ssl_client_certificate required`.",
        ..LIVE
    },
];
