//! The page: verdict, key figures, a card for each server, the last day, the busiest clients.
//!
//! Owns the document and its words. One HTML5 document that needs nothing else and may do nothing else: styles inside,
//! admitted by hash, no script. It has the look of the page that pen writes and uses the same parts. Pure; the three ways
//! to run call [`render`].

mod cards;

use crate::chart::{Chart, Span, colour_class};
use crate::health::Verdict;
use crate::history::{Sample, ServerName};
use crate::series::{Measure, Palette, Series, label};
use chrono::NaiveDateTime;
use pen_core::stats::parts::{
    STYLE, STYLE_SHA256, Share, bytes, counted, duration, grouped, table_head, text,
};
use pen_proto::status::{ClientStatus, Level, ServiceStatus, ServiceView, Status};

const OWN_STYLE: &str = include_str!("page.css");

/// SHA-256 of [`OWN_STYLE`] in base64.
const OWN_STYLE_SHA256: &str = "GcdiYfky8FLmxyyl/ddR1XAcm2c91WVNpNlmcILZs7c=";

/// In every page, so that one that pen wrote is told from one that webstats wrote in its place.
pub const GENERATOR: &str = "<meta name=\"generator\" content=\"webstats";

/// Rows of the table of clients.
const CLIENTS_SHOWN_MAX: usize = 12;

/// The oldest sample of a day may be so young.
const NEARLY_SECONDS: u64 = 1800;

/// What is known of one pen.
pub struct PenView<'a> {
    /// Empty when there is only one and nobody gave it a name.
    pub name: &'a str,
    /// The latest figures.
    pub status: Option<&'a Status>,
    /// Why there are no newer ones; a sentence.
    pub trouble: Option<&'a str>,
    pub samples: &'a [Sample],
}

/// What a page is made of.
pub struct View<'a> {
    pub pens: &'a [PenView<'a>],
    /// The browser fetches the page again after so long.
    pub refresh_seconds: Option<u32>,
    /// Where the figures are as JSON.
    pub json: Option<&'a str>,
}

/// What a browser may do with the page, as the value of a Content-Security-Policy: apply its two styles and show its
/// one icon.
pub fn policy() -> String {
    format!(
        "default-src 'none'; style-src 'sha256-{STYLE_SHA256}' 'sha256-{OWN_STYLE_SHA256}'; img-src data:; \
         base-uri 'none'; form-action 'none'"
    )
}

/// The whole document.
pub fn render(view: &View) -> String {
    let mut page = Page(String::with_capacity(64 * 1024));
    let verdicts: Vec<Verdict> = view.pens.iter().map(verdict).collect();
    let overall = overall(view.pens, &verdicts);
    page.head(&overall, view.refresh_seconds);
    page.header(view, &overall);
    page.line("<main>");
    for (pen, verdict) in view.pens.iter().zip(&verdicts) {
        page.pen(pen, verdict, view.pens.len() > 1);
    }
    page.line("</main>");
    page.footer(view);
    page.line("</body>");
    page.line("</html>");
    page.0
}

fn verdict(pen: &PenView) -> Verdict {
    match (pen.status, pen.trouble) {
        (Some(status), None) => Verdict::of(status),
        _ => Verdict::silent(),
    }
}

/// Of one pen its own verdict, of several the worst, with the names it applies to.
fn overall(pens: &[PenView], verdicts: &[Verdict]) -> Verdict {
    let Some(worst) = verdicts.iter().max_by_key(|verdict| verdict.level) else {
        return Verdict { level: Level::Bad, sentence: "There is nothing to show".into() };
    };
    if pens.len() == 1 {
        return worst.clone();
    }
    if worst.level == Level::Good {
        return Verdict { level: Level::Good, sentence: format!("All {} are well", pens.len()) };
    }
    let affected = pens.iter().zip(verdicts).filter(|(_, verdict)| verdict.level == worst.level);
    let parts: Vec<String> =
        affected.map(|(pen, verdict)| format!("{}: {}", pen.name, verdict.sentence)).collect();
    Verdict { level: worst.level, sentence: parts.join(" · ") }
}

struct Page(String);

impl Page {
    fn line(&mut self, text: impl AsRef<str>) {
        self.0.push_str(text.as_ref());
        self.0.push('\n');
    }

    fn head(&mut self, verdict: &Verdict, refresh_seconds: Option<u32>) {
        self.line("<!DOCTYPE html>");
        self.line("<html lang=\"en\">");
        self.line("<head>");
        self.line("<meta charset=\"utf-8\">");
        self.line(format!("<meta http-equiv=\"Content-Security-Policy\" content=\"{}\">", policy()));
        if let Some(seconds) = refresh_seconds {
            self.line(format!("<meta http-equiv=\"refresh\" content=\"{seconds}\">"));
        }
        self.line("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
        self.line("<meta name=\"referrer\" content=\"no-referrer\">");
        self.line("<meta name=\"robots\" content=\"noindex\">");
        self.line(format!("{GENERATOR} {}\">", env!("CARGO_PKG_VERSION")));
        self.line(icon(verdict.level));
        self.line(format!("<title>{}</title>", text(&verdict.sentence)));
        self.line(format!("<style>{STYLE}</style>"));
        self.line(format!("<style>{OWN_STYLE}</style>"));
        self.line("</head>");
    }

    fn header(&mut self, view: &View, verdict: &Verdict) {
        self.line("<body>");
        self.line(format!("<header class=\"verdict {}\">", verdict.level.class()));
        let title = match view.pens {
            [one] if !one.name.is_empty() => text(one.name),
            _ => "Load balancer".into(),
        };
        self.line(format!("<h1>{title}</h1>"));
        self.line(format!("<p class=\"sentence\">{}</p>", text(&verdict.sentence)));
        if let [one] = view.pens {
            self.about(one);
        }
        self.line("</header>");
    }

    /// Where the figures are from, and what is wrong with them.
    fn about(&mut self, pen: &PenView) {
        if let Some(trouble) = pen.trouble {
            self.line(format!("<p class=\"trouble\">{}</p>", text(trouble)));
        }
        let Some(status) = pen.status else { return };
        let as_of = if pen.trouble.is_some() { "Last known, from" } else { "Figures of" };
        let listen = match status.listen.as_slice() {
            [] => String::new(),
            addresses => format!(" · listening on {}", text(&addresses.join(", "))),
        };
        self.line(format!(
            "<p>{as_of} <time>{}</time> · pen {} · up {}{listen}</p>",
            text(&status.time_local),
            text(&status.version),
            duration(status.uptime_seconds),
        ));
    }

    fn pen(&mut self, pen: &PenView, verdict: &Verdict, one_of_several: bool) {
        self.line("<section class=\"pen\">");
        if one_of_several {
            self.line(format!(
                "<h2 class=\"name\">{} <span class=\"badge {}\">{}</span></h2>",
                text(pen.name),
                verdict.level.class(),
                text(&verdict.sentence)
            ));
            self.about(pen);
        }
        let heading = if one_of_several { "h3" } else { "h2" };
        let now = pen.status.map(|status| status.time_epoch_seconds);
        let now = now.or(pen.samples.last().map(|last| last.time_epoch_seconds)).unwrap_or(0);
        let offset_seconds = pen.status.map_or(0, utc_offset_seconds);
        let span = Span::of(pen.samples.iter().map(|sample| sample.time_epoch_seconds), now, offset_seconds);
        let palette = Palette::choose(&servers_of(pen), pen.samples);
        if let Some(status) = pen.status {
            match status.services.is_empty() {
                true => self.tiles(status, pen.samples),
                false => self.tiles(status, &pen.samples.iter().map(Sample::of_all).collect::<Vec<_>>()),
            }
            self.line(format!("<{heading}>Servers</{heading}>"));
            self.cards(&status.own(), pen.samples, &palette, span);
        }
        self.day(pen.samples, &palette, span, heading);
        if let Some(status) = pen.status {
            self.clients(&status.own(), heading);
            for service in status.services.iter().map(ServiceStatus::view) {
                self.service(&service, pen.samples, span, heading);
            }
        }
        self.line("</section>");
    }

    /// Another service than the one that the figures are about.
    fn service(&mut self, service: &ServiceView, samples: &[Sample], span: Span, heading: &str) {
        let name = text(service.name);
        let samples: Vec<Sample> = samples.iter().map(|sample| sample.of_service(service.name)).collect();
        let palette = Palette::choose(&known_servers(service), &samples);
        let Verdict { level, sentence } = Verdict::of_service(*service);
        self.line(format!("<section aria-label=\"service {name}\">"));
        self.line(format!(
            "<{heading} class=\"name\">Service {name} <span class=\"badge {}\">{}</span></{heading}>",
            level.class(),
            text(&sentence)
        ));
        self.line(format!(
            "<p>{} · {} · listening on {}</p>",
            text(service.kind),
            counted(service.connections_used, "connection"),
            text(&service.listen.join(", "))
        ));
        self.cards(service, &samples, &palette, span);
        self.day(&samples, &palette, span, heading);
        self.clients(service, heading);
        self.line("</section>");
    }

    fn day(&mut self, samples: &[Sample], palette: &Palette, span: Span, heading: &str) {
        let title = match span.seconds() {
            day if day >= crate::history::DAY_SECONDS - NEARLY_SECONDS => "The last day".into(),
            seconds => format!("The last {}", duration(seconds)),
        };
        self.line(format!("<{heading}>{title}</{heading}>"));
        let connections = Series::of(Measure::Connections, samples, palette);
        self.legend(&connections);
        self.line("<div class=\"charts\">");
        let count = |value: f64| grouped(value.round() as u64);
        let per_second = |value: f64| format!("{}/s", rate(value));
        let bytes_per_second = |value: f64| format!("{}/s", bytes(value.round() as u64));
        let connections_chart = Chart { title: "Connections", word: &count, kilo: 1000.0, piece: 1.0 };
        let load_chart =
            Chart { title: "Load, in new connections", word: &per_second, kilo: 1000.0, piece: 0.01 };
        let bytes_chart = Chart { title: "Traffic", word: &bytes_per_second, kilo: 1024.0, piece: 1.0 };
        self.0.push_str(&connections_chart.draw(&connections, span));
        self.0.push_str(&load_chart.draw(&Series::of(Measure::Opened, samples, palette), span));
        self.0.push_str(&bytes_chart.draw(&Series::of(Measure::Bytes, samples, palette), span));
        self.line("</div>");
    }

    /// Which colour is whose.
    fn legend(&mut self, series: &Series) {
        self.line("<ul class=\"legend\">");
        for layer in &series.layers {
            let swatch = swatch(layer.colour);
            self.line(format!("<li>{swatch} {}</li>", text(&layer.label)));
        }
        self.line("</ul>");
    }

    fn clients(&mut self, service: &ServiceView, heading: &str) {
        let known = service.clients.len();
        let shown = busiest(service.clients);
        self.line(format!("<{heading}>Busiest clients</{heading}>"));
        if shown.is_empty() {
            return self.line("<p>No client is remembered.</p>");
        }
        self.line("<div class=\"scroll\" role=\"region\" aria-label=\"Busiest clients\" tabindex=\"0\">");
        self.line("<table class=\"busiest\">");
        self.line(format!(
            "<caption>{} of {} remembered, by bytes</caption>",
            shown.len(),
            grouped(known as u64)
        ));
        let columns = ["client", "server", "connections", "sent", "received", "share", "last seen"];
        self.line(table_head(columns));
        let all = service.clients.iter().map(moved).fold(0, u64::saturating_add);
        for client in shown {
            self.client(client, service, all);
        }
        self.line("</tbody>");
        self.line("</table>");
        self.line("</div>");
    }

    fn client(&mut self, client: &ClientStatus, service: &ServiceView, all_bytes: u64) {
        let address = if client.address.is_empty() { "Unix socket" } else { &client.address };
        let server = service.servers.iter().find(|server| server.index == client.server);
        let server = server.map_or("none".into(), |server| label(&ServerName::of(server)));
        let share = Share::of(moved(client), all_bytes);
        self.line("<tr>");
        self.line(format!("<th scope=\"row\">{}</th>", text(address)));
        for cell in [
            text(&server),
            grouped(client.connects),
            bytes(client.sent_bytes),
            bytes(client.received_bytes),
            share.to_string() + &pen_core::stats::parts::bar(share, "good", "share of bytes"),
            format!("{} ago", duration(client.age_seconds)),
        ] {
            self.line(format!("<td>{cell}</td>"));
        }
        self.line("</tr>");
    }

    fn footer(&mut self, view: &View) {
        let refresh =
            view.refresh_seconds.map(|seconds| format!(" · renewed every {}", duration(seconds.into())));
        let json = view.json.map(|path| format!(" · <a href=\"{path}\">the same as JSON</a>"));
        self.line(format!(
            "<footer>webstats {}{}{}</footer>",
            env!("CARGO_PKG_VERSION"),
            refresh.unwrap_or_default(),
            json.unwrap_or_default()
        ));
    }
}

/// A dot in the colour of the verdict, for the browser's tab.
fn icon(level: Level) -> String {
    let colour = match level {
        Level::Off | Level::Good => "2f9e57",
        Level::Warn => "d98a00",
        Level::Bad => "d3382f",
    };
    format!(
        "<link rel=\"icon\" href=\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E\
         %3Ccircle cx='8' cy='8' r='7' fill='%23{colour}'/%3E%3C/svg%3E\">"
    )
}

/// The small square that connects a name with its curve.
fn swatch(colour: Option<usize>) -> String {
    format!(
        "<svg class=\"swatch\" width=\"11\" height=\"11\" viewBox=\"0 0 1 1\" aria-hidden=\"true\"><rect class=\"{}\" width=\"1\" height=\"1\"/></svg>",
        colour_class(colour)
    )
}

/// A number per second: three digits are enough.
fn rate(value: f64) -> String {
    match value {
        large if large >= 100.0 => grouped(large.round() as u64),
        middle if middle >= 10.0 => trimmed(format!("{middle:.1}")),
        small => trimmed(format!("{small:.2}")),
    }
}

/// Without zeros after the point.
fn trimmed(digits: String) -> String {
    digits.trim_end_matches('0').trim_end_matches('.').to_string()
}

fn moved(client: &ClientStatus) -> u64 {
    client.sent_bytes.saturating_add(client.received_bytes)
}

fn busiest(clients: &[ClientStatus]) -> Vec<&ClientStatus> {
    let mut order: Vec<&ClientStatus> = clients.iter().collect();
    order.sort_by_key(|client| (std::cmp::Reverse((moved(client), client.connects)), client.slot));
    order.truncate(CLIENTS_SHOWN_MAX);
    order
}

fn known_servers(service: &ServiceView) -> Vec<ServerName> {
    service.servers.iter().filter(|server| !server.address.is_empty()).map(ServerName::of).collect()
}

/// Those of the latest figures, or of the last sample.
fn servers_of(pen: &PenView) -> Vec<ServerName> {
    match (pen.status, pen.samples.last()) {
        (Some(status), _) => known_servers(&status.own()),
        (None, Some(last)) => last.servers.iter().map(|sample| sample.server.clone()).collect(),
        (None, None) => Vec::new(),
    }
}

/// Seconds that pen's local time is east of UTC, in quarters of an hour; 0 when its time cannot be read.
fn utc_offset_seconds(status: &Status) -> i64 {
    const QUARTER_SECONDS: i64 = 900;
    let local = NaiveDateTime::parse_from_str(&status.time_local, "%Y-%m-%d %H:%M:%S");
    local.map_or(0, |local| {
        let east_seconds = local.and_utc().timestamp().saturating_sub_unsigned(status.time_epoch_seconds);
        (east_seconds + QUARTER_SECONDS / 2).div_euclid(QUARTER_SECONDS) * QUARTER_SECONDS
    })
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
