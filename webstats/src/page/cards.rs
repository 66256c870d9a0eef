//! The figures that one sees first: tiles for pen as a whole, a card for each server.

use super::{Page, rate, swatch};
use crate::chart::{Span, sparkline};
use crate::history::{Sample, ServerName, endpoint};
use crate::series::{Layer, Measure, Palette, Series, title};
use pen_core::stats::parts::{Share, bar, bytes, counted, grouped, text};
use pen_proto::status::{Level, ServerStatus, ServiceView, Status};

/// With more servers than this only those in trouble get cards beyond it.
const CARDS_MAX: usize = 48;

impl Page {
    /// How busy pen is now. Rates need two samples; before, totals stand in their place.
    pub(super) fn tiles(&mut self, status: &Status, samples: &[Sample]) {
        let mut totals = status.totals.clone();
        status.services.iter().for_each(|service| totals.add(&service.totals));
        self.line("<ul class=\"cards\">");
        self.fill_tile("connections", status.connections_used, status.connections_max);
        match latest(Measure::Opened, samples) {
            Some(per_second) => self.tile("new connections/s", &rate(per_second), ""),
            None => self.tile("connections so far", &grouped(totals.accepted), ""),
        }
        match latest(Measure::Bytes, samples) {
            Some(per_second) => self.tile("traffic/s", &bytes(per_second.round() as u64), ""),
            None => {
                self.tile("traffic so far", &bytes(totals.up_bytes.saturating_add(totals.down_bytes)), "")
            }
        }
        self.fill_tile("clients", status.clients.len() as u64, status.clients_max);
        let lost = totals.rejected.saturating_add(totals.descriptor_shortages);
        let class = if lost > 0 { "bad" } else { "" };
        let moved_on = format!("<small>{} moved to another server</small>", grouped(totals.failovers));
        self.tile(
            "clients turned away",
            &format!("<span class=\"figure {class}\">{}</span>", grouped(lost)),
            &moved_on,
        );
        self.line("</ul>");
    }

    fn fill_tile(&mut self, name: &str, used: u64, max: u64) {
        let share = Share::of(used, max);
        let below = bar(share, share.fill_class(), name);
        self.tile(&format!("{name}, {} at most", grouped(max)), &grouped(used), &below);
    }

    fn tile(&mut self, name: &str, value: &str, below: &str) {
        self.line(format!("<li><span>{name}</span> <b>{value}</b>{below}</li>"));
    }

    pub(super) fn cards(&mut self, service: &ServiceView, samples: &[Sample], palette: &Palette, span: Span) {
        let (shown, left_out) = divide(service.servers);
        let names = shown.iter().map(|server| ServerName::of(server));
        let connections = Series::of(Measure::Connections, samples, &Palette::of(names));
        let all_bytes = service.servers.iter().map(moved).fold(0, u64::saturating_add);
        self.line("<ul class=\"servers\">");
        for (server, layer) in shown.iter().zip(&connections.layers) {
            let colour = palette.colour(&ServerName::of(server));
            let layer = Layer { colour, ..layer.clone() };
            let curve = sparkline(&connections, &layer, span, "connections over time");
            self.card(server, &(swatch(colour), curve), Share::of(moved(server), all_bytes));
        }
        self.line("</ul>");
        if left_out > 0 {
            self.line(format!("<p>And {} in good order.</p>", counted(left_out, "more server")));
        }
    }

    fn card(&mut self, server: &ServerStatus, (swatch, curve): &(String, String), share: Share) {
        let class = server.state().level().class();
        self.line(format!("<li class=\"{class}\">"));
        self.line(format!(
            "<p class=\"top\"><b>{swatch} {}</b> <span class=\"badge {class}\">{}</span></p>",
            title(server.index),
            server.state_words(", ")
        ));
        self.line(format!("<p class=\"address\">{}</p>", text(&endpoint(server))));
        self.0.push_str(curve);
        self.line("<ul class=\"figures\">");
        self.figure("connections", &load(server));
        self.figure("sent to it", &bytes(server.sent_bytes));
        self.figure("received from it", &bytes(server.received_bytes));
        self.figure("of all traffic", &share.to_string());
        self.figure("connections so far", &grouped(server.connections_total));
        self.figure("failures", &failures(server));
        if server.weight.is_some() || server.prio > 0 {
            self.figure("weight, prio", &format!("{}, {}", server.weight_text(), server.prio));
        }
        self.line("</ul>");
        self.line("</li>");
    }

    fn figure(&mut self, name: &str, value: &str) {
        self.line(format!("<li>{name} <span>{value}</span></li>"));
    }
}

/// The first [`CARDS_MAX`] servers and whoever needs attention; and how many others there are. A place in pen's table
/// that no server has taken does not count.
fn divide(servers: &[ServerStatus]) -> (Vec<&ServerStatus>, u64) {
    let known = servers.iter().filter(|server| server.state().level() != Level::Off);
    let (mut shown, mut left_out) = (Vec::new(), 0);
    for server in known {
        if shown.len() < CARDS_MAX || server.state().level() != Level::Good {
            shown.push(server);
        } else {
            left_out += 1;
        }
    }
    (shown, left_out)
}

fn load(server: &ServerStatus) -> String {
    let used = grouped(server.connections.into());
    if server.max == 0 {
        return used;
    }
    let share = Share::of(server.connections.into(), server.max.into());
    format!("{used} of {}{}", grouped(server.max.into()), bar(share, share.fill_class(), "load"))
}

fn failures(server: &ServerStatus) -> String {
    let count = grouped(server.failures_total);
    if server.failures_total > 0 { format!("<span class=\"warn\">{count}</span>") } else { count }
}

fn moved(server: &ServerStatus) -> u64 {
    server.sent_bytes.saturating_add(server.received_bytes)
}

/// The value between the last two samples, if they are close enough to stand for now.
fn latest(measure: Measure, samples: &[Sample]) -> Option<f64> {
    const NOW_SECONDS: u64 = 1800;
    let last_two = samples.get(samples.len().checked_sub(2)?..)?;
    let between = last_two[1].time_epoch_seconds.saturating_sub(last_two[0].time_epoch_seconds);
    let series = Series::of(measure, last_two, &Palette::of([]));
    (between <= NOW_SECONDS).then(|| series.sums().last().copied().unwrap_or(0.0))
}
