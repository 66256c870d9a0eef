//! From a description to a balancer that serves.

use super::balancer::Balancer;
use super::builder::Builder;
use super::error::Error;
use super::line::{Line, Questions};
use super::service::{Listen, Service};
use crate::balance::Own;
use crate::control::apply::{Door, Engine, Placed, Request};
use crate::hooks::Embedding;
use crate::instance::{self, Brought, Extras, Instance};
use crate::log::diag::{self, Severity, Voice};
use crate::log::target::OpenLog;
use crate::opening::{self, Opened, check_ports, each, open_listeners};
use crate::process::{Doors, Process};
use crate::settings::{Config, LISTENS_NOWHERE};
use crate::start::doors::{Members, open_control, rights};
use crate::supervision::Supervision;
use crate::sys::errors::reason;
use crate::sys::inherited::{Inherited, Place};
use crate::sys::notify::Supervisor;
use crate::sys::{signals, threads};
use crate::{dsr, reload};
use pen_proto::addr::ListenAddr;
use pen_proto::commands::{Address, AddressValue, Assignment, Command, Flag, ServiceChange, Text};
use pen_proto::names::Name;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

/// Starts the main thread, and waits until it serves or has failed.
pub(super) fn start(mut builder: Builder) -> Result<Balancer, Error> {
    let voice = Voice::to(std::mem::replace(&mut builder.messages, Box::new(|_, _| {})));
    let (sender, started) = channel();
    let theirs = voice.clone();
    let work = move || run(builder, theirs, &sender);
    let thread = Voice::with(Some(voice), || threads::spawn("pen", work));
    let thread =
        thread.map_err(|error| Error::system(format!("cannot start a thread: {}", reason(&error))))?;
    match started.recv() {
        Ok(Ok(line)) => Ok(Balancer::new(line, thread)),
        Ok(Err(error)) => {
            // It has nothing more to do.
            let _ = thread.join();
            Err(error)
        }
        Err(_) => {
            Err(thread.join().map_or_else(|_| Error::failed("the start has panicked"), |_| Error::ended()))
        }
    }
}

/// What the main thread does.
fn run(builder: Builder, voice: Arc<Voice>, started: &Sender<Result<Line, Error>>) -> Result<(), String> {
    let (questions, orders) = (Questions::default(), Arc::default());
    let (process, doors) = match open(builder, &orders) {
        Ok(opened) => opened,
        Err(error) => {
            // Whoever called waits for it.
            let _ = started.send(Err(error));
            return Ok(());
        }
    };
    let (waker, calls) = (doors.waker(), doors.calls());
    let process = Process::new(process, doors, Supervision::new(Supervisor::nobody()));
    let line = Line { calls, waker, questions: questions.clone(), orders, voice };
    let _ = started.send(Ok(line));
    let ended = process.run(None, None, |engine| questions.answer(engine));
    questions.end();
    ended
}

type Orders = Arc<Mutex<Vec<signals::Request>>>;

fn open(mut builder: Builder, orders: &Orders) -> Result<(Engine<Instance>, Doors), Error> {
    let mut engine = Engine::new(Config::default());
    let mut inherited = Inherited::default();
    engine.config_mut().process.is_embedded = true;
    let extras = extras(&mut builder);
    configure(&mut engine, builder, &mut inherited)?;
    let numeric = engine.settle().map_err(Error::refused)?.clone();
    each(&numeric, check_ports).map_err(Error::refused)?;
    open_all(&mut engine, &numeric, inherited, orders, extras)
        .map_err(Error::system)
        .map(|doors| (engine, doors))
}

/// What is no word of the language.
fn extras(builder: &mut Builder) -> Extras {
    let brought = builder.services.iter_mut().map(|service| {
        let policy = service.policy.take().map(|policy| -> Box<dyn Fn() -> Box<dyn Own> + Send> {
            Box::new(move || Box::new(policy.clone()))
        });
        (service.name.as_str().into(), Brought { policy, check: service.check.take() })
    });
    let brought = brought.collect();
    Extras { embedding: Some(Embedding { hook: builder.hook.take() }), brought, ..Extras::default() }
}

/// Carries out what the program has said.
fn configure(
    engine: &mut Engine<Instance>,
    builder: Builder,
    inherited: &mut Inherited,
) -> Result<(), Error> {
    let Builder { lines, services, control, file, .. } = builder;
    if let Some(control) = control {
        let address = AddressValue::listen(&control)
            .map_err(|trouble| Error::refused(format!("control: {trouble}")))?;
        engine.config_mut().process.values.set_address(Address::Control, Some(address));
    }
    let mut header = None;
    for line in lines.iter().flat_map(|lines| lines.lines()) {
        carry_out_line(engine, line, &mut header)?;
    }
    for service in services {
        add_service(engine, service, inherited)?;
    }
    if let Some(file) = file {
        read_file(engine, &file)?;
    }
    let config = engine.config();
    if config.services.is_empty() {
        return Err(Error::refused("want a service, with an address to listen at"));
    }
    let silent = config.services.iter().filter(|service| service.listeners().next().is_none());
    silent.for_each(|service| diag::say(Severity::Warning, service.of(LISTENS_NOWHERE)));
    Ok(())
}

fn carry_out_line(engine: &mut Engine<Instance>, line: &str, header: &mut Option<Name>) -> Result<(), Error> {
    let request = engine.understand(line, header.as_ref()).map_err(Error::refused)?;
    if let Some(name) = &request.header {
        engine.config_mut().find_or_make(name).map_err(Error::refused)?;
        *header = Some(name.clone());
    }
    carry_out(engine, &request)
}

fn carry_out(engine: &mut Engine<Instance>, request: &Request) -> Result<(), Error> {
    let done = engine.carry_out(request, Door::Option).map_err(Error::refused)?;
    done.warnings.iter().for_each(|warning| diag::say(Severity::Notice, warning));
    Ok(())
}

fn add_service(
    engine: &mut Engine<Instance>,
    service: Service,
    inherited: &mut Inherited,
) -> Result<(), Error> {
    let name = Name::parse(&service.name).map_err(|trouble| Error::refused(format!("service: {trouble}")))?;
    let told = |trouble: &str| Error::refused(crate::settings::of_service(&name, trouble));
    carry_out(engine, &Request::of(None, Command::Service(ServiceChange::Add(name.clone()))))?;
    for line in &service.lines {
        let request = engine.understand(line, Some(&name)).map_err(|trouble| told(&trouble))?;
        if let Some(other) = request.header {
            return Err(told(&format!("service {other}: want a line for this service")));
        }
        carry_out(engine, &request).map_err(|error| told(&error.to_string()))?;
    }
    for listener in service.listeners {
        listen(engine, &name, listener, inherited).map_err(|trouble| told(&trouble))?;
    }
    let servers = service.servers.iter().map(|server| {
        server.command().map(|command| Placed { place: None, service: Some(name.clone()), command })
    });
    let commands = servers.collect::<Result<_, _>>().map_err(|error: Error| told(&error.to_string()))?;
    carry_out(engine, &Request { commands, ..Request::default() }).map_err(|error| told(&error.to_string()))
}

/// Has a service listen there.
fn listen(
    engine: &mut Engine<Instance>,
    name: &Name,
    listener: Listen,
    inherited: &mut Inherited,
) -> Result<(), String> {
    let service = engine.config_mut().make_service(name);
    let address = match listener {
        Listen::On(socket) => given(socket, service.flag(Flag::Udp), inherited)?,
        Listen::At(text) => match text.parse::<SocketAddr>() {
            Ok(any) if any.port() == 0 => {
                let is_udp = service.flag(Flag::Udp);
                let bound = if is_udp {
                    UdpSocket::bind(any).map(OwnedFd::from)
                } else {
                    TcpListener::bind(any).map(OwnedFd::from)
                };
                let socket = bound.map_err(|error| format!("{text}: {}", reason(&error)))?;
                given(socket, is_udp, inherited)?
            }
            _ => ListenAddr::parse(&text).map_err(|trouble| format!("listen: {trouble}"))?,
        },
    };
    match service.listen() {
        Some(_) => service.add_listener(&address).map(drop),
        None => {
            service.values.set_address(Address::Listen, Some(AddressValue::Listen(address)));
            Ok(())
        }
    }
}

/// The address of a socket that will be taken when listeners are opened.
fn given(socket: OwnedFd, is_udp: bool, inherited: &mut Inherited) -> Result<ListenAddr, String> {
    let told = |trouble: String| format!("a socket to listen on: {trouble}");
    let place = inherited.give(socket).map_err(told)?;
    let is_fit = matches!(place, Place::Datagram(_)) == is_udp;
    let wanted =
        if is_udp { "want a UDP socket, because of udp" } else { "want a stream socket, without udp" };
    match &place {
        _ if !is_fit => Err(told(format!("{place}: {wanted}"))),
        Place::Stream(address) | Place::Datagram(address) => ListenAddr::parse(&address.to_string()),
        Place::Unix(path) => {
            let path = path.to_str().ok_or_else(|| told(format!("{place}: want a path of UTF-8 text")))?;
            ListenAddr::parse(path)
        }
    }
}

fn read_file(engine: &mut Engine<Instance>, file: &Path) -> Result<(), Error> {
    let file =
        file.to_str().ok_or_else(|| Error::refused("the configuration file: want a path of UTF-8 text"))?;
    let text = Assignment::Text(Text::ConfigFile, file.to_owned());
    engine.config_mut().process.values.set(&text);
    engine.set_base(engine.config().clone());
    let request = reload::request_of(file).map_err(Error::refused)?;
    engine.note_places(&request);
    let done = engine.carry_out(&request, Door::File).map_err(Error::refused)?;
    done.warnings.iter().for_each(|warning| diag::say(Severity::Notice, warning));
    Ok(())
}

fn warn(text: &str) {
    diag::say(Severity::Warning, text);
}

/// Opens everything, and begins to serve.
fn open_all(
    engine: &mut Engine<Instance>,
    numeric: &Config,
    mut inherited: Inherited,
    orders: &Orders,
    extras: Extras,
) -> Result<Doors, String> {
    let process = &numeric.process;
    diag::set_level(instance::debug_level(process));
    let tls = each(numeric, instance::load_tls)?;
    let dsr = each(numeric, dsr::open::open)?;
    let listeners = each(numeric, |service| open_listeners(process, service, &mut inherited))?;
    let members = Members::look_up(process, warn)?;
    let control = open_control(numeric, members, &mut inherited, warn)?;
    let metrics = instance::open_metrics(process, &mut inherited)?;
    if let Some(unfit) = inherited.into_rest().first() {
        return Err(format!("a socket to listen on: {}: the service does not take it", unfit.place));
    }
    let logs = each(numeric, |service| OpenLog::open(service.log()))?;
    opening::learn_countries(engine)?;
    let doors = Doors::inside(control, rights(None, members), orders.clone())?;
    opening::begin(engine, Opened { listeners, tls, logs, metrics, dsr }, extras)?;
    Ok(doors)
}
