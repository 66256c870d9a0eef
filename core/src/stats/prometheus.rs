//! The snapshot in the text exposition format of Prometheus, version 0.0.4: the answer to `metrics`.
//!
//! Names start with `pen_`, carry their unit, and end in `_total` when they only ever grow.

use pen_proto::status::{DsrStatus, ServerStatus, ServiceView, Status, Totals, special};
use pen_proto::weight::Weight;
use std::fmt::{self, Display, Formatter, Write};

/// All metrics, each family with its HELP and TYPE line. To be served as `text/plain; version=0.0.4`. What is counted for
/// each service has the label `service`, except for `main`.
pub fn render(status: &Status) -> String {
    let views: Vec<_> = status.views().collect();
    let mut page = Page { text: String::with_capacity(8192), views: &views };
    page.process(status);
    page.load(status);
    page.totals();
    page.servers();
    if views.iter().any(|view| view.dsr.is_some()) {
        page.dsr();
    }
    page.text
}

const GAUGE: &str = "gauge";
const COUNTER: &str = "counter";

struct Page<'a> {
    text: String,
    views: &'a [ServiceView<'a>],
}

impl<'a> Page<'a> {
    fn process(&mut self, status: &Status) {
        self.head("pen_build_info", GAUGE, "Version of the running pen; always 1.");
        self.sample("pen_build_info", [("version", status.version.as_str())], 1);
        let started = status.time_epoch_seconds.saturating_sub(status.uptime_seconds);
        self.one("pen_start_time_seconds", GAUGE, "When pen started, in seconds since 1970.", started);
        self.one("pen_uptime_seconds", GAUGE, "Seconds since pen started.", status.uptime_seconds);
        self.one("pen_workers", GAUGE, "Worker threads.", status.workers.into());
    }

    fn load(&mut self, status: &Status) {
        self.each("pen_connections", GAUGE, "Open connections.", |service| service.connections_used);
        self.one("pen_connections_max", GAUGE, "Most connections at a time.", status.connections_max);
        self.one("pen_full", GAUGE, "1 while no more connections fit and clients wait.", status.full.into());
        let pending = status.totals.pending_connects;
        self.one("pen_connects_pending", GAUGE, "Connects to servers under way.", pending);
        self.each("pen_idlers", GAUGE, "Connections to servers ready for clients.", |service| service.idlers);
        self.each("pen_idlers_wanted", GAUGE, "How many there are to be.", |service| service.idlers_wanted);
        self.each("pen_clients", GAUGE, "Clients remembered.", |service| service.clients_used);
        self.each("pen_clients_max", GAUGE, "Slots of the client table.", |service| service.clients_max);
    }

    fn totals(&mut self) {
        for (name, help, count) in TOTALS {
            self.each(name, COUNTER, help, |service| count(service.totals));
        }
        self.datagrams();
        self.sides("pen_resets_total", "Connections reset, by the side that did it.", "side", |totals| {
            [("client", totals.resets_by_client), ("server", totals.resets_by_server)]
        });
        self.sides("pen_relayed_bytes_total", "Bytes relayed, by where they went.", "to", |totals| {
            [("server", totals.up_bytes), ("client", totals.down_bytes)]
        });
    }

    fn datagrams(&mut self) {
        let views: Vec<_> = self.views.iter().copied().filter(|service| service.udp).collect();
        if views.is_empty() {
            return;
        }
        let mut page = Page { text: std::mem::take(&mut self.text), views: &views };
        page.sides("pen_relayed_datagrams_total", "Datagrams relayed, by where they went.", "to", |totals| {
            [("server", totals.up_datagrams), ("client", totals.down_datagrams)]
        });
        let help = "Datagrams that could not be passed on.";
        page.each("pen_datagrams_dropped_total", COUNTER, help, |service| service.totals.datagrams_dropped);
        let help = "Sessions that made room for others.";
        page.each("pen_sessions_evicted_total", COUNTER, help, |service| service.totals.sessions_evicted);
        self.text = page.text;
    }

    fn servers(&mut self) {
        let servers = |service: &ServiceView<'a>| {
            let labels = service_label(service);
            service.servers.iter().map(move |server| (labels, Labels::of(server), server))
        };
        let labelled: Vec<_> = self.views.iter().flat_map(servers).collect();
        if labelled.is_empty() {
            return;
        }
        for (name, kind, help, value) in SERVER_FAMILIES {
            self.head(name, kind, help);
            for (service, labels, server) in &labelled {
                self.sample(name, service.iter().copied().chain(labels.pairs()), value(server));
            }
        }
        // An older pen does not say it.
        let said =
            labelled.iter().filter_map(|(service, labels, server)| Some((service, labels, server.state?)));
        for (at, (service, labels, state)) in said.enumerate() {
            const NAME: &str = "pen_server_state";
            if at == 0 {
                self.head(NAME, GAUGE, "1 for the word of the state that the server is in.");
            }
            let labels = service.iter().copied().chain(labels.pairs());
            self.sample(NAME, labels.chain([("state", state.word())]), 1);
        }
    }

    fn dsr(&mut self) {
        let directed: Vec<_> =
            self.views.iter().filter_map(|service| Some((service_label(service), service.dsr?))).collect();
        for (name, help, count) in DSR_TOTALS {
            self.head(name, COUNTER, help);
            for (service, dsr) in &directed {
                self.sample(name, *service, count(dsr));
            }
        }
        self.head("pen_dsr_dropped_frames_total", COUNTER, "Frames dropped, by reason.");
        for (service, dsr) in &directed {
            let reasons = [
                ("malformed", dsr.malformed),
                ("unreachable", dsr.unreachable),
                ("unsent", dsr.unsent),
                ("overrun", dsr.overrun),
            ];
            for (reason, count) in reasons {
                let labels = service.iter().copied().chain([("reason", reason)]);
                self.sample("pen_dsr_dropped_frames_total", labels, count);
            }
        }
        self.head("pen_dsr_server_known", GAUGE, "1 when the server's hardware address is known.");
        for (service, dsr) in &directed {
            for server in &dsr.servers {
                let known = u64::from(!server.mac.is_empty());
                let labels = service.iter().copied().chain([("address", server.address.as_str())]);
                self.sample("pen_dsr_server_known", labels, known);
            }
        }
    }

    /// A family of the whole process.
    fn one(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.head(name, kind, help);
        self.sample(name, None, value);
    }

    /// A family with a sample for each service.
    fn each(&mut self, name: &str, kind: &str, help: &str, value: impl Fn(&ServiceView<'a>) -> u64) {
        self.head(name, kind, help);
        for service in self.views {
            self.sample(name, service_label(service), value(service));
        }
    }

    /// Counters with two samples for each service, told apart by `label`.
    fn sides(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        values: impl Fn(&Totals) -> [(&'static str, u64); 2],
    ) {
        self.head(name, COUNTER, help);
        for service in self.views {
            for (side, value) in values(service.totals) {
                self.sample(name, service_label(service).into_iter().chain([(label, side)]), value);
            }
        }
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.put(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn sample<'b>(
        &mut self,
        name: &str,
        labels: impl IntoIterator<Item = (&'b str, &'b str)>,
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

/// Beside whatever other labels there are.
fn service_label<'a>(service: &ServiceView<'a>) -> Option<(&'static str, &'a str)> {
    service.named().map(|name| ("service", name))
}

type Counter<T> = (&'static str, &'static str, fn(&T) -> u64);

const TOTALS: [Counter<Totals>; 18] = [
    ("pen_connections_accepted_total", "Connections accepted.", |totals| totals.accepted),
    ("pen_connections_closed_total", "Connections ended.", |totals| totals.closed),
    ("pen_connections_rejected_total", "Clients that no server could take.", |totals| totals.rejected),
    ("pen_connections_denied_total", "Clients refused by client_acl.", |totals| totals.denied),
    ("pen_failovers_total", "Connects tried again on another server.", |totals| totals.failovers),
    ("pen_connect_failures_total", "Connects that failed.", |totals| totals.connect_failures),
    ("pen_connect_timeouts_total", "Connects that timed out.", |totals| totals.connect_timeouts),
    ("pen_idle_timeouts_total", "Connections closed for being idle.", |totals| totals.idle_timeouts),
    ("pen_proxy_errors_total", "Connections closed for want of a proper PROXY header.", |totals| {
        totals.proxy_errors
    }),
    ("pen_http_unedited_total", "Connections whose client sent nothing that http could add to.", |totals| {
        totals.http_unedited
    }),
    ("pen_http_refused_total", "Connections closed for a request that http could not pass on.", |totals| {
        totals.http_refused
    }),
    ("pen_descriptor_shortages_total", "Times accepting stopped for want of descriptors.", |totals| {
        totals.descriptor_shortages
    }),
    ("pen_log_lines_dropped_total", "Traffic log lines lost.", |totals| totals.log_lines_dropped),
    ("pen_idlers_used_total", "Clients given a connection kept ready.", |totals| totals.idlers_used),
    ("pen_idlers_lost_total", "Connections kept ready that ended unused.", |totals| totals.idlers_lost),
    ("pen_tls_handshakes_total", "TLS handshakes of clients that succeeded.", |totals| totals.tls_handshakes),
    ("pen_tls_resumptions_total", "TLS handshakes of clients that took up an earlier session.", |totals| {
        totals.tls_resumptions
    }),
    ("pen_tls_failures_total", "TLS handshakes of clients that failed.", |totals| totals.tls_failures),
];

const DSR_TOTALS: [Counter<DsrStatus>; 4] = [
    ("pen_dsr_forwarded_frames_total", "Frames sent on to servers.", |dsr| dsr.forwarded),
    ("pen_dsr_answers_total", "Answers to questions for an address.", |dsr| dsr.answers),
    ("pen_dsr_tarpitted_total", "Connections that got stuck in the tarpit.", |dsr| dsr.tarpitted),
    ("pen_dsr_displaced_flows_total", "Flows forgotten for want of room.", |dsr| dsr.displaced),
];

/// What a metric of a server says.
enum Figure {
    Count(u64),
    Weight(Weight),
}

impl<N: Into<u64>> From<N> for Figure {
    fn from(count: N) -> Figure {
        Figure::Count(count.into())
    }
}

impl Display for Figure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Figure::Count(count) => count.fmt(f),
            Figure::Weight(weight) => weight.fmt(f),
        }
    }
}

type Family = (&'static str, &'static str, &'static str, fn(&ServerStatus) -> Figure);

const SERVER_FAMILIES: [Family; 13] = [
    (
        "pen_server_up",
        GAUGE,
        "1 while the server may be chosen, 0 while blacklisted or without address.",
        |s| u64::from(s.state().is_in_service()).into(),
    ),
    ("pen_server_blacklisted_seconds", GAUGE, "Seconds until the server is tried again.", |s| {
        s.blacklisted_seconds.into()
    }),
    ("pen_server_failed_time_seconds", GAUGE, "When a connect failed last, in seconds since 1970.", |s| {
        s.failed_at_epoch_seconds.into()
    }),
    ("pen_server_connections", GAUGE, "Open connections to the server.", |s| s.connections.into()),
    ("pen_server_idlers", GAUGE, "Connections to the server ready for clients.", |s| s.idlers.into()),
    ("pen_server_connections_soft_max", GAUGE, "Limit for new clients; 0 is none.", |s| s.max.into()),
    ("pen_server_connections_hard_max", GAUGE, "Limit for clients that belong to it.", |s| s.hard.into()),
    ("pen_server_weight", GAUGE, "Share of the clients it gets; 0 when not configured.", |s| {
        Figure::Weight(s.weight)
    }),
    ("pen_server_prio", GAUGE, "Smallest is chosen first in prio mode.", |s| s.prio.into()),
    ("pen_server_sent_bytes_total", COUNTER, "Bytes sent to the server.", |s| s.sent_bytes.into()),
    ("pen_server_received_bytes_total", COUNTER, "Bytes received from the server.", |s| {
        s.received_bytes.into()
    }),
    ("pen_server_connections_opened_total", COUNTER, "Connections opened to the server.", |s| {
        s.connections_total.into()
    }),
    ("pen_server_failures_total", COUNTER, "Connects to it that failed or timed out.", |s| {
        s.failures_total.into()
    }),
];

/// The labels every metric of a server carries.
struct Labels {
    server: String,
    address: String,
}

impl Labels {
    fn of(server: &ServerStatus) -> Labels {
        let name = special::name(server.index).map_or_else(|| server.index.to_string(), String::from);
        Labels { server: name, address: endpoint(&server.address, server.port) }
    }

    fn pairs(&self) -> [(&str, &str); 2] {
        [("server", &self.server), ("address", &self.address)]
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
mod tests {
    use super::super::samples;
    use super::*;
    use pen_proto::status::{NeighbourStatus, ServerState};
    use std::collections::BTreeSet;

    #[test]
    fn the_word_of_a_state_is_told_where_it_is_known() {
        let mut status = samples::busy();
        assert!(!render(&status).contains("pen_server_state"));
        status.servers[2].state = Some(ServerState::Down);
        let line = "\npen_server_state{server=\"2\",address=\"[2001:db8::17]:8080\",state=\"down\"} 1\n";
        let text = render(&status);
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn matches_the_golden_file() {
        samples::assert_golden("status.prom", &render(&samples::busy()));
    }

    #[test]
    fn rows_of_other_services_have_their_name_and_those_of_main_none() {
        let (text, busy) = (render(&samples::several()), render(&samples::busy()));
        for line in [
            "pen_connections 3",
            "pen_connections{service=\"web\"} 1",
            "pen_clients_max{service=\"web\"} 100",
            "pen_connections_accepted_total{service=\"web\"} 77",
            "pen_resets_total{service=\"web\",side=\"client\"} 0",
            "pen_relayed_datagrams_total{service=\"web\",to=\"server\"} 8",
            "pen_server_up{service=\"web\",server=\"0\",address=\"10.0.1.1:8080\"} 0",
        ] {
            assert!(text.contains(&format!("\n{line}\n")), "{line}: {text}");
        }
        let unnamed = |text: &str| -> Vec<String> {
            let of_main = |line: &&str| !line.contains("service=") && !line.starts_with("pen_connections ");
            text.lines()
                .filter(of_main)
                .filter(|line| !line.contains("atagrams") && !line.contains("evicted"))
                .map(String::from)
                .collect()
        };
        assert_eq!(unnamed(&text), unnamed(&busy));
    }

    #[test]
    fn a_service_that_is_alone_and_not_main_is_named() {
        let text = render(&Status { service: "web".into(), ..samples::busy() });
        assert!(text.contains("\npen_connections{service=\"web\"} 152\n"), "{text}");
    }

    #[test]
    fn keeps_the_grammar() {
        for status in [
            samples::busy(),
            samples::busy_with_udp(),
            samples::several(),
            samples::hostile(),
            samples::idle(),
            Status::default(),
        ] {
            check_grammar(&render(&status)).unwrap();
        }
    }

    #[test]
    fn a_place_without_a_server_is_not_up() {
        let server =
            |index, address: &str| ServerStatus { index, address: address.into(), ..ServerStatus::default() };
        let servers = vec![server(0, "10.0.0.1"), server(1, ""), server(2, "0.0.0.0"), server(3, "/run/app")];
        let page = render(&Status { servers, ..Status::default() });
        let up: Vec<_> = page.lines().filter(|line| line.starts_with("pen_server_up{")).collect();
        let values: String = up.iter().filter_map(|line| line.chars().last()).collect();
        assert_eq!(values, "1001", "{up:?}");
    }

    #[test]
    fn direct_server_return_has_its_own() {
        let server = |address: &str, mac: &str| NeighbourStatus { address: address.into(), mac: mac.into() };
        let servers = vec![server("10.0.0.1", "02:00:00:00:00:01"), server("10.0.0.2", "")];
        let dsr = DsrStatus { forwarded: 7, overrun: 3, servers, ..DsrStatus::default() };
        let page = render(&Status { dsr: Some(dsr), ..samples::idle() });
        check_grammar(&page).unwrap();
        for line in [
            "pen_dsr_forwarded_frames_total 7",
            "pen_dsr_dropped_frames_total{reason=\"overrun\"} 3",
            "pen_dsr_server_known{address=\"10.0.0.1\"} 1",
            "pen_dsr_server_known{address=\"10.0.0.2\"} 0",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}");
        }
        assert!(!render(&samples::busy()).contains("pen_dsr"));
    }

    #[test]
    fn datagrams_are_told_of_with_udp_only() {
        let page = render(&samples::busy_with_udp());
        assert!(page.contains("pen_relayed_datagrams_total{to=\"server\"} 812340\n"), "{page}");
        assert!(page.contains("\npen_sessions_evicted_total 3001\n"), "{page}");
        assert!(!render(&samples::busy()).contains("datagrams"));
    }

    #[test]
    fn the_grammar_check_finds_mistakes() {
        let head = "# HELP a_total x\n# TYPE a_total counter\n";
        for wrong in [
            "a_total 1\n",
            "# HELP a x\n# TYPE a counter\na 1\n",
            &format!("{head}b_total 1\n"),
            &format!("{head}a_total one\n"),
            &format!("{head}a_total{{x=\"1\\q\"}} 1\n"),
            &format!("{head}a_total{{x=\"1\"y=\"2\"}} 1\n"),
            &format!("{head}a_total 1\na_total 2\n"),
            &format!("{head}a_total 1"),
            &format!("{head}{head}a_total 1\n"),
            &format!("{head}1a_total 1\n"),
        ] {
            assert!(check_grammar(wrong).is_err(), "{wrong}");
        }
    }

    /// Families in one piece, headed by HELP and TYPE, counters and only counters in `_total`, no sample twice.
    fn check_grammar(page: &str) -> Result<(), String> {
        let mut families = BTreeSet::new();
        let mut samples = BTreeSet::new();
        let mut lines = page.strip_suffix('\n').ok_or("no newline at the end")?.split('\n').peekable();
        while let Some(help) = lines.next() {
            let (name, text) = help.strip_prefix("# HELP ").and_then(|h| h.split_once(' ')).ok_or(help)?;
            let kind =
                lines.next().and_then(|t| t.strip_prefix("# TYPE ")?.strip_prefix(name)?.strip_prefix(' '));
            let counter = match kind {
                Some("counter") => true,
                Some("gauge") => false,
                _ => return Err(format!("{name}: TYPE {kind:?}")),
            };
            let named = is_name(name) && counter == name.ends_with("_total") && !text.is_empty();
            if !named || !families.insert(name) {
                return Err(format!("family {name}"));
            }
            while let Some(sample) = lines.next_if(|line| !line.starts_with('#')) {
                let (series, value) = sample.rsplit_once(' ').ok_or(sample)?;
                value.parse::<f64>().map_err(|_| sample)?;
                check_labels(series.strip_prefix(name).ok_or(sample)?)?;
                if !samples.insert(series) {
                    return Err(format!("twice: {series}"));
                }
            }
        }
        Ok(())
    }

    fn is_name(name: &str) -> bool {
        name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    }

    /// Nothing, or `{name="value",name="value"}`.
    fn check_labels(text: &str) -> Result<(), String> {
        if text.is_empty() {
            return Ok(());
        }
        let mut rest = text.strip_prefix('{').ok_or(text)?;
        loop {
            let (name, value) = rest.split_once("=\"").ok_or(text)?;
            rest = after_value(value).filter(|_| is_name(name)).ok_or(text)?;
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => return (rest == "}").then_some(()).ok_or(text.into()),
            }
        }
    }

    /// What follows the closing quote of a label value.
    fn after_value(text: &str) -> Option<&str> {
        let mut chars = text.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => return Some(&text[at + 1..]),
                '\\' if !matches!(chars.next()?.1, '\\' | '"' | 'n') => return None,
                '\n' => return None,
                _ => {}
            }
        }
        None
    }
}
