//! A server as it was configured.

use super::{Member, OwnCheck};
use crate::balance::Duty;
use pen_proto::addr::ServerSpec;
use pen_proto::commands::{LoadSource, ProxyHeader, Role, ServerChange, ServerTls, SniNames};
use pen_proto::names::Name;
use std::net::IpAddr;

/// A configured server, the list its clients must pass, and how they are announced to it.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerEntry {
    /// Unique in its service.
    pub name: Option<Name>,
    /// `None`: it belongs to all.
    pub group: Option<Name>,
    /// What the operator says of it.
    pub duty: Duty,
    pub spec: ServerSpec,
    /// In a numeric configuration: the addresses that the host's name has beside that of `spec`, for when that one fails.
    pub more: Vec<IpAddr>,
    /// In a numeric configuration: the host's name, that `spec` and `more` were looked up for; else empty.
    pub host_name: String,
    /// In a numeric configuration: set for a server that was made of another's name.
    pub member: Option<Member>,
    /// In a numeric configuration: how many others must be gone before it is used, 0 for most.
    pub standby: u8,
    pub acl: u8,
    pub proxy: ProxyHeader,
    pub role: Role,
    /// From where it is connected to; `None`: as its service says.
    pub source: Option<IpAddr>,
    /// `None`: as its service.
    pub slow_start_ms: Option<u64>,
    /// How long it is a clone when it is new.
    pub warm_up_ms: u64,
    pub tls: ServerTls,
    pub sni: SniNames,
    pub check: OwnCheck,
    /// It is used only when no other can be chosen.
    pub is_standby: bool,
    /// In thousandths, 0 for none; `None`: as its service.
    pub maxload: Option<u64>,
    /// Where its load is read; `None`: as its service.
    pub load: Option<LoadSource>,
    /// A check named it, and no person configured it.
    pub is_discovered: bool,
}

impl From<ServerSpec> for ServerEntry {
    /// The server with list 0, no PROXY header and no TLS, as the command line gives it.
    fn from(spec: ServerSpec) -> ServerEntry {
        let (tls, sni) = (ServerTls::default(), SniNames::default());
        ServerEntry {
            name: None,
            group: None,
            duty: Duty::Enabled,
            spec,
            more: Vec::new(),
            host_name: String::new(),
            member: None,
            standby: 0,
            acl: 0,
            proxy: ProxyHeader::None,
            role: Role::Member,
            source: None,
            slow_start_ms: None,
            warm_up_ms: 0,
            tls,
            sni,
            check: OwnCheck::default(),
            is_standby: false,
            maxload: None,
            load: None,
            is_discovered: false,
        }
    }
}

impl ServerEntry {
    /// Blacklisting is no property of the configuration and changes nothing here.
    pub(super) fn change(&mut self, change: &ServerChange) {
        match change {
            ServerChange::Acl(list) => self.acl = *list,
            ServerChange::Address(host) => self.spec.host = host.clone(),
            ServerChange::Port(port) => self.spec.port = Some(port.clone()),
            ServerChange::Max(max) => self.spec.max = *max,
            ServerChange::Hard(hard) => self.spec.hard = *hard,
            ServerChange::Name(name) => self.name = Some(name.clone()),
            ServerChange::Group(name) => self.group = name.clone(),
            ServerChange::Weight(weight) => self.spec.weight = Some(*weight),
            ServerChange::Prio(prio) => self.spec.prio = *prio,
            ServerChange::Sni(names) => self.sni = names.clone(),
            ServerChange::Tls(tls) => self.tls = tls.clone(),
            ServerChange::Proxy(header) => self.proxy = *header,
            ServerChange::Role(role) => self.role = *role,
            ServerChange::Source(source) => self.source = *source,
            ServerChange::Check(check) => self.check.check = Some(check.clone()),
            ServerChange::CheckBy(change) => self.check.change(*change),
            ServerChange::Standby(yes) => self.is_standby = *yes,
            ServerChange::Maxload(load) => self.maxload = Some(*load),
            ServerChange::Load(source) => self.load = Some(source.clone()),
            ServerChange::SlowStart(ms) => self.slow_start_ms = Some(*ms),
            ServerChange::WarmUp(ms) => self.warm_up_ms = *ms,
            ServerChange::Blacklist(_) => {}
        }
    }

    /// What a change of this kind sets has the value that it has in `base`.
    pub(super) fn take_back(&mut self, change: &ServerChange, base: &ServerEntry) {
        match change {
            ServerChange::Acl(_) => self.acl = base.acl,
            ServerChange::Address(_) => self.spec.host = base.spec.host.clone(),
            ServerChange::Port(_) => self.spec.port = base.spec.port.clone(),
            ServerChange::Max(_) => self.spec.max = base.spec.max,
            ServerChange::Hard(_) => self.spec.hard = base.spec.hard,
            ServerChange::Name(_) => self.name = base.name.clone(),
            ServerChange::Group(_) => self.group = base.group.clone(),
            ServerChange::Weight(_) => self.spec.weight = base.spec.weight,
            ServerChange::Prio(_) => self.spec.prio = base.spec.prio,
            ServerChange::Sni(_) => self.sni = base.sni.clone(),
            ServerChange::Tls(_) => self.tls = base.tls.clone(),
            ServerChange::Proxy(_) => self.proxy = base.proxy,
            ServerChange::Role(_) => self.role = base.role,
            ServerChange::Source(_) => self.source = base.source,
            ServerChange::Check(_) => self.check.check = base.check.check.clone(),
            ServerChange::CheckBy(change) => self.check.take_back(*change, &base.check),
            ServerChange::Standby(_) => self.is_standby = base.is_standby,
            ServerChange::Maxload(_) => self.maxload = base.maxload,
            ServerChange::Load(_) => self.load = base.load.clone(),
            ServerChange::SlowStart(_) => self.slow_start_ms = base.slow_start_ms,
            ServerChange::WarmUp(_) => self.warm_up_ms = base.warm_up_ms,
            ServerChange::Blacklist(_) => {}
        }
    }
}
