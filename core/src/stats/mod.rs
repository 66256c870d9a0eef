//! A [`Status`] snapshot as people and programs read it: `text` for the USR1 signal, `html` for the statistics page,
//! `json` for `status json`, `prometheus` for `metrics`.
//!
//! Pure: every renderer turns the snapshot into a `String` and looks at nothing else, so the clock, the tables and the
//! files stay with the callers (the main thread, penctl, webstats). What the forms share lives here.

pub mod clones;
pub mod glb;
pub mod html;
pub mod json;
pub mod parts;
pub mod prometheus;
pub mod text;

use pen_proto::status::Status;

/// The sentence Pen opens its text and its page with. `current` is the server tried last, not a count.
fn time_line(status: &Status) -> String {
    let servers = status.own().regular_servers().count();
    format!("Time {}, {servers} servers, {} current", status.time_local, status.current_server)
}

#[cfg(test)]
mod samples;
