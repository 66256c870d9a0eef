//! The snapshot as a page: `-w FILE`, `web_stats FILE`, `status`, and the programs that serve it.
//!
//! One valid HTML5 document that needs nothing else: style inside, no script, no image, no address to load from, and
//! a policy that forbids them. Pen's words, its three tables and the order of their columns are kept, a tag or cell
//! per line, because scripts read them; what is new stands after them or small beside them. Programs of our own read the
//! whole snapshot from a hidden element at the end.

use super::parts::{STYLE, STYLE_SHA256, Share, bar, bytes, counted, duration, grouped, table_head, text};
use super::{json, time_line};
use pen_proto::commands::Role;
use pen_proto::status::{
    ClientStatus, ClonesStatus, ConnectionStatus, ServerState, ServerStatus, ServiceStatus, ServiceView,
    Status, special,
};
use std::fmt::Display;

/// Around the snapshot in JSON, in its form for a quoted attribute.
const FIGURES_BEGIN: &str = "<div hidden data-status='";
const FIGURES_END: &str = "'></div>";
/// Nothing comes after it in a page that was written to its end.
const PAGE_END: &str = "</html>\n";

/// The whole document.
pub fn render(status: &Status) -> String {
    let mut page = Page(String::with_capacity(16 * 1024));
    page.head();
    page.summary(status);
    let own = status.own();
    page.servers(&own, status);
    page.clients(&own);
    page.connections(&own, Some(status));
    page.totals(&own, true);
    for service in status.services.iter().map(ServiceStatus::view) {
        page.service(&service, status);
    }
    page.line(format!("{FIGURES_BEGIN}{}{FIGURES_END}", json::for_attribute(status)));
    page.line("</body>");
    page.0.push_str(PAGE_END);
    page.0
}

/// The snapshot that a page was made of; `None` for anything but a whole page of [`render`].
pub fn figures(page: &str) -> Option<Status> {
    let page = page.strip_suffix(PAGE_END)?;
    let (_, figures) = page.split_once(FIGURES_BEGIN)?;
    let (figures, _) = figures.split_once(FIGURES_END)?;
    serde_json::from_str(figures).ok()
}

struct Page(String);

impl Page {
    fn line(&mut self, text: impl AsRef<str>) {
        self.0.push_str(text.as_ref());
        self.0.push('\n');
    }

    fn head(&mut self) {
        self.line("<!DOCTYPE html>");
        self.line("<html lang=\"en\">");
        self.line("<head>");
        self.line("<meta charset=\"utf-8\">");
        self.line(format!(
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src \
             'sha256-{STYLE_SHA256}'; base-uri 'none'; form-action 'none'\">"
        ));
        self.line("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
        self.line("<meta name=\"referrer\" content=\"no-referrer\">");
        self.line("<meta name=\"robots\" content=\"noindex\">");
        self.line("<title>Pen status page</title>");
        self.line(format!("<style>{STYLE}</style>"));
        self.line("</head>");
    }

    fn summary(&mut self, status: &Status) {
        self.line("<body>");
        self.line("<h1>Pen status page</h1>");
        self.line(format!("<p>{}</p>", text(&time_line(status))));
        self.line(format!(
            "<p>pen {} · pid {} · up {} · {} · listening on {}</p>",
            text(&status.version),
            status.pid,
            duration(status.uptime_seconds),
            counted(status.workers.into(), "worker"),
            text(&listed(&status.listen)),
        ));
        self.line(format!("<p>Mode: {}</p>", text(&status.mode)));
        if !status.service.is_empty() {
            let others: Vec<_> = status.services.iter().map(|service| service.name.as_str()).collect();
            let below = if others.is_empty() { "" } else { "; below: " };
            self.line(format!("<p>Service {}{below}{}</p>", text(&status.service), text(&others.join(", "))));
        }
        self.alarm(status);
        self.line("<ul class=\"cards\">");
        self.fill_card("connections", status.connections_used, status.connections_max);
        self.cards(&status.own());
    }

    /// Another service than the one at the top, all that is told of it.
    fn service(&mut self, service: &ServiceView, status: &Status) {
        let name = text(service.name);
        self.line(format!("<section aria-label=\"service {name}\">"));
        self.line(format!("<h2>Service {name}</h2>"));
        self.line(format!("<p>{} · listening on {}</p>", text(service.kind), text(&listed(service.listen))));
        self.line(format!("<p>Mode: {}</p>", text(service.mode)));
        if let Some(owner) = service.clients_from {
            self.line(format!("<p>Clients: from {}</p>", text(owner)));
        }
        self.line("<ul class=\"cards\">");
        self.card("connections", &grouped(service.connections_used), "");
        self.cards(service);
        self.servers(service, status);
        self.clients(service);
        self.connections(service, None);
        self.totals(service, false);
        self.line("</section>");
    }

    fn alarm(&mut self, status: &Status) {
        for (state, word) in [(ServerState::Down, "Down"), (ServerState::Blacklisted, "Blacklisted")] {
            let names: Vec<_> = status.views().flat_map(|service| names_in(service, state)).collect();
            if !names.is_empty() {
                self.line(format!("<p class=\"alarm\">{word}: {}</p>", text(&names.join(", "))));
            }
        }
    }

    /// All but the first, and the end.
    fn cards(&mut self, service: &ServiceView) {
        let totals = service.totals;
        self.fill_card("clients", service.clients.len() as u64, service.clients_max);
        if totals.queued > 0 {
            self.card("waiting in the queue", &grouped(totals.waiting), "");
        }
        if let Some(percent) = service.load_percent() {
            self.card("load, in percent of maxload", &format!("{percent} %"), "");
        }
        self.card("accepted so far", &grouped(totals.accepted), "");
        self.card("to servers", &bytes(totals.up_bytes), "");
        self.card("to clients", &bytes(totals.down_bytes), "");
        self.line("</ul>");
    }

    fn fill_card(&mut self, name: &str, used: u64, max: u64) {
        let share = Share::of(used, max);
        let name = format!("{name}, {} max", grouped(max));
        self.card(&name, &grouped(used), &bar(share, share.fill_class(), &name));
    }

    fn card(&mut self, name: &str, value: &str, below: &str) {
        self.line("<li>");
        self.line(format!("<span>{name}</span>"));
        self.line(format!("<b>{value}</b>"));
        if !below.is_empty() {
            self.line(below);
        }
        self.line("</li>");
    }

    fn servers(&mut self, service: &ServiceView, status: &Status) {
        self.line("<h2>Servers</h2>");
        let tell_load =
            service.servers.iter().any(|server| server.load_from.is_some() || server.load.is_some());
        let columns: Vec<&str> = SERVER_COLUMNS.into_iter().chain(tell_load.then_some("load")).collect();
        self.table("servers", &columns);
        let all = Sums::of(service.servers);
        for server in service.servers {
            let cells = server_cells(server, status, &all).into_iter();
            self.row(cells.chain(tell_load.then(|| own_load(server))));
        }
        self.table_end();
        if let Some(clones) = service.clones {
            self.clones(clones);
        }
    }

    /// Members and clones side by side.
    fn clones(&mut self, clones: &ClonesStatus) {
        self.line("<h2>Clones</h2>");
        let ClonesStatus { state, percent, compared, same, .. } = clones;
        self.line(format!(
            "<p>{state}, {percent} % of the connections; {compared} answers compared, {same} the same</p>"
        ));
        self.table("clones", &["", "member", "clone"]);
        for (name, member, clone) in super::clones::rows(clones) {
            self.row([name, member, clone].map(|cell| text(&cell).to_string()));
        }
        self.table_end();
        if !clones.differences.is_empty() {
            self.line("<ul class=\"differences\">");
            for difference in &clones.differences {
                let told = super::clones::Told(difference).to_string();
                self.line(format!("<li>{}</li>", text(&told)));
            }
            self.line("</ul>");
        }
    }

    fn clients(&mut self, service: &ServiceView) {
        self.line("<h2>Active clients</h2>");
        self.line(format!("<p>Max number of clients: {}</p>", service.clients_max));
        self.table("clients", &CLIENT_COLUMNS);
        for client in service.clients {
            self.row(client_cells(client));
        }
        self.table_end();
    }

    /// `whole`: how many there are and may be of all services together.
    fn connections(&mut self, service: &ServiceView, whole: Option<&Status>) {
        self.line("<h2>Active connections</h2>");
        let used = match whole {
            Some(status) => format!("{} max, {}", status.connections_max, status.connections_used),
            None => service.connections_used.to_string(),
        };
        self.line(format!("<p>Number of connections: {used} used, {} last</p>", service.connections_last));
        self.table("connections", &CONNECTION_COLUMNS);
        for connection in service.connections {
            self.row(connection_cells(connection));
        }
        self.table_end();
    }

    fn totals(&mut self, service: &ServiceView, is_own: bool) {
        const UNDER_WAY: &str = "connects under way now";
        let totals = service.totals;
        self.line("<h2>Since start</h2>");
        self.line("<ul class=\"totals\">");
        let datagrams = [
            ("datagrams to servers", totals.up_datagrams),
            ("datagrams to clients", totals.down_datagrams),
            ("datagrams dropped", totals.datagrams_dropped),
            ("sessions that made room for others", totals.sessions_evicted),
        ];
        let of_udp = if service.udp { &datagrams[..] } else { &[] };
        let of_both = [
            ("connections accepted", totals.accepted),
            ("connections ended", totals.closed),
            ("clients without a server", totals.rejected),
            ("clients refused by client_acl", totals.denied),
            ("clients over their limit", totals.over_limit),
            ("clients that waited in the queue", totals.queued),
            ("clients that waited too long", totals.queue_timeouts),
            ("failovers to another server", totals.failovers),
            ("connects failed", totals.connect_failures),
            ("connects timed out", totals.connect_timeouts),
            (UNDER_WAY, totals.pending_connects),
            ("closed for being idle", totals.idle_timeouts),
            ("closed for want of a PROXY header", totals.proxy_errors),
            ("resets by clients", totals.resets_by_client),
            ("resets by servers", totals.resets_by_server),
            ("descriptor shortages", totals.descriptor_shortages),
            ("log lines dropped", totals.log_lines_dropped),
        ];
        // Of the other services nobody knows.
        let is_known = |(name, _): &&(&str, u64)| is_own || *name != UNDER_WAY;
        for (name, value) in of_both.iter().chain(of_udp).filter(is_known) {
            self.line(format!("<li>{name} <span>{}</span></li>", grouped(*value)));
        }
        self.line("</ul>");
    }

    /// A table that scrolls by itself on a narrow screen; focusable, so that the keyboard can scroll it as well.
    fn table(&mut self, name: &str, columns: &[&str]) {
        self.line(format!("<div class=\"scroll\" role=\"region\" aria-label=\"{name}\" tabindex=\"0\">"));
        self.line(format!("<table class=\"{name}\">"));
        self.line(table_head(columns.iter().copied()));
    }

    /// Cells are finished HTML.
    fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.line("<tr>");
        for cell in cells {
            self.line(format!("<td>{cell}</td>"));
        }
        self.line("</tr>");
    }

    fn table_end(&mut self) {
        self.line("</tbody>");
        self.line("</table>");
        self.line("</div>");
    }
}

/// The first eleven are Pen's.
const SERVER_COLUMNS: [&str; 13] = [
    "server",
    "address",
    "status",
    "port",
    "connections",
    "max soft",
    "max hard",
    "sent",
    "received",
    "weight",
    "prio",
    "opened",
    "failures",
];

fn server_cells(server: &ServerStatus, status: &Status, all: &Sums) -> [String; SERVER_COLUMNS.len()] {
    [
        with_group(server),
        address(server),
        server_status(server, status.time_epoch_seconds),
        server.port.to_string(),
        load(server, all.connections),
        server.max.to_string(),
        server.hard.to_string(),
        traffic(server.sent_bytes, all.sent_bytes),
        traffic(server.received_bytes, all.received_bytes),
        server.weight_text(),
        server.prio.to_string(),
        server.connections_total.to_string(),
        server.failures_total.to_string(),
    ]
}

/// The number of a server, and its group where it has one.
fn with_group(server: &ServerStatus) -> String {
    let number = with_special_name(server.index);
    match &server.group {
        None => number,
        Some(group) if server.in_reserve => beside(number, "off", &format!("group {group}, not in use")),
        Some(group) => beside(number, "", &format!("group {group}, in use")),
    }
}

/// The address of a server, whether it is a clone, and how many URIs it has where that is counted.
fn address(server: &ServerStatus) -> String {
    let clone = (server.role == Role::Clone).then(|| Role::Clone.to_string());
    let uris = server.uris.map(|uris| counted(uris.into(), "URI"));
    let remarks: Vec<String> = clone.into_iter().chain(uris).collect();
    match text(&server.address) {
        address if remarks.is_empty() => address,
        address => beside(address, "", &remarks.join(", ")),
    }
}

/// Pen's raw number, and in words what it means where it means something.
fn server_status(server: &ServerStatus, now_epoch_seconds: u64) -> String {
    let raw = server.failed_at_epoch_seconds;
    let ago_seconds = now_epoch_seconds.saturating_sub(raw);
    let state = server.state();
    let class = state.level().class();
    let said = match state {
        ServerState::Blacklisted | ServerState::Down => {
            beside(raw, class, &format!("{} left", server.state_words(", ")))
        }
        ServerState::Removing | ServerState::Disabled | ServerState::Draining | ServerState::Standby => {
            beside(raw, class, state.word())
        }
        _ if raw > 0 => beside(raw, "warn", &format!("failed {} ago", duration(ago_seconds))),
        _ => raw.to_string(),
    };
    let why = server.why(now_epoch_seconds).map(|why| format!(" <small>{}</small>", text(&why)));
    said + &why.unwrap_or_default()
}

/// What it says itself, or why it is unknown.
fn own_load(server: &ServerStatus) -> String {
    match (server.load, server.effective_load) {
        (Some(load), Some(percent)) => {
            let share = Share::of(percent.into(), 100);
            beside(load, share.fill_class(), &format!("{percent} % of maxload"))
                + &bar(share, share.fill_class(), "load")
        }
        (Some(load), None) => load.to_string(),
        (None, _) => beside("-", "", &text(server.load_error.as_deref().unwrap_or("unknown"))),
    }
}

/// Against the soft maximum where there is one, else the server's share of all connections.
fn load(server: &ServerStatus, connections_all: u64) -> String {
    let used = server.connections;
    if used == 0 {
        return "0".into();
    }
    if server.max == 0 {
        let share = Share::of(used.into(), connections_all);
        return beside(used, "", &format!("{share} of all")) + &bar(share, "good", "share of connections");
    }
    let share = Share::of(used.into(), server.max.into());
    let class = share.fill_class();
    let words = if server.is_full() { ServerState::Full.to_string() } else { format!("{share} of max") };
    beside(used, class, &words) + &bar(share, class, "load")
}

fn traffic(count: u64, all: u64) -> String {
    if count == 0 {
        return "0".into();
    }
    beside(count, "", &bytes(count)) + &bar(Share::of(count, all), "good", "share of bytes")
}

const CLIENT_COLUMNS: [&str; 7] =
    ["client", "address", "age(secs)", "last server", "connects", "sent", "received"];

fn client_cells(client: &ClientStatus) -> [String; CLIENT_COLUMNS.len()] {
    [
        client.slot.to_string(),
        text(&client.address),
        client.age_seconds.to_string(),
        with_special_name(client.server),
        client.connects.to_string(),
        client.sent_bytes.to_string(),
        client.received_bytes.to_string(),
    ]
}

/// The first seven are Pen's.
const CONNECTION_COLUMNS: [&str; 13] = [
    "connection",
    "downfd",
    "upfd",
    "pending data down",
    "pending data up",
    "client",
    "server",
    "client address",
    "server address",
    "sent up",
    "sent down",
    "age",
    "idle",
];

fn connection_cells(connection: &ConnectionStatus) -> [String; CONNECTION_COLUMNS.len()] {
    [
        connection.number.to_string(),
        connection.down_fd.to_string(),
        connection.up_fd.to_string(),
        connection.pending_down_bytes.to_string(),
        connection.pending_up_bytes.to_string(),
        connection.client_slot.to_string(),
        with_special_name(connection.server),
        text(&connection.client),
        text(&connection.server_address),
        bytes(connection.up_bytes),
        bytes(connection.down_bytes),
        duration(connection.age_seconds),
        duration(connection.idle_seconds),
    ]
}

/// What the servers have together.
struct Sums {
    connections: u64,
    sent_bytes: u64,
    received_bytes: u64,
}

impl Sums {
    fn of(servers: &[ServerStatus]) -> Sums {
        Sums {
            connections: servers.iter().map(|server| u64::from(server.connections)).sum(),
            sent_bytes: servers.iter().map(|server| server.sent_bytes).fold(0, u64::saturating_add),
            received_bytes: servers.iter().map(|server| server.received_bytes).fold(0, u64::saturating_add),
        }
    }
}

/// The raw value first, so that whoever reads the first word of a cell reads what Pen writes there.
///
/// `class` is the colour of the words; empty for none.
fn beside(raw: impl Display, class: &str, words: &str) -> String {
    match class {
        "" => format!("{raw} <small>{words}</small>"),
        _ => format!("{raw} <small class=\"{class}\">{words}</small>"),
    }
}

fn with_special_name(index: i32) -> String {
    match special::name(index) {
        Some(name) => beside(index, "", name),
        None => index.to_string(),
    }
}

/// The servers of a service that are in this state.
fn names_in(service: ServiceView<'_>, state: ServerState) -> impl Iterator<Item = String> {
    let servers = service.servers.iter().filter(move |server| server.state() == state);
    servers.map(move |server| match service.named() {
        Some(name) => format!("{} of {name}", server_name(server)),
        None => server_name(server),
    })
}

fn server_name(server: &ServerStatus) -> String {
    match special::name(server.index) {
        Some(name) => format!("{name} server ({})", server.address),
        None => format!("server {} ({})", server.index, server.address),
    }
}

fn listed(addresses: &[String]) -> String {
    if addresses.is_empty() { "no address".into() } else { addresses.join(", ") }
}

#[cfg(test)]
#[path = "html_tests.rs"]
mod tests;
