//! Where pen connects to, and the address of its own that was spoken to: what choosing a server and the system calls
//! have in common. Numeric throughout; names have been looked up.

mod places;

use crate::commands::ServerTls;
pub use places::Places;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

/// An address of this machine. The interface counts for link-local IPv6 addresses only and is 0 otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OwnAddress {
    pub ip: IpAddr,
    pub interface: u32,
}

/// Where to connect to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Endpoint {
    /// A gap left by `server N`, or a server whose address is not known.
    #[default]
    Unset,
    Inet(SocketAddr),
    /// A name that has several addresses.
    AnyOf(Places),
    /// Whatever port the client asks for: direct server return without ports.
    Host(IpAddr),
    Unix(Arc<Path>),
    /// One of those before, from a local address of its own.
    From(Arc<FromSource>),
    /// Reached by TLS over one of the others.
    Tls(Arc<TlsEndpoint>),
}

/// A server that is connected to from this address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FromSource {
    pub carrier: Endpoint,
    pub source: IpAddr,
}

impl FromSource {
    fn to(&self, carrier: Endpoint) -> Endpoint {
        Endpoint::From(Arc::new(FromSource { carrier, source: self.source }))
    }
}

/// A server that is spoken to by TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsEndpoint {
    pub carrier: Endpoint,
    /// Whether its certificate must be right.
    pub verify: bool,
    /// The host name or address that is asked for and expected in the certificate; empty: none is known.
    pub name: String,
    /// File with the certificate that it is shown when it asks.
    pub certificate: Option<String>,
}

impl TlsEndpoint {
    /// As after `tls`, with the name that was left out.
    pub fn said(&self) -> ServerTls {
        let name = Some(&self.name).filter(|name| !name.is_empty()).cloned();
        ServerTls::On { verify: self.verify, name, certificate: self.certificate.clone() }
    }
}

impl TlsEndpoint {
    fn over(&self, carrier: Endpoint) -> Endpoint {
        Endpoint::Tls(Arc::new(TlsEndpoint { carrier, ..self.clone() }))
    }
}

impl Endpoint {
    /// The Internet address to connect to.
    pub fn internet_address(&self) -> Option<SocketAddr> {
        match self {
            Endpoint::Inet(address) => Some(*address),
            Endpoint::AnyOf(places) => Some(places.address()),
            Endpoint::From(from) => from.carrier.internet_address(),
            Endpoint::Tls(tls) => tls.carrier.internet_address(),
            Endpoint::Unset | Endpoint::Host(_) | Endpoint::Unix(_) => None,
        }
    }

    /// The same server at the next of its addresses; `None` when it has no other that was not tried.
    pub fn next_place(&self) -> Option<Endpoint> {
        match self {
            Endpoint::AnyOf(places) => places.next().map(Endpoint::AnyOf),
            Endpoint::From(from) => from.carrier.next_place().map(|carrier| from.to(carrier)),
            Endpoint::Tls(tls) => tls.carrier.next_place().map(|carrier| tls.over(carrier)),
            _ => None,
        }
    }

    /// Whether other addresses of the server were tried before.
    pub fn is_second_choice(&self) -> bool {
        matches!(self.carrier(), Endpoint::AnyOf(places) if places.is_second_choice())
    }

    /// With its address as the first to be tried.
    pub fn preferred(&self) -> Endpoint {
        match self {
            Endpoint::AnyOf(places) => Endpoint::AnyOf(places.preferred()),
            Endpoint::From(from) => from.to(from.carrier.preferred()),
            Endpoint::Tls(tls) => tls.over(tls.carrier.preferred()),
            other => other.clone(),
        }
    }

    /// Whether it leads to the same server, if by another of its addresses or from another of ours.
    pub fn is_same_server(&self, other: &Endpoint) -> bool {
        match (self, other) {
            (Endpoint::From(from), other) | (other, Endpoint::From(from)) => {
                from.carrier.is_same_server(other.without_source())
            }
            (Endpoint::AnyOf(places), Endpoint::AnyOf(others)) => places.is_same_server(others),
            (Endpoint::Tls(tls), Endpoint::Tls(other)) => {
                let TlsEndpoint { carrier, .. } = &**tls;
                carrier.is_same_server(&other.carrier)
                    && tls.over(other.carrier.clone()) == Endpoint::Tls(other.clone())
            }
            _ => self == other,
        }
    }

    /// Whether a connect can be tried at all: not with the address missing or unspecified, nor with port 0.
    pub fn is_complete(&self) -> bool {
        match self {
            Endpoint::Unset => false,
            Endpoint::Inet(address) => address.port() != 0 && !address.ip().is_unspecified(),
            Endpoint::AnyOf(places) => places.address().port() != 0,
            Endpoint::Host(ip) => !ip.is_unspecified(),
            Endpoint::Unix(_) => true,
            Endpoint::From(from) => from.carrier.is_complete(),
            Endpoint::Tls(tls) => tls.carrier.is_complete(),
        }
    }

    /// The same host at another port; a Unix socket has none, and stays.
    pub fn at_port(&self, port: u16) -> Endpoint {
        match self {
            Endpoint::Inet(address) => Endpoint::Inet(SocketAddr::new(address.ip(), port)),
            Endpoint::AnyOf(places) => Endpoint::AnyOf(places.at_port(port)),
            Endpoint::Host(ip) => Endpoint::Inet(SocketAddr::new(*ip, port)),
            Endpoint::From(from) => from.to(from.carrier.at_port(port)),
            Endpoint::Tls(tls) => tls.over(tls.carrier.at_port(port)),
            Endpoint::Unset | Endpoint::Unix(_) => self.clone(),
        }
    }

    /// The address without the port; a Unix socket has none.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Endpoint::Host(ip) => Some(*ip),
            Endpoint::From(from) => from.carrier.ip(),
            _ => self.internet_address().map(|address| address.ip()),
        }
    }

    /// As Pen reports it: 1 for a Unix socket, 0 when unset.
    pub fn port(&self) -> u16 {
        match self {
            Endpoint::Unix(_) => 1,
            Endpoint::From(from) => from.carrier.port(),
            Endpoint::Tls(tls) => tls.carrier.port(),
            endpoint => endpoint.inet_port().unwrap_or(0),
        }
    }

    /// The port of an Internet address; `None` where there is none.
    pub fn inet_port(&self) -> Option<u16> {
        self.internet_address().map(|address| address.port())
    }

    /// How it is spoken to; `None` for a server without TLS.
    pub fn tls(&self) -> Option<&TlsEndpoint> {
        match self {
            Endpoint::Tls(tls) => Some(tls),
            _ => None,
        }
    }

    /// What to connect to, with or without TLS.
    pub fn carrier(&self) -> &Endpoint {
        self.tls().map_or(self, |tls| &tls.carrier).without_source()
    }

    /// From where to connect to it, if it has an address for that of its own.
    pub fn source(&self) -> Option<IpAddr> {
        match self.tls().map_or(self, |tls| &tls.carrier) {
            Endpoint::From(from) => Some(from.source),
            _ => None,
        }
    }

    fn without_source(&self) -> &Endpoint {
        match self {
            Endpoint::From(from) => &from.carrier,
            _ => self,
        }
    }

    /// The same, connected to from this address. Not of one with TLS, which goes over it.
    #[must_use]
    pub fn from_source(self, source: Option<IpAddr>) -> Endpoint {
        match source {
            Some(source) => Endpoint::From(Arc::new(FromSource { carrier: self, source })),
            None => self,
        }
    }
}

/// The address without the port, or the path; empty when unset.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Unset => Ok(()),
            Endpoint::Inet(SocketAddr::V6(v6)) if v6.scope_id() != 0 => {
                write!(f, "{}%{}", v6.ip(), v6.scope_id())
            }
            Endpoint::Inet(address) => address.ip().fmt(f),
            Endpoint::AnyOf(places) => Endpoint::Inet(places.address()).fmt(f),
            Endpoint::Host(ip) => ip.fmt(f),
            Endpoint::Unix(path) => path.display().fmt(f),
            Endpoint::From(from) => from.carrier.fmt(f),
            Endpoint::Tls(tls) => tls.carrier.fmt(f),
        }
    }
}
