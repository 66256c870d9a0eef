//! Whether what was configured fits together, and what follows from one setting for another. Pure.

use super::{Config, MAIN, ProcessConfig, ServerEntry, ServiceConfig};
use pen_proto::addr::{Host, ListenAddr, Port};
use pen_proto::commands::{Flag, HttpMode, Number, OneOf, PolicyKind, ProxyHeader, Role, Text};
use std::collections::HashMap;
use std::sync::Arc;

/// Whether the settings fit together.
///
/// # Errors
///
/// Clients without TLS that are to show certificates, HTTP/2 for clients whose requests are to be edited, or what UDP has
/// no use for, because it could not work; of a service other than `main`, with its name.
pub fn check(config: &Config) -> Result<(), String> {
    check_process(&config.process)?;
    if config.process.number(Number::Autosave) > 0 && config.process.text(Text::ConfigFile).is_none() {
        return Err("autosave: want a configuration file to save into, by -F at start".into());
    }
    for service in &config.services {
        let fits = check_service(service).and_then(|()| check_clients(config, service));
        fits.map_err(|trouble| service.of(&trouble))?;
    }
    Ok(())
}

/// What is another program's is not pen's to decide.
fn check_process(process: &ProcessConfig) -> Result<(), String> {
    let told = |word| Err(format!("{word}: not in a balancer that is a part of another program"));
    match process.is_embedded {
        true if process.flag(Flag::AbortOnError) => told("abort_on_error"),
        true if process.text(Text::Messages).is_some() => told("messages"),
        true if process.text(Text::ControlFifo).is_some() => told("control_fifo"),
        _ => Ok(()),
    }
}

/// Somebody must have the client table in the end.
fn check_clients(config: &Config, service: &ServiceConfig) -> Result<(), String> {
    if let Some(name) = service.text(Text::ClientsFrom) {
        config.meant(Some(name)).map_err(|trouble| format!("clients_from: {trouble}"))?;
        if config.clients_of(service).text(Text::ClientsFrom).is_some() {
            return Err(format!("clients_from: {name} has its clients from this service"));
        }
    }
    Ok(())
}

impl ServiceConfig {
    /// What is wrong with it, as it is told: with its name unless it is `main`.
    pub fn of(&self, trouble: &str) -> String {
        of_service(&self.name, trouble)
    }
}

/// A text about the service of this name, as it is told.
pub fn of_service(name: &str, text: &str) -> String {
    if name == MAIN { text.into() } else { format!("service {name}: {text}") }
}

fn check_service(config: &ServiceConfig) -> Result<(), String> {
    config.tls().check()?;
    check_http(config)?;
    config.check_discovery()?;
    config.check_groups()?;
    let numbers = |wanted: &[Number]| wanted.iter().find(|number| config.number(**number) > 0).copied();
    if config.text(Text::DsrIf).is_some()
        && let Some(number) = numbers(&[Number::Queue, Number::ClientConnMax, Number::ClientRate])
    {
        return Err(format!("{}: not with dsr_if", number.row().word));
    }
    let mut policies = config.groups.policies.values().copied().chain([config.values.choice()]);
    if (config.flag(Flag::Udp) || config.text(Text::DsrIf).is_some())
        && let Some(policy) = policies.find(|policy: &PolicyKind| policy.reads_requests())
    {
        let kind = if config.flag(Flag::Udp) { "UDP (-U)" } else { "dsr_if" };
        return Err(format!("policy {}: not with {kind}, where pen reads no requests", policy.word()));
    }
    if config.text(Text::DsrIf).is_some() && config.has_extra_checks() {
        return Err("check_extra: not with dsr_if".into());
    }
    let servers = config.servers.iter().enumerate();
    let clone = servers.filter_map(|(at, entry)| Some((at, clone_words(entry.as_ref()?)?))).next();
    if let (Some(_), Some((at, words))) = (config.text(Text::DsrIf), clone) {
        return Err(format!("server {at}: {words}: not with dsr_if"));
    }
    if !config.flag(Flag::Udp) {
        return Ok(());
    }
    if config.flag(Flag::Dummy) {
        return Err("dummy: not with UDP (-U)".into());
    }
    if config.number(Number::Queue) > 0 {
        return Err("queue: not with UDP (-U)".into());
    }
    if config.has_extra_checks() {
        return Err("check_extra: not with UDP (-U)".into());
    }
    let tls = config.tls_plan();
    for (name, is_wanted) in [
        ("ssl_certificate", tls.settings.text(Text::SslCertificate).is_some()),
        ("server: tls", config.speaks_tls_to_servers()),
        ("server: sni", tls.routes),
    ] {
        if is_wanted {
            return Err(format!("{name}: not with UDP (-U)"));
        }
    }
    let unix = |host: &Host| match host {
        Host::Unix(path) => {
            Some(format!("with UDP (-U) want an Internet address, got the Unix socket {path}"))
        }
        _ => None,
    };
    if let Some(trouble) = config.listen().and_then(|listen| unix(&listen.host)) {
        return Err(format!("listen: {trouble}"));
    }
    if let Some(at) = config
        .servers
        .iter()
        .position(|entry| entry.as_ref().is_some_and(|entry| entry.proxy == ProxyHeader::V1))
    {
        return Err(format!("server {at}: proxy: with UDP (-U) want v2, v2-ssl or none, got \"v1\""));
    }
    for (which, entry) in config.entries() {
        if let Some(trouble) = unix(&entry.spec.host) {
            return Err(format!("{which}: {trouble}"));
        }
    }
    Ok(())
}

/// Whether no two listeners are at one address and port. `config` is numeric.
///
/// # Errors
/// The second of them, and whose the first is.
pub fn check_listeners(config: &Config) -> Result<(), String> {
    let listens = config.services.iter().filter(|service| service.text(Text::DsrIf).is_none());
    let mut by_port: HashMap<(bool, u16), Vec<(&ServiceConfig, &ListenAddr)>> = HashMap::new();
    let mut exact = HashMap::new();
    for service in listens {
        let is_udp = service.flag(Flag::Udp);
        for address in service.listeners() {
            let port = match (&address.host, &address.port) {
                (Host::Unix(_), _) => 0,
                (_, Some(Port::Number(port))) if *port > 0 => *port,
                _ => continue,
            };
            if let Some(other) = exact.insert((is_udp, port, &address.host), service) {
                return Err(clash(service, address, other, address));
            }
            by_port.entry((is_udp, port)).or_default().push((service, address));
        }
    }
    // A listener at all addresses leaves none to others; with UDP the more exact address wins.
    for ((is_udp, _), listeners) in by_port.iter().filter(|(_, listeners)| listeners.len() > 1) {
        let is_wild = |address: &ListenAddr| matches!(address.host, Host::Ip(ip) if ip.is_unspecified());
        let Some((owner, wild)) = listeners.iter().find(|(_, address)| is_wild(address)).filter(|_| !is_udp)
        else {
            continue;
        };
        let is_taken = |address: &ListenAddr| match (&wild.host, &address.host) {
            (Host::Ip(wild), Host::Ip(ip)) => wild.is_ipv6() || ip.is_ipv4() || ip.is_unspecified(),
            _ => false,
        };
        let others = listeners.iter().filter(|(_, address)| !std::ptr::eq(*address, *wild));
        if let Some((service, address)) = others.into_iter().find(|(_, address)| is_taken(address)) {
            return Err(clash(service, address, owner, wild));
        }
    }
    Ok(())
}

fn clash(service: &ServiceConfig, at: &ListenAddr, owner: &ServiceConfig, other: &ListenAddr) -> String {
    service.of(&format!("listen: {}: service {} listens at {} already", at.text, owner.name, other.text))
}

/// With HTTP/2, whose requests nobody edits, clients could say who they are.
fn check_http(config: &ServiceConfig) -> Result<(), String> {
    let protocols = config.text(Text::SslAlpn).unwrap_or("");
    match config.values.choice::<HttpMode>() == HttpMode::Replace
        && protocols.split(',').any(|name| name == "h2")
    {
        true => {
            Err("ssl_alpn: with http replace want no h2, or http replace h2, which lets HTTP/2 pass unedited"
                .into())
        }
        false => Ok(()),
    }
}

/// Gives every server that has an address and no port the port of its service's listener, for good: a later `listen`
/// moves the listener, not the servers. SRV records tell ports of their own.
pub fn settle_ports(config: &mut Config) {
    for service in &mut config.services {
        let port = service.listeners().next().and_then(|listen| listen.port.clone());
        let Some(port) = port.filter(|port| *port != Port::Number(0)) else { continue };
        let lacks = |entry: &ServerEntry| {
            let host = &entry.spec.host;
            entry.spec.port.is_none() && !host.is_unix() && host.service().is_none()
        };
        if service.entries().any(|(_, entry)| lacks(entry)) {
            let service = Arc::make_mut(service);
            let servers = service.servers.iter_mut().chain([&mut service.emergency, &mut service.abuse]);
            for entry in servers.flatten().filter(|entry| lacks(entry)) {
                entry.spec.port = Some(port.clone());
            }
        }
    }
}

/// What makes a server a clone, if only for some time.
fn clone_words(entry: &ServerEntry) -> Option<&'static str> {
    match entry.role {
        Role::Clone => Some("role clone"),
        Role::Member => (entry.warm_up_ms > 0).then_some("warm_up"),
    }
}
