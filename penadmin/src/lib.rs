//! Administration of pens by people: who they are, what they may do, what they did, and the pens that obey.
//!
//! Doors, such as the one for browsers, stand on four parts that know no door: [`users`] (names, passwords, keys, access),
//! [`rights`] (which lines a user may say), [`audit`] (what was changed, and by whom) and [`pens`] (control sockets).
//! [`office`] is the four together, with what every door does: carry out a line for a user. [`web`] is the door for browsers, [`ssh`] that for
//! terminals; [`connection_limit`] limits how many stand in one,
//! [`throttle`] how often somebody fails to enter; both count by [`network`].
//! [`options`] reads the command line, [`terminal`] a password.
#![forbid(unsafe_code)]

pub mod audit;
pub mod connection_limit;
pub mod network;
pub mod office;
pub mod options;
pub mod pens;
pub mod rights;
#[cfg(feature = "ssh")]
pub mod ssh;
#[cfg(not(feature = "ssh"))]
#[path = "without_ssh.rs"]
pub mod ssh;
pub mod terminal;
pub mod throttle;
pub mod users;
pub mod web;
