//! From a configuration to a pen that serves: opens what its services need, and begins. For the program, which does more
//! between the two, and for a pen inside of another program.

use crate::control::apply::Engine;
use crate::dsr;
use crate::instance::{self, Extras, Instance, OpenService};
use crate::log::diag::{self, Severity};
use crate::log::target::OpenLog;
use crate::net::listen::{ListenOptions, Listener};
use crate::net::tls::Tls;
use crate::settings::{Config, ProcessConfig, ServiceConfig};
use crate::sys::inherited::Inherited;
use pen_proto::addr::ListenAddr;
use pen_proto::commands::{Flag, Text};
use std::sync::Arc;

/// Everything that a pen needs, open and not used yet; of each service in the order of the configuration.
pub struct Opened {
    pub listeners: Vec<Vec<Arc<Listener>>>,
    pub tls: Vec<Tls>,
    pub logs: Vec<OpenLog>,
    pub metrics: Option<Arc<Listener>>,
    pub dsr: Vec<Option<dsr::open::Opened>>,
}

/// Begins to serve what [`Engine::settle`] has settled.
///
/// # Errors
/// A want of memory, threads or descriptors.
pub fn begin(engine: &mut Engine<Instance>, opened: Opened, extras: Extras) -> Result<(), String> {
    let Opened { listeners, tls, logs, metrics, dsr } = opened;
    let services = listeners.into_iter().zip(tls).zip(logs);
    let services = services.map(|((listeners, tls), log)| OpenService { listeners, tls, log }).collect();
    let mut instance = Instance::start(engine.numeric(), services, extras)?;
    instance.watch_at(metrics);
    for (service, opened) in engine.numeric().services.iter().zip(dsr) {
        opened.map_or(Ok(()), |opened| instance.start_dsr(&service.name, opened))?;
    }
    engine.start(instance);
    Ok(())
}

/// Does the same for each service.
///
/// # Errors
/// Those of `open`, with the service.
pub fn each<T>(
    config: &Config,
    mut open: impl FnMut(&ServiceConfig) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let services = config.services.iter();
    services.map(|service| open(service).map_err(|trouble| service.of(&trouble))).collect()
}

/// Whether each address has a port, where one is wanted.
///
/// # Errors
/// The address that has none.
pub fn check_ports(service: &ServiceConfig) -> Result<(), String> {
    let lacks = |address: &&ListenAddr| address.port.is_none() && !address.host.is_unix();
    let directs = service.text(Text::DsrIf).is_some();
    match service.listeners().find(lacks).filter(|_| !directs) {
        Some(ListenAddr { text, .. }) => Err(format!("{text}: want a port, such as {text}:80")),
        None => Ok(()),
    }
}

/// In the jail and as the user of `-u`: what can be read at start can be read again on reload.
///
/// # Errors
/// The file with the reason.
pub fn learn_countries(engine: &mut Engine<Instance>) -> Result<(), String> {
    engine.learn_countries()?.iter().for_each(|warning| diag::say(Severity::Notice, warning));
    Ok(())
}

/// Opens what a service listens at, or takes what was handed down.
///
/// # Errors
/// The address with the reason.
pub fn open_listeners(
    process: &ProcessConfig,
    service: &ServiceConfig,
    inherited: &mut Inherited,
) -> Result<Vec<Arc<Listener>>, String> {
    if service.text(Text::DsrIf).is_some() {
        return Ok(Vec::new());
    }
    let options = instance::listen_options(process, service);
    let open = |address| {
        let listener = open_or_adopt(address, options, inherited)?;
        listener.set_defer_accept(service.flag(Flag::DeferAccept));
        Ok(Arc::new(listener))
    };
    service.listeners().map(open).collect()
}

/// Takes the socket that was handed down for this address, or opens one.
///
/// # Errors
/// The address with the reason.
pub fn open_or_adopt(
    address: &ListenAddr,
    options: ListenOptions,
    inherited: &mut Inherited,
) -> Result<Listener, String> {
    Listener::adopt_or_open(address, options, inherited).map_err(|error| error.to_string())
}
