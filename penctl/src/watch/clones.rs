//! What clones do beside the members of the same connections, as `clones json` tells it: read and drawn. Pure.

use crate::table::harmless;
use pen_proto::readable::bytes;
use serde::Deserialize;

/// What is shown of it. A pen that has no clones tells nothing, and one of another version perhaps less.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Clones {
    /// `disabled`, `enabled` or `failed`.
    pub state: String,
    member: Side,
    clone: Side,
    compared: u64,
    same: u64,
    differences: Vec<Difference>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Side {
    connections: u64,
    received_bytes: u64,
    first_byte: Spread,
    duration: Spread,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Spread {
    median_us: Option<u64>,
    p99_us: Option<u64>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Difference {
    kind: String,
    count: u64,
}

impl Clones {
    /// The clones that `clones json` tells of; nothing where no connection has any.
    pub fn read(json: &str) -> Option<Clones> {
        let clones: Clones = serde_json::from_str(json).ok()?;
        (!["", "disabled"].contains(&&clones.state[..])).then_some(clones)
    }

    /// Member and clone side by side, and what differs.
    pub fn lines(&self) -> Vec<String> {
        let heading = format!("clones {}", harmless(&self.state));
        let column = |name: &str, side: &Side| {
            [
                name.to_owned(),
                side.connections.to_string(),
                bytes(side.received_bytes),
                spread(&side.first_byte),
                spread(&side.duration),
            ]
        };
        let headings =
            [&heading, "CONN", "ANSWERED", "FIRST BYTE (P99)", "DURATION (P99)"].map(str::to_owned);
        let rows = [headings, column("members", &self.member), column("clones", &self.clone)];
        let widths: Vec<usize> =
            (0..5).map(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0)).collect();
        let line = |row: &[String; 5]| {
            let cells = row.iter().zip(&widths).enumerate();
            let cells = cells.map(|(at, (cell, width))| match at {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            cells.collect::<Vec<_>>().join("  ")
        };
        let mut lines: Vec<String> = rows.iter().map(line).collect();
        let kinds = self.differences.iter().map(|it| format!("{} {}", it.count, harmless(&it.kind)));
        let kinds: Vec<String> = kinds.collect();
        let differ = if kinds.is_empty() { String::new() } else { format!("; differ: {}", kinds.join(", ")) };
        lines.push(format!("{} answers compared, {} the same{differ}", self.compared, self.same));
        lines
    }
}

/// `1.2 ms (8.0 ms)`: the median, and what 99 of 100 are quicker than.
fn spread(spread: &Spread) -> String {
    let time = |us: Option<u64>| us.map_or("-".into(), |us| format!("{:.1} ms", us as f64 / 1000.0));
    format!("{} ({})", time(spread.median_us), time(spread.p99_us))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub const JSON: &str = r#"{"state":"enabled","percent":100,
        "member":{"connections":120,"sent_bytes":1,"received_bytes":2048,
            "first_byte":{"count":9,"median_us":1200,"p99_us":8000},"duration":{"count":0},"ends":{}},
        "clone":{"connections":118,"received_bytes":1024,"first_byte":{"median_us":2400,"p99_us":9000}},
        "compared":100,"same":97,"differences":[{"kind":"sta\u001btus","count":2},{"kind":"length","count":1}]}"#;

    #[test]
    fn member_and_clone_stand_side_by_side() {
        let expected = [
            "clones enabled  CONN  ANSWERED  FIRST BYTE (P99)  DURATION (P99)",
            "members          120   2.0 KiB   1.2 ms (8.0 ms)           - (-)",
            "clones           118   1.0 KiB   2.4 ms (9.0 ms)           - (-)",
            "100 answers compared, 97 the same; differ: 2 sta\\x1btus, 1 length",
        ];
        assert_eq!(Clones::read(JSON).unwrap().lines(), expected);
        for none in [r#"{"state":"disabled"}"#, "{}", "", "[]"] {
            assert_eq!(Clones::read(none), None, "{none}");
        }
    }
}
