//! Makes the running pen follow a changed configuration: everything that can fail first, then the rest.
//!
//! Compares two configurations and touches only what differs, so that a reload of an unchanged file changes nothing.
//! Called by `apply.rs`.

use super::apply::Running;
use crate::settings::Config;
use pen_proto::addr::{Host, Port};
use pen_proto::commands::{Flag, HttpMode, ProxyHeader, TlsText};
use std::sync::Arc;

/// What is opened again although its name has not changed.
#[derive(Debug, Clone, Copy)]
pub struct Refresh {
    pub log: bool,
    pub tls: bool,
    /// Nobody waits for the answer: what cannot be read again stays as it was, with a message.
    pub is_reload: bool,
}

/// Brings `running` from the state `from` to the state `to`, both numeric ([`super::names::Names::numeric`]).
/// `refresh` says what is opened again even when its name is the same.
///
/// # Errors
///
/// Something could not be opened. Then `running` is as it was.
pub fn commit<R: Running>(
    running: &mut R,
    from: &Config,
    to: &Config,
    refresh: Refresh,
) -> Result<(), String> {
    let log = match from.log != to.log || refresh.log && to.log.is_some() {
        true => Some(running.open_log(to.log.as_ref()).map_err(|trouble| format!("log: {trouble}"))?),
        false => None,
    };
    let (plan_before, plan) = (from.tls_plan(), to.tls_plan());
    let tls = match plan_before != plan || refresh.tls && plan.is_needed() {
        true => Some(running.load_tls(to, refresh.is_reload && plan_before == plan)?),
        false => None,
    };
    let changed = (from.settings != to.settings, servers(from) != servers(to));
    let room = match changed {
        (false, false) => None,
        _ => Some(running.make_room(to)?),
    };
    if let Some(address) = to.listen.as_ref().filter(|_| from.listen != to.listen) {
        running.listen(address, &to.settings).map_err(|trouble| format!("listen: {trouble}"))?;
    }
    if let Some(log) = log {
        running.use_log(log);
    }
    if let Some(tls) = tls {
        running.use_tls(tls);
    }
    if let Some(room) = room {
        running.use_room(room);
    }
    if changed.0 {
        running.set_settings(Arc::new(to.settings.clone()));
    }
    if changed.1 {
        running.set_servers(to);
    }
    Ok(())
}

/// Whether the settings fit together.
///
/// # Errors
///
/// Clients without TLS that are to show certificates, HTTP/2 for clients whose requests are to be edited, or what UDP has
/// no use for, because it could not work.
pub fn check(config: &Config) -> Result<(), String> {
    config.tls.check()?;
    check_http(config)?;
    if !config.settings.flag(Flag::Udp) {
        return Ok(());
    }
    if config.settings.flag(Flag::Dummy) {
        return Err("dummy: not with UDP (-U)".into());
    }
    let tls = config.tls_plan();
    for (name, is_wanted) in [
        ("ssl_certificate", tls.settings.text(TlsText::Certificate).is_some()),
        ("server: tls", tls.to_servers),
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
    if let Some(trouble) = config.listen.as_ref().and_then(|listen| unix(&listen.host)) {
        return Err(format!("listen: {trouble}"));
    }
    if let Some(at) = config
        .servers
        .iter()
        .position(|entry| entry.as_ref().is_some_and(|entry| entry.proxy == ProxyHeader::V1))
    {
        return Err(format!("server {at}: proxy: with UDP (-U) want v2, v2-ssl or none, got \"v1\""));
    }
    let regular = config.servers.iter().enumerate().map(|(index, entry)| (format!("server {index}"), entry));
    let special = [("-e".to_string(), &config.emergency), ("-B".to_string(), &config.abuse)];
    for (name, entry) in regular.chain(special) {
        if let Some(trouble) = entry.as_ref().and_then(|entry| unix(&entry.spec.host)) {
            return Err(format!("{name}: {trouble}"));
        }
    }
    Ok(())
}

/// With HTTP/2, whose requests nobody edits, clients could say who they are.
fn check_http(config: &Config) -> Result<(), String> {
    let protocols = config.tls.text(TlsText::Alpn).unwrap_or("");
    match config.settings.http == HttpMode::Replace && protocols.split(',').any(|name| name == "h2") {
        true => {
            Err("ssl_alpn: with http replace want no h2, or http replace h2, which lets HTTP/2 pass unedited"
                .into())
        }
        false => Ok(()),
    }
}

fn servers(config: &Config) -> impl PartialEq + '_ {
    (&config.servers, &config.emergency, &config.abuse)
}

/// Gives every server that has an address and no port the port of the main listener, for good: a later `listen` moves
/// the listener, not the servers.
pub fn settle_ports(config: &mut Config) {
    let Some(port) = config.listen.as_ref().and_then(|listen| listen.port.clone()) else { return };
    if port == Port::Number(0) {
        return;
    }
    let servers = config.servers.iter_mut().chain([&mut config.emergency, &mut config.abuse]);
    for entry in servers.flatten() {
        if entry.spec.port.is_none() && !matches!(entry.spec.host, Host::Unix(_)) {
            entry.spec.port = Some(port.clone());
        }
    }
}
