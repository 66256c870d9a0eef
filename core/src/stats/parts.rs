//! What the pages of pen and of webstats are made of: the style, text made harmless, numbers with units, bars.
//!
//! Pure; owns no page. Everything returned is finished HTML or plain text that may stand in it.

use crate::escape::Escaped;
pub use pen_proto::readable::{bytes, counted, duration};
use std::fmt::Display;

/// The style of every page: colours for light and dark, tiles (`cards`), tables (`scroll`), bars.
pub const STYLE: &str = include_str!("page.css");

/// SHA-256 of [`STYLE`] in base64, as a Content-Security-Policy names a style that it admits.
pub const STYLE_SHA256: &str = "tkUaWDaZvyRgcYSEvegHk5qH9ZT4MpjSm7HrGN8reo0=";

/// What an HTTP response says about its body, for this Content-Security-Policy; without an empty line at the end.
/// `referrer` is the Referrer-Policy: `no-referrer` wherever no form sends anything, because it also takes the Origin from
/// what a form sends.
pub fn body_headers(content_type: &str, policy: &str, referrer: &str) -> String {
    format!(
        "Content-Type: {content_type}\r\n\
         Cache-Control: no-store\r\n\
         Content-Security-Policy: {policy}; frame-ancestors 'none'\r\n\
         X-Content-Type-Options: nosniff\r\n\
         Referrer-Policy: {referrer}\r\n"
    )
}

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

/// The head of a table, up to where the rows begin; a line feed is to follow.
pub fn table_head<'a>(columns: impl IntoIterator<Item = &'a str>) -> String {
    let cells: String =
        columns.into_iter().map(|column| format!("<th scope=\"col\">{column}</th>\n")).collect();
    format!("<thead>\n<tr>\n{cells}</tr>\n</thead>\n<tbody>")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
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
