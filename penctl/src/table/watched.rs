//! The servers as `penctl watch` lists them. Pure.

use super::Colour;
use super::draw::Side::{Left, Right};
use super::draw::{Table, Tone};
use super::{limit, state};
use pen_proto::status::ServerStatus;

/// A server, and what was computed of it. All texts are harmless already.
pub struct Facts {
    pub status: ServerStatus,
    /// Or its number, where it has none.
    pub name: String,
    pub address: String,
    /// New connections per second.
    pub rate: String,
    /// To the server and from it, per second.
    pub sent: String,
    pub received: String,
    /// Its rate lately.
    pub graph: String,
}

/// Where loads stand among the columns.
const LOAD: usize = 10;

/// A heading and a line for each server, in columns that fit; nothing where there is none.
pub fn watched(servers: &[Facts], width: usize) -> String {
    if servers.is_empty() {
        return String::new();
    }
    let row = |facts: &Facts| {
        let status = &facts.status;
        let cells = vec![
            if status.index < 0 { "-".into() } else { status.index.to_string() },
            facts.name.clone(),
            facts.address.clone(),
            state(status),
            status.connections.to_string(),
            limit(status.max),
            facts.rate.clone(),
            facts.sent.clone(),
            facts.received.clone(),
            status.weight_text(),
            status.load.map_or("-".into(), |load| load.to_string()),
            facts.graph.clone(),
        ];
        (Tone::Plain, cells)
    };
    let mut table = Table {
        columns: vec![
            ("#", Right, 9),
            ("SERVER", Left, 0),
            ("ADDRESS", Left, 6),
            ("STATE", Left, 0),
            ("CONN", Right, 0),
            ("MAX", Right, 7),
            ("NEW/S", Right, 2),
            ("SENT/S", Right, 4),
            ("BACK/S", Right, 4),
            ("WEIGHT", Right, 8),
            ("LOAD", Right, 3),
            ("LAST MINUTE", Left, 5),
        ],
        rows: servers.iter().map(row).collect(),
        nothing: "",
    };
    // Nobody asks for it.
    if servers.iter().all(|facts| facts.status.load_from.is_none()) {
        table.leave_out(LOAD);
    }
    table.draw(Colour::Never, width)
}
