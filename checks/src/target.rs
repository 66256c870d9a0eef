//! A server that is to be checked, and what its check needs to know.

use pen_core::balance::{Endpoint, ServerId, ServerSetup, TlsEndpoint, Untested};
use pen_core::checks::{Search, Turns, http};
use pen_core::loads::agent;
use pen_core::proxy_protocol::{self, Transport};
use pen_core::settings::{LoadWatch, Watch};
use pen_proto::called::Called;
use pen_proto::commands::{Check, LoadSource, ProxyHeader};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// A server under check.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    pub server: ServerId,
    /// As messages name it.
    pub called: Called,
    /// As the selection knows it.
    pub endpoint: Arc<Endpoint>,
    /// Where it is checked.
    pub place: Endpoint,
    /// How it is spoken to there, if by TLS.
    pub tls: Option<Arc<TlsEndpoint>>,
    proxy: ProxyHeader,
    /// The host that an HTTP request names unless the check does.
    host: String,
    pub watch: Watch,
    /// That it is up is news, too: a check named it.
    pub is_news: bool,
    /// It is not checked: its load is read, from here.
    pub load: Option<LoadSource>,
}

/// What is done with a server, beside others that are done with it.
pub type TargetKey = (ServerId, bool);

/// What a probe waits for once it is connected, and has shaken hands.
pub enum Answer {
    Nothing,
    Text(Search),
    Http(http::Response),
    Agent(agent::Line),
}

impl Target {
    /// `None` for a server without an address.
    pub fn of(server: ServerId, called: Called, setup: &ServerSetup, watch: Watch) -> Option<Target> {
        if let Check::Agent { port } = watch.check {
            return Target::at_agent(server, called, setup, watch, port);
        }
        let place = match watch.port {
            Some(port) => setup.endpoint.carrier().at_port(port),
            None => setup.endpoint.carrier().clone(),
        };
        if !place.is_complete() || (place.internet_address().is_none() && !matches!(place, Endpoint::Unix(_)))
        {
            return None;
        }
        let host_name = Some(&setup.host_name).filter(|name| !name.is_empty());
        let tls = match (&watch.check, setup.endpoint.tls()) {
            (Check::Tls { name }, own) => Some(TlsEndpoint {
                carrier: place.clone(),
                verify: own.is_some_and(|own| own.verify),
                name: name
                    .clone()
                    .or_else(|| own.map(|own| own.name.clone()))
                    .or_else(|| host_name.cloned())
                    .unwrap_or_else(|| place.to_string()),
                certificate: own.and_then(|own| own.certificate.clone()),
            }),
            (_, own) => own.cloned(),
        };
        let usual_port = if tls.is_some() { 443 } else { 80 };
        let host = match (host_name, place.internet_address()) {
            (Some(name), Some(address)) if address.port() == usual_port => name.clone(),
            (Some(name), Some(address)) => format!("{name}:{}", address.port()),
            (None, Some(address)) => address.to_string(),
            (_, None) => "localhost".into(),
        };
        Some(Target {
            server,
            called,
            endpoint: setup.endpoint.clone(),
            place,
            tls: tls.map(Arc::new),
            proxy: setup.proxy,
            host,
            watch,
            is_news: setup.untested == Untested::NotUsed,
            load: None,
        })
    }

    /// To read its load; `None` for a server without an address.
    pub fn of_load(server: ServerId, called: Called, setup: &ServerSetup, load: LoadWatch) -> Option<Target> {
        let LoadWatch { source, interval_ms, timeout_ms } = load;
        let turns = Turns { rise: 1, fall: 1 };
        let watch = |check| Watch { check, interval_ms, timeout_ms, extra: None, turns, port: None };
        let target = match source.clone() {
            LoadSource::None => return None,
            LoadSource::Agent { port } => {
                Target::at_agent(server, called, setup, watch(Check::Agent { port }), port)
            }
            LoadSource::Snmp { port, .. } => {
                Target::at_agent(server, called, setup, watch(Check::None), port)
            }
            LoadSource::Exec { program, arguments } => {
                Target::of(server, called, setup, watch(Check::Exec { program, arguments }))
            }
        };
        target.map(|target| Target { is_news: false, load: Some(source), ..target })
    }

    /// One that someone else at its host is asked about: neither TLS nor headers are for that.
    fn at_agent(
        server: ServerId,
        called: Called,
        setup: &ServerSetup,
        watch: Watch,
        port: u16,
    ) -> Option<Target> {
        let place = match setup.endpoint.carrier() {
            // It is on this host.
            Endpoint::Unix(_) => Endpoint::Inet(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
            carrier => carrier.at_port(port),
        };
        place.internet_address().filter(|address| !address.ip().is_unspecified())?;
        Some(Target {
            server,
            called,
            endpoint: setup.endpoint.clone(),
            place,
            tls: None,
            proxy: ProxyHeader::None,
            host: String::new(),
            watch,
            is_news: setup.untested == Untested::NotUsed,
            load: None,
        })
    }

    /// What it is told apart by among those of its service.
    pub fn key(&self) -> TargetKey {
        (self.server, self.load.is_some())
    }

    /// Whether what was found out about the other holds for this one.
    pub fn is_same_check(&self, other: &Target) -> bool {
        self.watch.check == other.watch.check
            && self.load == other.load
            && self.watch.port == other.watch.port
            && (&self.tls, self.proxy, &self.host) == (&other.tls, other.proxy, &other.host)
    }

    /// Whether a check that succeeds proves that clients can connect.
    pub fn proves_connect(&self) -> bool {
        let is_hearsay = matches!(self.watch.check, Check::Exec { .. } | Check::Agent { .. } | Check::Dummy);
        self.watch.port.is_none() && !is_hearsay
    }

    /// What the connection begins with: a PROXY header that says that nobody is behind it.
    pub fn greeting(&self) -> Vec<u8> {
        let mut header = Vec::new();
        match self.proxy {
            ProxyHeader::None => {}
            ProxyHeader::V1 => proxy_protocol::write_v1(None, &mut header),
            ProxyHeader::V2 | ProxyHeader::V2Ssl => {
                proxy_protocol::write_v2(None, Transport::Stream, &mut header);
            }
        }
        header
    }

    /// What is said behind it, and what is waited for.
    pub fn question(&self) -> (Vec<u8>, Answer) {
        match &self.watch.check {
            Check::Talk { send, expect } => {
                (send.as_bytes().to_vec(), Answer::Text(Search::new(expect.as_bytes())))
            }
            Check::Http { path, status, host, expect } => {
                let text = expect.as_ref().map(|text| text.as_bytes().to_vec());
                let wanted = http::Wanted { status: *status, text };
                let host = host.as_ref().unwrap_or(&self.host);
                (http::request(path, host), Answer::Http(http::Response::new(wanted)))
            }
            Check::Agent { .. } => (Vec::new(), Answer::Agent(agent::Line::default())),
            _ => (Vec::new(), Answer::Nothing),
        }
    }

    /// The first argument of a program that checks it: HOST:PORT, or the path of a Unix socket.
    pub fn address(&self) -> String {
        self.place.internet_address().map_or_else(|| self.place.to_string(), |address| address.to_string())
    }
}
