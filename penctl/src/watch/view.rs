//! How it looks: a model becomes letters in a buffer, at whatever size there is. Pure.

use super::history::Rates;
use super::keys::{BLACKLIST_SECONDS, HELP};
use super::model::{Deed, Link, Mode, Model, Row};
use crate::table::{Facts, harmless, watched};
use pen_proto::readable::bytes;
use pen_proto::status::Level;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

/// What the terminal can show.
#[derive(Debug, Clone, Copy)]
pub struct Looks {
    pub has_colour: bool,
    /// More than ASCII.
    pub has_blocks: bool,
}

impl Looks {
    fn of(self, level: Level) -> Style {
        let colour = |colour| if self.has_colour { Style::new().fg(colour) } else { Style::new() };
        match level {
            Level::Good => Style::new(),
            Level::Off => Style::new().add_modifier(Modifier::DIM),
            Level::Warn => colour(Color::Yellow),
            // Without colour it must stand out too.
            Level::Bad => colour(Color::Red).add_modifier(Modifier::BOLD),
        }
    }
}

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const CHOSEN: Style = Style::new().add_modifier(Modifier::REVERSED);
const FAINT: Style = Style::new().add_modifier(Modifier::DIM);
const PLAIN: Style = Style::new();

/// From this height on all servers together have a graph, and clones their lines.
const ROWS_FOR_GRAPH: u16 = 16;
/// Letters of a server's graph; at least its heading.
const GRAPH_MIN: usize = 11;
const GRAPH_MAX: usize = 30;
/// What the other columns take of a line as a rule.
const WIDTH_OF_OTHERS: usize = 76;

/// Draws everything.
pub fn draw(model: &mut Model, looks: Looks, frame: &mut Frame<'_>) {
    let area = frame.area();
    let mut page = Page { frame, area };
    if model.mode == Mode::Help {
        return help(&mut page);
    }
    let bottom = bottom(model, looks);
    // What is asked or wrong comes first: it is seen however little room there is.
    if let Some(last) = area.height.checked_sub(1) {
        page.put(last, bottom);
        page.area.height = last;
    }
    page.next(title(model, looks, area.width));
    if model.services.len() > 1 || area.height >= ROWS_FOR_GRAPH {
        page.next(services(model));
    }
    page.next(totals(model, looks));
    if area.height >= ROWS_FOR_GRAPH {
        let graph = model.total_history.graph(super::history::KEPT.min(area.width.into()), looks.has_blocks);
        page.next(Line::from(graph));
    }
    if let Some(clones) = model.clones.as_ref().filter(|_| area.height >= ROWS_FOR_GRAPH) {
        for (place, line) in clones.lines().into_iter().enumerate() {
            page.next(Line::styled(line, if place == 0 { BOLD } else { PLAIN }));
        }
    }
    servers(model, looks, &mut page);
}

/// Lines from the top on.
struct Page<'a, 'b> {
    frame: &'a mut Frame<'b>,
    /// What is left.
    area: Rect,
}

impl Page<'_, '_> {
    fn put(&mut self, row: u16, line: Line<'_>) {
        let area = Rect { y: row, height: 1, ..self.frame.area() };
        self.frame.render_widget(line, area);
    }

    /// The next line, if there is room.
    fn next(&mut self, line: Line<'_>) {
        if self.area.height > 0 {
            self.put(self.area.y, line);
            self.area.y += 1;
            self.area.height -= 1;
        }
    }
}

fn title(model: &Model, looks: Looks, width: u16) -> Line<'static> {
    let rights = if model.is_read_only { "  read-only" } else { "" };
    let name = match &model.version[..] {
        "" => "pen".to_owned(),
        version => version.to_owned(),
    };
    let process = if model.pid.is_empty() { String::new() } else { format!("  pid {}", model.pid) };
    let mut spans = vec![Span::styled(name, BOLD), Span::raw(format!("{process}  {}", model.address))];
    spans.push(Span::styled(rights, BOLD));
    match &model.link {
        Link::Up => {}
        Link::Connecting => spans.push(Span::styled("  connecting", FAINT)),
        // The address stands there already.
        Link::Lost(trouble) => {
            let trouble = trouble.trim_start_matches(&format!("{}: ", model.address)).to_owned();
            let words = Span::styled(format!("  lost: {trouble}; trying again"), looks.of(Level::Bad));
            let used: usize = spans.iter().map(Span::width).sum();
            if used + words.width() > width.into() {
                // What is wrong matters more than where.
                spans.truncate(1);
            }
            spans.push(words);
        }
    }
    Line::from(spans)
}

fn services(model: &Model) -> Line<'static> {
    let name = |service: &pen_proto::status::ServiceLine| {
        let text = format!(" {} {} ", harmless(&service.name), service.connections);
        Span::styled(text, if service.name == model.service { CHOSEN } else { PLAIN })
    };
    Line::from(model.services.iter().map(name).collect::<Vec<_>>())
}

fn totals(model: &Model, looks: Looks) -> Line<'static> {
    let mut spans = vec![Span::raw(format!("{} connections", model.connections()))];
    if let Some(Rates { opened, sent_bytes, received_bytes }) = model.total {
        let [sent, received] = [sent_bytes, received_bytes].map(|rate| bytes(rate as u64));
        spans.push(Span::raw(format!(", {} new/s, {sent}/s to servers, {received}/s back", rate(opened))));
    }
    for (place, (count, state)) in model.states().into_iter().enumerate() {
        spans.push(Span::raw(if place == 0 { "; " } else { ", " }));
        spans.push(Span::styled(format!("{count} {}", state.word()), looks.of(state.level())));
    }
    Line::from(spans)
}

fn servers(model: &mut Model, looks: Looks, page: &mut Page<'_, '_>) {
    let width = usize::from(page.area.width);
    let graph_width = width.saturating_sub(WIDTH_OF_OTHERS).clamp(GRAPH_MIN, GRAPH_MAX);
    let shown = model.shown();
    let cursor = model.cursor(&shown);
    let facts = |row: &&Row| Facts {
        status: row.status.clone(),
        name: row.name(),
        address: row.address(),
        rate: row.rates.map_or("-".into(), |rates| rate(rates.opened)),
        sent: row.rates.map_or("-".into(), |rates| bytes(rates.sent_bytes as u64)),
        received: row.rates.map_or("-".into(), |rates| bytes(rates.received_bytes as u64)),
        graph: row.history.graph(graph_width, looks.has_blocks),
    };
    let text = watched(&shown.iter().map(facts).collect::<Vec<_>>(), width);
    let levels: Vec<Level> = shown.iter().map(|row| row.status.state().level()).collect();
    let nobody = shown.is_empty();
    let mut lines = text.lines();
    match nobody {
        true => {
            let why = match (model.filter.is_empty(), &model.link) {
                (false, _) => {
                    format!("no server has \"{}\" in name, address or state", harmless(&model.filter))
                }
                (true, Link::Up) => "no servers".into(),
                (true, _) => String::new(),
            };
            page.next(Line::styled(why, FAINT));
        }
        false => page.next(Line::styled(lines.next().unwrap_or_default().to_owned(), BOLD)),
    }
    let room = usize::from(page.area.height);
    let first = (cursor + 1).saturating_sub(room).max(cursor.saturating_sub(cursor % room.max(1)));
    for (place, (line, level)) in lines.zip(&levels).enumerate().skip(first).take(room) {
        let style = looks.of(*level);
        let line = format!("{line:<width$}");
        page.next(Line::styled(line, if place == cursor { style.patch(CHOSEN) } else { style }));
    }
    model.page = room.max(1);
}

/// Below ten with a decimal.
fn rate(per_second: f64) -> String {
    match per_second {
        small if small < 9.95 => format!("{small:.1}"),
        rate => format!("{rate:.0}"),
    }
}

/// What is asked, typed or wrong; else what is known of the server under the cursor, and some keys.
fn bottom(model: &Model, looks: Looks) -> Line<'static> {
    match (&model.mode, &model.notice) {
        (Mode::Ask(question), _) => {
            let (deed, server, service) =
                (question.deed, harmless(&question.server), harmless(&question.service));
            let text = match deed {
                Deed::Blacklist => {
                    let seconds = &question.seconds;
                    format!(
                        "blacklist {server} of {service} for how many seconds? [{BLACKLIST_SECONDS}] {seconds}"
                    )
                }
                deed => format!("{} {server} of {service}? [y/N]", deed.word()),
            };
            Line::styled(text, BOLD)
        }
        (Mode::Filter, _) => Line::styled(format!("/{}", harmless(&model.filter)), BOLD),
        (_, Some((notice, is_bad))) => {
            let first = notice.lines().next().unwrap_or_default().to_owned();
            Line::styled(first, if *is_bad { looks.of(Level::Bad) } else { PLAIN })
        }
        _ => {
            let shown = model.shown();
            let row = shown.get(model.cursor(&shown));
            let trouble = row.filter(|row| row.status.state().level() != Level::Good);
            let about = match trouble {
                Some(row) => model.about(row),
                None => "? help, q quit".into(),
            };
            let sorted =
                format!("; by {}{}", model.order.word(), if model.is_reversed { ", reversed" } else { "" });
            let filter = match &model.filter[..] {
                "" => String::new(),
                filter => format!("; only {}", harmless(filter)),
            };
            Line::styled(format!("{about}{sorted}{filter}"), FAINT)
        }
    }
}

fn help(page: &mut Page<'_, '_>) {
    page.next(Line::styled("Keys; any of them leaves this page", BOLD));
    let width = HELP.iter().map(|(keys, _)| keys.len()).max().unwrap_or(0);
    for (keys, what) in HELP {
        page.next(Line::from(vec![Span::styled(format!("{keys:<width$}  "), BOLD), Span::raw(*what)]));
    }
    page.next(Line::from(""));
    page.next(Line::from("Rates are per second; a graph is the last minute of new connections,"));
    page.next(Line::from("each second by the greatest of them."));
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
