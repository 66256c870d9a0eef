//! `pen --demo [address]`: pen at work on one machine, with nothing to install.
//!
//! Three small HTTP servers, each a pen in `dummy` mode that says its name, and a balancer in front of them, all in
//! this process; then lines that say who serves whom.

use crate::control::apply::{Engine, Wanted};
use crate::control::rights::Rights;
use crate::instance::{Extras, Instance, OpenService, listen_options};
use crate::log::diag;
use crate::log::target::OpenLog;
use crate::net::listen::{ListenOptions, Listener};
use crate::net::tls::Tls;
use crate::process::{Doors, Process};
use crate::settings::{Config, MAIN, ProcessConfig, ServerEntry, ServiceConfig};
use crate::supervision::Supervision;
use crate::sys::limits;
use crate::sys::notify::Supervisor;
use crate::sys::program::print;
use pen_proto::addr::{Host, ListenAddr, Port, ServerSpec};
use pen_proto::commands::{Address, AddressValue, Flag, Number};
use pen_proto::status::ClientStatus;
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

const ADDRESS: &str = "127.0.0.1:8080";
const SERVERS: usize = 3;
/// How often the table of clients is looked at for news.
const LOOK: Duration = Duration::from_millis(200);

/// Runs until a signal ends it.
///
/// # Errors
/// Most likely: the address is in use.
pub fn run(address: Option<&str>) -> Result<(), String> {
    limits::raise_descriptor_limit();
    diag::to_stderr();
    let listen = ListenAddr::parse(address.unwrap_or(ADDRESS))?;
    let nothing = Config::default();
    let options = listen_options(&nothing.process, &ServiceConfig::default());
    let listener = Listener::open(&listen, options).map_err(|reason| {
        format!("{reason}; another address can be given: {} {}", this_program(), next_to(&listen))
    })?;
    let where_to = listener.address.map_or(listener.text.to_string(), |address| address.to_string());
    let servers = (0..SERVERS).map(dummy_server).collect::<Result<Vec<_>, _>>()?;
    let mut engine = Engine::new(Config::default());
    let config = engine.config_mut();
    config.process.values.set_flag(Flag::Foreground, true);
    let main = config.make_service(MAIN);
    main.values.set_address(Address::Listen, Some(AddressValue::Listen(listen)));
    for (port, _) in &servers {
        let spec = ServerSpec::parse(&format!("127.0.0.1:{port}"))?;
        main.servers.push(Some(ServerEntry::from(spec)));
    }
    let socket = std::env::temp_dir().join(format!("pen-demo-{}.sock", std::process::id()));
    let socket = socket.to_string_lossy().into_owned();
    config.process.values.set_address(Address::Control, Some(AddressValue::listen(&socket)?));
    let control =
        ListenOptions { backlog: 16, nodelay: true, mode: Some(0o600), datagram_sockets: 0, shared: false };
    let control = Listener::open(&ListenAddr::parse(&socket)?, control).map_err(|error| error.to_string())?;
    let doors = Doors::open(vec![control], Rights::new(None, None), None, None)?;
    let numeric = engine.settle()?.clone();
    engine.start(Instance::start(&numeric, opened(listener)?, Extras::default())?);
    explain(&where_to, &socket, servers.iter().map(|(port, _)| *port))?;
    let mut news = News::default();
    let process = Process::new(engine, doors, Supervision::new(Supervisor::from_environment()));
    let result = process.run(None, Some(LOOK), |engine| news.tell(engine));
    servers.into_iter().for_each(|(_, server)| server.stop());
    result
}

/// A pen that answers every request with its own name; returns its port.
fn dummy_server(number: usize) -> Result<(u16, Instance), String> {
    let mut config = Config::default();
    config.process.values.set_number(Number::Threads, 1);
    let main = config.make_service(MAIN);
    main.values.set_flag(Flag::Dummy, true);
    // Any free port: not something an operator can ask for, so built by hand.
    let host = Host::Ip(Ipv4Addr::LOCALHOST.into());
    let any = ListenAddr { host, port: Some(Port::Number(0)), text: name_of(number) };
    let options = listen_options(&ProcessConfig::default(), main);
    let listener = Listener::open(&any, options).map_err(|error| error.to_string())?;
    let port = listener.address.map_or(0, |address| address.port());
    let name = format!("This is {}, on port {port}.\n", name_of(number));
    let extras = Extras { dummy_name: Some(name), ..Extras::default() };
    Ok((port, Instance::start(&config, opened(listener)?, extras)?))
}

/// The only service of a pen, without a log and without TLS.
fn opened(listener: Listener) -> Result<Vec<OpenService>, String> {
    let (log, tls) = (OpenLog::open(None)?, Tls::default());
    Ok(vec![OpenService { listeners: vec![Arc::new(listener)], tls, log }])
}

fn name_of(number: usize) -> String {
    format!("server {number}")
}

fn explain(address: &str, socket: &str, ports: impl Iterator<Item = u16>) -> Result<(), String> {
    let ports: Vec<String> = ports.map(|port| port.to_string()).collect();
    let mut text = format!(
        "pen balances {address} over three small servers on ports {}. Try, from another terminal:\n\n",
        ports.join(", ")
    );
    let penctl = penctl();
    let suggestions = suggestions(address, socket, penctl.as_deref());
    let width = suggestions.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
    for (command, effect) in suggestions {
        text += &format!("  {command:width$}  # {effect}\n");
    }
    if penctl.is_none() {
        text += "\nInstall penctl to see and change the servers while pen runs.\n";
    }
    print(&(text + "\nControl-C ends it. Who serves whom:\n"))
}

/// Commands and what they show.
fn suggestions(address: &str, socket: &str, penctl: Option<&str>) -> Vec<(String, &'static str)> {
    let mut list = vec![(format!("curl http://{address}/"), "a client keeps its server")];
    if address.starts_with("127.0.0.1:") {
        let other = format!("curl --interface 127.0.0.2 http://{address}/");
        list.push((other, "another client, another server"));
    }
    if let Some(penctl) = penctl {
        let socket = for_shell(socket);
        list.push((format!("{penctl} {socket} servers"), "how busy they are"));
        // The first client gets server 1, as in Pen.
        list.push((format!("{penctl} {socket} server 1 blacklist 10"), "its clients move on"));
    }
    list.push((format!("kill -USR1 {}", std::process::id()), "statistics, here"));
    list
}

/// Under cargo nothing is installed, and penctl may not be built yet: .cargo/config.toml has words for that.
fn is_under_cargo() -> bool {
    std::env::var_os("CARGO").is_some()
}

/// How to start this demo once more, without its address.
fn this_program() -> String {
    if is_under_cargo() {
        return "cargo demo".into();
    }
    let name = std::env::args_os().next().unwrap_or_else(|| "pen".into());
    format!("{} --demo", for_shell(&name.to_string_lossy()))
}

/// The same address on the next port.
fn next_to(listen: &ListenAddr) -> String {
    let port = match listen.port {
        Some(Port::Number(port)) => port.checked_add(1),
        _ => None,
    };
    format!("127.0.0.1:{}", port.unwrap_or(8081))
}

/// How to call penctl: by cargo, from where this program is, or by its name. `None` where it is nowhere.
fn penctl() -> Option<String> {
    if is_under_cargo() {
        return Some("cargo penctl".into());
    }
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name("penctl"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).map(|directory| directory.join("penctl")).find(|file| file.is_file());
    match (beside.filter(|file| file.is_file()), found) {
        (Some(beside), found) if found.as_ref() != Some(&beside) => {
            Some(for_shell(&beside.to_string_lossy()))
        }
        (_, found) => found.map(|_| "penctl".into()),
    }
}

/// A word as a shell takes it.
fn for_shell(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-:+,@%".contains(c);
    if word.chars().all(is_plain) { word.into() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// What was told already: connects by client address.
#[derive(Default)]
struct News(HashMap<String, u64>);

impl News {
    fn tell(&mut self, engine: &mut Engine<Instance>) {
        let status = engine.status(Wanted::Clients);
        for client in &status.clients {
            let told = self.0.insert(client.address.clone(), client.connects).unwrap_or(0);
            if client.connects > told {
                // Whoever looks no more needs no news.
                let _ = print(&format!("{}\n", sentence(client)));
            }
        }
    }
}

fn sentence(client: &ClientStatus) -> String {
    let plural = if client.connects == 1 { "" } else { "s" };
    format!("  {} -> server {}, {} connection{plural} so far", client.address, client.server, client.connects)
}
