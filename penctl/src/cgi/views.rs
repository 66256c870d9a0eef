//! What there is to see: servers, connections, settings, and the answer to any command.
//!
//! Owns the questions that each view asks pen, and how the answers are drawn. `page` owns the document around them.

use super::page::Page;
use pen_core::stats::parts::{bytes, counted, duration, grouped, table_head, text};
use pen_proto::commands::{Kind, ROWS, Reach, Row, When};
use pen_proto::status::{ConnectionStatus, MAIN, ServerStatus, ServiceLine, special};
use pen_sys::control::Reply;
use std::fmt::Display;

/// Rows of the table of connections; of more the newest are shown.
const CONNECTIONS_SHOWN_MAX: usize = 200;

/// What asks pen: a session, or a test.
pub trait Ask {
    /// Sends a command. The outer error is that pen does not answer, the inner one is pen's own.
    fn ask(&mut self, command: &str) -> Result<Reply, String>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    Servers,
    Connections,
    Settings,
    Command,
}

impl View {
    pub const ALL: [View; 4] = [View::Servers, View::Connections, View::Settings, View::Command];

    /// As in a query; anything else is the first view.
    pub fn of(word: &str) -> View {
        View::ALL.into_iter().find(|view| view.word() == word).unwrap_or(View::Servers)
    }

    pub fn word(self) -> &'static str {
        match self {
            View::Servers => "servers",
            View::Connections => "connections",
            View::Settings => "settings",
            View::Command => "command",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            View::Servers => "Servers",
            View::Connections => "Connections",
            View::Settings => "Settings",
            View::Command => "Command",
        }
    }
}

/// What a view shows.
#[derive(Debug)]
pub enum Content {
    Servers(Vec<Of<ServerStatus>>),
    Connections(Vec<Of<ConnectionStatus>>),
    /// How servers are chosen, by the words of `mode`; and the numbers.
    Settings {
        modes: Vec<(&'static Row, bool)>,
        numbers: Vec<(&'static Row, u64)>,
    },
    Command,
}

/// What a service has of something.
#[derive(Debug)]
pub struct Of<T> {
    /// Empty for the one that is meant without a name.
    service: String,
    all: Vec<T>,
}

impl<T> Of<T> {
    /// What stands before a command about it.
    fn prefix(&self) -> String {
        if self.service.is_empty() { String::new() } else { format!("service {} ", self.service) }
    }
}

impl Content {
    /// Asks for what the view needs.
    ///
    /// # Errors
    /// A sentence: pen does not answer, or not as this program understands it.
    pub fn fetch(view: View, pen: &mut impl Ask) -> Result<Content, String> {
        Ok(match view {
            View::Servers => Content::Servers(of_each(pen, "servers json")?),
            View::Connections => {
                let mut connections: Vec<Of<ConnectionStatus>> = of_each(pen, "connections json")?;
                for of in &mut connections {
                    of.all.sort_by_key(|connection| connection.age_seconds);
                }
                Content::Connections(connections)
            }
            View::Settings => {
                Content::Settings { modes: modes(&answer(pen, "mode")?), numbers: numbers(pen)? }
            }
            View::Command => Content::Command,
        })
    }

    pub fn draw(&self, page: &mut Page) {
        match self {
            Content::Servers(services) => draw_each(page, services, draw_servers),
            Content::Connections(services) => draw_each(page, services, draw_connections),
            Content::Settings { modes, numbers } => draw_settings(page, modes, numbers),
            Content::Command => draw_command(page),
        }
    }
}

fn answer(pen: &mut impl Ask, command: &str) -> Result<String, String> {
    pen.ask(command)?.map_err(|reason| format!("{command}: {reason}"))
}

/// A listing of each service. A pen that does not know services has one.
fn of_each<T: serde::de::DeserializeOwned>(pen: &mut impl Ask, command: &str) -> Result<Vec<Of<T>>, String> {
    let services = pen.ask("services json")?.unwrap_or_default();
    let services: Vec<ServiceLine> = serde_json::from_str(&services).unwrap_or_default();
    if services.len() < 2 {
        return Ok(vec![Of { service: String::new(), all: listing(&answer(pen, command)?)? }]);
    }
    let mut found = Vec::new();
    for ServiceLine { name, .. } in services {
        if name == MAIN {
            found.push(Of { service: String::new(), all: listing(&answer(pen, command)?)? });
        } else if let Ok(answer) = pen.ask(&format!("service {name} {command}"))? {
            found.push(Of { service: name, all: listing(&answer)? });
        } // It was removed meanwhile.
    }
    Ok(found)
}

fn draw_each<T>(page: &mut Page, services: &[Of<T>], draw: impl Fn(&mut Page, &Of<T>)) {
    for of in services {
        if of.service.is_empty() {
            draw(page, of);
            continue;
        }
        let name = text(&of.service);
        page.line(format!("<section aria-label=\"service {name}\">"));
        page.line(format!("<h2>Service {name}</h2>"));
        draw(page, of);
        page.line("</section>");
    }
}

fn listing<T: serde::de::DeserializeOwned>(json: &str) -> Result<Vec<T>, String> {
    serde_json::from_str(json).map_err(|_| "want figures as a pen 0.1.0 or later gives them".into())
}

/// `no hash roundrobin ...` as rows and whether they are on.
fn modes(reply: &str) -> Vec<(&'static Row, bool)> {
    let mut modes = Vec::new();
    let mut on = true;
    for word in reply.split_whitespace() {
        match pen_proto::commands::row(word) {
            _ if word == "no" => on = false,
            Some(row) => modes.push((row, std::mem::replace(&mut on, true))),
            None => on = true,
        }
    }
    modes
}

/// The numbers that a running pen may be given, with their present values.
fn numbers(pen: &mut impl Ask) -> Result<Vec<(&'static Row, u64)>, String> {
    let mut numbers = Vec::new();
    for row in ROWS.iter().filter(|row| matches!(row.kind, Kind::Number { .. }) && row.when == When::Live) {
        let reply = answer(pen, row.word)?;
        // `Idle timeout: 0 seconds`, `Idlers: 0/4`: the last number is the one that was set.
        let digits = reply.split(|c: char| !c.is_ascii_digit()).rfind(|digits| !digits.is_empty());
        numbers.extend(digits.and_then(|digits| digits.parse().ok()).map(|value| (row, value)));
    }
    Ok(numbers)
}

fn draw_servers(page: &mut Page, service: &Of<ServerStatus>) {
    let servers = &service.all;
    if servers.is_empty() {
        return page.line("<p class=\"panel\">There are no servers.</p>");
    }
    page.line("<ul class=\"servers\">");
    for server in servers {
        let (class, words) = (server.state().level().class(), server.state_words(", "));
        page.line(format!("<li class=\"{class}\">"));
        let address = match server.address.as_str() {
            "" => "no address".to_string(),
            path if path.contains('/') => text(path),
            ip if ip.contains(':') => format!("[{}]:{}", text(ip), server.port),
            ip => format!("{}:{}", text(ip), server.port),
        };
        page.line(format!(
            "<div class=\"top\"><b>{}</b><span class=\"badge {class}\">{words}</span></div>",
            name(server)
        ));
        page.line(format!("<p>{address}</p>"));
        draw_figures(page, server);
        if page.may(Reach::Servers) && server.index >= 0 {
            draw_server_forms(page, server, &service.prefix());
        }
        page.line("</li>");
    }
    page.line("</ul>");
}

fn name(server: &ServerStatus) -> String {
    match special::name(server.index) {
        Some(name) => format!("{name} server"),
        None => format!("server {}", server.index),
    }
}

fn draw_figures(page: &mut Page, server: &ServerStatus) {
    let limit =
        |number: u32| if number == 0 { String::new() } else { format!(" of {}", grouped(number.into())) };
    page.line("<ul class=\"figures\">");
    for (what, value) in [
        ("connections", format!("{}{}", grouped(server.connections.into()), limit(server.max))),
        ("until now", grouped(server.connections_total)),
        ("failures", grouped(server.failures_total)),
        ("sent, received", format!("{}, {}", bytes(server.sent_bytes), bytes(server.received_bytes))),
        ("weight, prio", format!("{}, {}", server.weight_text(), server.prio)),
    ] {
        page.line(format!("<li>{what} <span>{value}</span></li>"));
    }
    page.line("</ul>");
}

fn draw_server_forms(page: &mut Page, server: &ServerStatus, prefix: &str) {
    let command = format!("{prefix}server {}", server.index);
    if server.blacklisted_seconds > 0 {
        page.form(&format!("{command} blacklist 0"), "<button class=\"main\">Release</button>");
    } else {
        page.form(&command, &format!("{}<button>Blacklist</button>", field("seconds", ":blacklist", 3600)));
    }
    page.line("<details>");
    page.line("<summary>Change</summary>");
    let fields = [
        ("max", server.max.to_string()),
        ("hard", server.hard.to_string()),
        ("weight", server.weight.map(|weight| weight.to_string()).unwrap_or_default()),
        ("prio", server.prio.to_string()),
        ("acl", server.acl.to_string()),
    ];
    let fields: String = fields.map(|(key, value)| field(key, &format!(":{key}"), value)).concat();
    page.form(&command, &format!("{fields}<button>Save</button>"));
    page.line("</details>");
}

/// A number to be changed, perhaps with decimals.
fn field(label: &str, name: &str, value: impl Display) -> String {
    let mode = if label == "weight" { "decimal" } else { "numeric" };
    format!(
        "<label>{label} <input name=\"{name}\" value=\"{value}\" inputmode=\"{mode}\" autocomplete=\"off\"></label>\n"
    )
}

fn draw_connections(page: &mut Page, service: &Of<ConnectionStatus>) {
    let connections = &service.all;
    let shown = connections.len().min(CONNECTIONS_SHOWN_MAX);
    let newest =
        if shown < connections.len() { format!(", the newest {shown} of them shown") } else { String::new() };
    page.line(format!("<h2>{}{newest}</h2>", counted(connections.len() as u64, "connection")));
    if connections.is_empty() {
        return;
    }
    let may_close = page.may(Reach::Servers);
    page.line("<div class=\"scroll\" role=\"region\" aria-label=\"Connections\" tabindex=\"0\">");
    page.line("<table>");
    let columns = ["number", "client", "server", "age", "idle", "up", "down"].into_iter();
    page.line(table_head(columns.chain(may_close.then_some(""))));
    for connection in &connections[..shown] {
        draw_connection(page, connection, may_close);
    }
    page.line("</tbody>");
    page.line("</table>");
    page.line("</div>");
}

fn draw_connection(page: &mut Page, connection: &ConnectionStatus, may_close: bool) {
    let client = if connection.client.is_empty() { "Unix socket" } else { &connection.client };
    let server = match connection.server_address.as_str() {
        "" => "none yet".to_string(),
        address => text(address),
    };
    page.line("<tr>");
    for cell in [
        connection.number.to_string(),
        text(client),
        server,
        duration(connection.age_seconds),
        duration(connection.idle_seconds),
        bytes(connection.up_bytes),
        bytes(connection.down_bytes),
    ] {
        page.line(format!("<td>{cell}</td>"));
    }
    if may_close {
        page.line("<td>");
        page.form(&format!("close {}", connection.number), "<button>Close</button>");
        page.line("</td>");
    }
    page.line("</tr>");
}

fn draw_settings(page: &mut Page, modes: &[(&'static Row, bool)], numbers: &[(&'static Row, u64)]) {
    page.line("<h2>How servers are chosen</h2>");
    settings_table(page, |page| {
        for (row, on) in modes {
            let (word, other) =
                if *on { ("on", format!("no {}", row.word)) } else { ("off", row.word.to_string()) };
            let button = format!("<button>Turn {}</button>", if *on { "off" } else { "on" });
            setting(page, row, word, &other, &button);
        }
    });
    page.line("<h2>Numbers</h2>");
    settings_table(page, |page| {
        for (row, value) in numbers {
            let input = format!(
                "<input name=\":\" value=\"{value}\" aria-label=\"{}\" inputmode=\"numeric\" \
                 autocomplete=\"off\">\n<button>Set</button>",
                row.word
            );
            setting(page, row, &format!("{} {}", grouped(*value), row.unit), row.word, &input);
        }
    });
    page.line("<p>Everything else: see Command.</p>");
}

fn settings_table(page: &mut Page, rows: impl FnOnce(&mut Page)) {
    page.line("<div class=\"scroll\">");
    page.line("<table class=\"settings\">");
    page.line("<tbody>");
    rows(page);
    page.line("</tbody>");
    page.line("</table>");
    page.line("</div>");
}

fn setting(page: &mut Page, row: &Row, value: &str, command: &str, fields: &str) {
    page.line("<tr>");
    page.line(format!("<td><b>{}</b> <small>{}</small></td>", row.word, text(row.summary)));
    page.line(format!("<td>{}</td>", text(value)));
    if page.may(Reach::Everything) {
        page.line("<td>");
        page.form(command, fields);
        page.line("</td>");
    }
    page.line("</tr>");
}

fn draw_command(page: &mut Page) {
    page.line("<section class=\"panel\">");
    page.line("<p>Any command as penctl takes it; <code>help</code> lists them, <code>help WORD</code> explains one.</p>");
    page.command_box();
    page.line("</section>");
}

#[cfg(test)]
pub mod tests {
    //! A pen that answers as a real one would, and remembers what it was asked.

    use super::*;
    use pen_proto::weight::Weight;
    use std::cell::RefCell;
    use std::rc::Rc;

    #[derive(Clone)]
    pub struct FakePen {
        asked: Rc<RefCell<Vec<String>>>,
        servers: Vec<ServerStatus>,
        connections: Vec<ConnectionStatus>,
        services: Vec<ServiceLine>,
    }

    impl Default for FakePen {
        fn default() -> FakePen {
            let server = |index, address: &str, port, blacklisted_seconds| ServerStatus {
                index,
                address: address.into(),
                port,
                blacklisted_seconds,
                weight: Some(Weight::whole(3)),
                max: 10,
                ..ServerStatus::default()
            };
            FakePen {
                asked: Rc::default(),
                servers: vec![
                    server(0, "10.0.0.1", 8080, 0),
                    server(1, "2001:db8::1", 80, 60),
                    server(2, "", 0, 0),
                    server(-1, "/run/app.sock", 1, 0),
                ],
                connections: vec![connection(17, "203.0.113.7:50112")],
                services: Vec::new(),
            }
        }
    }

    fn connection(number: u32, client: &str) -> ConnectionStatus {
        ConnectionStatus {
            number,
            client: client.into(),
            server_address: "10.0.0.1:8080".into(),
            ..Default::default()
        }
    }

    /// Everything that could come from elsewhere tries to be something else.
    pub fn hostile() -> FakePen {
        let evil = "\"><script>alert(1)</script><b>evil\u{202e}\u{1b}[31m";
        let mut pen = FakePen::default();
        pen.servers.iter_mut().for_each(|server| server.address = evil.into());
        pen.connections = vec![ConnectionStatus { server_address: evil.into(), ..connection(1, evil) }];
        pen
    }

    impl FakePen {
        /// Beside `main` it has this service.
        pub fn with_service(name: &str) -> FakePen {
            let line = |name: &str| ServiceLine { name: name.into(), ..Default::default() };
            FakePen { services: vec![line(MAIN), line(name)], ..FakePen::default() }
        }

        pub fn with_connections(count: u32) -> FakePen {
            let connections = (0..count).map(|number| connection(number, "203.0.113.7:50112")).collect();
            FakePen { connections, ..FakePen::default() }
        }

        pub fn asked(&self) -> Vec<String> {
            self.asked.borrow().clone()
        }
    }

    impl Ask for FakePen {
        fn ask(&mut self, command: &str) -> Result<Reply, String> {
            self.asked.borrow_mut().push(command.to_string());
            let json = |text: Result<String, serde_json::Error>| Ok(Ok(text.unwrap()));
            match command {
                "servers json" => json(serde_json::to_string(&self.servers)),
                "connections json" => json(serde_json::to_string(&self.connections)),
                "services json" if !self.services.is_empty() => json(serde_json::to_string(&self.services)),
                word if word.starts_with("service ") && word.ends_with(" servers json") => {
                    json(serde_json::to_string(&self.servers[1..2]))
                }
                word if word.starts_with("service ") && word.ends_with(" connections json") => {
                    json(serde_json::to_string(&[connection(99, "203.0.113.9:1")]))
                }
                "mode" => Ok(Ok("hash no roundrobin no stubborn no weight no prio\n".into())),
                "idlers" => Ok(Ok("Idlers: 0/4\n".into())),
                "idle_timeout" => Ok(Ok("Idle timeout: 60 seconds\n".into())),
                "server 7 max 7" => Ok(Err("server 7: no such server".into())),
                word if ROWS.iter().any(|row| row.word == word) => Ok(Ok("30\n".into())),
                _ => Ok(Ok(String::new())),
            }
        }
    }

    #[test]
    fn modes_are_words_with_or_without_no() {
        let found = modes("hash no roundrobin no stubborn weight no prio\n");
        let found: Vec<(&str, bool)> = found.into_iter().map(|(row, on)| (row.word, on)).collect();
        let expected =
            [("hash", true), ("roundrobin", false), ("stubborn", false), ("weight", true), ("prio", false)];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_pen_that_says_something_else_is_told() {
        struct Original;
        impl Ask for Original {
            fn ask(&mut self, _command: &str) -> Result<Reply, String> {
                Ok(Ok("0 addr 127.0.0.1 port 21001 conn 0 max 4".into()))
            }
        }
        let reason = Content::fetch(View::Servers, &mut Original).unwrap_err();
        assert_eq!(reason, "want figures as a pen 0.1.0 or later gives them");
    }
}
