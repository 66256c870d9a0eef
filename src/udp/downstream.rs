//! `proxy_accept` for datagrams: each one of a trusted downstream begins with a PROXY header of version 2, which says for
//! whom it is sent.
//!
//! The header is taken off, and the client that it names has the session; what the server answers goes to the
//! downstream, without a header, as it is used to. The bytes are for [`crate::proxy_protocol`].

use super::session::Told;
use crate::log::diag;
use crate::proxy_protocol::{Header, Malformed, V2_FIRST_BYTE, extensions, parse};
use crate::sys::datagram::Batch;
use crate::worker::LocalService;
use pen_proto::addr::ClientAddr;
use std::net::SocketAddr;

/// What is said of the sender of a datagram.
pub(super) enum Word {
    /// Nothing: it is sent by whom it is from.
    Nobody,
    Client {
        client: SocketAddr,
        told: Box<Told>,
    },
    /// The datagram is good for nothing.
    Malformed,
}

impl Word {
    /// For a session that begins with it.
    pub(super) fn take_told(&mut self) -> Option<Box<Told>> {
        match self {
            Word::Client { told, .. } => Some(std::mem::take(told)),
            _ => None,
        }
    }
}

/// Takes the headers off what downstreams sent. A word for each datagram, or none at all without `proxy_accept`.
pub(super) fn hear_downstreams(local: &mut LocalService, inbox: &mut Batch) -> Vec<Word> {
    if local.settings.proxy_accept.is_empty() {
        return Vec::new();
    }
    (0..inbox.len()).map(|index| hear_downstream(local, inbox, index)).collect()
}

fn hear_downstream(local: &mut LocalService, inbox: &mut Batch, index: usize) -> Word {
    let Some((peer, _)) = inbox.parties(index) else { return Word::Nobody };
    let peer = ClientAddr::from(peer);
    if !local.settings.trusts(peer) {
        return Word::Nobody;
    }
    let bytes = inbox.bytes(index);
    let header = match understand(bytes) {
        Ok(header) => header,
        Err(malformed) => {
            local.totals.proxy_errors += 1;
            let text = format_args!("PROXY header from {peer}: {malformed}; dropping the datagram");
            diag::once("proxy_accept", text);
            return Word::Malformed;
        }
    };
    let extensions = extensions::passed_on(&bytes[..header.length]);
    inbox.cut(index, header.length);
    match header.endpoints {
        None => Word::Nobody,
        Some(endpoints) => {
            let told = Told { destination: Some(endpoints.destination()), extensions };
            Word::Client { client: endpoints.source(), told: Box::new(told) }
        }
    }
}

/// Nothing of a datagram comes later, and version 1 is for streams.
fn understand(bytes: &[u8]) -> Result<Header, Malformed> {
    if bytes.first() != Some(&V2_FIRST_BYTE) {
        return Err(Malformed("want version 2 at the beginning of a datagram"));
    }
    parse(bytes)?.ok_or(Malformed("version 2: not complete in the datagram"))
}
