//! PROXY headers: reading the one that a trusted downstream sends, and greeting servers with one that want it.
//!
//! The bytes themselves are for [`crate::proxy_protocol`]. A header is read before everything else on a connection, and
//! nothing behind it is: whoever comes next (the choice of a server, a TLS handshake) finds the socket as if the client
//! had connected directly. In the same way a server's header goes out before everything else, a TLS handshake included.
//! Called by `accept.rs`, `connect.rs` and `relay.rs`.

use super::Context;
use super::verdict::Verdict;
use crate::balance::Endpoint;
use crate::conn::{CloseReason, Connection, Extras, Via};
use crate::log::diag;
use crate::os;
use crate::proxy_protocol::extensions::{self, ClientTls};
use crate::proxy_protocol::{self, Endpoints, HEADER_BYTES_MAX, Header, Transport};
use pen_proto::addr::ClientAddr;
use pen_proto::commands::ProxyHeader;
use std::io;
use std::net::SocketAddr;

/// How far a header has come.
enum Heard {
    /// Also what of its extensions servers are told.
    Complete(Header, Vec<u8>),
    /// All that was there, and it was not enough.
    Part,
    /// The peer has ended its side.
    End,
}

impl Context {
    /// A trusted downstream has said something.
    pub(super) fn read_header(&mut self, connection: &mut Connection) -> Verdict {
        while connection.client.readable {
            match hear(connection, &mut self.work.scratch[..HEADER_BYTES_MAX]) {
                Ok(Heard::Complete(header, extensions)) => {
                    return self.believe(connection, header, extensions);
                }
                Ok(Heard::Part) => {}
                // A peer that only looks whether somebody listens.
                Ok(Heard::End) if !has_begun(connection) => return Verdict::Close(CloseReason::Finished),
                Ok(Heard::End) => return self.refuse_header(connection, "ended too early"),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => connection.client.readable = false,
                    io::ErrorKind::InvalidData => return self.refuse_header(connection, &error.to_string()),
                    _ => return Verdict::Close(CloseReason::ClientReset),
                },
            }
        }
        Verdict::Stay
    }

    /// From now on the connection is that of the client whom the header names, everywhere.
    fn believe(&mut self, connection: &mut Connection, header: Header, extensions: Vec<u8>) -> Verdict {
        if let Some(extras) = &mut connection.extras {
            extras.via = None; // what was held of the header
        }
        if let Some(endpoints) = header.endpoints {
            (connection.address, connection.port) = (endpoints.source().into(), endpoints.source().port());
            let via = Via { destination: Some(endpoints.destination()), ..Via::default() };
            connection.extras().via = Some(via);
        }
        if !extensions.is_empty() {
            connection.extras().via.get_or_insert_default().extensions = extensions.into();
        }
        Extras::free_if_unused(&mut connection.extras);
        self.trace_client(connection);
        self.begin(connection)
    }

    pub(super) fn header_timed_out(&self, connection: &Connection) -> Verdict {
        self.refuse_header(connection, "not complete within proxy_timeout")
    }

    fn refuse_header(&self, connection: &Connection, reason: &str) -> Verdict {
        let peer = match connection.address {
            ClientAddr::Ip(ip) => ip.to_string(),
            ClientAddr::Unix => "a Unix socket".to_owned(),
        };
        let text = format_args!("PROXY header from {peer}: {reason}; closing the connection");
        diag::once("proxy_accept", text);
        Verdict::Close(CloseReason::ProxyHeader)
    }
}

fn has_begun(connection: &Connection) -> bool {
    connection.via().is_some_and(|via| !via.held.is_empty())
}

/// Takes from the socket what belongs to the header and not a byte more: that is why it looks before it reads.
///
/// # Errors
/// Nothing is there (`WouldBlock`), it is no header (`InvalidData`), or the socket failed.
fn hear(connection: &mut Connection, scratch: &mut [u8]) -> io::Result<Heard> {
    let count = os::peek(connection.client.fd()?, scratch)?;
    if count == 0 {
        return Ok(Heard::End);
    }
    let via = connection.extras.as_mut().and_then(|extras| extras.via.as_mut());
    let (held_bytes, seen) = match via.map(|via| &mut via.held) {
        None => (0, &scratch[..count]),
        Some(held) => {
            let held_bytes = held.len();
            held.extend_from_slice(&scratch[..count]);
            (held_bytes, &held[..])
        }
    };
    let parsed = proxy_protocol::parse(seen);
    let header = parsed.map_err(|malformed| io::Error::new(io::ErrorKind::InvalidData, malformed))?;
    let wanted = header.map_or(count, |header| header.length - held_bytes);
    let told = header.map(|header| (header, extensions::passed_on(&seen[..header.length])));
    if connection.via().is_none() && header.is_none() {
        connection.extras().via = Some(Via { held: scratch[..count].to_vec(), ..Via::default() });
    }
    match os::receive(connection.client.fd()?, &mut scratch[..wanted])? {
        taken if taken == wanted => {
            Ok(told.map_or(Heard::Part, |(header, extensions)| Heard::Complete(header, extensions)))
        }
        _ => Err(io::ErrorKind::ConnectionReset.into()), // what could be seen cannot be had
    }
}

/// The header that must go to the server before everything else, once for each connection to a server. `None` for the
/// servers, nearly all, that want none, and when it has been given out already.
pub(super) fn take_greeting(connection: &mut Connection) -> Option<Vec<u8>> {
    if !std::mem::take(&mut connection.greeting_due) {
        return None;
    }
    Some(greeting(connection))
}

/// The header for the server of this connection; empty when it wants none.
pub(super) fn greeting(connection: &Connection) -> Vec<u8> {
    header(connection, connection.attempt.as_ref().map_or(ProxyHeader::None, |attempt| attempt.proxy()))
}

/// The header of this kind for the client of this connection; empty where none is wanted.
pub(super) fn header(connection: &Connection, wanted: ProxyHeader) -> Vec<u8> {
    let mut bytes = Vec::new();
    match wanted {
        ProxyHeader::None => {}
        ProxyHeader::V1 => {
            // Some servers refuse UNKNOWN. That pen itself is the client means the same and is understood by all.
            let endpoints = endpoints(connection).or_else(|| own_ends(connection));
            proxy_protocol::write_v1(endpoints.as_ref(), &mut bytes);
        }
        ProxyHeader::V2 => {
            proxy_protocol::write_v2(endpoints(connection).as_ref(), Transport::Stream, &mut bytes);
        }
        ProxyHeader::V2Ssl => {
            let told = connection.via().map_or(&[][..], |via| &via.extensions);
            let extensions = extensions::for_server(told, client_tls(connection).as_ref());
            // LOCAL would take them away.
            let own_ends = || own_ends(connection).filter(|_| !extensions.is_empty());
            let endpoints = endpoints(connection).or_else(own_ends);
            proxy_protocol::write_v2_with(endpoints.as_ref(), Transport::Stream, &extensions, &mut bytes);
        }
    }
    bytes
}

/// The two ends of pen's connection to the server. `None` for a server on a Unix socket.
fn own_ends(connection: &Connection) -> Option<Endpoints> {
    // The system would not tell the other end before the server has accepted.
    let Endpoint::Inet(server) = connection.endpoint.as_ref()?.carrier() else { return None };
    Some(Endpoints::new(os::local_address(connection.server.fd().ok()?)?, *server))
}

/// What pen knows of the TLS that the client speaks with it.
fn client_tls(connection: &Connection) -> Option<ClientTls<'_>> {
    connection.sessions()?.client.as_ref()?.client_tls()
}

/// The client, and where it connected to: to the downstream's address if a header told it. `None` for a client of a
/// Unix socket.
fn endpoints(connection: &Connection) -> Option<Endpoints> {
    let ClientAddr::Ip(ip) = connection.address else { return None };
    let told = connection.via().and_then(|via| via.destination);
    let destination = told.or_else(|| os::local_address(connection.client.fd().ok()?))?;
    Some(Endpoints::new(SocketAddr::new(ip, connection.port), destination))
}
