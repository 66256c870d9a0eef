//! Listings for people: JSON from pen in, aligned columns out. Pure; whoever prints decides whether colour is wanted.

use pen_proto::escape::Escaped;
use pen_proto::readable::{bytes, duration};
use pen_proto::status::{ClientStatus, ConnectionStatus, Level, ServerStatus, ServiceLine, bits, special};
use serde::Deserialize;
use std::fmt::Write;

/// The commands whose answer is shown as a table on a terminal.
const LISTINGS: [&str; 4] = ["servers", "clients", "connections", "services"];

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
/// text).
pub fn render(command: &str, json: &str, colour: Colour) -> Option<String> {
    let table = match command {
        "servers" => servers(&parse::<ServerStatus>(json)?),
        "clients" => clients(&parse::<ClientStatus>(json)?),
        "connections" => connections(&parse::<ConnectionStatus>(json)?),
        "services" => services(&parse::<ServiceLine>(json)?),
        _ => return None,
    };
    Some(table.draw(colour))
}

/// Makes text from pen harmless for a terminal: control characters and what reverses the reading direction become
/// escapes; newlines and tabs stay.
pub fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for piece in text.split_inclusive(['\n', '\t']) {
        let line = piece.trim_end_matches(['\n', '\t']);
        shown.push_str(&Escaped(line).to_string());
        shown.push_str(&piece[line.len()..]);
    }
    shown
}

fn parse<'a, T: Deserialize<'a>>(json: &'a str) -> Option<Vec<T>> {
    serde_json::from_str(json).ok()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// How a row stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tone {
    Plain,
    /// Out of service.
    Bad,
    /// At a limit.
    Warm,
    /// Nothing there.
    Faint,
}

impl Tone {
    fn code(self) -> &'static str {
        match self {
            Tone::Plain => "",
            Tone::Bad => "\x1b[31m",
            Tone::Warm => "\x1b[33m",
            Tone::Faint => "\x1b[2m",
        }
    }
}

const BOLD: &str = "\x1b[1m";
const RESET: &str = "\x1b[0m";

struct Table {
    columns: Vec<(&'static str, Side)>,
    rows: Vec<(Tone, Vec<String>)>,
    /// Shown when there is no row.
    nothing: &'static str,
}

impl Table {
    fn draw(&self, colour: Colour) -> String {
        if self.rows.is_empty() {
            return format!("{}\n", self.nothing);
        }
        let widths = self.widths();
        let mut text = String::new();
        let headings: Vec<String> = self.columns.iter().map(|(heading, _)| (*heading).into()).collect();
        self.draw_line(&mut text, &headings, &widths, if colour == Colour::Always { BOLD } else { "" });
        for (tone, cells) in &self.rows {
            self.draw_line(
                &mut text,
                cells,
                &widths,
                if colour == Colour::Always { tone.code() } else { "" },
            );
        }
        text
    }

    fn widths(&self) -> Vec<usize> {
        let cells = |column: usize| self.rows.iter().map(move |(_, cells)| cells[column].chars().count());
        let widest = |(column, (heading, _)): (usize, &(&str, Side))| {
            cells(column).max().unwrap_or(0).max(heading.len())
        };
        self.columns.iter().enumerate().map(widest).collect()
    }

    fn draw_line(&self, text: &mut String, cells: &[String], widths: &[usize], code: &str) {
        let mut line = String::new();
        for ((cell, width), (_, side)) in cells.iter().zip(widths).zip(&self.columns) {
            let width = *width;
            match side {
                Side::Left => write!(line, "{cell:<width$}  "),
                Side::Right => write!(line, "{cell:>width$}  "),
            }
            .expect("a String takes everything");
        }
        let end = if code.is_empty() { "" } else { RESET };
        text.extend([code, line.trim_end(), end, "\n"]);
    }
}

use Side::{Left, Right};

fn servers(servers: &[ServerStatus]) -> Table {
    let row = |server: &ServerStatus| {
        let cells = vec![
            server_name(server.index),
            endpoint(&server.address, server.port),
            server.state_words(" "),
            server.connections.to_string(),
            limit(server.max),
            limit(server.hard),
            server.weight.to_string(),
            server.prio.to_string(),
            server.acl.to_string(),
            bytes(server.sent_bytes),
            bytes(server.received_bytes),
            server.connections_total.to_string(),
            server.failures_total.to_string(),
        ];
        (server_tone(server), cells)
    };
    Table {
        columns: vec![
            ("SERVER", Right),
            ("ADDRESS", Left),
            ("STATE", Left),
            ("CONN", Right),
            ("MAX", Right),
            ("HARD", Right),
            ("WEIGHT", Right),
            ("PRIO", Right),
            ("ACL", Right),
            ("SENT", Right),
            ("RECEIVED", Right),
            ("TOTAL", Right),
            ("FAILED", Right),
        ],
        rows: servers.iter().map(row).collect(),
        nothing: "no servers",
    }
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
            ("SLOT", Right),
            ("CLIENT", Left),
            ("AGE", Right),
            ("SERVER", Right),
            ("CONNECTS", Right),
            ("SENT", Right),
            ("RECEIVED", Right),
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
            ("NUMBER", Right),
            ("CLIENT", Left),
            ("SERVER", Right),
            ("ADDRESS", Left),
            ("STATE", Left),
            ("AGE", Right),
            ("IDLE", Right),
            ("UP", Right),
            ("DOWN", Right),
            ("PENDING UP", Right),
            ("PENDING DOWN", Right),
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
            ("SERVICE", Left),
            ("KIND", Left),
            ("CONN", Right),
            ("SERVERS", Right),
            ("LISTEN", Left),
        ],
        rows: services.iter().map(row).collect(),
        nothing: "no services",
    }
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

    #[test]
    fn servers_are_aligned_and_trouble_stands_out() {
        let servers = [
            ServerStatus {
                index: 0,
                address: "10.0.0.1".into(),
                port: 80,
                sent_bytes: 2048,
                ..Default::default()
            },
            ServerStatus {
                index: 1,
                address: "2001:db8::1".into(),
                port: 8080,
                blacklisted_seconds: 12,
                state: Some(ServerState::Down),
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
        let plain = render("servers", &json, Colour::Never).unwrap();
        let expected = [
            "   SERVER  ADDRESS             STATE      CONN  MAX  HARD  WEIGHT  PRIO  ACL     SENT  RECEIVED  TOTAL  FAILED",
            "        0  10.0.0.1:80         up            0    -     -       0     0    0  2.0 KiB       0 B      0       0",
            "        1  [2001:db8::1]:8080  down 12 s     0    -     -       0     0    0      0 B       0 B      0       0",
            "        2  -                   unset         0    -     -       0     0    0      0 B       0 B      0       0",
            "emergency  /run/sorry          full          7    7     -       0     0    0      0 B       0 B      0       0",
        ];
        assert_eq!(plain.lines().collect::<Vec<_>>(), expected);
        let coloured = render("servers", &json, Colour::Always).unwrap();
        assert!(coloured.contains("\x1b[31m        1  "), "{coloured}");
        assert!(!plain.contains('\x1b'));
    }

    #[test]
    fn connections_say_their_state_in_words() {
        let connection = ConnectionStatus { state: 2 | 8, client: "1.2.3.4:5".into(), ..Default::default() };
        let table =
            render("connections", &serde_json::to_string(&[connection]).unwrap(), Colour::Never).unwrap();
        assert!(table.contains("open, client ended"), "{table}");
        assert_eq!(render("connections", "[]", Colour::Always).unwrap(), "no connections\n");
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
        assert_eq!(render("services", &json, Colour::Never).unwrap().lines().collect::<Vec<_>>(), expected);
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
        assert_eq!(render("servers", "0 addr 127.0.0.1 port 80\n", Colour::Never), None);
        assert_eq!(render("mode", "[]", Colour::Never), None);
    }

    #[test]
    fn nothing_from_pen_moves_the_cursor() {
        assert_eq!(harmless("a\x1b[2Jb\r\u{202e}\u{9b}\n\tü"), "a\\x1b[2Jb\\r\\u{202e}\\u{9b}\n\tü");
        let client = ClientStatus { address: "\x1b]0;x\x07".into(), ..Default::default() };
        let table = render("clients", &serde_json::to_string(&[client]).unwrap(), Colour::Never).unwrap();
        assert!(!table.contains('\x1b') && !table.contains('\x07'));
    }
}
