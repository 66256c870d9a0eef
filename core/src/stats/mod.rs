//! A [`Status`] snapshot as people and programs read it: `text` for the USR1 signal, `html` for the statistics page,
//! `json` for `status json`, `prometheus` for `metrics`.
//!
//! Pure: every renderer turns the snapshot into a `String` and looks at nothing else, so the clock, the tables and the
//! files stay with the callers (the main thread, penctl, webstats). What the forms share lives here.

pub mod html;
pub mod json;
pub mod parts;
pub mod prometheus;
pub mod text;

use pen_proto::status::{ServerStatus, Status};

/// The sentence Pen opens its text and its page with. `current` is the server tried last, not a count.
fn time_line(status: &Status) -> String {
    let servers = regular_servers(status).count();
    format!("Time {}, {servers} servers, {} current", status.time_local, status.current_server)
}

/// The servers that have a number; the emergency and the abuse server do not count.
pub fn regular_servers(status: &Status) -> impl Iterator<Item = &ServerStatus> {
    status.servers.iter().filter(|server| server.index >= 0)
}

#[cfg(test)]
mod samples;
