//! Curves as inline SVG: stacked areas over a day, and a small line for a card.
//!
//! Owns scales, ticks and coordinates. The drawing stretches to whatever width it gets while its text keeps its size.
//! Colours are classes of the style sheet, so that light, dark and paper have their own. Pure; called by `page`.

use crate::series::{Layer, Series};
use pen_core::stats::parts::text;
use std::fmt::Write;

/// Inner coordinates of a drawing, both ways.
const EXTENT: f64 = 1000.0;

/// Heights of the drawn part and of all, in CSS pixels; the difference is for the times below.
const PLOT_PX: u32 = 132;
const CHART_PX: u32 = 154;
/// Room above for the tick of the highest value.
const TOP_PX: u32 = 6;

/// More words than these do not fit below a narrow drawing.
const TIME_TICKS_MAX: u64 = 7;

/// A curve that has just begun is not stretched further than over this.
const SPAN_SECONDS_MIN: u64 = 600;

/// The time that a drawing shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    from: u64,
    to: u64,
    /// Seconds east of UTC, for the words below the drawing.
    offset_seconds: i64,
}

impl Span {
    /// From the first of `times` to now, but not more than a day.
    pub fn of(times: impl IntoIterator<Item = u64>, now: u64, offset_seconds: i64) -> Span {
        let first = times.into_iter().min().unwrap_or(now);
        let latest = now.saturating_sub(SPAN_SECONDS_MIN);
        let from = first.clamp(now.saturating_sub(crate::history::DAY_SECONDS).min(latest), latest);
        Span { from, to: now.max(from + 1), offset_seconds }
    }

    pub fn seconds(self) -> u64 {
        self.to - self.from
    }

    /// Part of the span that has passed at a time, 0 to 1.
    fn part(self, time: u64) -> f64 {
        (time.saturating_sub(self.from) as f64 / self.seconds() as f64).min(1.0)
    }

    fn x(self, time: u64) -> u32 {
        (self.part(time) * EXTENT).round() as u32
    }

    /// Times for words below, at round local times.
    fn ticks(self) -> Vec<u64> {
        const STEPS_SECONDS: [u64; 11] = [60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 14_400, 21_600];
        let fits = |step: &&u64| self.seconds() / **step < TIME_TICKS_MAX;
        let step = *STEPS_SECONDS.iter().find(fits).unwrap_or(&86_400);
        let local = self.from.saturating_add_signed(self.offset_seconds);
        let first = self.from.saturating_add((step - local % step) % step);
        (0..TIME_TICKS_MAX)
            .map(|n| first.saturating_add(n * step))
            .take_while(|time| *time <= self.to)
            .collect()
    }

    /// `18:30`, local time.
    fn word(self, time: u64) -> String {
        let minutes = time.saturating_add_signed(self.offset_seconds) / 60;
        format!("{:02}:{:02}", minutes / 60 % 24, minutes % 60)
    }
}

/// From 0 to a round number.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Scale {
    top: f64,
}

impl Scale {
    /// The smallest round number of pieces that is not below `most`. Half of it is round too, and whole. `kilo` pieces
    /// have a name of their own, and so on.
    fn reaching(most: f64, piece: f64, kilo: f64) -> Scale {
        const FEW: [f64; 4] = [2.0, 4.0, 6.0, 8.0];
        const MORE: [f64; 10] = [10.0, 12.0, 16.0, 20.0, 24.0, 30.0, 40.0, 50.0, 60.0, 80.0];
        let mut unit = piece;
        while unit * 1000.0 < most && unit < 1e18 {
            unit *= kilo;
        }
        let more = [1.0, 10.0, 100.0].into_iter().flat_map(|ten| MORE.map(|round| round * ten));
        let tops = FEW.into_iter().chain(more).map(|round| round * unit);
        Scale { top: tops.into_iter().find(|top| *top >= most).unwrap_or(most) }
    }

    /// From the top down.
    fn y(self, value: f64) -> u32 {
        (EXTENT - (value / self.top).clamp(0.0, 1.0) * EXTENT).round() as u32
    }
}

/// What a drawing is called, and how its values read.
pub struct Chart<'a> {
    pub title: &'a str,
    /// A value with its unit.
    pub word: &'a dyn Fn(f64) -> String,
    /// How many of its unit make the next larger: 1000, or 1024 for bytes.
    pub kilo: f64,
    /// The smallest piece worth a mark: 1 for what comes whole. The height is an even number of these.
    pub piece: f64,
}

impl Chart<'_> {
    /// Stacked areas with ticks, a figure with a caption. For eyes that do not see it, the caption has the figures.
    pub fn draw(&self, series: &Series, span: Span) -> String {
        let sums = series.sums();
        let scale = Scale::reaching(sums.iter().copied().fold(0.0, f64::max), self.piece, self.kilo);
        let mut html = String::from("<figure class=\"chart\">\n");
        // Writing to a String cannot fail.
        let _ = writeln!(html, "<figcaption><b>{}</b> {}</figcaption>", self.title, self.caption(&sums));
        let _ = writeln!(
            html,
            "<svg width=\"100%\" height=\"{CHART_PX}\" role=\"img\" aria-label=\"{}\">",
            self.title
        );
        grid(&mut html);
        html.push_str(&plot_start(&format!("y=\"{TOP_PX}\" height=\"{PLOT_PX}\"")));
        for (layer, path) in stack(series, span, scale) {
            let _ = writeln!(
                html,
                "<path class=\"{}\" d=\"{path}\"><title>{}</title></path>",
                colour_class(layer.colour),
                text(&layer.label)
            );
        }
        html.push_str("</svg>\n");
        self.values(&mut html, scale);
        times(&mut html, span);
        html.push_str("</svg>\n</figure>\n");
        html
    }

    fn caption(&self, sums: &[f64]) -> String {
        match sums.last() {
            Some(now) => {
                let most = sums.iter().copied().fold(0.0, f64::max);
                format!("<span>{} now, {} at most</span>", (self.word)(*now), (self.word)(most))
            }
            None => "<span>not known yet</span>".into(),
        }
    }

    /// The values at the top and the middle, over the areas.
    fn values(&self, html: &mut String, scale: Scale) {
        for (value, y) in [(scale.top, TOP_PX), (scale.top / 2.0, TOP_PX + PLOT_PX / 2)] {
            let word = (self.word)(value);
            let _ = writeln!(html, "<text class=\"tick\" x=\"2\" y=\"{}\">{word}</text>", y + 13);
        }
    }
}

/// Lines at the top, the middle and the bottom.
fn grid(html: &mut String) {
    for y in [TOP_PX, TOP_PX + PLOT_PX / 2, TOP_PX + PLOT_PX] {
        let _ = writeln!(html, "<line class=\"grid\" x2=\"100%\" y1=\"{y}\" y2=\"{y}\"/>");
    }
}

/// One curve of a layer's values without words, for a card.
pub fn sparkline(series: &Series, layer: &Layer, span: Span, name: &str) -> String {
    let scale = Scale { top: layer.values.iter().copied().fold(1.0, f64::max) };
    let mut area = String::new();
    for points in segments(series, &layer.values, span, scale) {
        area.push_str(&area_path(&points));
    }
    format!(
        "{}<title>{name}</title><path class=\"{}\" d=\"{area}\"/></svg>\n",
        plot_start("class=\"spark\" height=\"42\" role=\"img\""),
        colour_class(layer.colour)
    )
}

/// The class that has a layer's colour.
pub fn colour_class(colour: Option<usize>) -> String {
    colour.map_or("other".into(), |colour| format!("c{colour}"))
}

fn plot_start(attributes: &str) -> String {
    format!("<svg {attributes} viewBox=\"0 0 1000 1000\" preserveAspectRatio=\"none\">\n")
}

fn times(html: &mut String, span: Span) {
    for time in span.ticks() {
        let percent = 100.0 * span.part(time);
        let anchor = match percent {
            left if left < 5.0 => "start",
            right if right > 95.0 => "end",
            _ => "middle",
        };
        let _ = writeln!(
            html,
            "<text class=\"tick\" x=\"{percent:.2}%\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
            CHART_PX - 2,
            span.word(time)
        );
    }
}

/// The areas from the highest stack down: each is drawn from the bottom to the top of its layer, and those below it
/// cover what is not its own.
fn stack(series: &Series, span: Span, scale: Scale) -> Vec<(&Layer, String)> {
    let mut below = vec![0.0; series.times.len()];
    let mut areas = Vec::new();
    for layer in &series.layers {
        for (height, value) in below.iter_mut().zip(&layer.values) {
            *height += value;
        }
        let segments = segments(series, &below, span, scale);
        areas.push((layer, segments.iter().map(|points| area_path(points)).collect()));
    }
    areas.reverse();
    areas
}

type Point = (u32, u32);

/// Points from left to right, in pieces without a gap. Where several fall on the same place, the highest counts.
fn segments(series: &Series, values: &[f64], span: Span, scale: Scale) -> Vec<Vec<Point>> {
    let mut segments: Vec<Vec<Point>> = Vec::new();
    let mut last = None;
    for (&time, &value) in series.times.iter().zip(values).filter(|(time, _)| **time >= span.from) {
        let point = (span.x(time), scale.y(value));
        if last.is_none_or(|last| time - last > series.gap_seconds) {
            segments.push(Vec::new());
        }
        last = Some(time);
        let segment = segments.last_mut().expect("there is one after the first point");
        match segment.last_mut() {
            Some(previous) if previous.0 == point.0 => previous.1 = previous.1.min(point.1),
            _ => segment.push(point),
        }
    }
    segments
}

/// Down to the bottom at both ends. A single point becomes a narrow column.
fn area_path(points: &[Point]) -> String {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return String::new() };
    let mut path = format!("M{} 1000", first.0.saturating_sub(u32::from(points.len() == 1) * 4));
    if points.len() == 1 {
        let _ = write!(path, "V{}", first.1);
    }
    for (x, y) in points {
        let _ = write!(path, "L{x} {y}");
    }
    let _ = write!(path, "L{} 1000Z", last.0);
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn series(points: &[(u64, f64)]) -> Series {
        let (times, values) = points.iter().copied().unzip();
        Series {
            times,
            gap_seconds: 100,
            layers: vec![Layer { label: "a & b".into(), colour: Some(1), values }],
        }
    }

    fn span(from: u64, to: u64) -> Span {
        Span { from, to, offset_seconds: 0 }
    }

    #[test]
    fn scales_end_at_round_numbers() {
        for (most, piece, kilo, top) in [
            (0.0, 1.0, 1000.0, 2.0),
            (0.0, 0.01, 1000.0, 0.02),
            (0.7, 0.01, 1000.0, 0.8),
            (1.0, 1.0, 1000.0, 2.0),
            (3.0, 1.0, 1000.0, 4.0),
            (9.0, 1.0, 1000.0, 10.0),
            (129.0, 1.0, 1000.0, 160.0),
            (999.0, 1.0, 1000.0, 1000.0),
            (1001.0, 1.0, 1000.0, 2000.0),
            (9001.0, 1.0, 1000.0, 10_000.0),
            (1025.0, 1.0, 1024.0, 2048.0),
            (1_500_000.0, 1.0, 1024.0, 2_097_152.0),
        ] {
            let found = Scale::reaching(most, piece, kilo).top;
            assert!((found - top).abs() < 1e-9 * top, "{most}: {found}, want {top}");
        }
    }

    #[test]
    fn spans_are_ten_minutes_to_a_day() {
        let now = 2_000_000;
        let seconds = |first: Option<u64>| Span::of(first, now, 0).seconds();
        assert_eq!(seconds(None), 600);
        assert_eq!(seconds(Some(now)), 600);
        assert_eq!(seconds(Some(now - 3600)), 3600);
        assert_eq!(seconds(Some(5)), 86_400);
        assert_eq!(Span::of([], 0, 0), span(0, 1));
    }

    #[test]
    fn times_are_round_in_local_time() {
        let day = Span { from: 1_795_137_806, to: 1_795_224_206, offset_seconds: 19_800 };
        let words: Vec<String> = day.ticks().into_iter().map(|time| day.word(time)).collect();
        assert_eq!(words, ["08:00", "12:00", "16:00", "20:00", "00:00", "04:00"]);
        let minutes = Span { offset_seconds: -3600, ..span(1_795_224_206, 1_795_224_806) };
        let words: Vec<String> = minutes.ticks().into_iter().map(|time| minutes.word(time)).collect();
        assert_eq!(words, ["00:24", "00:26", "00:28", "00:30", "00:32"]);
    }

    #[test]
    fn a_gap_interrupts_the_area() {
        let series = series(&[(0, 1.0), (50, 2.0), (500, 4.0), (1000, 0.0)]);
        let areas = stack(&series, span(0, 1000), Scale { top: 4.0 });
        assert_eq!(
            areas[0].1,
            "M0 1000L0 750L50 500L50 1000ZM496 1000V0L500 0L500 1000ZM996 1000V1000L1000 1000L1000 1000Z"
        );
    }

    #[test]
    fn lower_layers_are_painted_later() {
        let mut series = series(&[(0, 1.0), (10, 1.0)]);
        series.layers.push(Layer { label: "top".into(), colour: None, values: vec![3.0, 1.0] });
        let areas = stack(&series, span(0, 10), Scale { top: 4.0 });
        assert_eq!(
            (areas[0].0.label.as_str(), areas[0].1.as_str()),
            ("top", "M0 1000L0 0L1000 500L1000 1000Z")
        );
        assert_eq!(
            (areas[1].0.label.as_str(), areas[1].1.as_str()),
            ("a & b", "M0 1000L0 750L1000 750L1000 1000Z")
        );
    }

    #[test]
    fn labels_are_escaped_and_values_have_units() {
        let chart =
            Chart { title: "Connections", word: &|value| format!("{value} conn"), kilo: 1000.0, piece: 1.0 };
        let html = chart.draw(&series(&[(0, 1.0), (10, 3.0)]), span(0, 1000));
        for part in
            ["<title>a &amp; b</title>", "3 conn now, 3 conn at most", ">4 conn</text>", ">2 conn</text>"]
        {
            assert!(html.contains(part), "{part}: {html}");
        }
    }

    proptest! {
        #[test]
        fn a_scale_holds_the_most_and_wastes_little(
            most in 0.02..1e15_f64, piece in prop::sample::select(vec![0.01, 1.0]), kilo in prop::sample::select(vec![1000.0, 1024.0]),
        ) {
            let top = Scale::reaching(most, piece, kilo).top;
            prop_assert!(top >= most && top <= (2.1 * most).max(2.0 * piece), "{}", top);
        }

        #[test]
        fn half_a_scale_of_whole_things_is_whole(most in 0.0..1e12_f64, kilo in prop::sample::select(vec![1000.0, 1024.0])) {
            let half = Scale::reaching(most, 1.0, kilo).top / 2.0;
            prop_assert_eq!(half, half.round());
        }

        #[test]
        fn points_stay_inside_and_go_to_the_right(
            figures in prop::collection::vec((0..u64::MAX / 4, 0.0..1e18_f64), 0..40),
            from in 0..u64::MAX / 4,
            length in 1..u64::MAX / 4,
            top in prop_oneof![Just(1e-3), 1.0..1e18_f64],
        ) {
            let mut figures = figures;
            figures.sort_by_key(|(time, _)| *time);
            let series = series(&figures);
            for points in segments(&series, &series.layers[0].values, span(from, from + length), Scale { top }) {
                prop_assert!(!points.is_empty());
                prop_assert!(points.iter().all(|(x, y)| *x <= 1000 && *y <= 1000));
                prop_assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0));
            }
        }

        #[test]
        fn ticks_lie_inside_in_order_and_are_few(from in 0..u64::MAX / 4, length in 1..90_000_u64, offset in -50_000..50_000_i64) {
            let span = Span { offset_seconds: offset, ..span(from, from + length) };
            let ticks = span.ticks();
            prop_assert!(ticks.len() <= TIME_TICKS_MAX as usize);
            prop_assert!(ticks.iter().all(|time| (span.from..=span.to).contains(time)));
            prop_assert!(ticks.windows(2).all(|pair| pair[0] < pair[1]));
        }

        #[test]
        fn higher_values_are_higher_up(a in 0.0..1e9_f64, b in 0.0..1e9_f64) {
            let scale = Scale { top: 1e9 };
            prop_assert_eq!(a <= b || scale.y(a) <= scale.y(b), true);
        }
    }
}
