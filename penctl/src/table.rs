//! Listings for people: JSON from pen in, aligned columns out. Pure; whoever prints decides whether colour is wanted and
//! how wide a line may be.

mod draw;
#[cfg(feature = "watch")]
mod watched;

use draw::Side::{Left, Right};
use draw::{Table, Tone, wrapped};
#[cfg(feature = "watch")]
pub use watched::{Facts, watched};

use pen_proto::commands::Role;
pub use pen_proto::escape::harmless;
use pen_proto::readable::{bytes, duration};
use pen_proto::status::{
    ClientStatus, ConnectionStatus, GroupLine, Level, MAIN, ServerStatus, ServiceLine, ServiceView, Status,
    bits, special,
};
use serde::Deserialize;

/// The commands whose answer is shown as a table on a terminal.
const LISTINGS: [&str; 6] = ["servers", "clients", "connections", "services", "groups", "status"];

/// The listing that a command asks for, of the service that it names or of the one that is meant without a name.
pub fn listing(command: &str) -> Option<&'static str> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let word = match words[..] {
        ["service", "add" | "remove", _] => return None,
        [word] | ["service", _, word] => word,
        _ => return None,
    };
    LISTINGS.into_iter().find(|listing| *listing == word)
}

/// Whether escape sequences for colour are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    Never,
    Always,
}

/// Renders the JSON answer of a listing command; `None` when it is not what `command` answers (an original Pen sends
/// text). `now_epoch_seconds` is for answers that do not tell the time.
pub fn render(
    command: &str,
    json: &str,
    now_epoch_seconds: u64,
    colour: Colour,
    width: usize,
) -> Option<String> {
    let table = match command {
        "status" => return Some(status(&serde_json::from_str(json).ok()?, colour, width)),
        "servers" => servers(&parse::<ServerStatus>(json)?, now_epoch_seconds),
        "clients" => clients(&parse::<ClientStatus>(json)?),
        "connections" => connections(&parse::<ConnectionStatus>(json)?),
        "groups" => groups(&parse::<GroupLine>(json)?),
        "services" => services(&parse::<ServiceLine>(json)?),
        _ => return None,
    };
    Some(table.draw(colour, width))
}

fn parse<'a, T: Deserialize<'a>>(json: &'a str) -> Option<Vec<T>> {
    serde_json::from_str(json).ok()
}

/// What is going on, service by service.
fn status(status: &Status, colour: Colour, width: usize) -> String {
    let mut process = vec![
        format!("pen {}", harmless(&status.version)),
        format!("pid {}", status.pid),
        format!("up for {}", duration(status.uptime_seconds)),
        format!("{} of {} connections", status.connections_used, status.connections_max),
    ];
    process.extend(status.full.then(|| "no room for more".to_owned()));
    let services = status.views().map(|service| {
        let table = servers(service.servers, status.time_epoch_seconds).draw(colour, width);
        format!("\n{}{table}", wrapped(&about(&service), width))
    });
    wrapped(&process, width) + &services.collect::<String>()
}

fn about(service: &ServiceView<'_>) -> Vec<String> {
    let name = if service.name.is_empty() { MAIN } else { service.name };
    let totals = service.totals;
    let mut parts = vec![format!("{} ({})", harmless(name), harmless(service.kind))];
    match service.listen {
        [] => parts.push("listens nowhere".into()),
        [first, more @ ..] => {
            parts.push(format!("listens at {}", harmless(first)));
            parts.extend(more.iter().map(|address| harmless(address)));
        }
    }
    parts.extend([
        format!("{} connections", service.connections_used),
        format!("{} of {} clients", service.clients_used, service.clients_max),
        format!("{} accepted", totals.accepted),
    ]);
    for (count, what) in [
        (totals.rejected, "rejected"),
        (totals.denied, "denied"),
        (totals.failovers, "failovers"),
        (totals.idle_timeouts, "idle timeouts"),
    ] {
        parts.extend((count > 0).then(|| format!("{count} {what}")));
    }
    parts
}

/// Where loads do.
const LOAD: usize = 16;
/// And why they are as they are.
const WHY: usize = 17;
/// Where names stand among the columns of servers.
const NAME: usize = 1;
/// And their groups.
const GROUP: usize = 2;
/// And how many URIs they have.
const URIS: usize = 6;

fn servers(servers: &[ServerStatus], now_epoch_seconds: u64) -> Table {
    let row = |server: &ServerStatus| {
        let cells = vec![
            server_name(server.index),
            or_dash(server.name.as_deref().unwrap_or("")),
            or_dash(server.group.as_deref().unwrap_or("")),
            endpoint(&server.address, server.port),
            state(server),
            server.connections.to_string(),
            server.uris.map_or_else(|| "-".into(), |uris| uris.to_string()),
            limit(server.max),
            limit(server.hard),
            server.weight_text(),
            server.prio.to_string(),
            server.acl.to_string(),
            bytes(server.sent_bytes),
            bytes(server.received_bytes),
            server.connections_total.to_string(),
            server.failures_total.to_string(),
            server.load.map_or_else(|| "-".into(), |load| load.to_string()),
            or_dash(&server.why(now_epoch_seconds).unwrap_or_default()),
        ];
        (server_tone(server), cells)
    };
    let mut table = Table {
        columns: vec![
            ("SERVER", Right, 0),
            ("NAME", Left, 0),
            ("GROUP", Left, 0),
            ("ADDRESS", Left, 0),
            ("STATE", Left, 0),
            ("CONN", Right, 0),
            ("URIS", Right, 1),
            ("MAX", Right, 4),
            ("HARD", Right, 8),
            ("WEIGHT", Right, 5),
            ("PRIO", Right, 7),
            ("ACL", Right, 9),
            ("SENT", Right, 6),
            ("RECEIVED", Right, 6),
            ("TOTAL", Right, 3),
            ("FAILED", Right, 2),
            ("LOAD", Right, 1),
            ("WHY", Left, 10),
        ],
        rows: servers.iter().map(row).collect(),
        nothing: "no servers",
    };
    if servers.iter().all(|server| server.why(now_epoch_seconds).is_none()) {
        table.leave_out(WHY);
    }
    if servers.iter().all(|server| server.load_from.is_none() && server.load.is_none()) {
        table.leave_out(LOAD);
    }
    if servers.iter().all(|server| server.uris.is_none()) {
        table.leave_out(URIS);
    }
    if servers.iter().all(|server| server.group.is_none()) {
        table.leave_out(GROUP);
    }
    if servers.iter().all(|server| server.name.is_none()) {
        table.leave_out(NAME);
    }
    table
}

/// How it is doing, and whether it serves clients at all.
fn state(server: &ServerStatus) -> String {
    let words = server.state_words(" ");
    if server.role == Role::Clone { format!("{words} (clone)") } else { words }
}

fn server_tone(server: &ServerStatus) -> Tone {
    match server.state().level() {
        Level::Off => Tone::Faint,
        Level::Good => Tone::Plain,
        Level::Warn => Tone::Warm,
        Level::Bad => Tone::Bad,
    }
}

fn clients(clients: &[ClientStatus]) -> Table {
    let row = |client: &ClientStatus| {
        let cells = vec![
            client.slot.to_string(),
            or_dash(&client.address),
            duration(client.age_seconds),
            server_name(client.server),
            client.connects.to_string(),
            bytes(client.sent_bytes),
            bytes(client.received_bytes),
        ];
        (Tone::Plain, cells)
    };
    Table {
        columns: vec![
            ("SLOT", Right, 2),
            ("CLIENT", Left, 0),
            ("AGE", Right, 0),
            ("SERVER", Right, 0),
            ("CONNECTS", Right, 0),
            ("SENT", Right, 1),
            ("RECEIVED", Right, 1),
        ],
        rows: clients.iter().map(row).collect(),
        nothing: "no clients",
    }
}

fn connections(connections: &[ConnectionStatus]) -> Table {
    let row = |connection: &ConnectionStatus| {
        let tone = if connection.state & bits::CONNECTING != 0 { Tone::Warm } else { Tone::Plain };
        let cells = vec![
            connection.number.to_string(),
            or_dash(&connection.client),
            server_name(connection.server),
            or_dash(&connection.server_address),
            connection_state(connection.state),
            duration(connection.age_seconds),
            duration(connection.idle_seconds),
            bytes(connection.up_bytes),
            bytes(connection.down_bytes),
            bytes(connection.pending_up_bytes),
            bytes(connection.pending_down_bytes),
        ];
        (tone, cells)
    };
    Table {
        columns: vec![
            ("NUMBER", Right, 0),
            ("CLIENT", Left, 0),
            ("SERVER", Right, 0),
            ("ADDRESS", Left, 5),
            ("STATE", Left, 0),
            ("AGE", Right, 2),
            ("IDLE", Right, 3),
            ("UP", Right, 1),
            ("DOWN", Right, 1),
            ("PENDING UP", Right, 8),
            ("PENDING DOWN", Right, 8),
        ],
        rows: connections.iter().map(row).collect(),
        nothing: "no connections",
    }
}

fn services(services: &[ServiceLine]) -> Table {
    let row = |service: &ServiceLine| {
        let cells = vec![
            or_dash(&service.name),
            or_dash(&service.kind),
            service.connections.to_string(),
            service.servers.to_string(),
            or_dash(&service.listen.join(" ")),
        ];
        let is_idle = service.servers == 0 || service.listen.is_empty();
        (if is_idle { Tone::Faint } else { Tone::Plain }, cells)
    };
    Table {
        columns: vec![
            ("SERVICE", Left, 0),
            ("KIND", Left, 0),
            ("CONN", Right, 0),
            ("SERVERS", Right, 0),
            ("LISTEN", Left, 0),
        ],
        rows: services.iter().map(row).collect(),
        nothing: "no services",
    }
}

fn groups(groups: &[GroupLine]) -> Table {
    let row = |group: &GroupLine| {
        let cells = vec![
            or_dash(&group.name),
            if group.in_use { "in use" } else { "idle" }.into(),
            group.connections.to_string(),
            group.servers.to_string(),
            group.up.to_string(),
            or_dash(&group.policy),
        ];
        let tone = match group.in_use {
            true if group.up == 0 => Tone::Bad,
            true => Tone::Plain,
            false => Tone::Faint,
        };
        (tone, cells)
    };
    Table {
        columns: vec![
            ("GROUP", Left, 0),
            ("USE", Left, 0),
            ("CONN", Right, 0),
            ("SERVERS", Right, 0),
            ("UP", Right, 0),
            ("POLICY", Left, 0),
        ],
        rows: groups.iter().map(row).collect(),
        nothing: "no groups",
    }
}

/// The pens of this machine, from what is to stand in the columns.
pub fn pens(rows: Vec<[String; 7]>, colour: Colour, width: usize) -> String {
    let row = |cells: [String; 7]| (Tone::Plain, cells.iter().map(|cell| or_dash(cell)).collect());
    let table = Table {
        columns: vec![
            ("#", Right, 0),
            ("NAME", Left, 0),
            ("PID", Right, 1),
            ("ACCESS", Left, 0),
            ("SERVICES", Left, 2),
            ("LISTEN", Left, 3),
            ("SOCKET", Left, 4),
        ],
        rows: rows.into_iter().map(row).collect(),
        nothing: "no pens",
    };
    table.draw(colour, width)
}

/// The state bits of `connection N` in words.
fn connection_state(bits: u32) -> String {
    const WORDS: [(u32, &str); 5] = [
        (bits::CONNECTING, "connecting"),
        (bits::CONNECTED, "open"),
        (bits::FIRST_BYTES, "waiting for the first bytes"),
        (bits::SERVER_ENDED, "server ended"),
        (bits::CLIENT_ENDED, "client ended"),
    ];
    let words: Vec<&str> = WORDS.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, word)| *word).collect();
    if words.is_empty() { bits.to_string() } else { words.join(", ") }
}

fn server_name(index: i32) -> String {
    match special::name(index) {
        Some(name) => name.into(),
        None if index < 0 => "-".into(),
        None => index.to_string(),
    }
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".into() } else { harmless(text) }
}

/// 0 is no limit.
fn limit(value: u32) -> String {
    if value == 0 { "-".into() } else { value.to_string() }
}

fn endpoint(address: &str, port: u16) -> String {
    match address {
        "" => "-".into(),
        path if path.contains('/') => harmless(path),
        v6 if v6.contains(':') => format!("[{}]:{port}", harmless(v6)),
        v4 => format!("{}:{port}", harmless(v4)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pen_proto::status::ServerState;
    use pen_proto::weight::Weight;

    const NOW: u64 = 1_700_000_000;

    #[test]
    fn servers_are_aligned_and_trouble_stands_out() {
        let servers = [
            ServerStatus {
                index: 0,
                address: "10.0.0.1".into(),
                port: 80,
                role: Role::Clone,
                sent_bytes: 2048,
                ..Default::default()
            },
            ServerStatus {
                index: 1,
                address: "2001:db8::1".into(),
                port: 8080,
                blacklisted_seconds: 12,
                state: Some(ServerState::Down),
                reason: Some("refused\x1b[2J".into()),
                since_epoch_seconds: Some(NOW - 18),
                weight: Some(Weight::ZERO),
                ..Default::default()
            },
            ServerStatus { index: 2, ..Default::default() },
            ServerStatus {
                index: -1,
                address: "/run/sorry".into(),
                connections: 7,
                max: 7,
                ..Default::default()
            },
        ];
        let json = serde_json::to_string(&servers).unwrap();
        let plain = render("servers", &json, NOW, Colour::Never, 200).unwrap();
        let expected = [
            "   SERVER  ADDRESS             STATE       CONN  MAX  HARD  WEIGHT  PRIO  ACL     SENT  RECEIVED  TOTAL  FAILED  WHY",
            "        0  10.0.0.1:80         up (clone)     0    -     -       -     0    0  2.0 KiB       0 B      0       0  -",
            "        1  [2001:db8::1]:8080  down 12 s      0    -     -       0     0    0      0 B       0 B      0       0  refused\\x1b[2J, for 18 s",
            "        2  -                   unset          0    -     -       -     0    0      0 B       0 B      0       0  -",
            "emergency  /run/sorry          full           7    7     -       -     0    0      0 B       0 B      0       0  -",
        ];
        assert_eq!(plain.lines().collect::<Vec<_>>(), expected);
        let coloured = render("servers", &json, NOW, Colour::Always, 80).unwrap();
        assert!(coloured.contains("\x1b[31m        1  "), "{coloured}");
        assert!(!plain.contains('\x1b'));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let path = format!("/run/{}", "x".repeat(100));
        let server = |index: i32| ServerStatus {
            index,
            name: Some(format!("web{index}.example.org")),
            address: if index == 3 { path.clone() } else { "2001:db8:1234:5678:9abc:def0:1234:5678".into() },
            port: 65535,
            connections: 1_000_000,
            max: 2_000_000,
            hard: if index == 1 { 7 } else { 0 },
            ..Default::default()
        };
        let listen: Vec<String> = (0..9).map(|port| format!("[2001:db8::1]:{port}")).collect();
        let status = Status {
            servers: (0..4).map(server).collect(),
            listen: listen.clone(),
            version: "0.1.0".into(),
            ..Default::default()
        };
        let json = serde_json::to_string(&status).unwrap();
        let shown = render("status", &json, NOW, Colour::Never, 80).unwrap();
        let is_short = |line: &str| line.chars().count() <= 80;
        assert!(shown.lines().all(is_short), "{shown}");
        assert!(shown.starts_with("pen 0.1.0, pid 0, up for ") && shown.contains("\nmain (tcp),"), "{shown}");
        let servers = serde_json::to_string(&status.servers).unwrap();
        let table = render("servers", &servers, NOW, Colour::Never, 80).unwrap();
        let heading = table.lines().next().unwrap();
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
        assert!(
            heading.starts_with("SERVER") && heading.contains("STATE") && heading.contains("CONN"),
            "{table}"
        );
        assert!(
            !heading.contains("PRIO") && !heading.contains("SENT"),
            "what tells nothing goes first: {table}"
        );
        assert!(heading.contains("NAME") && table.contains("web1."), "servers keep their names: {table}");
        let line = ServiceLine { listen, ..Default::default() };
        let services =
            render("services", &serde_json::to_string(&[line]).unwrap(), NOW, Colour::Never, 80).unwrap();
        assert!(services.lines().all(|line| line.chars().count() <= 80), "{services}");
    }

    #[test]
    fn connections_say_their_state_in_words() {
        let connection = ConnectionStatus { state: 2 | 8, client: "1.2.3.4:5".into(), ..Default::default() };
        let table =
            render("connections", &serde_json::to_string(&[connection]).unwrap(), NOW, Colour::Never, 80)
                .unwrap();
        assert!(table.contains("open, client ended"), "{table}");
        assert_eq!(render("connections", "[]", NOW, Colour::Always, 80).unwrap(), "no connections\n");
    }

    #[test]
    fn services_are_told_with_their_addresses() {
        let line = |name: &str, kind: &str, servers, listen: &[&str]| ServiceLine {
            name: name.into(),
            kind: kind.into(),
            connections: 7,
            servers,
            listen: listen.iter().map(|address| address.to_string()).collect(),
        };
        let services = [line("main", "tcp", 12, &["0.0.0.0:80", "[::]:80"]), line("a\x1b", "udp", 0, &[])];
        let json = serde_json::to_string(&services).unwrap();
        let expected = [
            "SERVICE  KIND  CONN  SERVERS  LISTEN",
            "main     tcp      7       12  0.0.0.0:80 [::]:80",
            "a\\x1b    udp      7        0  -",
        ];
        assert_eq!(
            render("services", &json, NOW, Colour::Never, 80).unwrap().lines().collect::<Vec<_>>(),
            expected
        );
    }

    #[test]
    fn a_listing_may_be_of_a_named_service() {
        for (command, wanted) in [
            ("servers", Some("servers")),
            (" services ", Some("services")),
            ("service web clients", Some("clients")),
            ("service web  connections", Some("connections")),
            ("service web", None),
            ("service add servers", None),
            ("service remove clients", None),
            ("servers json", None),
            ("service web servers json", None),
            ("", None),
        ] {
            assert_eq!(listing(command), wanted, "{command}");
        }
    }

    #[test]
    fn what_is_no_listing_is_left_to_the_caller() {
        assert_eq!(render("servers", "0 addr 127.0.0.1 port 80\n", NOW, Colour::Never, 80), None);
        assert_eq!(render("mode", "[]", NOW, Colour::Never, 80), None);
    }

    #[test]
    fn nothing_from_pen_moves_the_cursor() {
        assert_eq!(harmless("a\x1b[2Jb\r\u{202e}\u{9b}\n\tü"), "a\\x1b[2Jb\\r\\u{202e}\\u{9b}\n\tü");
        let client = ClientStatus { address: "\x1b]0;x\x07".into(), ..Default::default() };
        let table =
            render("clients", &serde_json::to_string(&[client]).unwrap(), NOW, Colour::Never, 80).unwrap();
        assert!(!table.contains('\x1b') && !table.contains('\x07'));
    }
}
