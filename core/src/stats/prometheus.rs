//! The snapshot in the text exposition format of Prometheus, version 0.0.4: the answer to `metrics`, and `/metrics` of pen and
//! of webstats.
//!
//! Names start with `pen_`, carry their unit, and end in `_total` when they only ever grow. Those that Prometheus has for
//! every process start with `process_`. Families of one figure each are lines of `families`.

mod clones;
mod families;

use families::{DSR_TOTALS, Figure, PROCESS_FAMILIES, SERVER_FAMILIES, TOTALS};
use pen_proto::commands::Role;
use pen_proto::load::Load;
use pen_proto::status::{
    CloseReason, DsrStatus, Histogram, ServerStatus, ServerTimes, ServiceView, Status, Totals, special,
};
use std::fmt::{Display, Write};

/// All metrics, each family with its HELP and TYPE line. To be served as `text/plain; version=0.0.4`. What is counted for
/// each service has the label `service`, except for `main`.
pub fn render(status: &Status) -> String {
    render_pens(&[Pen { name: None, status: Some(status), answers: None }])
}

/// A pen among others.
pub struct Pen<'a> {
    /// The value of the label `pen`; none where there is only one.
    pub name: Option<&'a str>,
    /// What it said last.
    pub status: Option<&'a Status>,
    /// For who asks it: whether it answered the last time.
    pub answers: Option<bool>,
}

/// As [`render`], for several pens. Of one that does not answer only that is told: old figures would look like new ones.
pub fn render_pens(pens: &[Pen<'_>]) -> String {
    let mut page = Page { text: String::with_capacity(8192), processes: Vec::new(), views: Vec::new() };
    page.answers(pens);
    for pen in pens.iter().filter(|pen| pen.answers != Some(false)) {
        let Some(status) = pen.status else { continue };
        page.processes.push((pen.name, status));
        page.views.extend(status.views().map(|view| (pen.name, view)));
    }
    if page.processes.is_empty() {
        return page.text;
    }
    page.process();
    page.load();
    page.totals();
    page.servers();
    if page.views.iter().any(|(_, view)| view.clones.is_some()) {
        page.clones();
    }
    if page.views.iter().any(|(_, view)| view.dsr.is_some()) {
        page.dsr();
    }
    page.text
}

const GAUGE: &str = "gauge";
const COUNTER: &str = "counter";

type Label<'a> = (&'static str, &'a str);

struct Page<'a> {
    text: String,
    /// With the names of the pens.
    processes: Vec<(Option<&'a str>, &'a Status)>,
    views: Vec<(Option<&'a str>, ServiceView<'a>)>,
}

impl<'a> Page<'a> {
    fn answers(&mut self, pens: &[Pen<'_>]) {
        let told = pens.iter().filter_map(|pen| Some((pen.name, pen.answers?)));
        for (at, (name, answers)) in told.enumerate() {
            if at == 0 {
                self.head("pen_up", GAUGE, "1 if the pen answered when it was last asked, otherwise 0.");
            }
            self.sample("pen_up", pen_label(name), u8::from(answers));
        }
    }

    fn process(&mut self) {
        self.head("pen_build_info", GAUGE, "Version of the running pen; always 1.");
        for (pen, status) in self.processes.clone() {
            let labels = pen_label(pen).into_iter().chain([("version", status.version.as_str())]);
            self.sample("pen_build_info", labels, 1);
        }
        let started = |status: &Status| status.time_epoch_seconds.saturating_sub(status.uptime_seconds);
        self.one("pen_start_time_seconds", GAUGE, "When pen started, in seconds since 1970.", started);
        self.one("pen_uptime_seconds", GAUGE, "Seconds since pen started.", |status| status.uptime_seconds);
        self.one("pen_workers", GAUGE, "Worker threads.", |status| status.workers.into());
        if self.processes.iter().all(|(_, status)| status.process.is_none()) {
            return; // older ones do not say it
        }
        for (name, kind, help, figure) in PROCESS_FAMILIES {
            let figures = self.processes.iter().filter_map(|(pen, status)| {
                status.process.as_ref().and_then(figure).map(|figure| (*pen, figure))
            });
            let figures: Vec<_> = figures.collect();
            if !figures.is_empty() {
                self.head(name, kind, help);
            }
            for (pen, figure) in figures {
                self.sample(name, pen_label(pen), figure);
            }
        }
        let help = "When the process started, in seconds since 1970.";
        self.one("process_start_time_seconds", GAUGE, help, started);
    }

    fn load(&mut self) {
        self.each("pen_connections", GAUGE, "Open connections.", |service| service.connections_used);
        self.one("pen_connections_max", GAUGE, "Most connections at a time.", |status| {
            status.connections_max
        });
        let help = "1 while no more connections fit and clients wait.";
        self.one("pen_full", GAUGE, help, |status| status.full.into());
        let help = "Connects to servers under way.";
        self.one("pen_connects_pending", GAUGE, help, |status| status.totals.pending_connects);
        let help = "Clients that wait for a server that is not full.";
        self.each("pen_clients_waiting", GAUGE, help, |service| service.totals.waiting);
        let loads: Vec<_> = self.views.iter().map(|(pen, view)| (*pen, *view, view.load_percent())).collect();
        let known = loads.into_iter().filter_map(|(pen, view, percent)| Some((pen, view, percent?)));
        for (at, (pen, view, percent)) in known.enumerate() {
            const NAME: &str = "pen_load_ratio";
            if at == 0 {
                self.head(NAME, GAUGE, "Load of all servers together, in parts of their maxload.");
            }
            self.sample(NAME, labels(pen, &view), ratio(percent));
        }
        self.each("pen_idlers", GAUGE, "Connections to servers ready for clients.", |service| service.idlers);
        self.each("pen_idlers_wanted", GAUGE, "How many there are to be.", |service| service.idlers_wanted);
        self.each("pen_clients", GAUGE, "Clients remembered.", |service| service.clients_used);
        self.each("pen_clients_max", GAUGE, "Slots of the client table.", |service| service.clients_max);
    }

    fn totals(&mut self) {
        for (name, help, count) in TOTALS {
            self.each(name, COUNTER, help, |service| count(service.totals));
        }
        let udp: Vec<_> = self.views.iter().copied().filter(|(_, service)| service.udp).collect();
        if !udp.is_empty() {
            let all = std::mem::replace(&mut self.views, udp);
            self.datagrams();
            self.views = all;
        }
        self.sides("pen_resets_total", "Connections reset, by the side that did it.", "side", |totals| {
            vec![("client", totals.resets_by_client), ("server", totals.resets_by_server)]
        });
        self.sides("pen_relayed_bytes_total", "Bytes relayed, by where they went.", "to", |totals| {
            vec![("server", totals.up_bytes), ("client", totals.down_bytes)]
        });
        let help = "Clients turned away, by reason; the words are those of the JSON log.";
        self.sides("pen_clients_refused_total", help, "reason", |totals| {
            let refusals = CloseReason::ALL.into_iter().filter(|reason| reason.is_refusal());
            refusals.map(|reason| (reason.as_str(), totals.ends.of(reason))).collect()
        });
    }

    fn datagrams(&mut self) {
        self.sides("pen_relayed_datagrams_total", "Datagrams relayed, by where they went.", "to", |totals| {
            vec![("server", totals.up_datagrams), ("client", totals.down_datagrams)]
        });
        let help = "Datagrams that could not be passed on.";
        self.each("pen_datagrams_dropped_total", COUNTER, help, |service| service.totals.datagrams_dropped);
        let help = "Sessions that made room for others.";
        self.each("pen_sessions_evicted_total", COUNTER, help, |service| service.totals.sessions_evicted);
    }

    fn servers(&mut self) {
        let servers = |(pen, service): &(Option<&'a str>, ServiceView<'a>)| {
            let before: Vec<Label<'a>> = labels(*pen, service).collect();
            service.servers.iter().map(move |server| (Labels::of(before.clone(), server), server))
        };
        let labelled: Vec<_> = self.views.iter().flat_map(servers).collect();
        if labelled.is_empty() {
            return;
        }
        for (name, kind, help, value) in SERVER_FAMILIES {
            self.head(name, kind, help);
            for (labels, server) in &labelled {
                self.sample(name, labels.pairs(), value(server));
            }
        }
        // An older pen does not say it.
        let said = labelled.iter().filter_map(|(labels, server)| Some((labels, server.state?)));
        for (at, (labels, state)) in said.enumerate() {
            const NAME: &str = "pen_server_state";
            if at == 0 {
                self.head(NAME, GAUGE, "1 for the word of the state that the server is in.");
            }
            self.sample(NAME, labels.pairs().chain([("state", state.word())]), 1);
        }
        let grouped =
            labelled.iter().filter_map(|(labels, server)| Some((labels, server, server.group.as_ref()?)));
        for (at, (labels, server, group)) in grouped.enumerate() {
            const NAME: &str = "pen_server_group_in_use";
            if at == 0 {
                self.head(NAME, GAUGE, "1 if the server's group is in use, otherwise 0.");
            }
            let labels = labels.pairs().chain([("group", group.as_str())]);
            self.sample(NAME, labels, u64::from(!server.in_reserve));
        }
        let counted = labelled.iter().filter_map(|(labels, server)| Some((labels, server.uris?)));
        for (at, (labels, uris)) in counted.enumerate() {
            const NAME: &str = "pen_server_uris";
            if at == 0 {
                self.head(NAME, GAUGE, "URIs that have the server, with policy uri_hash.");
            }
            self.sample(NAME, labels.pairs(), uris);
        }
        let loads = labelled.iter().filter_map(|(labels, server)| Some((labels, server.load?)));
        for (at, (labels, load)) in loads.enumerate() {
            if at == 0 {
                let help = "Load of the server, as it says itself; none while it is unknown.";
                self.head("pen_server_load", GAUGE, help);
            }
            self.sample("pen_server_load", labels.pairs(), load);
        }
        let percents = labelled.iter().filter_map(|(labels, server)| Some((labels, server.effective_load?)));
        for (at, (labels, percent)) in percents.enumerate() {
            const NAME: &str = "pen_server_load_ratio";
            if at == 0 {
                self.head(NAME, GAUGE, "Load of the server in parts of its maxload.");
            }
            self.sample(NAME, labels.pairs(), ratio(percent));
        }
        let help = "How long connects to the server took that succeeded, in seconds.";
        self.times("pen_server_connect_seconds", help, &labelled, |times| &times.connect);
        let help = "How long the server took for its first bytes, in seconds.";
        self.times("pen_server_first_byte_seconds", help, &labelled, |times| &times.first_byte);
    }

    /// A histogram of the servers that were ever met: of the others there would be much to read and nothing to learn.
    fn times(
        &mut self,
        name: &str,
        help: &str,
        labelled: &[(Labels<'a>, &ServerStatus)],
        which: fn(&ServerTimes) -> &Histogram,
    ) {
        let met = labelled.iter().filter_map(|(labels, server)| {
            Some((labels, which(server.times.as_ref()?))).filter(|(_, histogram)| histogram.count() > 0)
        });
        let (bucket, sum, count) = (format!("{name}_bucket"), format!("{name}_sum"), format!("{name}_count"));
        for (at, (labels, histogram)) in met.enumerate() {
            if at == 0 {
                self.head(name, "histogram", help);
            }
            for (bound, times) in histogram.cumulative() {
                self.sample(&bucket, labels.pairs().chain([("le", bound)]), times);
            }
            self.sample(&bucket, labels.pairs().chain([("le", "+Inf")]), histogram.count());
            self.sample(&sum, labels.pairs(), Figure::Milliseconds(histogram.sum_ms));
            self.sample(&count, labels.pairs(), histogram.count());
        }
    }

    fn dsr(&mut self) {
        let directed = self.views.iter().filter_map(|(pen, service)| {
            let labels: Vec<_> = labels(*pen, service).collect();
            Some((labels, service.dsr?))
        });
        let directed: Vec<(Vec<Label<'a>>, &DsrStatus)> = directed.collect();
        for (name, help, count) in DSR_TOTALS {
            self.head(name, COUNTER, help);
            for (labels, dsr) in &directed {
                self.sample(name, labels.iter().copied(), count(dsr));
            }
        }
        self.head("pen_dsr_dropped_frames_total", COUNTER, "Frames dropped, by reason.");
        for (labels, dsr) in &directed {
            let reasons = [
                ("malformed", dsr.malformed),
                ("unreachable", dsr.unreachable),
                ("unsent", dsr.unsent),
                ("overrun", dsr.overrun),
            ];
            for (reason, count) in reasons {
                let labels = labels.iter().copied().chain([("reason", reason)]);
                self.sample("pen_dsr_dropped_frames_total", labels, count);
            }
        }
        self.head("pen_dsr_server_known", GAUGE, "1 when the server's hardware address is known.");
        for (labels, dsr) in &directed {
            for server in &dsr.servers {
                let known = u64::from(!server.mac.is_empty());
                let labels = labels.iter().copied().chain([("address", server.address.as_str())]);
                self.sample("pen_dsr_server_known", labels, known);
            }
        }
    }

    /// A family with a sample for each process.
    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Fn(&Status) -> u64) {
        self.head(name, kind, help);
        for (pen, status) in self.processes.clone() {
            self.sample(name, pen_label(pen), value(status));
        }
    }

    /// A family with a sample for each service.
    fn each(&mut self, name: &str, kind: &str, help: &str, value: impl Fn(&ServiceView<'a>) -> u64) {
        self.head(name, kind, help);
        for at in 0..self.views.len() {
            let (pen, service) = self.views[at];
            self.sample(name, labels(pen, &service), value(&service));
        }
    }

    /// Counters with several samples for each service, told apart by `label`.
    fn sides(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        values: impl Fn(&Totals) -> Vec<(&'static str, u64)>,
    ) {
        self.head(name, COUNTER, help);
        for at in 0..self.views.len() {
            let (pen, service) = self.views[at];
            for (side, value) in values(service.totals) {
                self.sample(name, labels(pen, &service).chain([(label, side)]), value);
            }
        }
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.put(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn sample<'b>(
        &mut self,
        name: &str,
        labels: impl IntoIterator<Item = (&'static str, &'b str)>,
        value: impl Display,
    ) {
        self.text.push_str(name);
        let mut close = "";
        for (i, (label, text)) in labels.into_iter().enumerate() {
            self.put(format_args!("{}{label}=\"", if i == 0 { '{' } else { ',' }));
            escape_label(&mut self.text, text);
            self.text.push('"');
            close = "}";
        }
        self.put(format_args!("{close} {value}\n"));
    }

    fn put(&mut self, arguments: std::fmt::Arguments<'_>) {
        self.text.write_fmt(arguments).expect("a String takes everything");
    }
}

/// Percent as parts of a whole.
fn ratio(percent: u32) -> Load {
    Load::of_thousandths(u64::from(percent) * 10)
}

fn pen_label(pen: Option<&str>) -> Option<Label<'_>> {
    pen.map(|name| ("pen", name))
}

/// Those of everything that is counted for a service.
fn labels<'a>(pen: Option<&'a str>, service: &ServiceView<'a>) -> impl Iterator<Item = Label<'a>> + use<'a> {
    let named = service.named().map(|name| ("service", name));
    pen_label(pen).into_iter().chain(named)
}

/// The labels every metric of a server carries.
struct Labels<'a> {
    before: Vec<Label<'a>>,
    server: String,
    address: String,
    is_clone: bool,
}

impl<'a> Labels<'a> {
    fn of(before: Vec<Label<'a>>, server: &ServerStatus) -> Labels<'a> {
        let name = special::name(server.index).map_or_else(|| server.index.to_string(), String::from);
        let address = endpoint(&server.address, server.port);
        Labels { before, server: name, address, is_clone: server.role == Role::Clone }
    }

    fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let own = [("server", self.server.as_str()), ("address", self.address.as_str())];
        // What serves nobody is to be left out of sums with one word, and nothing changes where there are no clones.
        let role = self.is_clone.then_some(("role", "clone"));
        self.before.iter().copied().chain(own).chain(role)
    }
}

/// `host:port`, `[v6]:port`, or the path of a Unix socket.
fn endpoint(address: &str, port: u16) -> String {
    if address.contains('/') {
        address.into()
    } else if address.contains(':') {
        format!("[{address}]:{port}")
    } else {
        format!("{address}:{port}")
    }
}

/// The format knows three escapes in label values; everything else may stand there as it is.
fn escape_label(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            _ => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests;
