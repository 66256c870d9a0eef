//! Direct server return without its thread: frames read and written, what becomes of one, flows and where servers are.

pub mod director;
pub mod filter;
mod flows;
pub mod fragments;
pub mod frame;
mod link;
pub mod neighbours;
pub mod reply;
pub mod track;
