//! The door for terminals: ssh, with keys alone.
//!
//! The way of a connection: `server` (sockets, limits, who is out) → `guest` (one connection: who is it, what channels it
//! opens) → `channel` (one channel: a command, or a shell) → `clerk` (lines in, answers out) → the office on a thread that
//! may block. `keys`, `editor` and `lines` are pure: what is typed, the line that it makes, and for which pen that is;
//! `host_key` is the file of that name.
//!
//! Nothing is executed here, and nothing is forwarded: a channel carries lines for pens and their answers. What pens answer
//! is made harmless for the terminal on which it may appear.

mod channel;
mod clerk;
mod editor;
mod guest;
mod host_key;
mod keys;
mod lines;
mod server;
mod shell;

pub use server::{Door, Settings};
