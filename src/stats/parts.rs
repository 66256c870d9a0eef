//! What the pages of pen and of webstats are made of: the style, text made harmless, numbers with units, bars.
//!
//! Pure; owns no page. Everything returned is finished HTML or plain text that may stand in it.

use crate::escape::Escaped;
use std::fmt::Display;

/// The style of every page: colours for light and dark, tiles (`cards`), tables (`scroll`), bars.
pub const STYLE: &str = include_str!("page.css");

/// SHA-256 of [`STYLE`] in base64, as a Content-Security-Policy names a style that it admits.
pub const STYLE_SHA256: &str = "tkUaWDaZvyRgcYSEvegHk5qH9ZT4MpjSm7HrGN8reo0=";

/// A part of a whole; shown as whole percent.
#[derive(Clone, Copy)]
pub struct Share {
    /// 0 to 100.
    pub percent: f64,
}

impl Share {
    /// Of nothing, everything is 0; more than the whole is 100.
    pub fn of(part: u64, whole: u64) -> Share {
        Share { percent: if whole == 0 { 0.0 } else { (100.0 * part as f64 / whole as f64).min(100.0) } }
    }

    /// Nothing more fits.
    pub fn is_full(self) -> bool {
        self.percent >= 100.0
    }

    /// The colour of something that fills up.
    pub fn fill_class(self) -> &'static str {
        match self.percent {
            full if full >= 95.0 => "bad",
            high if high >= 80.0 => "warn",
            _ => "good",
        }
    }
}

impl Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.0} %", self.percent)
    }
}

/// A horizontal bar, filled with the colour of `class`. `name` tells what it shows to those who do not see it.
pub fn bar(share: Share, class: &str, name: &str) -> String {
    format!(
        "<svg class=\"bar {class}\" viewBox=\"0 0 100 1\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"{name}: {share}\"><rect width=\"{:.1}\" height=\"1\"/></svg>",
        share.percent
    )
}

/// `1 server`, `2 servers`.
pub fn counted(number: u64, word: &str) -> String {
    if number == 1 { format!("1 {word}") } else { format!("{number} {word}s") }
}

/// Escaped for the inside of an element or of a quoted attribute, with nothing invisible left in it.
pub fn text(raw: &str) -> String {
    let mut html = String::with_capacity(raw.len());
    for c in Escaped(raw).to_string().chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            _ => html.push(c),
        }
    }
    html
}

/// `254 431`: groups of three, with narrow spaces that do not break.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut groups: Vec<&str> = Vec::new();
    let mut rest = digits.as_str();
    while rest.len() > 3 {
        let (front, group) = rest.split_at(rest.len() - 3);
        groups.push(group);
        rest = front;
    }
    groups.push(rest);
    groups.reverse();
    groups.join("\u{202f}")
}

/// `512 B`, `1.5 KiB`, `12.1 GiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    // 1023.95 would be printed as 1024.0.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// The two largest units: `12 s`, `5 min 3 s`, `2 h 1 min`, `3 d 4 h`.
pub fn duration(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let largest = UNITS.iter().position(|&(size, _)| seconds >= size).unwrap_or(UNITS.len() - 1);
    let (size, name) = UNITS[largest];
    let first = format!("{} {name}", seconds / size);
    match UNITS.get(largest + 1) {
        Some(&(next, name)) if seconds % size >= next => format!("{first} {} {name}", seconds % size / next),
        _ => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_durations_and_numbers_read_well() {
        for (count, words) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1_048_575, "1.0 MiB"),
            (13_023_526_614, "12.1 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes(count), words);
        }
        for (seconds, words) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (303, "5 min 3 s"),
            (7261, "2 h 1 min"),
            (3605, "1 h"),
            (273_907, "3 d 4 h"),
        ] {
            assert_eq!(duration(seconds), words);
        }
        for (number, words) in
            [(0, "0"), (999, "999"), (1000, "1\u{202f}000"), (1_234_567, "1\u{202f}234\u{202f}567")]
        {
            assert_eq!(grouped(number), words);
        }
    }

    #[test]
    fn shares_stay_between_nothing_and_everything() {
        for (part, whole, percent) in
            [(0, 0, 0.0), (5, 0, 0.0), (1, 4, 25.0), (9, 4, 100.0), (u64::MAX, 1, 100.0)]
        {
            assert_eq!(Share::of(part, whole).percent, percent);
        }
    }
}
