//! Replies about the running pen, made from a snapshot, and the snapshot of one that does not run yet. Pure; the formats
//! are Pen's where Pen has the command.

use crate::settings::{ServerEntry, ServiceConfig};
use crate::stats;
use pen_proto::addr::Port;
use pen_proto::commands::{Listing, Number, ProxyHeader, Role};
use pen_proto::status::{ConnectionStatus, GroupLine, ServerState, ServerStatus, ServiceLine, Status, bits};
use serde_json::to_string;
use std::fmt::Write;
use std::net::SocketAddr;

/// What Pen prints as the address of a server that never got one.
const NO_ADDRESS: &str = "(unknown address family 0";

/// `servers`: the regular servers in order. The JSON form has the emergency and the abuse server too.
pub fn servers(status: &Status, listing: Listing) -> String {
    if listing == Listing::Json {
        return json(to_string(&status.servers));
    }
    let mut text = String::new();
    for server in status.servers.iter().filter(|server| server.index >= 0) {
        let address = if server.address.is_empty() { NO_ADDRESS } else { &server.address };
        add_line(
            &mut text,
            format_args!(
                "{} addr {address} port {} conn {} max {} hard {} weight {} prio {} sx {} rx {}{}{}{}{}",
                server.index,
                server.port,
                server.connections,
                server.max,
                server.hard,
                server.weight.unwrap_or_default(),
                server.prio,
                server.sent_bytes,
                server.received_bytes,
                server.name.as_ref().map(|name| format!(" name {name}")).unwrap_or_default(),
                server.group.as_ref().map(|group| format!(" group {group}")).unwrap_or_default(),
                role(server),
                state(server)
            ),
        );
    }
    text
}

/// The role of a server, where it is none that Pen's have.
fn role(server: &ServerStatus) -> String {
    match server.role {
        Role::Member => String::new(),
        role => format!(" role {role}"),
    }
}

/// The state of a server, where something put it there that Pen does not have.
fn state(server: &ServerStatus) -> String {
    let is_of_pens = match server.state() {
        ServerState::Unset | ServerState::Blacklisted | ServerState::Full | ServerState::Up => true,
        ServerState::Down => server.check.is_none(),
        ServerState::Removing
        | ServerState::Disabled
        | ServerState::Draining
        | ServerState::Avoid
        | ServerState::Warming
        | ServerState::Standby => false,
    };
    if is_of_pens { String::new() } else { format!(" state {}", server.state()) }
}

/// `services`: each with its name first.
pub fn services(services: &[ServiceLine], listing: Listing) -> String {
    if listing == Listing::Json {
        return json(to_string(services));
    }
    let mut text = String::new();
    for ServiceLine { name, kind, connections, servers, listen } in services {
        let listen: String = listen.iter().map(|address| format!(" listen {address}")).collect();
        add_line(&mut text, format_args!("{name} {kind} conns {connections} servers {servers}{listen}"));
    }
    text
}

/// `client_of`: the client alone, unless several connections are seen from there.
pub fn client_of(end: SocketAddr, seen: &[ConnectionStatus]) -> Result<String, String> {
    let client = |seen: &ConnectionStatus| match &*seen.client {
        "" => "unix".to_owned(),
        client => client.to_owned(),
    };
    match seen {
        [] => Err(format!("client_of: no connection to a server comes from {end}")),
        [only] => Ok(client(only) + "\n"),
        several => {
            Ok(several.iter().map(|it| format!("{} server {}\n", client(it), it.server_address)).collect())
        }
    }
}

/// `groups`: each with its name first.
pub fn groups(groups: &[GroupLine], listing: Listing) -> String {
    if listing == Listing::Json {
        return json(to_string(groups));
    }
    let mut text = String::new();
    for GroupLine { name, in_use, connections, servers, up, policy } in groups {
        let use_ = if *in_use { "in_use" } else { "idle" };
        add_line(
            &mut text,
            format_args!("{name} {use_} conns {connections} servers {servers} up {up} policy {policy}"),
        );
    }
    text
}

/// `clones`: members and clones side by side.
pub fn clones(status: &Status, listing: Listing) -> String {
    let clones = status.clones.clone().unwrap_or_default();
    match listing {
        Listing::Json => json(to_string(&clones)),
        Listing::Text => stats::clones::render(&clones),
    }
}

/// `recent`: clients that connected in the last so many seconds; `sx` is what they were sent.
pub fn recent(status: &Status, seconds: u64) -> String {
    let mut text = String::new();
    for client in status.clients.iter().filter(|client| client.age_seconds <= seconds) {
        add_line(
            &mut text,
            format_args!(
                "{} connects {} sx {} rx {}",
                client.address, client.connects, client.sent_bytes, client.received_bytes
            ),
        );
    }
    text
}

/// `clients`: every slot in use, in the manner of `recent`.
pub fn clients(status: &Status, listing: Listing) -> String {
    if listing == Listing::Json {
        return json(to_string(&status.clients));
    }
    let mut text = String::new();
    for client in &status.clients {
        add_line(
            &mut text,
            format_args!(
                "{} addr {} age {} server {} connects {} sx {} rx {}",
                client.slot,
                client.address,
                client.age_seconds,
                client.server,
                client.connects,
                client.sent_bytes,
                client.received_bytes
            ),
        );
    }
    text
}

/// `connections`: every open connection. `sx` and `rx` are what its server was sent and sent, as in `servers`.
pub fn connections(status: &Status, listing: Listing) -> String {
    if listing == Listing::Json {
        return json(to_string(&status.connections));
    }
    let mut text = String::new();
    for connection in &status.connections {
        add_line(
            &mut text,
            format_args!(
                "{} client {} server {} addr {} state {} age {} idle {} sx {} rx {}",
                connection.number,
                connection.client,
                connection.server,
                connection.server_address,
                connection.state,
                connection.age_seconds,
                connection.idle_seconds,
                connection.up_bytes,
                connection.down_bytes
            ),
        );
    }
    text
}

/// `connection N`; a number that could be a connection but is none shows as state 0.
pub fn connection(status: &Status, number: u32) -> String {
    let unused = ConnectionStatus { down_fd: -1, up_fd: -1, ..ConnectionStatus::default() };
    let found = match find(status, number) {
        Some(found) => found,
        None if u64::from(number) < status.connections_max => &unused,
        None => return out_of_range(number),
    };
    let connecting = found.state & bits::CONNECTING;
    format!(
        "Connection {number}:\nstate = {}\ndownfd = {}, upfd = {}\nclient = {}, server = {}\npend = {connecting}\n",
        found.state, found.down_fd, found.up_fd, found.client_slot, found.server
    )
}

/// `idlers`: how many connections to servers are ready, of how many that are wanted, and who gets none for a reason that
/// is easily overlooked.
pub fn idlers(status: &Status) -> String {
    let mut reply = format!("Idlers: {}/{}\n", status.idlers, status.idlers_wanted);
    let nothing = ProxyHeader::None.to_string();
    let is_greeted = |server: &&ServerStatus| server.index >= 0 && server.proxy != nothing;
    let greeted: Vec<String> =
        status.servers.iter().filter(is_greeted).map(|server| server.index.to_string()).collect();
    if status.idlers_wanted > 0 && !greeted.is_empty() {
        reply += &format!("none to servers with proxy: {}\n", greeted.join(" "));
    }
    reply
}

/// `socket FD`: which connection a descriptor belongs to, -1 for none.
pub fn socket(status: &Status, descriptor: u32) -> String {
    let owns = |connection: &&ConnectionStatus| {
        [connection.down_fd, connection.up_fd].iter().any(|&fd| i64::from(fd) == i64::from(descriptor))
    };
    let owner = status.connections.iter().find(owns).map_or(-1, |connection| i64::from(connection.number));
    format!("Socket {descriptor} belongs to connection {owner}\n")
}

/// Pen's answer to a connection number beyond the table.
pub fn out_of_range(number: u32) -> String {
    format!("Connection {number} out of range\n")
}

/// The servers of a pen that does not run yet.
pub fn configured(config: &ServiceConfig) -> Status {
    let server = |(index, entry): (usize, &Option<ServerEntry>)| {
        let spec = entry.as_ref().map(|entry| &entry.spec);
        ServerStatus {
            index: index as i32,
            address: spec.map(|spec| spec.host.to_string()).unwrap_or_default(),
            port: match spec.and_then(|spec| spec.port.as_ref()) {
                Some(Port::Number(port)) => *port,
                _ => 0,
            },
            max: spec.map_or(0, |spec| spec.max),
            hard: spec.map_or(0, |spec| spec.hard),
            weight: spec.and_then(|spec| spec.weight),
            prio: spec.map_or(0, |spec| spec.prio),
            acl: entry.as_ref().map_or(0, |entry| entry.acl),
            name: entry.as_ref().and_then(|entry| Some(entry.name.as_ref()?.to_string())),
            group: entry.as_ref().and_then(|entry| Some(entry.group.as_ref()?.to_string())),
            in_reserve: entry.as_ref().is_some_and(|entry| config.is_in_reserve(entry)),
            role: entry.as_ref().map(|entry| entry.role).unwrap_or_default(),
            proxy: entry.as_ref().map(|entry| entry.proxy).unwrap_or_default().to_string(),
            ..ServerStatus::default()
        }
    };
    Status {
        servers: config.servers.iter().enumerate().map(server).collect(),
        idlers_wanted: config.number(Number::Idlers),
        ..Status::default()
    }
}

fn find(status: &Status, number: u32) -> Option<&ConnectionStatus> {
    status.connections.iter().find(|connection| connection.number == number)
}

fn add_line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a String takes everything");
}

fn json(rendered: serde_json::Result<String>) -> String {
    rendered.expect("plain records have a JSON form") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use pen_proto::status::{ClientStatus, ServerStatus};
    use pen_proto::weight::Weight;

    fn status() -> Status {
        let server = ServerStatus {
            index: 0,
            address: "127.0.0.1".into(),
            port: 21001,
            max: 4,
            hard: 5,
            weight: Some(Weight::whole(6)),
            prio: 7,
            ..Default::default()
        };
        let gap = ServerStatus { index: 1, ..Default::default() };
        let emergency = ServerStatus { index: -1, address: "127.0.0.9".into(), ..Default::default() };
        let client = ClientStatus {
            address: "127.0.0.1".into(),
            age_seconds: 300,
            connects: 2,
            sent_bytes: 226,
            received_bytes: 160,
            ..Default::default()
        };
        let connection = ConnectionStatus {
            number: 3,
            client: "127.0.0.1:4000".into(),
            server_address: "127.0.0.1:21001".into(),
            state: 2,
            down_fd: 9,
            up_fd: 11,
            client_slot: 1,
            ..Default::default()
        };
        Status {
            servers: vec![server, gap, emergency],
            clients: vec![client],
            connections: vec![connection],
            connections_max: 500,
            ..Default::default()
        }
    }

    #[test]
    fn listings_are_as_pen_writes_them() {
        assert_eq!(
            servers(&status(), Listing::Text),
            "0 addr 127.0.0.1 port 21001 conn 0 max 4 hard 5 weight 6 prio 7 sx 0 rx 0\n\
             1 addr (unknown address family 0 port 0 conn 0 max 0 hard 0 weight 0 prio 0 sx 0 rx 0\n"
        );
        assert_eq!(recent(&status(), 300), "127.0.0.1 connects 2 sx 226 rx 160\n");
        assert_eq!(recent(&status(), 299), "");
        assert_eq!(
            connection(&status(), 3),
            "Connection 3:\nstate = 2\ndownfd = 9, upfd = 11\nclient = 1, server = 0\npend = 0\n"
        );
        assert_eq!(
            connection(&status(), 4),
            "Connection 4:\nstate = 0\ndownfd = -1, upfd = -1\nclient = 0, server = 0\npend = 0\n"
        );
        assert_eq!(connection(&status(), 500), "Connection 500 out of range\n");
    }

    #[test]
    fn a_descriptor_leads_to_its_connection() {
        for (descriptor, owner) in [(9, "3"), (11, "3"), (10, "-1"), (u32::MAX, "-1")] {
            let expected = format!("Socket {descriptor} belongs to connection {owner}\n");
            assert_eq!(socket(&status(), descriptor), expected);
        }
    }

    #[test]
    fn listings_of_our_own_are_lines_of_words_and_values() {
        assert_eq!(
            clients(&status(), Listing::Text),
            "0 addr 127.0.0.1 age 300 server 0 connects 2 sx 226 rx 160\n"
        );
        assert_eq!(
            connections(&status(), Listing::Text),
            "3 client 127.0.0.1:4000 server 0 addr 127.0.0.1:21001 state 2 age 0 idle 0 sx 0 rx 0\n"
        );
    }

    #[test]
    fn the_json_form_reads_back() {
        let status = status();
        assert_eq!(
            serde_json::from_str::<Vec<ServerStatus>>(&servers(&status, Listing::Json)).unwrap(),
            status.servers
        );
        assert_eq!(
            serde_json::from_str::<Vec<ClientStatus>>(&clients(&status, Listing::Json)).unwrap(),
            status.clients
        );
        let text = connections(&status, Listing::Json);
        assert!(text.ends_with("]\n"));
        assert_eq!(serde_json::from_str::<Vec<ConnectionStatus>>(&text).unwrap(), status.connections);
    }
}
